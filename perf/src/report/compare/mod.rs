//! Two servers under the same packets, in turns: each round of the one beside the round of the
//! other that ran next to it. What one machine does differently from hour to hour, both saw.
//!
//! [`ratios`] and [`ratio`] make the rows from what was measured; [`table`] and [`html`] show them.

pub mod html;
pub mod table;

use serde::{Deserialize, Serialize};

use crate::measures::{Finding, Machine, Process, Run, Spread, Step};
use crate::report::number::load;
use crate::scenario::Scenario;

/// A whole comparison, with everything that its figures come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// When it began, UTC (RFC 3339).
    pub began_at: String,
    /// The command line, for whoever wants to do it again.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was played.
    pub scenario: Scenario,
    /// The server whose figures stand above the line of a ratio.
    pub ours: String,
    /// The one below.
    pub theirs: String,
    /// In the order in which they ran.
    pub rounds: Vec<Round>,
    /// What comes out of them.
    pub rows: Vec<Ratio>,
    /// Servers that were left out, each with the reason.
    pub skipped: Vec<String>,
    /// What a reader has to know first.
    pub findings: Vec<Finding>,
}

/// A server's turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Round {
    /// Whose: [`Comparison::ours`] or [`Comparison::theirs`].
    pub sfu: String,
    /// What was measured.
    pub run: Run,
}

/// One quantity of both. A ratio is ours over theirs, by rounds; `None` where theirs was 0 once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The quantity, and the load where there are several.
    pub what: String,
    /// Of the medians and pairs.
    pub unit: String,
    /// Whether a server with more of it is the better one.
    #[serde(default)]
    pub more_is_better: bool,
    /// Of our rounds.
    pub ours_median: f64,
    /// Of theirs.
    pub theirs_median: f64,
    /// Median of the rounds' ratios.
    pub ratio_median: Option<f64>,
    /// The smallest of them.
    pub ratio_low: Option<f64>,
    /// The largest.
    pub ratio_high: Option<f64>,
    /// What each round measured: ours, theirs.
    #[serde(default)]
    pub pairs: Vec<(f64, f64)>,
}

/// Which of two servers a ratio speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Ours, in every round.
    Ours,
    /// Theirs, in every round.
    Theirs,
    /// Now the one, now the other, or both the same.
    Neither,
}

impl Ratio {
    /// Who was better in every round.
    pub fn better(&self) -> Better {
        let above = |(ours, theirs): &(f64, f64)| ours > theirs;
        let below = |(ours, theirs): &(f64, f64)| ours < theirs;
        match self.more_is_better {
            _ if self.pairs.is_empty() => Better::Neither,
            true if self.pairs.iter().all(above) => Better::Ours,
            true if self.pairs.iter().all(below) => Better::Theirs,
            false if self.pairs.iter().all(below) => Better::Ours,
            false if self.pairs.iter().all(above) => Better::Theirs,
            _ => Better::Neither,
        }
    }
}

/// A quantity that servers are compared by: name, unit, and its value where it was measured.
type Measure = (&'static str, &'static str, fn(&Step) -> Option<f64>);

const MEASURES: &[Measure] = &[
    ("Server CPU a packet", "ns", |step| process(step, |it| Some(it.cpu_ns_per_packet))),
    ("Server cycles a packet", "cycles", |step| process(step, |it| it.cycles_per_packet)),
    ("Added latency p50", "ms", |step| ms(&step.latency, |spread| spread.p50_us)),
    ("Added latency p99", "ms", |step| ms(&step.latency, |spread| spread.p99_us)),
    ("Added latency p99.9", "ms", |step| ms(&step.latency, |spread| spread.p999_us)),
    ("Loss", "%", |step| (step.packets.expected > 0).then_some(step.packets.loss * 100.0)),
    ("RSS a peer", "KiB", |step| process(step, |it| Some(it.rss_per_peer / 1024.0))),
    ("First frame p99", "ms", |step| ms(&step.viewing.first_frame, |spread| spread.p99_us)),
    ("Join p99", "ms", |step| ms(&step.viewing.join, |spread| spread.p99_us)),
];

/// The rows of all quantities that both have at the same load: round i of ours against round i of
/// theirs. What one of the two has not measured in any pair of rounds is left out.
pub fn ratios(rounds: &[Round], ours: &str, theirs: &str) -> Vec<Ratio> {
    let of = |sfu| move |round: &&Round| round.sfu == sfu;
    let theirs = rounds.iter().filter(of(theirs));
    let paired: Vec<_> = rounds.iter().filter(of(ours)).zip(theirs).collect();
    let mut loads: Vec<f64> = Vec::new();
    for step in paired.iter().flat_map(|(ours, _)| &ours.run.steps) {
        if !loads.contains(&step.load) {
            loads.push(step.load);
        }
    }
    let row = |at: f64, (what, unit, value): &Measure| {
        let value = |round: &Round| {
            let step = round.run.steps.iter().find(|step| step.load == at)?;
            value(step)
        };
        let pairs: Vec<(f64, f64)> = paired
            .iter()
            .filter_map(|(ours, theirs)| Some((value(ours)?, value(theirs)?)))
            .collect();
        let several = if loads.len() > 1 { format!(", load {}", load(at)) } else { String::new() };
        ratio(&format!("{what}{several}"), unit, false, &pairs)
    };
    let by_measure = |measure| loads.iter().filter_map(move |at| row(*at, measure));
    MEASURES.iter().flat_map(by_measure).collect()
}

