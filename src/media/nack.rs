//! Which packets of a source are missing, and when to ask for them (RFC 4585 §6.2.1).
//!
//! After libwebrtc's `nack_requester.cc`; docs/internals/loss.md says where this differs and why.

use std::time::Duration;

use crate::types::limit::NACKED_MAX;
use crate::types::{SeqNo, Timestamp};

/// How long a packet may come behind others before it is asked for; longer where the network has
/// shown that it takes longer.
const PATIENCE: Duration = Duration::from_millis(10);
const PATIENCE_MAX: Duration = Duration::from_millis(50);

/// So many later packets end the patience at once, unless the network is known to reorder.
const LATER_MAX: u64 = 5;

/// What a round trip may take longer than the last ones, and what the source takes to answer, at
/// least: so much later than a round trip a packet is asked for again.
const SLACK_MIN: Duration = Duration::from_millis(5);

/// How often a packet is asked for, and for how long it is of use.
const ASKED_MAX: u8 = 10;
const OF_USE: Duration = Duration::from_secs(1);

/// A packet that is missing.
#[derive(Debug, Clone, Copy)]
struct Missing {
    seq: SeqNo,
    noticed_at: Timestamp,
    asked_at: Option<Timestamp>,
    asked: u8,
}

/// What is missing of one stream.
#[derive(Debug)]
pub struct Nacks {
    highest: Option<SeqNo>,
    /// Ascending; [`NACKED_MAX`] at most.
    missing: Vec<Missing>,
    patience: Duration,
    /// Retransmissions come in a stream of their own: what comes late by itself was not asked for.
    rtx: bool,
    /// Too much is gone, or something for good: only a key frame mends it.
    given_up: bool,
    asked: u64,
    recovered: u64,
    lost: u64,
    /// Of those, the ones that were counted.
    counted: u64,
}

impl Nacks {
    /// Nothing has come yet, of a source that sends again in a stream of its own or not.
    pub fn new(rtx: bool) -> Self {
        Self {
            rtx,
            highest: None,
            missing: Vec::new(),
            patience: PATIENCE,
            given_up: false,
            asked: 0,
            recovered: 0,
            lost: 0,
            counted: 0,
        }
    }

    /// A packet has come by itself.
    #[inline]
    pub fn handle_packet(&mut self, now: Timestamp, seq: SeqNo) {
        match self.highest {
            Some(highest) if seq.0 == highest.0 + 1 => self.highest = Some(seq),
            Some(highest) if seq > highest => self.note_gap(now, highest, seq),
            Some(_) => self.handle_late(now, seq),
            None => self.highest = Some(seq),
        }
    }

    #[cold]
    fn note_gap(&mut self, now: Timestamp, highest: SeqNo, seq: SeqNo) {
        self.highest = Some(seq);
        let gap = seq.0 - highest.0 - 1;
        if self.missing.len() as u64 + gap > NACKED_MAX as u64 {
            self.lost += self.missing.len() as u64 + gap;
            self.missing.clear();
            self.given_up = true;
            return;
        }
        self.missing.extend((highest.0 + 1..seq.0).map(|seq| Missing {
            seq: SeqNo(seq),
            noticed_at: now,
            asked_at: None,
            asked: 0,
        }));
    }

    /// One that was missing was only late: the network may take as long with others.
    #[cold]
    fn handle_late(&mut self, now: Timestamp, seq: SeqNo) {
        if let Some(late) = self.take(seq) {
            let lateness = now.since(late.noticed_at);
            if (late.asked == 0 || self.rtx) && lateness < PATIENCE_MAX {
                self.patience = self.patience.max(lateness + lateness / 4).min(PATIENCE_MAX);
            }
        }
    }

    /// A packet has come because it was asked for. The round trip, if it was asked for once: else
    /// nobody knows which time was answered.
    pub fn handle_recovered(&mut self, now: Timestamp, seq: SeqNo) -> Option<Duration> {
        self.recovered += 1;
        let missing = self.take(seq)?;
        missing.asked_at.filter(|_| missing.asked == 1).map(|asked_at| now.since(asked_at))
    }

