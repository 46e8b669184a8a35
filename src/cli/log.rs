//! What the program says on standard error: its log, and why it ended. To systemd's journal each
//! line goes with its priority (sd-daemon(3)), and without a time, as the journal has its own.

use std::fs::File;
use std::io::{self, IsTerminal, StderrLock, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry, reload};

use crate::config::{Config, LogFormat};

/// Begins to log; what is returned replaces the filter.
pub(super) fn start(config: &Config) -> impl Fn(EnvFilter) -> io::Result<()> + use<> {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&config.log));
    let stderr = Stderr::new();
    let to_journal = stderr.is_journal;
    // Colours are for people: a file would keep their codes as text.
    let log = fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(stderr);
    let log = match config.log_format {
        LogFormat::Text if to_journal => log.without_time().boxed(),
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    registry().with(filter).with(log).init();
    move |filter| handle.reload(filter).map_err(io::Error::other)
}

/// Says why the program ends.
pub(super) fn complain(error: &io::Error) {
    let _ = writeln!(Stderr::new().line(Level::ERROR), "corinth: {error}");
}

/// Standard error.
struct Stderr {
    is_journal: bool,
}

impl Stderr {
    fn new() -> Stderr {
        Stderr { is_journal: is_journal().unwrap_or(false) }
    }

    /// Where one line of this level can be written.
    fn line(&self, level: Level) -> StderrLock<'static> {
        let mut stderr = io::stderr().lock();
        if self.is_journal {
            let _ = write!(stderr, "<{}>", priority(level));
        }
        stderr
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = StderrLock<'static>;

    fn make_writer(&'a self) -> Self::Writer {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Self::Writer {
        self.line(*about.level())
    }
}

/// Whether standard error leads to systemd's journal: it has named that stream by its device and
/// inode (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal() -> Option<bool> {
    let named = std::env::var("JOURNAL_STREAM").ok()?;
    let about = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
    Some(named == format!("{}:{}", about.dev(), about.ino()))
}

/// As syslog(3) has them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
