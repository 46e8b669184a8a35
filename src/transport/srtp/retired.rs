//! What stays of an SSRC whose window had to make room: what was received under a key must stay
//! received for as long as the key lives, however many SSRCs come, in bounded memory.

use std::collections::BTreeMap;

use crate::types::Ssrc;
use crate::types::limit::SSRCS_RETIRED_MAX;

/// Bits of [`Forgotten`]: 32 KB. After 10 000 forgotten SSRCs it takes one new one in 2000 for a
/// forgotten one.
const BITS: usize = 1 << 18;
/// Bits that each SSRC sets.
const PROBES: u32 = 4;

/// The highest index of each SSRC that is followed no more; below it, everything is a replay.
///
/// It remembers [`SSRCS_RETIRED_MAX`] of them exactly. Of more than these it only knows that they
/// have been, and takes nothing from them any more. A client comes there by sending under
/// thousands of SSRCs on one transport, and it costs that client alone.
#[derive(Debug, Default)]
pub struct Retired {
    highest: BTreeMap<Ssrc, u64>,
    forgotten: Option<Box<Forgotten>>,
}

impl Retired {
    /// An SSRC makes room for another; `highest` is what has come of it.
    pub fn put(&mut self, ssrc: Ssrc, highest: u64) {
        if self.highest.len() >= SSRCS_RETIRED_MAX && !self.highest.contains_key(&ssrc) {
            let forgotten = self.forgotten.get_or_insert_default();
            self.highest.keys().for_each(|ssrc| forgotten.add(*ssrc));
            self.highest.clear();
        }
        self.highest.insert(ssrc, highest);
    }

    /// The highest index that has come of an SSRC that is not followed; `None`: nothing has.
    pub fn highest(&self, ssrc: Ssrc) -> Option<u64> {
        let forgotten = || self.forgotten.as_ref().is_some_and(|known| known.has(ssrc));
        self.highest.get(&ssrc).copied().or_else(|| forgotten().then_some(u64::MAX))
    }
}

/// A Bloom filter. Who chooses SSRCs that look alike to it harms his own transport only.
#[derive(Debug)]
struct Forgotten {
    words: [u64; BITS / 64],
}

impl Default for Forgotten {
    fn default() -> Self {
        Self { words: [0; BITS / 64] }
    }
}

impl Forgotten {
    fn add(&mut self, ssrc: Ssrc) {
        for (word, bit) in probes(ssrc) {
            self.words[word] |= bit;
        }
    }

    fn has(&self, ssrc: Ssrc) -> bool {
        probes(ssrc).all(|(word, bit)| self.words[word] & bit != 0)
    }
}

/// The bits of one SSRC: which word, and the bit in it.
fn probes(ssrc: Ssrc) -> impl Iterator<Item = (usize, u64)> {
    // splitmix64's finalizer; each probe takes 16 bits of it and two of its neighbour's.
    let mixed = (u64::from(ssrc.0) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (0..PROBES).map(move |probe| {
        let at = mixed.rotate_left(16 * probe) as usize % BITS;
        (at / 64, 1 << (at % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_retired_is_known_for_ever_and_what_is_new_is_not() {
        let mut retired = Retired::default();
        let count = 3 * SSRCS_RETIRED_MAX as u32;
        for i in 0..count {
            retired.put(Ssrc(i), u64::from(i) + 1000);
        }
        let floor = |i| retired.highest(Ssrc(i));
        assert!((0..count).all(|i| floor(i).is_some_and(|it| it >= u64::from(i) + 1000)));
        assert_eq!(floor(count - 1), Some(u64::from(count) + 999), "the latest exactly");
        let mistaken = (count..count + 100_000).filter(|i| floor(*i).is_some()).count();
        assert!(mistaken < 100, "of 100 000 new ones: {mistaken}");
    }

    #[test]
    fn an_ssrc_that_was_retired_twice_is_known_by_its_latest() {
        let mut retired = Retired::default();
        retired.put(Ssrc(7), 5);
        retired.put(Ssrc(7), 9);
        assert_eq!(retired.highest(Ssrc(7)), Some(9));
        assert_eq!(retired.highest(Ssrc(8)), None);
    }
}
