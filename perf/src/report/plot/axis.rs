//! Axes: which part of a scale is shown, with round numbers along it.

use crate::report::number::{NO_BREAK, si};

/// Values along one side. What is outside is drawn at the end.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
    /// Of shares: as far from 90 % to 99 % as from there to 99.9 %.
    Nines,
}

impl Axis {
    /// From 0 to a little above the largest of `values`.
    pub fn linear(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let largest = finite(values).fold(0.0, f64::max);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let step = round_step(largest / 4.0);
        let high = (largest * 1.04 / step).ceil() * step;
        let count = (high / step).round() as usize;
        let ticks = (0..=count).map(|at| at as f64 * step);
        let ticks = ticks.map(|at| (at, tick(at))).collect();
        Self { label: label.to_owned(), scale: Scale::Linear, low: 0.0, high, ticks }
    }

    /// 1 to `count`, a column for each.
    pub fn steps(label: &str, count: usize) -> Self {
        let ticks = (1..=count).map(|at| (at as f64, at.to_string())).collect();
        let (low, high) = (0.5, count as f64 + 0.5);
        Self { label: label.to_owned(), scale: Scale::Linear, low, high, ticks }
    }

    /// Around the positive ones of `values`; what is 0 is drawn at the lower end.
    pub fn log(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let positive: Vec<f64> = finite(values).filter(|value| *value > 0.0).collect();
        let least = positive.iter().copied().fold(f64::INFINITY, f64::min);
        let most = positive.iter().copied().fold(0.0, f64::max);
        let (least, most) = if most > 0.0 { (least, most) } else { (0.1, 1.0) };
        let below = |at: &f64| *at <= least * 0.98;
        let above = |at: &f64| *at >= most * 1.02;
        let round = round_values(least / 20.0, most * 20.0);
        let low = round.iter().copied().rfind(below).unwrap_or(least);
        let high = round.iter().copied().find(above).unwrap_or(most);
        let all = round.into_iter().filter(|at| *at >= low * 0.99 && *at <= high * 1.01);
        // Over more than two decades only the powers of ten have room for their names.
        let wide = (high / low).log10() > 2.1;
        let power = |at: f64| (at.log10() - at.log10().round()).abs() < 1e-6;
        let name = |at: f64| if wide && !power(at) { String::new() } else { tick(at) };
        let ticks = all.map(|at| (at, name(at))).collect();
        Self { label: label.to_owned(), scale: Scale::Log, low, high, ticks }
    }

    /// The same, where 0 is a value too: it has the lower end for itself.
    pub fn log_with_zero(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let mut axis = Self::log(label, values);
        axis.low /= 2.5;
        axis.ticks.insert(0, (axis.low, "0".to_owned()));
        axis
    }

    /// Shares from 0 to the largest of `values`, or 99.999 % where that is more.
    pub fn nines(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let named = [
            (0.0, "0"),
            (0.5, "50"),
            (0.9, "90"),
            (0.99, "99"),
            (0.999, "99.9"),
            (0.9999, "99.99"),
            (0.99999, "99.999"),
        ];
        let largest = finite(values).filter(|share| *share < 1.0).fold(0.99, f64::max);
        let high = largest.min(0.99999);
        let shown = named.iter().filter(|(share, _)| *share <= high + 1e-9);
        let ticks = shown.map(|(share, name)| (*share, (*name).to_owned())).collect();
        Self { label: label.to_owned(), scale: Scale::Nines, low: 0.0, high, ticks }
    }

    /// Values with names, which may be empty: lines that need none.
    pub fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// Where a value is, from 0 at the low end to 1.
    pub fn share(&self, value: f64) -> f64 {
        let on_scale = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(self.low).log10(),
            Scale::Nines => -(1.0 - value.min(self.high)).log10(),
        };
        let (low, high) = (on_scale(self.low), on_scale(self.high));
        ((on_scale(value) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

fn finite(values: impl IntoIterator<Item = f64>) -> impl Iterator<Item = f64> {
    values.into_iter().filter(|value| value.is_finite())
}

/// The next of 1, 2, 5, 10, … up.
fn round_step(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let above = factors.iter().find(|factor| *factor * power >= value * 0.999);
    above.unwrap_or(&10.0) * power
}

/// 1, 2 and 5 times each power of ten from the one below `low` to `high`.
fn round_values(low: f64, high: f64) -> Vec<f64> {
    let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (from..=to).flat_map(|power| [1.0, 2.0, 5.0].map(|one| one * 10_f64.powi(power))).collect()
}

/// No more digits than a round number has.
fn tick(value: f64) -> String {
    if value.abs() >= 1000.0 {
        let text = si(value);
        let (digits, prefix) = text.split_once(NO_BREAK).unwrap_or((&text, ""));
        let digits = match digits.contains('.') {
            true => digits.trim_end_matches('0').trim_end_matches('.'),
            false => digits,
        };
        return format!("{digits}{NO_BREAK}{prefix}");
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, name)| name.as_str()).filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn axes_have_round_numbers_around_all_values() {
        assert_eq!(names(&Axis::linear("", [0.0, 0.77])), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(
            names(&Axis::linear("", [24_000.0])),
            ["0", "10\u{a0}k", "20\u{a0}k", "30\u{a0}k"]
        );
        assert_eq!(names(&Axis::linear("", [0.0])), ["0", "0.5", "1", "1.5"]);
        assert_eq!(names(&Axis::log("", [0.3, 7.0])), ["0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(names(&Axis::log("", [0.03, 70.0])), ["0.1", "1", "10", "100"]);
        assert_eq!(names(&Axis::nines("", [0.9995, 1.0])), ["0", "50", "90", "99", "99.9"]);
        let axis = Axis::log_with_zero("", [0.0, 0.3, 7.0]);
        assert_eq!(names(&axis)[0], "0");
        assert!(axis.share(0.0) < axis.share(0.3));
    }

    #[test]
    fn whatever_the_values_are_points_stay_within_the_frame() {
        let odd = [0.0, -1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY, 1.0];
        type Make = fn(&str, [f64; 7]) -> Axis;
        let axes: [Make; 4] = [Axis::linear, Axis::log, Axis::log_with_zero, Axis::nines];
        for make in axes {
            for axis in [make("", odd), make("", [0.0; 7]), make("", [f64::NAN; 7])] {
                for value in odd.into_iter().filter(|value| value.is_finite()) {
                    let share = axis.share(value);
                    assert!((0.0..=1.0).contains(&share), "{axis:?} {value}: {share}");
                }
            }
        }
    }
}
