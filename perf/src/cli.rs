//! The command line of `corinth-perf`: which command it is, and its end.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::args::{
    CalibrateArgs, CapacityArgs, CaptureArgs, CompareArgs, Cores, PLAN_EXAMPLES, PlanArgs, RunArgs,
};
use crate::commands;

/// Capacity planning for SFUs: what does this machine carry?
///
/// Starts the server on cores of its own, plays to it what browsers send, and says what became of
/// every packet. perf/README.md has the method and its limits.
#[derive(Debug, Parser)]
#[command(name = "corinth-perf", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a profile at its loads and report
    Run(Box<RunArgs>),
    /// Find the highest load of a profile at which every limit holds
    Capacity(Box<CapacityArgs>),
    /// Measure what things cost on this machine, for `plan` (four minutes)
    Calibrate(Box<CalibrateArgs>),
    /// How many cores for these rooms?
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// The same packets through another server, in turns: a table of ratios
    Compare(Box<CompareArgs>),
    /// What the generator can do alone on this machine
    Check(Cores),
    /// Capture what a browser sends to a UDP port of this machine, as a trace for profiles
    /// (groups.0.video.trace_file=FILE)
    Capture(CaptureArgs),
    /// List the profiles, or print one
    Profiles {
        /// The one to print, to be changed and played as a file
        name: Option<String>,
    },
}

/// The whole program. What is wrong is one line on standard error.
pub fn run() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Command::Run(args) => commands::run(*args),
            Command::Capacity(args) => commands::capacity(*args),
            Command::Calibrate(args) => commands::calibrate(*args),
            Command::Plan(args) => commands::plan(&args),
            Command::Compare(args) => commands::compare(*args),
            Command::Check(cores) => commands::check(&cores),
            Command::Capture(args) => commands::capture(&args),
            Command::Profiles { name } => commands::profiles(name.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
