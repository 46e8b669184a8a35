//! Sequence numbers and timestamps of one Sender: what it sends is one stream without seams,
//! whatever was paused, stopped or replaced behind it (PROTOCOL section 6, "Rewriting").

use crate::types::{SeqNo, Timestamp};

/// Segments behind the latest one whose numbers can be led back to the source's.
const PAST_MAX: usize = 8;

/// The numbers of one outgoing stream.
///
/// A *segment* is a stretch in which source and Sender run side by side: there each source number
/// has one number of ours, so losses stay gaps and order stays order. [`Rewrite::begin`] starts a
/// segment right behind the last number used; what is older than its first packet is refused, since
/// its number would be one already used.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// ours = source's + this, wrapping.
    seq_offset: u64,
    /// First source number of the segment.
    floor: SeqNo,
    /// One behind the highest number used.
    next: SeqNo,
    /// ours = source's + this, wrapping; constant while the source's stream is the same.
    timestamp_offset: u32,
    last: Option<(u32, Timestamp)>,
    /// The latest segments before this one, of the same stream of the source; oldest first.
    past: Vec<Segment>,
}

/// A segment that has ended.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// First number of ours; the last is before the next segment's first.
    first: SeqNo,
    seq_offset: u64,
}

impl Rewrite {
    /// Nothing sent yet. The first number is below 2^15, so that a client that guesses the
    /// roll-over counter from a reordered beginning guesses right (RFC 3711 §3.3.1).
    pub fn new(rng: &mut fastrand::Rng) -> Self {
        Self {
            seq_offset: 0,
            floor: SeqNo(u64::MAX),
            next: SeqNo(u64::from(rng.u16(..1 << 15))),
            timestamp_offset: rng.u32(..),
            last: None,
            past: Vec::new(),
        }
    }

    /// The source's packet `seq` becomes the next one sent.
    pub fn begin(&mut self, seq: SeqNo) {
        if self.floor.0 != u64::MAX {
            if self.past.len() == PAST_MAX {
                self.past.remove(0);
            }
            let first = SeqNo(self.floor.0.wrapping_add(self.seq_offset));
            self.past.push(Segment { first, seq_offset: self.seq_offset });
        }
        self.floor = seq;
        self.seq_offset = self.next.0.wrapping_sub(seq.0);
    }

    /// The source continues with another stream, whose timestamps are unrelated: the first of them,
    /// `timestamp`, is put as far behind the last one sent as time has gone by.
    pub fn replace_source(&mut self, now: Timestamp, timestamp: u32, clock_rate: u32) {
        // No number that was used leads to the new one's packets.
        (self.floor, self.seq_offset) = (SeqNo(u64::MAX), 0);
        self.past.clear();
        if let Some((last, at)) = self.last {
            let elapsed = now.since(at).as_micros() * u128::from(clock_rate) / 1_000_000;
            let ours = last.wrapping_add(elapsed.max(1) as u32);
            self.timestamp_offset = ours.wrapping_sub(timestamp);
        }
    }

    /// Our numbers for a packet of the source; `None` if it is from before the segment.
    pub fn apply(&mut self, now: Timestamp, seq: SeqNo, timestamp: u32) -> Option<(SeqNo, u32)> {
        if seq < self.floor {
            return None;
        }
        let ours = SeqNo(seq.0.wrapping_add(self.seq_offset));
        let timestamp = timestamp.wrapping_add(self.timestamp_offset);
        if ours >= self.next {
            self.next = SeqNo(ours.0 + 1);
            self.last = Some((timestamp, now));
        }
        Some((ours, timestamp))
    }

    /// The number that a client most likely means, of those that were used: the nearest to the
    /// last. `None`: a packet that was never sent.
    pub fn used(&self, wire: u16) -> Option<SeqNo> {
        let last = self.next.0.checked_sub(1)?;
        let behind = (last as u16).wrapping_sub(wire);
        let used = last.checked_sub(u64::from(behind)).filter(|_| behind < 1 << 15);
        used.map(SeqNo)
    }

    /// The source's number of what we have sent, or left out, as `ours`: of its present stream,
    /// and of the latest segments.
    pub fn source_of(&self, ours: SeqNo) -> Option<SeqNo> {
        let floor = self.floor.0.wrapping_add(self.seq_offset);
        let offset = if self.floor.0 == u64::MAX || ours >= self.next {
            None
        } else if ours.0 >= floor {
            Some(self.seq_offset)
        } else {
            let segment = self.past.iter().rev().find(|segment| ours >= segment.first);
            segment.map(|segment| segment.seq_offset)
        };
        offset.map(|offset| SeqNo(ours.0.wrapping_sub(offset)))
    }

