//! What a viewer may have sent again: not the same packet twice within a round trip, and no more
//! than a share of what it was sent.

use std::time::Duration;

use crate::types::{SeqNo, Timestamp, Unanswered};

/// Numbers whose latest resend is remembered; more than a viewer misses at once.
const REMEMBERED: usize = 256;

/// Of what was sent, the share that may be sent again: one in so many bytes. Where more is lost
/// than this, a viewer is better served by less media than by more resends.
const SHARE: u64 = 2;

/// Bytes that may be saved up, and what there is at first: a burst of losses in the biggest frames.
const SAVED_MAX: u64 = 256 * 1024;
const SAVED_AT_FIRST: u64 = 64 * 1024;

/// The round trip of a client that has not told yet (libwebrtc's first guess, `rtp_rtcp`'s
/// `kDefaultRtt`).
pub const ROUND_TRIP_GUESS: Duration = Duration::from_millis(100);

/// How long packets can be of use to a client, besides three round trips: libwebrtc's jitter
/// buffer gives up a frame that has not become whole, and asks for a key frame, well before.
const OF_USE: Duration = Duration::from_secs(1);
const OF_USE_MAX: Duration = Duration::from_secs(3);

/// What has been sent again of one Sender.
#[derive(Debug)]
pub struct Resends {
    /// By number, at its place in the ring.
    latest: Box<[(SeqNo, Timestamp)]>,
    /// Bytes that may be sent again now.
    saved: u64,
    /// What had been sent when that was counted.
    counted: u64,
    packets: u64,
    octets: u64,
}

impl Default for Resends {
    fn default() -> Self {
        Self {
            latest: vec![(SeqNo(u64::MAX), Timestamp::START); REMEMBERED].into_boxed_slice(),
            saved: SAVED_AT_FIRST,
            counted: 0,
            packets: 0,
            octets: 0,
        }
    }
}

impl Resends {
    /// Earns the share of what has been sent up to now, `octets` in all.
    pub fn earn(&mut self, octets: u64) {
        let earned = (octets - self.counted.min(octets)) / SHARE;
        self.counted += earned * SHARE;
        self.saved = (self.saved + earned).min(SAVED_MAX);
    }

    /// Whether the packet `seq` of so many bytes, which came at `at`, may be sent again now to a
    /// client this far away.
    pub fn check(
        &self,
        now: Timestamp,
        round_trip: Duration,
        seq: SeqNo,
        at: Timestamp,
        len: usize,
    ) -> Result<(), Unanswered> {
        if now.since(at) > (OF_USE + 3 * round_trip).min(OF_USE_MAX) {
            return Err(Unanswered::Gone);
        }
        let (latest, resent_at) = self.latest[place(seq)];
        // A client measures its round trip by itself: a quarter may be between the two.
        if latest == seq && now.since(resent_at) < round_trip - round_trip / 4 {
            return Err(Unanswered::JustResent);
        }
        if self.saved < len as u64 { Err(Unanswered::OverBudget) } else { Ok(()) }
    }

    /// It was sent again, with this many bytes in all.
    pub fn note(&mut self, now: Timestamp, seq: SeqNo, len: usize) {
        self.latest[place(seq)] = (seq, now);
        self.saved = self.saved.saturating_sub(len as u64);
        self.packets += 1;
        self.octets += len as u64;
    }

    /// Packets that were sent again.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of them, headers included.
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

fn place(seq: SeqNo) -> usize {
    seq.0 as usize % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn ms(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + millis * 1000)
    }

    #[test]
    fn the_same_packet_goes_again_after_a_round_trip_and_not_before() {
        let mut resends = Resends::default();
        let check = |resends: &Resends, now| resends.check(ms(now), RTT, SeqNo(7), ms(0), 100);
        assert_eq!(check(&resends, 50), Ok(()));
        resends.note(ms(50), SeqNo(7), 100);
        assert_eq!(check(&resends, 124), Err(Unanswered::JustResent));
        assert_eq!(check(&resends, 125), Ok(()));
        assert_eq!(resends.check(ms(50), RTT, SeqNo(8), ms(0), 100), Ok(()));
        assert_eq!(check(&resends, 1300), Ok(()));
        assert_eq!(check(&resends, 1301), Err(Unanswered::Gone), "too old to be of use");
    }

    #[test]
    fn a_share_of_what_was_sent_goes_again_and_no_more() {
        let mut resends = Resends::default();
        let all = |resends: &mut Resends, now| {
            let mut bytes = 0;
            for seq in (0..10_000).map(SeqNo) {
                if resends.check(ms(now), RTT, seq, ms(now), 1000).is_ok() {
                    resends.note(ms(now), seq, 1000);
                    bytes += 1000;
                }
            }
            bytes
        };
        assert_eq!(all(&mut resends, 0), SAVED_AT_FIRST / 1000 * 1000);
        resends.earn(100_000);
        resends.earn(100_001);
        assert!((49_000..=51_000).contains(&all(&mut resends, 1000)));
        resends.earn(100_000_000);
        assert!(all(&mut resends, 2000) <= SAVED_MAX, "nobody saves up for ever");
    }
}
