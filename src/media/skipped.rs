//! Numbers of a source that are left out on purpose: what follows closes up, so that nobody takes
//! for lost what was not meant for him.

use crate::types::SeqNo;

/// How far back a late packet still finds which numbers before it were left out: as far as a
/// replay window lets it come.
const WIDTH: u64 = 1024;

/// From a source's numbers to numbers without those that were left out, in the same order.
#[derive(Debug, Clone, Default)]
pub struct Skipped {
    /// The highest number that has come, left out or not.
    highest: Option<SeqNo>,
    /// How many were left out.
    count: u64,
    /// A ring: whether `number % WIDTH`, of the last `WIDTH` numbers, was left out.
    ring: [u64; WIDTH as usize / 64],
}

impl Skipped {
    /// A packet goes on: its number among those that do. The same for the same `seq` whenever it
    /// comes.
    #[inline]
    pub fn pass(&mut self, seq: SeqNo) -> SeqNo {
        if self.highest.is_none_or(|highest| seq > highest) {
            self.advance(seq);
        }
        SeqNo(seq.0.wrapping_sub(self.before(seq)))
    }

    /// A packet is left out. One that comes late leaves its gap: what follows has its number
    /// already.
    pub fn skip(&mut self, seq: SeqNo) {
        if self.highest.is_none_or(|highest| seq > highest) {
            self.advance(seq);
            let (word, bit) = slot(seq.0);
            self.ring[word] |= bit;
            self.count += 1;
        }
    }

    /// How many numbers below `seq` were left out.
    fn before(&self, seq: SeqNo) -> u64 {
        match self.highest {
            Some(highest) if self.count > 0 && seq < highest => {
                let from = (seq.0 + 1).max((highest.0 + 1).saturating_sub(WIDTH));
                let since = (from..=highest.0).filter(|at| {
                    let (word, bit) = slot(*at);
                    self.ring[word] & bit != 0
                });
                self.count - since.count() as u64
            }
            _ => self.count,
        }
    }

    fn advance(&mut self, seq: SeqNo) {
        if self.count > 0 {
            let from = self.highest.map_or(seq.0, |highest| highest.0 + 1);
            for at in from.max(seq.0.saturating_sub(WIDTH - 1))..=seq.0 {
                let (word, bit) = slot(at);
                self.ring[word] &= !bit;
            }
        }
        self.highest = Some(seq);
    }
}

/// Where the ring keeps a number: which word, and the bit in it.
fn slot(seq: u64) -> (usize, u64) {
    let at = seq % WIDTH;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_left_out_is_no_gap_and_what_is_lost_is_one() {
        let mut skipped = Skipped::default();
        assert_eq!(skipped.pass(SeqNo(10)), SeqNo(10));
        skipped.skip(SeqNo(11));
        skipped.skip(SeqNo(12));
        assert_eq!(skipped.pass(SeqNo(15)), SeqNo(13), "13 and 14 are missing");
        assert_eq!(skipped.pass(SeqNo(13)), SeqNo(11), "late");
        skipped.skip(SeqNo(14));
        assert_eq!(skipped.pass(SeqNo(16)), SeqNo(14), "left out too late to close up");
    }

    proptest! {
        /// Against the rule itself: order is kept, no number is given twice, and without losses and
        /// reordering there are no gaps.
        #[test]
        fn numbers_stay_in_order_and_apart(
            steps in prop::collection::vec((1..4u64, 0..20u64, any::<bool>()), 1..400),
            start in prop_oneof![0..5u64, Just(65_530), any::<u32>().prop_map(u64::from)],
        ) {
            let (mut skipped, mut given) = (Skipped::default(), Vec::new());
            let (mut seq, mut come) = (start + 20, BTreeSet::new());
            for (ahead, back, skip) in steps {
                seq += ahead;
                let this = if back > 15 { seq - back } else { seq };
                if !come.insert(this) {
                    continue; // the replay window lets each packet through once
                }
                if skip {
                    skipped.skip(SeqNo(this));
                } else {
                    given.push((this, skipped.pass(SeqNo(this)).0));
                }
            }
            given.sort_unstable();
            for pair in given.windows(2) {
                let (apart, ours) = (pair[1].0 - pair[0].0, pair[1].1.wrapping_sub(pair[0].1));
                prop_assert!((1..=apart).contains(&ours), "{pair:?}");
            }
        }
    }
}
