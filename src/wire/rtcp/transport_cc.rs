//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1, as libwebrtc
//! speaks it): which packets of a transport have come, and when.

use super::{CompoundWriter, TRANSPORT_FEEDBACK};
use crate::types::{Ssrc, Timestamp};

/// Its format, in the place of a count.
const TRANSPORT_CC: usize = 15;

/// SSRCs, base, count, reference time, number of the feedback.
const FIXED_LEN: usize = 16;

/// Bytes of chunks and deltas in one packet, at most: with the report in front it fits any path.
const VARIABLE_MAX: usize = 1000;

/// Times are told in steps of 250 µs from a reference in steps of 64 ms.
const TICK_US: u64 = 250;
const REFERENCE_TICKS: u64 = 256;

/// How many times in a row a run-length chunk can tell.
const RUN_MAX: usize = 0x1fff;

/// What is said of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Missing,
    /// With the time since the one before, in ticks that fit a byte.
    Small(u8),
    /// The same where it needs two, or lies back.
    Large(i16),
}

impl Status {
    fn symbol(self) -> u16 {
        match self {
            Self::Missing => 0,
            Self::Small(_) => 1,
            Self::Large(_) => 2,
        }
    }

    fn delta_len(self) -> usize {
        usize::from(self.symbol())
    }
}

impl CompoundWriter<'_> {
    /// Appends feedback number `count` on the packets from `base` on, one of `media_ssrc` among
    /// them: when each came, `None` if it has not. As many as fit, and as lie within 8 s: how many
    /// those were. `None` if there was no room, or none of them has come.
    pub fn transport_cc(
        &mut self,
        [sender_ssrc, media_ssrc]: [Ssrc; 2],
        count: u8,
        base: u16,
        packets: impl Iterator<Item = Option<Timestamp>> + Clone,
    ) -> Option<usize> {
        let first = packets.clone().flatten().next()?;
        let reference = first.as_micros() / TICK_US / REFERENCE_TICKS;
        let statuses = Statuses { packets, at: reference * REFERENCE_TICKS };
        let (mut told, mut deltas) = (0, 0);
        for status in statuses.clone() {
            let more = deltas + status.delta_len();
            // No seven symbols take more than one chunk.
            if more + 2 * (told / 7 + 1) > VARIABLE_MAX {
                break;
            }
            (told, deltas) = (told + 1, more);
        }
        let statuses = statuses.take(told);
        let chunks = Chunks { rest: statuses.clone() }.count();
        let len = (FIXED_LEN + 2 * chunks + deltas).next_multiple_of(4);
        let mut body = self.begin(TRANSPORT_FEEDBACK, TRANSPORT_CC, len)?;
        body.u32(sender_ssrc.0);
        body.u32(media_ssrc.0);
        body.bytes(&base.to_be_bytes());
        body.bytes(&(told as u16).to_be_bytes());
        // 24 bits, which wrap.
        body.u32((reference as u32) << 8 | u32::from(count));
        Chunks { rest: statuses.clone() }.for_each(|chunk| body.bytes(&chunk.to_be_bytes()));
        for status in statuses {
            match status {
                Status::Missing => {}
                Status::Small(delta) => body.bytes(&[delta]),
                Status::Large(delta) => body.bytes(&delta.to_be_bytes()),
            }
        }
        body.pad();
        Some(told)
    }
}

/// Times as statuses; ends where a time is too far from the one before.
#[derive(Debug, Clone)]
struct Statuses<I> {
    packets: I,
    /// Ticks at the latest packet.
    at: u64,
}

impl<I: Iterator<Item = Option<Timestamp>>> Iterator for Statuses<I> {
    type Item = Status;

    fn next(&mut self) -> Option<Status> {
        let Some(at) = self.packets.next()? else { return Some(Status::Missing) };
        let at = at.as_micros() / TICK_US;
        let delta = at as i64 - self.at as i64;
        self.at = at;
        match u8::try_from(delta) {
            Ok(delta) => Some(Status::Small(delta)),
            Err(_) => i16::try_from(delta).ok().map(Status::Large),
        }
    }
}

/// Statuses packed: runs of one symbol, or 14 of one bit, or 7 of two.
#[derive(Debug, Clone)]
struct Chunks<I> {
    rest: I,
}

impl<I: Iterator<Item = Status> + Clone> Iterator for Chunks<I> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let symbols = self.rest.clone().map(Status::symbol);
        let first = symbols.clone().next()?;
        let run = symbols.clone().take(RUN_MAX).take_while(|symbol| *symbol == first).count();
        let ends = symbols.clone().nth(run).is_none();
        if run >= 14 || ends || run >= 7 && first == 2 {
            self.rest.nth(run - 1);
            return Some(first << 13 | run as u16);
        }
        let (bits, len) = match symbols.clone().take(14).any(|symbol| symbol == 2) {
            true => (2, 7),
            false => (1, 14),
        };
        let mut chunk = 1 << 15 | (bits - 1) << 14;
        let mut taken = 0;
        for symbol in symbols.take(len) {
            taken += 1;
            chunk |= symbol << (14 - bits * taken);
        }
        self.rest.nth(usize::from(taken) - 1);
        Some(chunk)
    }
}
