//! Prices of what goes through a server, and what they add up to.

use std::fmt::{self, Display, Formatter};

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

use super::nnls::{dependent, nnls};
use super::{Flow, Observation};
use crate::measures::{Machine, ServerInfo};

/// Two features of which one is but for this share of its squares made up of others have no
/// prices of their own: noise of a percent would decide them.
const INDEPENDENT: f64 = 1e-4;

/// Something that costs CPU time. To change the model, change this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// A packet from a source.
    RxPacket,
    /// A wake-up, of a shard that sleeps.
    WakeUp,
    /// A packet to a viewer.
    TxPacket,
    /// A train to a viewer, of a shard that is not busy.
    Train,
    /// A peer that is there.
    Peer,
    /// A shard that is there.
    Shard,
    /// A peer that joins and another that leaves.
    Join,
    /// A peer that is told of a join or a leave.
    Notice,
}

impl Feature {
    /// All that the model knows.
    pub const ALL: [Self; 8] = [
        Self::RxPacket,
        Self::WakeUp,
        Self::TxPacket,
        Self::Train,
        Self::Peer,
        Self::Shard,
        Self::Join,
        Self::Notice,
    ];

    /// How much of it there is a second.
    fn amount(self, flow: &Flow, shards: f64) -> f64 {
        match self {
            Self::RxPacket => flow.rx_packets,
            Self::WakeUp => flow.wakes,
            Self::TxPacket => flow.tx_packets,
            Self::Train => flow.trains,
            Self::Peer => flow.peers,
            Self::Shard => shards,
            Self::Join => flow.joins,
            Self::Notice => flow.notices,
        }
    }

    /// Whether it is paid for in the idle share of the time alone.
    fn when_idle(self) -> bool {
        matches!(self, Self::WakeUp | Self::Train)
    }

    fn words(self) -> &'static str {
        match self {
            Self::RxPacket => "a packet in",
            Self::WakeUp => "a wake-up, where idle",
            Self::TxPacket => "a packet out",
            Self::Train => "a train, where idle",
            Self::Peer => "a peer",
            Self::Shard => "a shard",
            Self::Join => "a join",
            Self::Notice => "a notice of a join",
        }
    }

    /// Unit of its price, and how many of it are a second of CPU time.
    fn unit(self) -> (&'static str, f64) {
        match self {
            Self::RxPacket | Self::TxPacket | Self::Train => ("ns", 1e9),
            Self::WakeUp | Self::Notice => ("µs", 1e6),
            Self::Peer => ("µs/s", 1e6),
            Self::Shard => ("ms/s", 1e3),
            Self::Join => ("ms", 1e3),
        }
    }
}

/// The price of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Of what.
    pub feature: Feature,
    /// Seconds of CPU time each; `None` where no run had any of it.
    pub seconds: Option<f64>,
}

/// How far predictions were from measurements, as shares of the latter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Half of them are not above it.
    pub median: f64,
    /// None is above it.
    pub worst: f64,
}

impl Errors {
    fn of(errors: impl Iterator<Item = f64>) -> Self {
        let mut errors: Vec<f64> = errors.map(f64::abs).collect();
        errors.sort_by(f64::total_cmp);
        let Some(worst) = errors.last() else { return Self::default() };
        let (below, above) = (errors[(errors.len() - 1) / 2], errors[errors.len() / 2]);
        Self { median: f64::midpoint(below, above), worst: *worst }
    }
}

impl Display for Errors {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "median {:.1} %, worst {:.1} %", 100.0 * self.median, 100.0 * self.worst)
    }
}

/// A mix that the model had not seen, and what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// What was measured.
    pub observation: Observation,
    /// Cores, by the model.
    pub predicted: f64,
    /// Predicted over measured, less 1.
    pub error: f64,
}

/// Resident memory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Of a shard without peers, bytes.
    pub shard_bytes: f64,
    /// Of a peer, bytes.
    pub peer_bytes: f64,
}

