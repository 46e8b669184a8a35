//! What a shard's sources have sent lately, as their Senders send it but for two numbers: kept once
//! for all viewers, to be sent again where it was lost.

use crate::types::limit::{DATAGRAM_MAX, HISTORY_PACKETS_MIN};
use crate::types::{SeqNo, Timestamp};

/// A ring of packets in memory that is taken at the start and never grows: each packet takes the
/// place of the oldest.
#[derive(Debug)]
pub struct History {
    slots: Box<[[u8; DATAGRAM_MAX]]>,
    kept: Box<[Kept]>,
    /// Where the next packet will be.
    next: Place,
}

/// Where a packet is, for as long as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How often the ring had been filled.
    lap: u32,
    slot: u32,
}

/// What is known of a packet besides its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// The source's number for it.
    pub seq: SeqNo,
    /// The source's timestamp.
    pub timestamp: u32,
    /// When it came.
    pub at: Timestamp,
    /// Bytes of its header.
    pub header_len: usize,
    /// Bytes of all of it.
    pub len: usize,
}

impl History {
    /// Room for as many packets as fit into `bytes`, and for [`HISTORY_PACKETS_MIN`] in any case.
    pub fn new(bytes: usize) -> Self {
        let each = DATAGRAM_MAX + size_of::<Kept>();
        let packets = (bytes / each).clamp(HISTORY_PACKETS_MIN, u32::MAX as usize);
        let none =
            Kept { seq: SeqNo(0), timestamp: 0, at: Timestamp::START, header_len: 0, len: 0 };
        Self {
            slots: vec![[0; DATAGRAM_MAX]; packets].into_boxed_slice(),
            kept: vec![none; packets].into_boxed_slice(),
            // So that nothing is at any place of lap 0.
            next: Place { lap: 1, slot: 0 },
        }
    }

    /// Where the next packet is to be written.
    #[inline]
    pub fn slot(&mut self) -> &mut [u8; DATAGRAM_MAX] {
        &mut self.slots[self.next.slot as usize]
    }

    /// Takes in what was written to the slot.
    #[inline]
    pub fn keep(&mut self, kept: Kept) -> Place {
        let place = self.next;
        self.kept[place.slot as usize] = kept;
        self.next.slot += 1;
        if self.next.slot as usize == self.slots.len() {
            self.next = Place { lap: place.lap.wrapping_add(1), slot: 0 };
        }
        place
    }

    /// A packet of this turn, of which there are never more than the ring has room for.
    #[inline]
    pub fn bytes(&self, place: Place, len: usize) -> &[u8] {
        &self.slots[place.slot as usize][..len]
    }

    /// The same, made `len` bytes long.
    pub fn lengthen(&mut self, place: Place, len: usize) -> &mut [u8] {
        self.kept[place.slot as usize].len = len;
        &mut self.slots[place.slot as usize][..len]
    }

    /// A packet, unless another has taken its place.
    pub fn get(&self, place: Place) -> Option<(&Kept, &[u8])> {
        let laps = self.next.lap.wrapping_sub(place.lap);
        let is_there = match place.slot < self.next.slot {
            true => laps == 0,
            false => laps == 1,
        };
        let kept = self.kept.get(place.slot as usize).filter(|_| is_there)?;
        Some((kept, &self.slots[place.slot as usize][..kept.len]))
    }
}

/// Where one stream's latest packets are, by number.
#[derive(Debug)]
pub struct Places {
    /// A ring; of numbers that meet in it, the latest that came.
    ring: Box<[Place]>,
}

impl Places {
    const NOWHERE: Place = Place { lap: 0, slot: u32::MAX };

    /// Of this many numbers, a power of two.
    pub fn new(numbers: usize) -> Self {
        assert!(numbers.is_power_of_two());
        Self { ring: vec![Self::NOWHERE; numbers].into_boxed_slice() }
    }

    /// A packet is there.
    #[inline]
    pub fn put(&mut self, seq: SeqNo, place: Place) {
        let at = self.at(seq);
        self.ring[at] = place;
    }

    /// What the history has under this number.
    pub fn find<'a>(&self, seq: SeqNo, history: &'a History) -> Option<(&'a Kept, &'a [u8])> {
        history.get(self.ring[self.at(seq)]).filter(|(kept, _)| kept.seq == seq)
    }

    /// Numbers begin anew.
    pub fn clear(&mut self) {
        self.ring.fill(Self::NOWHERE);
    }

    fn at(&self, seq: SeqNo) -> usize {
        seq.0 as usize & (self.ring.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(history: &mut History, places: &mut Places, seq: u64) {
        history.slot()[..8].copy_from_slice(&seq.to_be_bytes());
        let (seq, at) = (SeqNo(seq), Timestamp::START);
        let place = history.keep(Kept { seq, timestamp: 0, at, header_len: 0, len: 8 });
        places.put(seq, place);
    }

    fn find(history: &History, places: &Places, seq: u64) -> bool {
        let found = places.find(SeqNo(seq), history);
        assert!(found.is_none_or(|(_, bytes)| *bytes == seq.to_be_bytes()));
        found.is_some()
    }

    #[test]
    fn each_packet_is_there_until_as_many_others_have_come() {
        let mut history = History::new(0);
        let [mut ours, mut others] = [Places::new(4096), Places::new(64)];
        let room = HISTORY_PACKETS_MIN as u64;
        for seq in 0..5 * room {
            keep(&mut history, &mut ours, seq);
            // Every fourth packet is another stream's, with numbers of its own.
            if seq % 3 == 2 {
                keep(&mut history, &mut others, seq / 3);
            }
            let oldest = (seq + 1).saturating_sub(room * 3 / 4 - 2);
            assert!(find(&history, &ours, oldest), "{oldest} at {seq}");
            assert!(!find(&history, &ours, seq + 1), "{seq} is the last");
            let gone = oldest.checked_sub(4);
            assert!(gone.is_none_or(|gone| !find(&history, &ours, gone)), "{gone:?} at {seq}");
        }
        ours.clear();
        assert!((0..5 * room).all(|seq| !find(&history, &ours, seq)));
        assert!(find(&history, &others, 5 * room / 3 - 1), "another's stay");
    }

    #[test]
    fn numbers_that_meet_are_told_apart() {
        let (mut history, mut places) = (History::new(1 << 20), Places::new(64));
        keep(&mut history, &mut places, 7);
        assert!(!find(&history, &places, 7 + 64));
        keep(&mut history, &mut places, 7 + 64);
        assert!(find(&history, &places, 7 + 64));
        assert!(!find(&history, &places, 7));
    }
}
