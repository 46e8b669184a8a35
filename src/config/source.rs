//! Where settings come from: a file, then the environment, then the command line; the later wins.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::file;
use super::settings::Settings;
use super::{Config, ConfigError};

/// A file, and what counts more than it.
#[derive(Debug, Clone, Default, Args)]
pub struct Source {
    /// Read settings from this file; `corinth config example` prints one that explains itself
    #[arg(long, verbatim_doc_comment, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// From the environment and the command line.
    #[command(flatten)]
    pub settings: Settings,
}

/// What all places together say.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// As it counts.
    pub settings: Settings,
    /// The same, checked.
    pub config: Config,
}

impl Source {
    /// Reads the file anew and checks everything. Errors name the line or the option. `host`: see
    /// [`Config::new`].
    pub fn load(&self, host: &[IpAddr]) -> io::Result<Loaded> {
        let Some(path) = &self.config else {
            return self.check(self.settings.clone(), host, None);
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{shown}: {error}")))?;
        let from_file =
            file::parse(&text).map_err(|bad| io::Error::other(format!("{shown}:{bad}")))?;
        self.check(self.settings.clone().or(from_file), host, Some(&text))
    }

    fn check(&self, settings: Settings, host: &[IpAddr], text: Option<&str>) -> io::Result<Loaded> {
        match Config::new(&settings, host) {
            Ok(config) => Ok(Loaded { settings, config }),
            Err(error) => Err(io::Error::other(self.locate(&error, text))),
        }
    }

    /// The error with the place that is to be mended.
    pub fn locate(&self, error: &ConfigError, text: Option<&str>) -> String {
        let said = self.settings.differing(&Settings::default());
        let said = said.iter().any(|name| name == error.setting);
        match (&self.config, text.and_then(|text| file::line_of(text, error.setting))) {
            (Some(path), Some(line)) if !said => format!("{}:{line}: {error}", path.display()),
            _ => format!("--{error}"),
        }
    }
}
