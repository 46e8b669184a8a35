//! How near the forward path is to what the kernel allows: the real server, one pinned shard,
//! forwards what browsers send to many receivers; in the same run, alternated with it, a sender
//! without any SFU sends the same datagrams, by one `sendto` each and in the same trains.
//!
//! `cargo bench --bench limit -- --help`. docs/internals/limit.md says how it is measured and how
//! to read it. The last line is for scripts: `limit burst=R spaced=R audio=R`, each the server's
//! CPU time a forwarded packet over that of the bare sender in trains and one AEAD seal.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "no shard: a program that reads clocks, prints, and has two threads that talk"
)]

mod bare;
mod case;
mod host;
mod ideal;
mod joins;
mod plan;
mod play;
mod report;
mod server;
mod veth;

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use plan::{Case, Pattern, Plan};
use report::Report;

/// Measures the forward path against a bare sender.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Options {
    /// Only what the last line needs, in less than a minute
    #[arg(long)]
    quick: bool,

    /// Only these cases, as PATTERN:RECEIVERS (burst:200); may be given several times
    #[arg(long, value_name = "CASE")]
    case: Vec<Case>,

    /// Seconds of each measurement [default: 4, with --quick 1.5]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,

    /// How often the server and the bare senders take turns
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,

    /// Arguments for the server, in one string (--server-args "--io ring")
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    server_args: String,

    /// Add sources until the server's core is busy, and nothing else
    #[arg(long)]
    ramp: bool,

    /// A storm of so many joins a second beside a call, and nothing else
    #[arg(long, value_name = "RATE")]
    joins: Option<u32>,

    /// Said by the bench to itself: be the storm, at this server
    #[arg(long, hide = true, value_name = "URL")]
    joiner: Option<String>,

    /// Said by the bench to itself: the network namespace that the server is to live in
    #[arg(long, hide = true, value_name = "PID")]
    beyond: Option<u32>,

    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if std::env::var_os(veth::INSIDE).is_some() && options.beyond.is_none() {
        return veth::inside();
    }
    let seconds = options.seconds.unwrap_or(if options.quick { 1.5 } else { 4.0 });
    let length = Duration::from_secs_f64(seconds);
    if let (Some(url), Some(rate)) = (&options.joiner, options.joins) {
        return joins::storm(url, rate, length);
    }
    let cores = host::Cores::of_this_process()?;
    host::pin(&[cores.generator])?;
    let plan = Plan {
        length,
        rounds: options.rounds.max(1),
        server_args: options.server_args.split_whitespace().map(str::to_owned).collect(),
        cores,
        beyond: options.beyond,
    };
    if let Some(rate) = options.joins {
        return joins::measure(&plan, rate);
    }
    if options.ramp {
        return case::ramp(&plan);
    }
    let medium = if options.beyond.is_some() { "veth" } else { "loopback" };
    let mut report = Report::new(medium);
    for case in cases(&options) {
        report.add(case.measure(&plan).with_context(|| case.to_string())?);
    }
    report.end();
    if options.beyond.is_some() {
        return Ok(());
    }
    if !options.quick && options.case.is_empty() {
        veth::again()?;
        case::ramp(&plan)?;
    }
    match report.last_line() {
        Some(line) => println!("{line}"),
        None if options.case.is_empty() => bail!("a case for the last line is missing"),
        None => {}
    }
    Ok(())
}

fn cases(options: &Options) -> Vec<Case> {
    if !options.case.is_empty() {
        return options.case.clone();
    }
    let receivers: &[usize] = if options.quick { &[200] } else { &[50, 200, 500] };
    let patterns = [Pattern::Burst, Pattern::Spaced, Pattern::Audio];
    let cases = patterns.iter().flat_map(|pattern| {
        receivers.iter().map(|receivers| Case { pattern: *pattern, receivers: *receivers })
    });
    cases.collect()
}