/// A row from what each round measured, ours first: also for quantities that are no step's, as the
/// highest load. `None` if there is no round in which both are numbers.
pub fn ratio(what: &str, unit: &str, more_is_better: bool, pairs: &[(f64, f64)]) -> Option<Ratio> {
    let finite = |(ours, theirs): &&(f64, f64)| ours.is_finite() && theirs.is_finite();
    let pairs: Vec<(f64, f64)> = pairs.iter().filter(finite).copied().collect();
    let defined = pairs.iter().all(|(_, theirs)| *theirs != 0.0);
    let by_round: Vec<f64> = match defined {
        true => pairs.iter().map(|(ours, theirs)| ours / theirs).collect(),
        false => Vec::new(),
    };
    Some(Ratio {
        what: what.to_owned(),
        unit: unit.to_owned(),
        more_is_better,
        ours_median: median(pairs.iter().map(|(ours, _)| *ours))?,
        theirs_median: median(pairs.iter().map(|(_, theirs)| *theirs))?,
        ratio_median: median(by_round.iter().copied()),
        ratio_low: by_round.iter().copied().min_by(f64::total_cmp),
        ratio_high: by_round.iter().copied().max_by(f64::total_cmp),
        pairs,
    })
}

/// The mean of the two in the middle where their number is even.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    match values.len() % 2 {
        0 => Some(f64::midpoint(values[middle - 1], upper)),
        _ => Some(upper),
    }
}

fn process(step: &Step, value: fn(&Process) -> Option<f64>) -> Option<f64> {
    step.process.as_ref().and_then(value)
}

fn ms(spread: &Spread, value: fn(&Spread) -> f64) -> Option<f64> {
    (spread.count > 0).then(|| value(spread) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn rounds_are_paired_in_their_order() {
        let comparison = sample::comparison();
        let cpu = &comparison.rows[0];
        assert_eq!((cpu.what.as_str(), cpu.unit.as_str()), ("Server CPU a packet", "ns"));
        assert_eq!(cpu.pairs.len(), 3);
        // What the sample's turns differ by: ours has 1, 1.1, 0.9 of it and theirs 1.04, 0.95, 1.2.
        let expected = [0.9 / 1.2, 1.0 / 1.04, 1.1 / 0.95].map(|noise| noise / 3.1);
        let found = [cpu.ratio_low, cpu.ratio_median, cpu.ratio_high].map(Option::unwrap);
        for (expected, found) in expected.iter().zip(found) {
            assert!((expected - found).abs() < 1e-9, "{expected} {found}");
        }
        assert_eq!(cpu.better(), Better::Ours);
        assert!(comparison.rows.iter().all(|row| row.what != "Server cycles a packet"));
    }

    #[test]
    fn a_round_without_its_pair_does_not_count() {
        let mut rounds = sample::comparison().rounds;
        rounds.pop();
        assert_eq!(ratios(&rounds, "corinth", "janus")[0].pairs.len(), 2);
        assert!(ratios(&rounds, "corinth", "other").is_empty());
        assert!(ratios(&[], "corinth", "janus").is_empty());
    }

    #[test]
    fn each_load_has_its_own_row() {
        let mut rounds = sample::comparison().rounds;
        for round in &mut rounds {
            let low = round.run.steps[0].clone();
            round.run.steps.push(Step { load: 7.0, ..low });
        }
        rounds[1].run.steps.pop();
        let rows = ratios(&rounds, "corinth", "janus");
        assert_eq!(rows[0].what, "Server CPU a packet, load 0.5");
        assert_eq!(rows[1].what, "Server CPU a packet, load 7");
        assert_eq!((rows[0].pairs.len(), rows[1].pairs.len()), (3, 2));
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let row = ratio("loss", "%", false, &[(0.0, 0.0), (0.1, 0.2)]).unwrap();
        assert_eq!((row.ratio_median, row.ratio_low, row.ratio_high), (None, None, None));
        assert_eq!(row.better(), Better::Neither);
        assert_eq!(ratio("x", "", false, &[]), None);
        assert_eq!(ratio("x", "", false, &[(f64::NAN, 1.0)]), None);
    }

    #[test]
    fn more_may_be_better_and_who_wins_once_only_does_not_win() {
        let row = ratio("highest load", "", true, &[(3.0, 1.0), (4.0, 2.0)]).unwrap();
        assert_eq!((row.ours_median, row.ratio_median), (3.5, Some(2.5)));
        assert_eq!(row.better(), Better::Ours);
        let row = ratio("CPU", "ns", false, &[(3.0, 1.0), (1.0, 2.0)]).unwrap();
        assert_eq!(row.better(), Better::Neither);
    }
}