/// What a server's work costs on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Where it was measured.
    pub machine: Machine,
    /// What was measured.
    pub server: ServerInfo,
    /// One for each of [`Feature::ALL`].
    pub costs: Vec<Cost>,
    /// `None` if no run knew it.
    pub memory: Option<Memory>,
    /// Of the observations that it was fitted on.
    pub fit_errors: Errors,
    /// Of each of them, predicted by a fit to the others.
    pub left_out_errors: Errors,
    /// What it was fitted on.
    pub observations: Vec<Observation>,
    /// What it was tried on afterwards.
    pub held_out: Vec<HeldOut>,
}

impl Model {
    /// The prices that explain the observations best, by relative error.
    ///
    /// # Errors
    /// There are too few, or two features grew together in all of them; the message says which.
    pub fn fit(observations: &[Observation]) -> anyhow::Result<Self> {
        let costs = fit(observations)?;
        let mut model = Self {
            machine: Machine::default(),
            server: ServerInfo::default(),
            costs,
            memory: memory(observations),
            fit_errors: Errors::default(),
            left_out_errors: Errors::default(),
            observations: observations.to_vec(),
            held_out: Vec::new(),
        };
        let errors = observations.iter().map(|observation| error(&model.costs, observation));
        model.fit_errors = Errors::of(errors);
        let left_out = (0..observations.len()).map(|at| {
            let mut others = observations.to_vec();
            let observation = others.remove(at);
            error(&solve(&others), &observation)
        });
        model.left_out_errors = Errors::of(left_out);
        Ok(model)
    }

    /// Notes where it was measured.
    pub fn on(self, machine: &Machine, server: &ServerInfo) -> Self {
        Self { machine: machine.clone(), server: server.clone(), ..self }
    }

    /// Tries it on mixes that it was not fitted on.
    pub fn held_against(mut self, observations: &[Observation]) -> Self {
        let held = |observation: &Observation| {
            let predicted = self.predict(&observation.flow, observation.shards);
            let error = predicted / observation.cores_busy - 1.0;
            HeldOut { observation: observation.clone(), predicted, error }
        };
        self.held_out = observations.iter().map(held).collect();
        self
    }

    /// Cores' worth of CPU time that a flow takes of so many shards. May be more than they have.
    pub fn predict(&self, flow: &Flow, shards: usize) -> f64 {
        predict(&self.costs, flow, shards as f64)
    }

    /// Of the mixes that it was not fitted on, the largest error; where there are none, of the
    /// observations that were left out in turn.
    pub fn stated_error(&self) -> f64 {
        let held = Errors::of(self.held_out.iter().map(|held| held.error));
        if self.held_out.is_empty() { self.left_out_errors.worst } else { held.worst }
    }

    /// Seconds of CPU time a second that a flow takes of shards with this idle share, without what
    /// the shards take themselves.
    pub(super) fn cores_at(&self, flow: &Flow, idle: f64) -> f64 {
        let (always, when_idle) = parts(&self.costs, flow, 0.0);
        always + when_idle * idle
    }

    /// What a shard takes itself.
    pub(super) fn shard_cores(&self) -> f64 {
        parts(&self.costs, &Flow::default(), 1.0).0
    }

    /// What the flow has that no run had.
    pub(super) fn unpriced(&self, flow: &Flow) -> Vec<&'static str> {
        let unknown = |cost: &&Cost| cost.seconds.is_none();
        let there = |cost: &&Cost| cost.feature.amount(flow, 1.0) > 0.0;
        let words = |cost: &Cost| cost.feature.words();
        self.costs.iter().filter(unknown).filter(there).map(words).collect()
    }
}

impl Display for Model {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for Cost { feature, seconds } in &self.costs {
            let (unit, each) = feature.unit();
            match seconds {
                Some(seconds) => {
                    writeln!(f, "{:<24}{:>9.1} {unit}", feature.words(), seconds * each)?;
                }
                None => writeln!(f, "{:<24}{:>9} in no run", feature.words(), "-")?,
            }
        }
        if let Some(memory) = &self.memory {
            let Memory { shard_bytes, peer_bytes } = memory;
            let (shard, peer) = (shard_bytes / 1e6, peer_bytes / 1e3);
            writeln!(f, "{:<24}{shard:>9.1} MB a shard, {peer:.1} kB a peer", "memory")?;
        }
        writeln!(f, "{:<24}{}", "error, fit", self.fit_errors)?;
        writeln!(f, "{:<24}{}", "error, left out in turn", self.left_out_errors)?;
        for HeldOut { observation: seen, predicted, error } in &self.held_out {
            let (name, percent, measured) = (&seen.name, 100.0 * error, seen.cores_busy);
            writeln!(
                f,
                "held out: {name}: {predicted:.3} cores, measured {measured:.3} ({percent:+.1} %)"
            )?;
        }
        Ok(())
    }
}

