//! How often something may happen, for each of many who cause it: a token bucket each, of which one
//! number is kept, and that only while its bucket is not full (the generic cell rate algorithm,
//! ITU-T I.371). Sans-IO.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::types::Timestamp;

/// Fewer are not worth a look for full ones.
const SWEEP_MIN: usize = 1024;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So often in a second, in the long run.
    pub per_second: u32,
    /// And at once as often as in this time.
    pub burst: Duration,
}

/// The buckets. Memory is bounded by what happens within a burst's time: each that passes is an
/// entry until its bucket is full again.
#[derive(Debug)]
pub struct Rates<K> {
    /// When each bucket will be full; who is not here has a full one.
    full_at: HashMap<K, Timestamp, RandomState>,
    /// As many entries are a reason to throw away those that are full.
    sweep_at: usize,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self { full_at: HashMap::default(), sweep_at: SWEEP_MIN }
    }
}

impl<K: Hash + Eq> Rates<K> {
    /// Whether `who` may once more; then it is taken off its bucket.
    pub fn take(&mut self, now: Timestamp, who: K, rate: Rate) -> bool {
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let full_at = self.full_at.get(&who).copied().unwrap_or(now).max(now) + each;
        if full_at.since(now) > rate.burst {
            return false;
        }
        if self.full_at.len() >= self.sweep_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = SWEEP_MIN.max(2 * self.full_at.len());
        }
        self.full_at.insert(who, full_at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Limits;
    use crate::types::limit::{ADDRESS_BURST, ROOM_BURST};

    const RATE: Rate = Rate { per_second: 5, burst: Duration::from_secs(2) };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1 + ms * 1000)
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let mut rates = Rates::default();
        let mut passed = |now, who| (0..1000).filter(|_| rates.take(at(now), who, RATE)).count();
        assert_eq!(passed(0, "a"), 10);
        assert_eq!(passed(199, "a"), 0);
        assert_eq!(passed(200, "a"), 1);
        assert_eq!(passed(200, "b"), 10, "the others have theirs");
        assert_eq!(passed(1200, "a"), 5);
        assert_eq!(passed(60_000, "a"), 10, "no more than a burst is saved up");
    }

    #[test]
    fn who_has_been_quiet_is_forgotten() {
        let mut rates = Rates::default();
        for i in 0..1_000_000_u64 {
            // 10 000 a second, each another.
            assert!(rates.take(Timestamp::from_micros(1 + i * 100), i, RATE));
            assert!(rates.full_at.len() <= 4096, "{} after {i}", rates.full_at.len());
        }
    }

    #[test]
    fn a_webinar_begins_and_an_office_comes_back() {
        let room = Rate { per_second: Limits::DEFAULT.openings_per_room, burst: ROOM_BURST };
        let mut rates = Rates::default();
        // A thousand within a minute, a third of them at once.
        assert!((0..300).all(|_| rates.take(at(0), "webinar", room)));
        assert!((0..700).all(|i| rates.take(at(50 + i * 80), "webinar", room)));
        let office =
            Rate { per_second: Limits::DEFAULT.openings_per_address, burst: ADDRESS_BURST };
        let all = Limits::DEFAULT.connections_per_address;
        assert!((0..all).all(|_| rates.take(at(0), "office", office)));
        // But not again a second later.
        assert!(!(0..all).all(|_| rates.take(at(1000), "office", office)));
    }

    #[test]
    fn a_rate_that_has_changed_counts_from_now_on() {
        let mut rates = Rates::default();
        let fast = Rate { per_second: 100, ..RATE };
        assert_eq!((0..1000).filter(|_| rates.take(at(0), 0, fast)).count(), 200);
        assert!(!rates.take(at(100), 0, RATE));
        assert!(rates.take(at(300), 0, RATE));
    }
}
