//! What to measure next, and the answer.

use serde::{Deserialize, Serialize};

use super::posterior::Posterior;
use crate::measures::Step;
use crate::scenario::{Group, Scale, Scenario};

/// The share of probability that the interval holds.
const CONFIDENCE: f64 = 0.95;

/// Repeats at the end of what can be tried: enough to see that it was no chance.
const REPEATS_AT_END: usize = 3;

/// Repeats around an edge that stays blurred, over those around one that does not.
const REPEATS_BLURRED: usize = 2;

/// An interval as wide as so many times the resolution is narrow enough.
const NARROW: f64 = 3.0;

/// How far down a search goes where nothing passes.
const START_OVER_LOWEST: f64 = 256.0;

/// How a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The load to begin with.
    pub start: f64,
    /// Share of the load that is not looked into further.
    pub resolution: f64,
    /// Loads are whole numbers of these parts of 1: half a room is none.
    pub parts: usize,
    /// The highest load that may be tried.
    pub highest: f64,
    /// Measurements around the edge; up to twice as many where outcomes contradict each other.
    pub repeats: usize,
    /// Measurements at most, with the one that is discarded.
    pub measurements: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            start: 1.0,
            resolution: 0.05,
            parts: 100,
            highest: 1e6,
            repeats: 8,
            measurements: 36,
        }
    }
}

impl Settings {
    /// For a scenario: begins with its first load; steps are one room, or one receiver, of the
    /// group of which there are most.
    pub fn of(scenario: &Scenario) -> Self {
        let count = |group: &Group| match group.scale {
            Scale::Rooms => Some(group.rooms),
            Scale::Receivers => Some(group.receivers),
            Scale::Nothing => None,
        };
        let most = scenario.groups.iter().filter_map(count).max();
        let start = scenario.load.first().copied().unwrap_or(1.0);
        let parts = most.unwrap_or(Self::default().parts).max(1);
        Self { start, parts, ..Self::default() }
    }

    fn grain(&self) -> f64 {
        1.0 / self.parts as f64
    }

    /// The whole number of parts that `round` makes of the load.
    fn whole(&self, load: f64, round: fn(f64) -> f64) -> f64 {
        round(load * self.parts as f64) / self.parts as f64
    }
}

/// What was measured at a load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether every limit held.
    pub passed: bool,
    /// Why it was the generator and not the server that was measured.
    pub generator_limit: Option<String>,
    /// The limit that was passed by most.
    pub broke: Option<String>,
}

impl Outcome {
    /// Of a step.
    pub fn of(step: &Step) -> Self {
        let broken = step.verdicts.iter().filter(|verdict| !verdict.ok);
        let worst = broken.max_by(|a, b| a.ratio.total_cmp(&b.ratio));
        Self {
            passed: step.passes(),
            generator_limit: step.generator.limit.clone(),
            broke: worst.map(|verdict| verdict.what.clone()),
        }
    }
}

/// A measurement of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Where.
    pub load: f64,
    /// What it gave.
    pub outcome: Outcome,
    /// Whether it counts: it is not the warm-up, and it was the server that was measured.
    pub counts: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// The load that passes every other time; where [`Capacity::limited_by`] says that there was
    /// something in the way, the highest that passed. 0: none passes.
    pub load: f64,
    /// With [`Capacity::confidence`] the knee is not below this. What to plan with.
    pub low: f64,
    /// With the same confidence it is not above this; `None` where nothing says so.
    pub high: Option<f64>,
    /// Share of probability between the two.
    pub confidence: f64,
    /// The limit that breaks first.
    pub broke: Option<String>,
    /// Why the server may carry more than [`Capacity::load`].
    pub limited_by: Option<String>,
    /// Whether the search came to its end; otherwise it ran out of measurements.
    pub finished: bool,
    /// All measurements, in their order.
    pub steps: Vec<Tried>,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Search {
    settings: Settings,
    tried: Vec<Tried>,
}

