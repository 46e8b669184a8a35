//! What the subcommands do.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::cli::{CaptureArgs, Cores, Output, RunArgs, Target};
use crate::measures::{Finding, Machine, Run, SelfCheck, Severity};
use crate::progress::Progress;
use crate::rig::{Place, Rig};
use crate::scenario::Scenario;
use crate::sfu::{Corinth, Launch, Sfu};
use crate::{binary, capture, findings, host, report, selfcheck};

/// Says what is wrong, in one line.
pub fn complain(error: &anyhow::Error) {
    writeln!(std::io::stderr(), "corinth-perf: {error:#}").ok();
}

/// Writes to standard output. A reader that has gone is no reason to fail.
pub(crate) fn say(text: &str) {
    write!(std::io::stdout(), "{text}").ok();
    std::io::stdout().flush().ok();
}

/// A runtime for the control side, on the calling thread.
pub(crate) fn block_on<T>(
    cores: &[usize],
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    host::raise_file_limit();
    host::pin(cores)?;
    host::yield_to_others();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(future)
}

/// The cores that were asked for, or a fair division.
///
/// # Errors
/// A core may not be used.
pub(crate) fn place(cores: &Cores) -> anyhow::Result<Place> {
    let allowed = host::cores()?;
    let (first, second) = match allowed.len() {
        1 => (allowed.clone(), allowed.clone()),
        n => (allowed[..n / 2].to_vec(), allowed[n / 2..].to_vec()),
    };
    let server = cores.server_cores.as_ref().map_or(first, |list| list.0.clone());
    let generator = cores.generator_cores.as_ref().map_or(second, |list| list.0.clone());
    for core in server.iter().chain(&generator) {
        ensure!(allowed.contains(core), "core {core} may not be used; {allowed:?} may");
    }
    Ok(Place::loopback(generator, server))
}

pub(crate) fn machine(place: &Place, started: bool) -> Machine {
    Machine {
        generator_cores: place.generator_cores.clone(),
        server_cores: if started { place.server_cores.clone() } else { Vec::new() },
        ..host::machine()
    }
}

pub(crate) fn command_line() -> String {
    let words = std::env::args().skip(1);
    std::iter::once("corinth-perf".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Now, as RFC 3339 has it, to the second.
pub(crate) fn date() -> String {
    let now = time::OffsetDateTime::now_utc().replace_nanosecond(0);
    let text =
        now.ok().and_then(|now| now.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_default()
}

/// The server that is asked for.
///
/// # Errors
/// It is not there, or does not start.
pub(crate) async fn server(target: &Target, place: &Place) -> anyhow::Result<Corinth> {
    if let Some(url) = &target.url {
        return Ok(Corinth::at(url, target.pid).via(target.via));
    }
    let mut arguments: Vec<_> = target.server_args.split_whitespace().map(str::to_owned).collect();
    // While it is measured nobody answers pings in time.
    arguments.splice(0..0, ["--ping-interval".to_owned(), "3600".to_owned()]);
    let program = binary::corinth(target.server.as_deref())?;
    let launch = Launch { program, arguments, cores: place.server_cores.clone() };
    Ok(Corinth::start(launch, "127.0.0.1").await?.via(target.via))
}

/// `corinth-perf run`. The exit code says whether the first load was carried.
///
/// # Errors
/// The profile is wrong, or nothing could be measured.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::load(&args.profile, &args.target.set)?;
    let mut place = place(&args.target.cores)?;
    if let Some(network) = args.target.addresses {
        (place.base, place.addresses) = (network.base, network.addresses);
    }
    let progress = Progress::new(args.output.quiet);
    let self_check = (!args.no_self_check).then(|| self_check(&place, &progress)).transpose()?;
    let generator_cores = place.generator_cores.clone();
    let run = block_on(&generator_cores, async {
        let sfu: Arc<dyn Sfu> = Arc::new(server(&args.target, &place).await?);
        let rig = Rig::new(sfu, &place, &scenario, progress.clone())?;
        let started = args.target.url.is_none();
        play(rig, &scenario, machine(&place, started), self_check).await
    })?;
    progress.end();
    write(&run, &args.output)?;
    say(&report::table::render(&run));
    let carried = run.steps.first().is_some_and(crate::measures::Step::passes);
    Ok(if carried { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// All steps of a scenario.
///
/// # Errors
/// Nothing could be measured.
pub(crate) async fn play(
    mut rig: Rig,
    scenario: &Scenario,
    machine: Machine,
    self_check: Option<SelfCheck>,
) -> anyhow::Result<Run> {
    let mut run = Run {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        began_at: date(),
        command: command_line(),
        machine,
        server: rig.server(),
        self_check,
        scenario: scenario.clone(),
        steps: Vec::new(),
        findings: Vec::new(),
    };
    let short_queue = rig.short_queue();
    for load in &scenario.load {
        let step = rig.step(*load).await.with_context(|| format!("at load {load}"));
        match step {
            Ok(step) => run.steps.push(step),
            // What was measured before is worth something; a first step that fails is an error.
            Err(error) if !run.steps.is_empty() => {
                run.findings.push(Finding {
                    kind: "broken-off".to_owned(),
                    severity: Severity::Fault,
                    text: format!("{error:#}"),
                    load: Some(*load),
                });
                break;
            }
            Err(error) => return Err(error),
        }
    }
    rig.end().await;
    run.findings.extend(short_queue.map(|text| Finding {
        kind: "receive-queue".to_owned(),
        severity: Severity::Warning,
        text,
        load: None,
    }));
    let found = findings::all(&run);
    run.findings.extend(found);
    Ok(run)
}

fn write(run: &Run, output: &Output) -> anyhow::Result<()> {
    if let Some(path) = &output.json {
        report::write_json(run, path)?;
    }
    if let Some(path) = &output.html {
        std::fs::write(path, report::html::render(run))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// On a thread of its own, so that the caller's is not tied to a core by it.
pub(crate) fn self_check(place: &Place, progress: &Progress) -> anyhow::Result<SelfCheck> {
    progress.says("what can the generator do alone?");
    let flood = place.server_cores.first().copied().unwrap_or(0);
    let own = place.generator_cores.first().copied().unwrap_or(0);
    let check = std::thread::spawn(move || {
        host::pin(&[own])?;
        selfcheck::run(flood)
    });
    check.join().ok().context("the self-check has failed")?
}

/// `corinth-perf check`.
///
/// # Errors
/// There are no sockets to be had.
pub fn check(cores: &Cores) -> anyhow::Result<ExitCode> {
    let check = self_check(&place(cores)?, &Progress::new(true))?;
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
pub fn profiles(name: Option<&str>, all: &[(&str, &str)]) -> anyhow::Result<ExitCode> {
    match name {
        Some(name) => {
            let known = all.iter().find(|(known, _)| *known == name);
            say(known.with_context(|| format!("there is no profile {name:?}"))?.1);
        }
        None => {
            for (name, text) in all {
                let scenario = Scenario::parse(text, &[])?;
                say(&format!("{name:20} {}\n", scenario.about));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_date_is_one() {
        let date = super::date();
        assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{date}");
    }
}