    /// A key frame begins with this packet: what is missing before it is needed no more.
    pub fn handle_key_frame(&mut self, seq: SeqNo) {
        let before = self.missing.partition_point(|missing| missing.seq < seq);
        self.lost += before as u64;
        self.missing.drain(..before);
    }

    /// Another stream follows, with numbers of its own.
    pub fn restart(&mut self) {
        self.highest = None;
        self.clear();
    }

    /// Nothing comes from the source, or nothing is wanted, for now.
    pub fn clear(&mut self) {
        self.missing.clear();
        self.given_up = false;
    }

    /// Whether nothing is missing, and nothing was given up that has not been counted.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.missing.is_empty() && !self.given_up && self.counted == self.lost
    }

    /// How many were given up since this was asked last.
    pub fn count_lost(&mut self) -> u64 {
        self.lost - std::mem::replace(&mut self.counted, self.lost)
    }

    /// Writes the numbers to ask for now to `due`, in ascending order, to a source this far away.
    pub fn poll(&mut self, now: Timestamp, round_trip: Duration, due: &mut Vec<u16>) {
        let before = self.missing.len();
        let too_late = |it: &Missing| {
            now.since(it.noticed_at) > OF_USE || it.asked == ASKED_MAX && it.is_due(now, round_trip)
        };
        self.missing.retain(|it| !too_late(it));
        let gone = before - self.missing.len();
        self.lost += gone as u64;
        self.given_up |= gone > 0;
        let (highest, patience) = (self.highest, self.patience);
        for it in &mut self.missing {
            let first = match it.asked_at {
                Some(_) => it.is_due(now, round_trip),
                None => it.has_waited(now, highest, patience),
            };
            if first {
                (it.asked_at, it.asked) = (Some(now), it.asked + 1);
                due.push(it.seq.wire());
            }
        }
        self.asked += due.len() as u64;
    }

    /// Whether something was given up since it was last asked.
    pub fn take_given_up(&mut self) -> bool {
        std::mem::take(&mut self.given_up)
    }

    /// When [`Nacks::poll`] has something to say.
    pub fn poll_deadline(&self, round_trip: Duration) -> Option<Timestamp> {
        let at = |it: &Missing| match it.asked_at {
            Some(asked_at) => asked_at + answer_time(round_trip),
            None => it.noticed_at + self.patience,
        };
        self.missing.iter().map(at).min()
    }

    /// A second has gone by: the network may be better now.
    pub fn relax(&mut self) {
        self.patience = (self.patience * 7 / 8).max(PATIENCE);
    }

    /// Packets that were asked for, each time.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Packets that came because they were.
    pub fn recovered(&self) -> u64 {
        self.recovered
    }

    fn take(&mut self, seq: SeqNo) -> Option<Missing> {
        let at = self.missing.binary_search_by_key(&seq, |missing| missing.seq).ok()?;
        Some(self.missing.remove(at))
    }
}

impl Missing {
    /// Asked for, and it could have come since.
    fn is_due(&self, now: Timestamp, round_trip: Duration) -> bool {
        self.asked_at.is_some_and(|at| now.since(at) >= answer_time(round_trip))
    }

    /// Not asked for yet, and it has had its time.
    fn has_waited(&self, now: Timestamp, highest: Option<SeqNo>, patience: Duration) -> bool {
        let later = highest.map_or(0, |highest| highest.0 - self.seq.0);
        now.since(self.noticed_at) >= patience || patience == PATIENCE && later > LATER_MAX
    }
}

