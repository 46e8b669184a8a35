//! One measured step, as the fit wants it.

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::{Demand, Flow};
use crate::measures::{Run, Step};
use crate::scenario::{Hostile, Scenario};

/// Above this share of lost packets the server was past its limit: what it spent on packets that
/// arrived nowhere is no price of anything.
const LOSS_MAX: f64 = 0.01;

/// What was measured may differ from what the traces promise by this factor; key frames, late
/// joiners and short windows make much less of it.
const PLAUSIBLE: f64 = 1.5;

/// What went through a server, and what that took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The scenario and its load.
    pub name: String,
    /// The rates, as measured.
    pub flow: Flow,
    /// Peers of the largest room.
    pub largest_room: usize,
    /// Cores that the server had, each with a shard.
    pub shards: usize,
    /// Cores' worth of CPU time.
    pub cores_busy: f64,
    /// Resident memory, bytes; 0 where it is not known.
    pub rss_bytes: u64,
}

impl Observation {
    /// What a step of this scenario shows.
    ///
    /// # Errors
    /// It shows nothing about costs; the message says why not.
    pub fn from_step(step: &Step, scenario: &Scenario) -> anyhow::Result<Self> {
        let name = format!("{} at {}", scenario.name, step.load);
        Self::read(name.clone(), step, scenario).with_context(|| name)
    }

    /// What a run's steps show, and why the others show nothing.
    pub fn from_run(run: &Run) -> (Vec<Self>, Vec<String>) {
        let (mut observations, mut skipped) = (Vec::new(), Vec::new());
        for step in &run.steps {
            match Self::from_step(step, &run.scenario) {
                Ok(observation) => observations.push(observation),
                Err(why) => skipped.push(format!("{why:#}")),
            }
        }
        (observations, skipped)
    }

    fn read(name: String, step: &Step, scenario: &Scenario) -> anyhow::Result<Self> {
        let process = step.process.as_ref().context("the server is not on this machine")?;
        ensure!(step.seconds > 0.0 && process.cores_busy > 0.0, "no CPU time was measured");
        ensure!(process.cores > 0, "nobody knows how many cores the server had");
        if let Some(limit) = &step.generator.limit {
            anyhow::bail!("the generator was the limit: {limit}");
        }
        let loss = step.packets.loss;
        ensure!(loss <= LOSS_MAX, "{:.1} % of the packets were lost", 100.0 * loss);
        ensure!(scenario.hostile == Hostile::default(), "what is hostile has no price here");
        ensure!(step.population.restarts == 0, "ICE restarts have no price here");

        let demand = Demand::of(scenario, step.load);
        let planned = Demand { joins_per_second: 0.0, ..demand.clone() }.flow()?;
        let (rx, tx) = (step.sent_pps(), step.received_pps());
        for (what, measured, planned) in
            [("sent", rx, planned.rx_packets), ("received", tx, planned.tx_packets)]
        {
            // Those who come in the window receive as well, on top of the plan.
            let joined = step.population.joins > 0 && measured > planned;
            let ratio = measured / planned;
            ensure!(
                joined || (1.0 / PLAUSIBLE..PLAUSIBLE).contains(&ratio),
                "{measured:.0} packets/s {what}, where the scenario makes {planned:.0}"
            );
        }
        let joins = step.population.joins as f64 / step.seconds;
        let peers = step.population.peers as f64;
        // The generator's joins go to the rooms in turn.
        let rooms: usize = demand.groups.iter().map(|group| group.rooms).sum();
        let notices = 2.0 * joins * planned.peers / rooms.max(1) as f64;
        Ok(Self {
            name,
            flow: Flow { peers, joins, notices, ..planned.as_measured(rx, tx) },
            largest_room: demand.largest_room(),
            shards: process.cores,
            cores_busy: process.cores_busy,
            rss_bytes: process.rss_bytes,
        })
    }
}
