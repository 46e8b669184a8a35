//! Which knees the measurements leave, and how probable each is.

/// Share of measurements that chance decides, either way.
const LAPSE: f64 = 1.0 / 30.0;

/// Widths of the edge that are thought of: the logistic curve's scale in the logarithm of the load,
/// about the share of the load.
const WIDTHS: [f64; 7] = [0.005, 0.01, 0.02, 0.035, 0.06, 0.1, 0.16];

/// How far beyond what was tried the knee is thought of, as a factor.
const BEYOND: f64 = 2.0;

/// Knees and their probabilities.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    /// Logarithms of loads, ascending, evenly spaced.
    knees: Vec<f64>,
    /// Sums to 1.
    mass: Vec<f64>,
    /// Between two knees.
    spacing: f64,
}

impl Posterior {
    /// After these measurements (load, passed): one at least. Knees are looked at `spacing` apart,
    /// a share of the load.
    pub(super) fn of(measured: &[(f64, bool)], spacing: f64) -> Self {
        let logs: Vec<(f64, bool)> = measured.iter().map(|(load, ok)| (load.ln(), *ok)).collect();
        let lowest = logs.iter().map(|(log, _)| *log).fold(f64::INFINITY, f64::min);
        let highest = logs.iter().map(|(log, _)| *log).fold(f64::NEG_INFINITY, f64::max);
        let from = lowest - BEYOND.ln();
        let count = ((highest - lowest + 2.0 * BEYOND.ln()) / spacing).ceil() as usize;
        let knees: Vec<f64> = (0..=count).map(|at| from + at as f64 * spacing).collect();
        let chance = |knee: f64, width: f64| -> f64 {
            logs.iter().map(|(log, ok)| likelihood((knee - log) / width, *ok)).product()
        };
        let weight = |knee: &f64| WIDTHS.iter().map(|width| chance(*knee, *width)).sum::<f64>();
        let weights: Vec<f64> = knees.iter().map(weight).collect();
        let total: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let mass = weights.iter().map(|weight| weight / total).collect();
        Self { knees, mass, spacing }
    }

    /// The load that the knee is below of with this probability.
    pub(super) fn quantile(&self, probability: f64) -> f64 {
        let mut below = 0.0;
        for (knee, mass) in self.knees.iter().zip(&self.mass) {
            if below + mass >= probability {
                // Within the knee's cell, as if its mass were spread evenly.
                let share = (probability - below) / mass.max(f64::MIN_POSITIVE);
                return (knee + (share - 0.5) * self.spacing).exp();
            }
            below += mass;
        }
        self.knees.last().map_or(0.0, |knee| knee.exp())
    }
}

/// How probable the outcome is so many widths below the knee.
fn likelihood(below: f64, passed: bool) -> f64 {
    let pass = LAPSE + (1.0 - 2.0 * LAPSE) / (1.0 + (-below).exp());
    if passed { pass } else { 1.0 - pass }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_between_what_passes_and_what_fails() {
        let measured = [(1.0, true), (2.0, true), (4.0, false), (2.5, true), (3.0, false)];
        let posterior = Posterior::of(&measured.repeat(3), 0.01);
        assert!((2.5..3.0).contains(&posterior.quantile(0.5)), "{}", posterior.quantile(0.5));
        assert!(posterior.quantile(0.025) > 2.2 && posterior.quantile(0.975) < 3.4);
    }

    #[test]
    fn a_wrong_outcome_is_outvoted() {
        let mut measured = vec![(2.0, false)];
        measured.extend([(1.9, true), (2.0, true), (2.1, true), (4.0, true), (8.0, false)]);
        assert!(Posterior::of(&measured, 0.01).quantile(0.5) > 4.0);
    }

    #[test]
    fn more_measurements_say_more() {
        let width = |times: usize| {
            let measured = [(1.0, true), (1.05, true), (1.05, false), (1.1, false)].repeat(times);
            let posterior = Posterior::of(&measured, 0.0025);
            posterior.quantile(0.975) / posterior.quantile(0.025)
        };
        assert!(width(8) < width(2) && width(2) < width(1));
    }
}