/// Checks that there is something to learn, and learns it.
fn fit(observations: &[Observation]) -> anyhow::Result<Vec<Cost>> {
    let features = seen(observations);
    let (need, have) = (features.len() + 1, observations.len());
    ensure!(
        have >= need && have > 1,
        "{} prices want {need} observations or more; there are {have}",
        features.len()
    );
    if let Some((one, other)) = dependent(&rows(observations, &features), INDEPENDENT) {
        bail!(
            "{} has no price of its own: in all runs there was as much of it as of {} and others; \
             other mixes are needed",
            features[one].words(),
            features[other].words()
        );
    }
    Ok(solve(observations))
}

/// Those that are there in some observation.
fn seen(observations: &[Observation]) -> Vec<Feature> {
    let there = |feature: &Feature| {
        observations.iter().any(|o| feature.amount(&o.flow, o.shards as f64) > 0.0)
    };
    Feature::ALL.into_iter().filter(there).collect()
}

/// For each observation, the amounts of the features over the CPU time that it took, so that all
/// errors count by their share.
fn rows(observations: &[Observation], features: &[Feature]) -> Vec<Vec<f64>> {
    let row = |observation: &Observation| {
        let shards = observation.shards as f64;
        let idle = (1.0 - observation.cores_busy / shards).max(0.0);
        let cell = |feature: &Feature| {
            let amount = feature.amount(&observation.flow, shards);
            amount * if feature.when_idle() { idle } else { 1.0 } / observation.cores_busy
        };
        features.iter().map(cell).collect()
    };
    observations.iter().map(row).collect()
}

fn solve(observations: &[Observation]) -> Vec<Cost> {
    let features = seen(observations);
    let prices = nnls(&rows(observations, &features), &vec![1.0; observations.len()]);
    let price = |feature: Feature| {
        let at = features.iter().position(|seen| *seen == feature)?;
        prices.get(at).copied()
    };
    Feature::ALL.map(|feature| Cost { feature, seconds: price(feature) }).to_vec()
}

/// What is always paid for, and what in the idle share alone.
fn parts(costs: &[Cost], flow: &Flow, shards: f64) -> (f64, f64) {
    let sum = |when_idle: bool| {
        let part = costs.iter().filter(|cost| cost.feature.when_idle() == when_idle);
        part.map(|cost| cost.feature.amount(flow, shards) * cost.seconds.unwrap_or(0.0)).sum()
    };
    (sum(false), sum(true))
}

/// Solves `cores = always + when_idle * (1 - cores / shards)`.
fn predict(costs: &[Cost], flow: &Flow, shards: f64) -> f64 {
    let (always, when_idle) = parts(costs, flow, shards);
    if always >= shards { always } else { (always + when_idle) / (1.0 + when_idle / shards) }
}

fn error(costs: &[Cost], observation: &Observation) -> f64 {
    predict(costs, &observation.flow, observation.shards as f64) / observation.cores_busy - 1.0
}

fn memory(observations: &[Observation]) -> Option<Memory> {
    let known: Vec<_> = observations.iter().filter(|o| o.rss_bytes > 0).collect();
    let row = |o: &&Observation| {
        let bytes = o.rss_bytes as f64;
        vec![o.shards as f64 / bytes, o.flow.peers / bytes]
    };
    let rows: Vec<_> = known.iter().map(row).collect();
    match nnls(&rows, &vec![1.0; rows.len()])[..] {
        [shard_bytes, peer_bytes] => Some(Memory { shard_bytes, peer_bytes }),
        _ => None,
    }
}
