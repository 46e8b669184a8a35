//! Times in a histogram that costs a few instructions to record and nothing to copy about.

use std::time::Duration;

/// Up to here each microsecond has a bucket of its own.
const LINEAR: u64 = 16;

/// Beyond, each doubling has so many: what is read out is at most an eighth too much.
const PER_DOUBLING: u64 = 8;

/// Doublings from 16 µs to half a minute.
const DOUBLINGS: u64 = 21;

const BUCKETS: usize = (LINEAR + DOUBLINGS * PER_DOUBLING) as usize;

/// How often which time was measured, in microseconds, logarithmic with eight buckets a doubling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    /// Microseconds of all that was recorded.
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: 0 }
    }
}

impl Histogram {
    /// Records the same time for `count` things.
    pub fn record(&mut self, time: Duration, count: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += count;
        self.sum = self.sum.saturating_add(micros.saturating_mul(count));
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All the times together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum)
    }

    /// How many took less than 2 to the `power` microseconds.
    pub fn count_below_power(&self, power: u32) -> u64 {
        let buckets = (0..).take_while(|bucket| upper_bound(*bucket) < 1 << power);
        self.counts.iter().zip(buckets).map(|(count, _)| count).sum()
    }

    /// The time that `share` (0 to 1) of all did not exceed; zero if there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(upper_bound(i as u64));
            }
        }
        Duration::ZERO
    }
}

fn bucket(micros: u64) -> usize {
    let at = if micros < LINEAR {
        micros
    } else {
        let doubling = u64::from(micros.ilog2() - LINEAR.ilog2());
        // The bits behind the first one.
        let part = micros >> (micros.ilog2() - PER_DOUBLING.ilog2()) & (PER_DOUBLING - 1);
        LINEAR + doubling * PER_DOUBLING + part
    };
    (at as usize).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper_bound(bucket: u64) -> u64 {
    if bucket < LINEAR {
        return bucket;
    }
    let (doubling, part) = ((bucket - LINEAR) / PER_DOUBLING, (bucket - LINEAR) % PER_DOUBLING);
    let width = (LINEAR << doubling) / PER_DOUBLING;
    (LINEAR << doubling) + (part + 1) * width - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        histogram.record(micros(3), 98);
        histogram.record(micros(1000), 1);
        histogram.record(micros(70_000), 1);
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile(0.5), micros(3));
        assert_eq!(histogram.quantile(0.98), micros(3));
        assert!((1000..1125).contains(&histogram.quantile(0.99).as_micros()));
        assert!((70_000..78_750).contains(&histogram.quantile(1.0).as_micros()));
    }

    #[test]
    fn powers_of_two_part_what_was_recorded() {
        let mut histogram = Histogram::default();
        for (time, count) in [(0, 1), (15, 2), (16, 4), (1023, 8), (1024, 16), (100_000_000, 32)] {
            histogram.record(micros(time), count);
        }
        let below = [4, 5, 10, 11, 24, 63].map(|power| histogram.count_below_power(power));
        assert_eq!(below, [3, 7, 15, 31, 31, 63]);
        let sum = 2 * 15 + 4 * 16 + 8 * 1023 + 16 * 1024 + 32 * 100_000_000;
        assert_eq!(histogram.sum(), micros(sum));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_belongs_there(time in 0u64..30_000_000) {
            let bound = upper_bound(bucket(time) as u64);
            prop_assert!(time <= bound && bound <= time + time / 8);
            prop_assert!(bucket(bound + 1) == bucket(time) + 1);
        }
    }
}
