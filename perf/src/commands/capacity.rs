//! `corinth-perf capacity`: the highest load at which every limit holds.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use super::{block_on, command_line, date, machine, place, say, self_check, server};
use crate::args::CapacityArgs;
use crate::capacity::{Capacity, Outcome, Search, Settings, render};
use crate::measures::{Machine, SelfCheck, ServerInfo, Step};
use crate::progress::Progress;
use crate::report;
use crate::rig::Rig;
use crate::scenario::Scenario;
use crate::sfu::Sfu;

/// Descriptors that are not peers'.
const OTHER_FILES: u64 = 200;

/// A search with all that was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    /// When it began, UTC (RFC 3339).
    pub(super) began_at: String,
    /// The command line.
    pub(super) command: String,
    /// Where.
    pub(super) machine: Machine,
    /// What.
    pub(super) server: ServerInfo,
    /// What the generator can do alone.
    pub(super) self_check: Option<SelfCheck>,
    /// What was played.
    pub(super) scenario: Scenario,
    /// The answer.
    pub(super) capacity: Capacity,
    /// Every measurement, in order.
    pub(super) steps: Vec<Step>,
}

/// Searches.
///
/// # Errors
/// The profile is wrong, or nothing could be measured.
pub fn capacity(args: CapacityArgs) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::load(&args.profile, &args.target.set)?;
    let place = place(&args.target)?;
    let progress = Progress::new(args.quiet);
    let self_check = Some(self_check(&place, &progress)?);
    let settings = Settings {
        resolution: f64::from(args.resolution) / 100.0,
        highest: highest(&scenario)?,
        repeats: args.repeats.into(),
        ..Settings::of(&scenario)
    };
    let generator_cores = place.generator_cores.clone();
    let report = block_on(&generator_cores, async {
        let sfu: Arc<dyn Sfu> = Arc::new(server(&args.target, &place).await?);
        let mut rig = Rig::new(sfu, &place, &scenario, progress.clone())?;
        let mut report = Report {
            began_at: date(),
            command: command_line(),
            machine: machine(&place, args.target.url.is_none()),
            server: rig.server(),
            self_check,
            scenario: scenario.clone(),
            capacity: Search::new(settings).capacity(),
            steps: Vec::new(),
        };
        let mut search = Search::new(settings);
        while let Some(load) = search.next_load() {
            let outcome = match rig.step(load).await {
                Ok(step) => {
                    let outcome = Outcome::of(&step);
                    report.steps.push(step);
                    outcome
                }
                // A server that most cannot join any more does not carry the load.
                Err(error) if !report.steps.is_empty() => {
                    Outcome { broke: Some(format!("{error:#}")), ..Outcome::default() }
                }
                Err(error) => return Err(error).with_context(|| format!("at load {load}")),
            };
            let verdict = if outcome.passed { "holds" } else { "does not hold" };
            let (done, at_most) = search.progress();
            progress.says(&format!("{} of at most {at_most}: load {load:.2} {verdict}", done + 1));
            search.note(load, outcome);
        }
        rig.end().await;
        report.capacity = search.capacity();
        anyhow::Ok(report)
    })?;
    progress.end();
    if let Some(path) = &args.json {
        report::write_json(&report, path)?;
    }
    say(&headline(&report));
    say(&render(&report.capacity));
    let found = report.capacity.load > 0.0;
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// What the answer is in rooms and packets, from the measurement that passed nearest to it.
fn headline(report: &Report) -> String {
    let load = report.capacity.load;
    let passed = report.steps.iter().filter(|step| step.passes());
    let distance = |step: &&Step| (step.load - load).abs();
    let nearest = passed.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let Some(step) = nearest else { return String::new() };
    let process = step.process.as_ref();
    let busy = process.map_or(String::new(), |process| {
        format!("; {:.2} of {} cores busy", process.cores_busy, process.cores)
    });
    format!(
        "{}: {} at load {:.2}: {} rooms, {} peers, {} streams, {:.0} packets/s to viewers, \
         {:.0} Mbit/s{busy}\n\n",
        report.scenario.name,
        report.server.sfu,
        step.load,
        step.population.rooms,
        step.population.peers,
        step.population.streams,
        step.received_pps(),
        step.packets.received_bps / 1e6,
    )
}

/// The load at which the generator has no descriptors left, or the suite no peers.
pub(super) fn highest(scenario: &Scenario) -> anyhow::Result<f64> {
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = (files.saturating_sub(OTHER_FILES) as usize).min(crate::scenario::PEERS_MAX);
    let (mut low, mut high) = (0.0, 1e6);
    // To a thousandth: nobody joins a part of a peer.
    while high - low > low / 1000.0 && high > 1e-3 {
        let middle = f64::midpoint(low, high);
        match scenario.peers_at(middle) <= most {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(low)
}
