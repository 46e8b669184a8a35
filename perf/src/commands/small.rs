//! `corinth-perf check`, `capture` and `profiles`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::{division, say, self_check};
use crate::args::{CaptureArgs, Cores};
use crate::capture;
use crate::progress::Progress;
use crate::scenario::{PROFILES, Scenario};

/// `corinth-perf check`.
///
/// # Errors
/// There are no sockets to be had.
pub fn check(cores: &Cores) -> anyhow::Result<ExitCode> {
    let check = self_check(&division(cores)?, &Progress::new(true))?;
    let share = check.receive_pps / check.bare_receive_pps;
    say(&format!(
        "one thread of the generator, packets of {} bytes for {} peers over loopback:\n\
         receives and accounts for  {:9.0} packets/s\n\
         a bare recvmmsg loop       {:9.0} packets/s; the generator reaches {:.0} % of it\n\
         seals and sends            {:9.0} packets/s\n",
        check.packet_bytes,
        check.peers,
        check.receive_pps,
        check.bare_receive_pps,
        share * 100.0,
        check.send_pps,
    ));
    Ok(ExitCode::SUCCESS)
}

/// `corinth-perf capture`.
///
/// # Errors
/// This process may not look, nothing was sent, or the file cannot be written.
pub fn capture(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    let length = Duration::try_from_secs_f64(args.seconds).context("--seconds")?;
    let trace = capture::capture(args.port, length)?;
    std::fs::write(&args.out, &trace)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    say(&format!("{} packets in {}\n", trace.lines().count() - 2, args.out.display()));
    Ok(ExitCode::SUCCESS)
}

/// `corinth-perf profiles`.
///
/// # Errors
/// There is no such profile.
pub fn profiles(name: Option<&str>) -> anyhow::Result<ExitCode> {
    match name {
        Some(name) => {
            let known = PROFILES.iter().find(|(known, _)| *known == name);
            say(known.with_context(|| format!("there is no profile {name:?}"))?.1);
        }
        None => {
            for (name, text) in PROFILES {
                let scenario = Scenario::parse(text, &[])?;
                say(&format!("{name:20} {}\n", scenario.about));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
