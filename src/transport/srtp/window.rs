//! Which packets have come already: full numbers from short ones, and refusal of replays.

use super::OpenError;
use super::retired::Retired;
use crate::types::limit::SSRCS_MAX;
use crate::types::{SeqNo, Ssrc};

/// How far a packet may be behind the newest and still be told from a replay. 1024 packets are half
/// a second of 20 Mbit/s.
const WIDTH: u64 = 1024;
const WORDS: usize = WIDTH as usize / 64;

/// One behind the last index that SRTP can count: 16 bits of sequence and 32 of roll-overs
/// (RFC 3711 §3.3.1). With the next one, a key would be used twice.
const INDEX_END: u64 = 1 << 48;

/// Sequence extension and replay window of ONE received stream (RFC 3711 §3.3.1, §3.3.2,
/// appendix A); 144 bytes.
///
/// A stream starts at roll-over count 0. If its first packets straddle the wrap from 65535 to 0 and
/// one from behind the wrap arrives first, that one is not recognized (its tag is bad: nothing is
/// learned from it); one from before the wrap then puts the count right. If all of those are lost,
/// whoever opens the first packet tries count 1 as well.
#[derive(Debug, Clone, Default)]
pub struct RtpWindow {
    highest: Option<SeqNo>,
    /// A ring: bit `index % WIDTH` says whether `index`, of the last `WIDTH` numbers, was received.
    seen: [u64; WORDS],
}

impl RtpWindow {
    /// Nothing received yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stream of which this number, and nobody knows what before it, has come: what is not above
    /// it is a replay.
    pub fn behind(highest: u64) -> Self {
        Self { highest: Some(SeqNo(highest)), seen: [u64::MAX; WORDS] }
    }

    /// The most likely extended number of a packet with `seq` in its header: the one nearest to the
    /// highest received (RFC 3711 appendix A), and never one before the stream's start.
    pub fn estimate(&self, seq: u16) -> SeqNo {
        const ROLL_OVER: u64 = 1 << 16;
        const HALF: u16 = 1 << 15;
        let Some(highest) = self.highest else {
            return SeqNo(u64::from(seq));
        };
        let last = highest.wire();
        let same_count = highest.0 - u64::from(last) + u64::from(seq);
        SeqNo(if last < HALF && seq.saturating_sub(last) > HALF {
            // From before the last roll-over, if there was one.
            same_count.checked_sub(ROLL_OVER).unwrap_or(same_count)
        } else if last >= HALF && last - HALF > seq {
            same_count.saturating_add(ROLL_OVER)
        } else {
            same_count
        })
    }

    /// [`OpenError::Replay`] if `index` was accepted before, or is too old to tell;
    /// [`OpenError::IndexSpent`] if there is no such number.
    pub fn check(&self, index: SeqNo) -> Result<(), OpenError> {
        if index.0 >= INDEX_END {
            return Err(OpenError::IndexSpent);
        }
        let Some(highest) = self.highest else {
            return Ok(());
        };
        if index > highest {
            return Ok(());
        }
        let (word, bit) = slot(index.0);
        if highest.0 - index.0 >= WIDTH || self.seen[word] & bit != 0 {
            return Err(OpenError::Replay);
        }
        Ok(())
    }

    /// Whether `index` was accepted, where that can be told.
    pub fn has(&self, index: SeqNo) -> bool {
        let (word, bit) = slot(index.0);
        let back = self.highest.and_then(|highest| highest.0.checked_sub(index.0));
        back.is_some_and(|back| back < WIDTH) && self.seen[word] & bit != 0
    }

    /// Notes that `index` has come; only after its tag verified.
    pub fn accept(&mut self, index: SeqNo) {
        let ahead = match self.highest {
            None => WIDTH,
            Some(highest) if index > highest => index.0 - highest.0,
            Some(highest) if highest.0 - index.0 < WIDTH => 0,
            // Too old for the ring: its bit belongs to a newer number.
            Some(_) => return,
        };
        if ahead >= WIDTH {
            self.seen = [0; WORDS];
        } else {
            // The ring still holds bits of one turn ago for the numbers that were skipped.
            for back in 1..ahead {
                let (word, bit) = slot(index.0 - back);
                self.seen[word] &= !bit;
            }
        }
        if ahead > 0 {
            self.highest = Some(index);
        }
        let (word, bit) = slot(index.0);
        self.seen[word] |= bit;
    }

    /// Checks and accepts at once.
    #[inline]
    pub fn take(&mut self, index: SeqNo) -> Result<(), OpenError> {
        // Nearly always it is the next one.
        if self.highest.is_some_and(|highest| index.0 == highest.0 + 1) && index.0 < INDEX_END {
            let (word, bit) = slot(index.0);
            self.seen[word] |= bit;
            self.highest = Some(index);
            return Ok(());
        }
        self.check(index)?;
        self.accept(index);
        Ok(())
    }

    /// The highest number accepted; `None` if there was none yet.
    pub fn highest(&self) -> Option<SeqNo> {
        self.highest
    }
}

/// Where the ring keeps `index`: which word, and the bit in it.
fn slot(index: u64) -> (usize, u64) {
    let at = index % WIDTH;
    ((at / 64) as usize, 1 << (at % 64))
}

/// Replay windows for SRTCP, one for each SSRC that has sent an authentic packet: [`SSRCS_MAX`] at
/// most, whoever was silent longest makes room. A list that is searched from its end: there are
/// few, and RTCP is rare.
#[derive(Debug, Default)]
pub(super) struct RtcpWindows {
    /// Whoever was heard last is at the end.
    windows: Vec<RtcpWindow>,
    retired: Retired,
}

/// The last 128 indices of one SSRC.
#[derive(Debug, Clone, Copy)]
struct RtcpWindow {
    ssrc: Ssrc,
    highest: u32,
    /// Bit n says whether `highest - n` was received.
    seen: u128,
}

impl RtcpWindows {
    pub(super) fn check(&self, ssrc: Ssrc, index: u32) -> Result<(), OpenError> {
        let Some(window) = self.windows.iter().rfind(|window| window.ssrc == ssrc) else {
            let retired = self.retired.highest(ssrc);
            let replay = retired.is_some_and(|highest| u64::from(index) <= highest);
            return if replay { Err(OpenError::Replay) } else { Ok(()) };
        };
        if index > window.highest {
            return Ok(());
        }
        let age = window.highest - index;
        if age >= u128::BITS || window.seen >> age & 1 != 0 {
            return Err(OpenError::Replay);
        }
        Ok(())
    }

    /// Notes that a packet which passed [`check`](Self::check) is authentic.
    pub(super) fn accept(&mut self, ssrc: Ssrc, index: u32) {
        let mut window = match self.windows.iter().rposition(|window| window.ssrc == ssrc) {
            Some(at) => self.windows.remove(at),
            None => {
                // Of one that has made room before, nobody knows what came below this.
                let known = self.retired.highest(ssrc).is_some();
                RtcpWindow { ssrc, highest: index, seen: if known { u128::MAX } else { 1 } }
            }
        };
        if index > window.highest {
            window.seen = window.seen.checked_shl(index - window.highest).unwrap_or(0) | 1;
            window.highest = index;
        } else {
            window.seen |= 1 << (window.highest - index);
        }
        if self.windows.len() >= SSRCS_MAX {
            let silent = self.windows.remove(0);
            self.retired.put(silent.ssrc, u64::from(silent.highest));
        }
        self.windows.push(window);
    }
}