/// How long an answer may take.
fn answer_time(round_trip: Duration) -> Duration {
    round_trip + (round_trip / 8).max(SLACK_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(60);

    fn ms(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + millis * 1000)
    }

    fn due(nacks: &mut Nacks, at: u64) -> Vec<u16> {
        let mut due = Vec::new();
        nacks.poll(ms(at), RTT, &mut due);
        due
    }

    /// A packet every millisecond, all but some.
    fn stream(nacks: &mut Nacks, numbers: std::ops::Range<u64>, lost: &[u64]) {
        for seq in numbers.filter(|seq| !lost.contains(seq)) {
            nacks.handle_packet(ms(seq), SeqNo(seq));
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_after_a_moment_and_again_after_a_round_trip() {
        let mut nacks = Nacks::new(true);
        stream(&mut nacks, 65_530..65_542, &[65_536, 65_537]);
        assert_eq!(due(&mut nacks, 65_538), [0u16; 0], "it may be only late");
        stream(&mut nacks, 65_542..65_550, &[]);
        assert_eq!(due(&mut nacks, 65_548), [0, 1]);
        assert_eq!(nacks.poll_deadline(RTT), Some(ms(65_548) + RTT * 9 / 8));
        assert_eq!(due(&mut nacks, 65_615), [0u16; 0]);
        let round_trip = nacks.handle_recovered(ms(65_607), SeqNo(65_536));
        assert_eq!(round_trip, Some(Duration::from_millis(59)));
        assert_eq!(due(&mut nacks, 65_616), [1]);
        assert_eq!(nacks.handle_recovered(ms(65_680), SeqNo(65_537)), None, "asked for twice");
        assert!(nacks.is_idle());
        assert_eq!((nacks.asked(), nacks.recovered(), nacks.count_lost()), (3, 2, 0));
    }

    #[test]
    fn packets_in_the_wrong_order_are_not_asked_for() {
        let mut nacks = Nacks::new(true);
        let mut asked = Vec::new();
        for block in 0..100u64 {
            // 0 5 4 3 2 1: the last one comes behind four others.
            for (i, seq) in [0, 5, 4, 3, 2, 1].into_iter().enumerate() {
                let at = ms(6 * block + i as u64);
                nacks.handle_packet(at, SeqNo(6 * block + seq));
                nacks.poll(at, RTT, &mut asked);
            }
        }
        assert_eq!(asked, [0u16; 0], "nothing was lost");
    }

    #[test]
    fn a_network_that_takes_its_time_is_given_it() {
        let mut nacks = Nacks::new(true);
        nacks.handle_packet(ms(0), SeqNo(0));
        nacks.handle_packet(ms(1), SeqNo(2));
        assert_eq!(due(&mut nacks, 11), [1]);
        nacks.handle_packet(ms(25), SeqNo(1));
        nacks.handle_packet(ms(30), SeqNo(4));
        assert_eq!(due(&mut nacks, 59), [0u16; 0]);
        assert_eq!(due(&mut nacks, 60), [3]);
        (0..20).for_each(|_| nacks.relax());
        nacks.handle_packet(ms(100), SeqNo(6));
        assert_eq!(due(&mut nacks, 110), [5]);
    }

    #[test]
    fn what_does_not_come_is_given_up() {
        let mut nacks = Nacks::new(true);
        stream(&mut nacks, 0..20, &[7]);
        let asked = (20..2000).filter(|at| !due(&mut nacks, *at).is_empty()).count();
        assert_eq!(asked, usize::from(ASKED_MAX));
        assert!(nacks.take_given_up());
        assert_eq!((nacks.count_lost(), nacks.count_lost()), (1, 0));
        assert!(nacks.is_idle());
    }

    #[test]
    fn a_key_frame_makes_what_was_before_it_moot_and_too_much_ends_it() {
        let mut nacks = Nacks::new(true);
        stream(&mut nacks, 0..40, &[7, 30]);
        nacks.handle_key_frame(SeqNo(20));
        assert_eq!(due(&mut nacks, 60), [30]);
        assert!(!nacks.take_given_up(), "nobody needs another");
        nacks.handle_packet(ms(60), SeqNo(2000));
        assert_eq!(due(&mut nacks, 100), [0u16; 0]);
        assert!(nacks.take_given_up());
        assert_eq!(nacks.count_lost(), 1 + 1 + 1960);
    }
}
