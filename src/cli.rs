//! The command line: what may be said, what it means (checked in `config`), and the program that
//! is run by it.

mod log;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{LIVE, Settings, Source, TokenKey, file, with_environment};
use crate::doctor::{self, Grade};
use crate::http::token::{NewToken, Right};
use crate::net::host_addresses;
use crate::server::{Occasion, serve};
use crate::shard::{Live, unix_time};

/// Said below every list of options.
const PLACES: &str = "Every option is also a line of the file that --config names, and a variable \
    of the environment:\n--media-port is media-port = 40000 and CORINTH_MEDIA_PORT. The command \
    line counts most, then the environment.";

/// A WebRTC media router (SFU): browsers join a room over a WebSocket and hear and see each other.
///
/// Without options it serves this machine: open the address that it prints in two tabs.
#[derive(Debug, Clone, Parser)]
#[command(name = "corinth", version, after_help = PLACES)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What is served, and how.
    #[command(flatten)]
    pub source: Source,

    /// Something else than to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does besides serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show or check the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a token that lets its bearer join a room
    Token(TokenCommand),
    /// Say whether this host is fit for the server, point by point, and what to do where it is not
    #[command(after_help = PLACES)]
    Doctor {
        /// What would be served.
        #[command(flatten)]
        source: Box<Source>,
    },
    /// Print the page for the manual, corinth(1)
    Man,
    /// Print what makes a shell complete the options
    Completions {
        /// For which one
        shell: clap_complete::Shell,
    },
}

/// What a new token shall say, and what signs it.
#[derive(Debug, Clone, clap::Args)]
pub struct TokenCommand {
    /// The room; * is every room
    #[arg(long, value_name = "ROOM")]
    room: String,

    /// The only peerName under which it is good [default: every one]
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,

    /// What its bearer may do: send audio or video, receive, and look after the room (admin)
    #[arg(long, value_name = "RIGHT", value_delimiter = ',', value_enum)]
    #[arg(default_value = "audio,video,receive")]
    rights: Vec<Right>,

    /// How long it is good for joining; who has joined stays
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    seconds: u64,

    /// Which token-key signs it [default: the last]
    #[arg(long, value_name = "ID")]
    key: Option<String>,

    /// The private key in PEM that signs it, where the token-key is a public one
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,

    /// The server's file, where its keys are
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// A key, as the server is told it
    #[arg(long, value_name = "ID=FILE", value_delimiter = ',')]
    token_key: Option<Vec<TokenKey>>,
}

/// What can be done with a configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print a configuration file with every setting, explained, as it is by default
    Example,
    /// Say whether the server would take its configuration, and which line or option it would not
    #[command(after_help = PLACES)]
    Check {
        /// The file, as --config names it
        #[arg(value_name = "FILE", conflicts_with = "config")]
        file: Option<PathBuf>,

        /// What else would be said.
        #[command(flatten)]
        source: Box<Source>,
    },
}

/// The whole grammar: for parsing, help, completions and man pages.
pub fn command() -> clap::Command {
    with_environment(Args::command())
}

/// The program: does what the command line and the environment say. What is wrong is one line on
/// standard error.
pub fn main() -> ExitCode {
    let args = Args::from_arg_matches(&command().get_matches());
    match args.map_err(|error| error.exit()).and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    match &args.command {
        None => run_server(&args.source),
        Some(Command::Config(ConfigCommand::Example)) => print(file::EXAMPLE),
        Some(Command::Config(ConfigCommand::Check { file, source })) => {
            let config = file.clone().or_else(|| source.config.clone());
            check(&Source { config, settings: source.settings.clone() })
        }
        Some(Command::Token(command)) => print(&format!("{}\n", token(command)?)),
        Some(Command::Doctor { source }) => examine(source),
        Some(Command::Man) => print(&manual()?),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command(), "corinth", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// A reader that has gone, as in `corinth | head -1`, is no reason to fail.
fn print(text: &str) -> io::Result<()> {
    let _ = write!(io::stdout(), "{text}");
    let _ = io::stdout().flush();
    Ok(())
}

fn examine(source: &Source) -> io::Result<()> {
    let loaded = source.load(&host_addresses().unwrap_or_default())?;
    let found = doctor::examine(&loaded.config);
    let lines: Vec<_> = found.iter().map(|finding| format!("{finding}\n")).collect();
    print(&lines.concat())?;
    match found.iter().filter(|finding| finding.grade == Grade::Bad).count() {
        0 => Ok(()),
        bad => Err(io::Error::other(format!("{bad} of these keep the server from its work"))),
    }
}

/// The program's page of the manual and, below it, those of what it does besides serving.
fn manual() -> io::Result<String> {
    let mut page = Vec::new();
    let mut whole = command();
    whole.build();
    clap_mangen::Man::new(whole.clone()).render(&mut page)?;
    for command in whole.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("corinth {}", command.get_name());
        writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
        let man = clap_mangen::Man::new(command.clone());
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    String::from_utf8(page).map_err(io::Error::other)
}

fn check(source: &Source) -> io::Result<()> {
    let loaded = source.load(&host_addresses().unwrap_or_default())?;
    Live::load(&loaded.config, None)?;
    print("corinth: the configuration is in order\n")
}

fn token(command: &TokenCommand) -> io::Result<String> {
    let settings = Settings { token_key: command.token_key.clone(), ..Settings::default() };
    let source = Source { config: command.config.clone(), settings };
    let loaded = source.load(&host_addresses().unwrap_or_default())?;
    let mut keys = loaded.config.token_keys.iter();
    let key = match &command.key {
        Some(id) => keys.find(|key| key.id == *id),
        None => keys.next_back(),
    };
    let key = key.ok_or_else(|| {
        io::Error::other(match &command.key {
            Some(id) => format!("there is no token-key {id}"),
            None => "there is no token-key: name the server's file with --config".to_owned(),
        })
    })?;
    let token = NewToken {
        key: &key.id,
        room: &command.room,
        peer: command.peer.as_deref(),
        rights: &command.rights,
        expires: unix_time().saturating_add(command.seconds),
    };
    token.sign(command.private_key.as_ref().unwrap_or(&key.file))
}

/// Serves until a signal comes.
fn run_server(source: &Source) -> io::Result<()> {
    let host = host_addresses().unwrap_or_default();
    let first = source.load(&host)?;
    let set_filter = log::start(&first.config);
    let mut live = Live::load(&first.config, None)?;
    let running = serve(&first.config, live.clone())?;
    // Before it is said that it serves: whoever waits for that may signal at once.
    running.catch_signals()?;
    print(&running.to_string())?;
    let mut last = first.clone();
    running.wait(|occasion| {
        let now = match occasion {
            Occasion::Asked => source.load(&host)?,
            Occasion::FilesChanged => last.clone(),
        };
        live = Live::load(&now.config, Some(&live))?;
        if occasion == Occasion::Asked {
            warn_of_what_waits(&first.settings, &now.settings);
            set_filter(EnvFilter::new(&now.config.log))?;
        }
        last = now;
        Ok(live.clone())
    })
}

/// Says what has changed since the start and can not while the server runs.
fn warn_of_what_waits(first: &Settings, now: &Settings) {
    for name in now.differing(first) {
        if !LIVE.contains(&name.as_str()) {
            tracing::warn!("{name} has changed, which takes a restart");
        }
    }
}
