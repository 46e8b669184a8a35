//! `corinth-perf calibrate`: what things cost on this machine, for `plan`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::run::play;
use super::{block_on, machine, place, say, server};
use crate::args::CalibrateArgs;
use crate::measures::{Run, ServerInfo};
use crate::plan::{Calibration, Model, Observation};
use crate::progress::Progress;
use crate::report;
use crate::rig::{Place, Rig};
use crate::scenario::Scenario;
use crate::sfu::Sfu;

/// Plays what the model is fitted on and what it is held against.
///
/// # Errors
/// Nothing could be measured, or too little to fit anything.
pub fn calibrate(args: CalibrateArgs) -> anyhow::Result<ExitCode> {
    let calibration = Calibration::sized(args.packets_per_core)?;
    let place = place(&args.target)?;
    let progress = Progress::new(args.quiet);
    say(&format!("this takes about {:.0} s\n", calibration.seconds()));
    let generator_cores = place.generator_cores.clone();
    let (fit, held_out) = block_on(&generator_cores, async {
        let fit = all(&args, &place, &calibration.fit, &progress).await?;
        let held_out = all(&args, &place, &calibration.held_out, &progress).await?;
        anyhow::Ok((fit, held_out))
    })?;
    progress.end();
    if let Some(path) = &args.json {
        report::write_json(&(&fit, &held_out), path)?;
    }
    let server = fit.first().map_or_else(ServerInfo::default, |run| run.server.clone());
    let started = args.target.url.is_none();
    let model = Model::fit(&observations(&fit))
        .context("the model cannot be fitted")?
        .on(&machine(&place, started), &server)
        .held_against(&observations(&held_out));
    report::write_json(&model, &args.model)?;
    say(&format!("{model}\nin {}\n", args.model.display()));
    Ok(ExitCode::SUCCESS)
}

/// Each on a server of its own.
async fn all(
    args: &CalibrateArgs,
    place: &Place,
    scenarios: &[Scenario],
    progress: &Progress,
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for scenario in scenarios {
        progress.says(&scenario.name);
        let sfu: Arc<dyn Sfu> = Arc::new(server(&args.target, place).await?);
        let rig = Rig::new(sfu, place, scenario, progress.clone())?;
        let machine = machine(place, args.target.url.is_none());
        let run = play(rig, scenario, machine, None).await;
        runs.push(run.with_context(|| scenario.name.clone())?);
    }
    Ok(runs)
}

fn observations(runs: &[Run]) -> Vec<Observation> {
    let mut all = Vec::new();
    for run in runs {
        let (seen, skipped) = Observation::from_run(run);
        all.extend(seen);
        for reason in skipped {
            say(&format!("{}: not used: {reason}\n", run.scenario.name));
        }
    }
    all
}
