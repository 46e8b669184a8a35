//! `corinth-perf compare`: the same packets through two servers, in turns.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::capacity::highest;
use super::run::play_on;
use super::{block_on, command_line, date, division, machine, say, server_at};
use crate::apart;
use crate::args::CompareArgs;
use crate::capacity::{Outcome, Search, Settings};
use crate::measures::{Finding, Severity};
use crate::progress::Progress;
use crate::report;
use crate::report::compare::{Comparison, Round, html, ratio, ratios, table};
use crate::rig::{Place, Rig};
use crate::scenario::Scenario;
use crate::sfu::{Janus, Launch, Sfu};

/// Ours.
const OURS: &str = "corinth";

/// How well the highest load is looked for: it is looked for once a round and server.
const SEARCH: Settings = Settings {
    start: 1.0,
    resolution: 0.1,
    parts: 100,
    highest: 1e6,
    repeats: 1,
    measurements: 10,
};

/// Compares.
///
/// # Errors
/// The profile is wrong, no network of our own can be had, or nothing could be measured.
pub fn compare(args: CompareArgs) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::load(&args.profile, &args.set)?;
    if args.against != "janus" {
        bail!("there is no adapter for {:?}; there is one for janus", args.against);
    }
    let Some(program) = Janus::find()? else {
        say("skipped: janus is not installed (Debian: apt-get install janus)\n");
        return Ok(ExitCode::from(3));
    };
    if !apart::is_inside() {
        return apart::again();
    }
    apart::make()?;
    let division = division(&args.cores)?;
    let place = Place { base: apart::PEERS.0, addresses: apart::PEERS.1, ..division };
    let progress = Progress::new(args.output.quiet);
    let generator_cores = place.generator_cores.clone();
    let theirs = Launch { program, arguments: Vec::new(), cores: place.server_cores.clone() };
    let comparison = block_on(&generator_cores, async {
        let mut turns = Turns { args: &args, place, scenario, progress, theirs };
        turns.all().await
    })?;
    if let Some(path) = &args.output.json {
        report::write_json(&comparison, path)?;
    }
    if let Some(path) = &args.output.html {
        std::fs::write(path, html::render(&comparison))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(&table::render(&comparison));
    Ok(ExitCode::SUCCESS)
}

struct Turns<'a> {
    args: &'a CompareArgs,
    place: Place,
    scenario: Scenario,
    progress: Progress,
    theirs: Launch,
}

impl Turns<'_> {
    /// One round of each is a warm-up and does not count.
    async fn all(&mut self) -> anyhow::Result<Comparison> {
        let mut comparison = Comparison {
            began_at: date(),
            command: command_line(),
            machine: machine(&self.place, true),
            scenario: self.scenario.clone(),
            ours: OURS.to_owned(),
            theirs: self.args.against.clone(),
            rounds: Vec::new(),
            rows: Vec::new(),
            skipped: Vec::new(),
            findings: Vec::new(),
        };
        let mut loads = Vec::new();
        for n in 0..=self.args.rounds {
            let mut found = Vec::new();
            let order = [OURS, self.args.against.as_str()];
            // Who goes first changes, so that what the first leaves behind hits both.
            let order = if n % 2 == 0 { order } else { [order[1], order[0]] };
            for sfu in order {
                self.progress.says(&format!("round {n} of {}: {sfu}", self.args.rounds));
                let (run, highest) = self.turn(sfu, n > 0).await.context(sfu.to_owned())?;
                found.push((sfu, highest));
                if n > 0 {
                    comparison.rounds.push(Round { sfu: sfu.to_owned(), run });
                }
            }
            let of = |name: &str| found.iter().find(|(sfu, _)| *sfu == name).and_then(|it| it.1);
            if let (Some(ours), Some(theirs)) = (of(OURS), of(&self.args.against)) {
                loads.push((ours, theirs));
            }
        }
        self.progress.end();
        comparison.rows = ratios(&comparison.rounds, OURS, &self.args.against);
        comparison.rows.extend(ratio("Highest load", "of the profile", true, &loads));
        comparison.findings = findings(&comparison);
        Ok(comparison)
    }

    /// One server, started for it: all loads, and the highest.
    async fn turn(
        &self,
        sfu: &str,
        counts: bool,
    ) -> anyhow::Result<(crate::measures::Run, Option<f64>)> {
        let sfu: Arc<dyn Sfu> = match sfu {
            OURS => {
                let program = self.args.server.as_deref();
                Arc::new(
                    server_at(program, &self.args.server_args, &self.place, apart::SERVER).await?,
                )
            }
            _ => Arc::new(Janus::start(self.theirs.clone(), apart::SERVER).await?),
        };
        let machine = machine(&self.place, true);
        let mut rig = Rig::new(sfu, &self.place, &self.scenario, self.progress.clone())?;
        let run = play_on(&mut rig, &self.scenario, machine, None).await?;
        let highest = match counts && !self.args.no_highest {
            true => self.search(&mut rig).await?,
            false => None,
        };
        rig.end().await;
        Ok((run, highest))
    }

    async fn search(&self, rig: &mut Rig) -> anyhow::Result<Option<f64>> {
        let parts = Settings::of(&self.scenario).parts;
        let mut search =
            Search::new(Settings { parts, highest: highest(&self.scenario)?, ..SEARCH });
        while let Some(load) = search.next_load() {
            let outcome = match rig.step(load).await {
                Ok(step) => Outcome::of(&step),
                // Who lets nobody in any more does not carry the load.
                Err(error) => Outcome { broke: Some(format!("{error:#}")), ..Outcome::default() },
            };
            search.note(load, outcome);
        }
        let capacity = search.capacity();
        Ok((capacity.load > 0.0).then_some(capacity.load))
    }
}

/// Of all rounds, each kind once for each server.
fn findings(comparison: &Comparison) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for Round { sfu, run } in &comparison.rounds {
        for finding in &run.findings {
            let text = format!("{sfu}: {}", finding.text);
            let kind = format!("{sfu}-{}", finding.kind);
            if !all.iter().any(|known| known.kind == kind) && finding.severity > Severity::Note {
                all.push(Finding { kind, text, ..finding.clone() });
            }
        }
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}
