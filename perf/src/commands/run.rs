//! `corinth-perf run`: a profile at its loads, and the report.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::{block_on, command_line, date, machine, place, say, self_check, server};
use crate::args::{Output, RunArgs};
use crate::measures::{Finding, Machine, Run, SelfCheck, Severity, Step};
use crate::progress::Progress;
use crate::rig::Rig;
use crate::scenario::Scenario;
use crate::sfu::Sfu;
use crate::{findings, report};

/// `corinth-perf run`. The exit code says whether the first load was carried.
///
/// # Errors
/// The profile is wrong, or nothing could be measured.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::load(&args.profile, &args.target.set)?;
    let place = place(&args.target)?;
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
    let carried = run.steps.first().is_some_and(Step::passes);
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
    let run = play_on(&mut rig, scenario, machine, self_check).await?;
    rig.end().await;
    Ok(run)
}

/// The same, on a rig that goes on.
///
/// # Errors
/// Nothing could be measured.
pub(crate) async fn play_on(
    rig: &mut Rig,
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