/// Where the search stands.
struct Edge {
    /// Between the lowest and highest load that may be tried.
    load: f64,
    /// It would be outside of what may be tried.
    at_end: bool,
    /// Whether it is known to the resolution.
    known: bool,
    /// Whether the interval of the answer is as narrow as it needs to be.
    narrow: bool,
    /// Measurements that count and are as near to it as the alternation goes.
    near: usize,
}

impl Search {
    /// Nothing is measured yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, tried: Vec::new() }
    }

    /// What to measure next; `None` if the search is at its end. The same until
    /// [`Search::note`] is called.
    pub fn next_load(&self) -> Option<f64> {
        let Some(last) = self.tried.last() else {
            return Some(self.within(self.settings.start));
        };
        if self.tried.len() >= self.settings.measurements {
            return None;
        }
        let limited = last.outcome.generator_limit.is_some();
        if limited && self.tried.len() > 1 && last.load <= self.highest() {
            return Some(last.load);
        }
        let highest = self.highest();
        if highest < self.lowest() {
            return None;
        }
        match (self.highest_passed(), self.lowest_failed()) {
            (None, None) if limited => Some(self.within(last.load / 2.0)),
            (None, None) => Some(self.within(self.settings.start)),
            (Some(passed), None) if passed < highest => Some(self.within(self.up(passed))),
            (None, Some(failed)) if failed > self.lowest() => Some(self.within(failed / 2.0)),
            _ => self.around(&self.edge()?),
        }
    }

    /// From a load that passes to one that may not: twice as much, or half way to where the
    /// generator is the limit.
    fn up(&self, passed: f64) -> f64 {
        let highest = self.highest();
        let near = highest < passed * (1.0 + self.settings.resolution);
        if near || highest >= self.settings.highest {
            2.0 * passed
        } else {
            passed.midpoint(highest)
        }
    }

    /// Takes what was measured at a load: the one asked for, or the nearest that could be had.
    pub fn note(&mut self, load: f64, outcome: Outcome) {
        let counts = !self.tried.is_empty() && outcome.generator_limit.is_none();
        self.tried.push(Tried { load, outcome, counts });
    }

    /// How many measurements there are, and how many there may be.
    pub fn progress(&self) -> (usize, usize) {
        (self.tried.len(), self.settings.measurements)
    }

    /// What the measurements say so far.
    pub fn capacity(&self) -> Capacity {
        let mut capacity = Capacity {
            load: 0.0,
            low: 0.0,
            high: None,
            confidence: CONFIDENCE,
            broke: self.broke(),
            limited_by: None,
            finished: self.next_load().is_none()
                && self.edge().is_some_and(|edge| self.done(&edge)),
            steps: self.tried.clone(),
        };
        let Some(edge) = self.edge() else {
            capacity.limited_by = self.generator_limit();
            return capacity;
        };
        let posterior = self.posterior();
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let (low, high) = (posterior.quantile(tail), posterior.quantile(1.0 - tail));
        match self.highest_passed() {
            None => capacity.high = Some(high),
            Some(passed) if edge.at_end || self.lowest_failed().is_none() => {
                capacity.load = passed;
                capacity.low = low.min(passed);
                let highest = format!("the search goes no higher than {}", self.settings.highest);
                capacity.limited_by = Some(self.generator_limit().unwrap_or(highest));
            }
            Some(_) => {
                capacity.load = posterior.quantile(0.5);
                capacity.low = low;
                capacity.high = Some(high);
            }
        }
        capacity
    }

    /// The next load near a known edge, or at what is known of it.
    fn around(&self, edge: &Edge) -> Option<f64> {
        if self.done(edge) {
            return None;
        }
        let step = match (edge.known, edge.near % 4) {
            (true, 1) => 1.0 - self.settings.resolution,
            (true, 3) => 1.0 + self.settings.resolution,
            _ => 1.0,
        };
        Some(self.within(edge.load * step))
    }

    fn done(&self, edge: &Edge) -> bool {
        let repeats = self.settings.repeats;
        match edge {
            Edge { at_end: true, near, .. } => *near >= REPEATS_AT_END,
            Edge { narrow: true, near, .. } => *near >= repeats,
            Edge { near, .. } => *near >= REPEATS_BLURRED * repeats,
        }
    }

    /// `None` before anything counts.
    fn edge(&self) -> Option<Edge> {
        self.counted().next()?;
        let posterior = self.posterior();
        let median = posterior.quantile(0.5);
        let load = self.within(median);
        let reach = (1.6 * self.settings.resolution * load).max(1.1 * self.settings.grain());
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let width = |tail: f64| posterior.quantile(1.0 - tail) / posterior.quantile(tail) - 1.0;
        // Where one step is more than the resolution, the next loads are all that can be known.
        let fine = self.settings.resolution.max(self.settings.grain() / load);
        Some(Edge {
            load,
            at_end: median > self.highest() + self.settings.grain() / 2.0
                || median < self.lowest() - self.settings.grain() / 2.0,
            known: width(0.16) <= 2.0 * fine,
            narrow: width(tail) <= NARROW * fine,
            near: self.counted().filter(|tried| (tried.load - load).abs() <= reach).count(),
        })
    }

    fn posterior(&self) -> Posterior {
        let measured: Vec<_> =
            self.counted().map(|tried| (tried.load, tried.outcome.passed)).collect();
        Posterior::of(&measured, self.settings.resolution / 4.0)
    }

    fn counted(&self) -> impl Iterator<Item = &Tried> {
        self.tried.iter().filter(|tried| tried.counts)
    }

    fn highest_passed(&self) -> Option<f64> {
        let passed = self.counted().filter(|tried| tried.outcome.passed);
        passed.map(|tried| tried.load).max_by(f64::total_cmp)
    }

    fn lowest_failed(&self) -> Option<f64> {
        let failed = self.counted().filter(|tried| !tried.outcome.passed);
        failed.map(|tried| tried.load).min_by(f64::total_cmp)
    }

    /// The nearest load that may be tried.
    fn within(&self, load: f64) -> f64 {
        self.settings.whole(load, f64::round).min(self.highest()).max(self.lowest())
    }

    fn lowest(&self) -> f64 {
        let low = self.settings.whole(self.settings.start / START_OVER_LOWEST, f64::floor);
        low.max(self.settings.grain())
    }

    /// The highest load that may be tried: a step below the one at which the generator was the
    /// limit for the second time, if there is one.
    fn highest(&self) -> f64 {
        let limited = self.tried.iter().skip(1).filter(|t| t.outcome.generator_limit.is_some());
        let mut limited: Vec<f64> = limited.map(|tried| tried.load).collect();
        limited.sort_by(f64::total_cmp);
        let Settings { resolution, highest, .. } = self.settings;
        limited.get(1).map_or(highest, |second| {
            let below = second - (resolution * second).max(self.settings.grain());
            // Rounded down, but not by a load's last bit.
            highest.min(self.settings.whole(below * (1.0 + f64::EPSILON), f64::floor))
        })
    }

    fn generator_limit(&self) -> Option<String> {
        self.tried.iter().rev().find_map(|tried| tried.outcome.generator_limit.clone())
    }

    /// The limit that most of the failed measurements broke; of several, the one at lower loads.
    fn broke(&self) -> Option<String> {
        let mut failed: Vec<_> = self.counted().filter(|tried| !tried.outcome.passed).collect();
        failed.sort_by(|a, b| b.load.total_cmp(&a.load));
        let names = failed.iter().filter_map(|tried| tried.outcome.broke.as_ref());
        let count = |name: &&String| names.clone().filter(|other| other == name).count();
        names.clone().max_by_key(count).cloned()
    }
}