    /// A timestamp of the source as the client knows it.
    pub fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp_offset)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::START;

    fn rewrite() -> Rewrite {
        Rewrite::new(&mut fastrand::Rng::with_seed(7))
    }

    #[test]
    fn first_number_is_below_two_to_the_fifteenth() {
        for seed in 0..1000 {
            let mut rewrite = Rewrite::new(&mut fastrand::Rng::with_seed(seed));
            rewrite.begin(SeqNo(65_535));
            let (first, _) = rewrite.apply(NOW, SeqNo(65_535), 0).expect("begins here");
            assert!(first.0 < 1 << 15);
        }
    }

    #[test]
    fn losses_stay_gaps_and_pauses_are_none() {
        let mut rewrite = rewrite();
        rewrite.begin(SeqNo(100));
        let mut ours = |seq: u64| rewrite.apply(NOW, SeqNo(seq), 0).map(|(seq, _)| seq.0);
        let first = ours(100).expect("begins here");
        assert_eq!(ours(103), Some(first + 3));
        assert_eq!(ours(101), Some(first + 1), "late, but in the segment");
        rewrite.begin(SeqNo(500));
        let mut ours = |seq: u64| rewrite.apply(NOW, SeqNo(seq), 0).map(|(seq, _)| seq.0);
        assert_eq!(ours(500), Some(first + 4), "no gap");
        assert_eq!(ours(499), None, "its number is taken");
        assert_eq!(ours(102), None);
    }

    #[test]
    fn the_offset_of_timestamps_survives_a_pause_and_follows_time_over_a_new_source() {
        let mut rewrite = rewrite();
        let at = |ms: u64| Timestamp::from_micros(ms * 1000);
        rewrite.begin(SeqNo(1));
        let (_, first) = rewrite.apply(at(1), SeqNo(1), 1000).expect("begins here");
        rewrite.begin(SeqNo(9));
        let (_, second) = rewrite.apply(at(1001), SeqNo(9), 91_000).expect("begins here");
        assert_eq!(second.wrapping_sub(first), 90_000);
        rewrite.replace_source(at(1101), 5, 90_000);
        rewrite.begin(SeqNo(3));
        let (_, third) = rewrite.apply(at(1101), SeqNo(3), 5).expect("begins here");
        assert_eq!(third.wrapping_sub(second), 9_000, "100 ms later");
    }

    #[test]
    fn numbers_lead_back_to_the_source_over_pauses_and_wraps_but_not_to_another_stream() {
        let mut rewrite = rewrite();
        let mut sent = Vec::new();
        let mut source = 65_500;
        for segment in 0..12u64 {
            rewrite.begin(SeqNo(source));
            for _ in 0..10 {
                let (ours, _) = rewrite.apply(NOW, SeqNo(source), 0).expect("in order");
                sent.push((ours, segment, source));
                source += 1;
            }
            source += 1000;
        }
        for (ours, segment, source) in &sent {
            let known = (*segment >= 3).then_some(SeqNo(*source));
            assert_eq!(rewrite.source_of(*ours), known, "segment {segment}");
            assert_eq!(rewrite.used(ours.wire()), Some(*ours));
        }
        let last = sent.last().expect("many").0;
        assert_eq!(rewrite.source_of(SeqNo(last.0 + 1)), None, "never sent");
        assert_eq!(rewrite.used(last.wire().wrapping_add(1)), None);
        rewrite.replace_source(NOW, 0, 90_000);
        assert_eq!(rewrite.source_of(last), None);
        rewrite.begin(SeqNo(7));
        let (ours, _) = rewrite.apply(NOW, SeqNo(7), 0).expect("begins here");
        assert_eq!(ours.0, last.0 + 1);
        assert_eq!((rewrite.source_of(ours), rewrite.source_of(last)), (Some(SeqNo(7)), None));
    }

    proptest! {
        /// Against the rule itself: no two packets of the source ever get one number of ours, and
        /// the number that was used does not depend on the order of arrival within a segment.
        #[test]
        fn no_number_is_used_twice(
            steps in prop::collection::vec((0u64..40, prop::bool::weighted(0.1)), 1..200),
        ) {
            let mut rewrite = rewrite();
            let mut used: HashMap<u64, u64> = HashMap::new();
            let mut begun = false;
            for (i, (jitter, begin)) in steps.into_iter().enumerate() {
                let seq = SeqNo(1000 + 3 * i as u64 - jitter.min(3 * i as u64));
                if used.values().any(|source| *source == seq.0) {
                    continue; // the replay window lets each packet through once
                }
                if begin || !begun {
                    rewrite.begin(seq);
                    begun = true;
                }
                if let Some((ours, _)) = rewrite.apply(NOW, seq, 0) {
                    prop_assert_eq!(used.insert(ours.0, seq.0), None);
                    prop_assert_eq!(rewrite.source_of(ours), Some(seq));
                }
            }
        }
    }
}
