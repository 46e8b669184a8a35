//! Negative acknowledgements (RFC 4585 §6.2.1): which packets of a stream did not come.

use std::slice::ChunksExact;

use super::feedback::SSRCS_LEN;
use super::{CompoundWriter, RtcpPacket, TRANSPORT_FEEDBACK, be32};
use crate::types::Ssrc;

pub(super) const NACK: u8 = 1;

const PAIR_LEN: usize = 4;

/// The sequence numbers that a NACK names, as it names them: each entry's first, then those of its
/// bit mask. At most 17 for each 4 bytes.
#[derive(Debug, Clone)]
pub struct LostPackets<'a> {
    pairs: ChunksExact<'a, u8>,
    first: u16,
    /// Which of the 16 behind `first` are still to be told; bit 0 is the next.
    mask: u16,
}

impl Iterator for LostPackets<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask != 0 {
            let bit = self.mask.trailing_zeros() as u16;
            self.mask &= self.mask - 1;
            return Some(self.first.wrapping_add(1 + bit));
        }
        let pair = be32(self.pairs.next()?, 0);
        (self.first, self.mask) = ((pair >> 16) as u16, pair as u16);
        Some(self.first)
    }
}

pub(super) fn parse(body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (ssrcs, pairs) = body.split_at_checked(SSRCS_LEN)?;
    let pairs = pairs.chunks_exact(PAIR_LEN);
    // RFC 4585 §6.2.1: there must be one at least.
    if pairs.len() == 0 || !pairs.remainder().is_empty() {
        return None;
    }
    let (sender_ssrc, media_ssrc) = (Ssrc(be32(ssrcs, 0)), Ssrc(be32(ssrcs, 4)));
    let lost = LostPackets { pairs, first: 0, mask: 0 };
    Some(RtcpPacket::Nack { sender_ssrc, media_ssrc, lost })
}

impl CompoundWriter<'_> {
    /// Appends the news that these packets of `media_ssrc` did not come: at least one, in ascending
    /// order (which may wrap).
    pub fn nack(&mut self, sender_ssrc: Ssrc, media_ssrc: Ssrc, lost: &[u16]) -> bool {
        let count = pairs(lost).count();
        let len = SSRCS_LEN + PAIR_LEN * count;
        let Some(mut body) = self.begin(TRANSPORT_FEEDBACK, usize::from(NACK), len) else {
            return false;
        };
        body.u32(sender_ssrc.0);
        body.u32(media_ssrc.0);
        pairs(lost).for_each(|(first, mask)| body.u32(u32::from(first) << 16 | u32::from(mask)));
        true
    }
}

/// The entries that name these numbers: a first, and which of the 16 behind it.
fn pairs(mut lost: &[u16]) -> impl Iterator<Item = (u16, u16)> {
    std::iter::from_fn(move || {
        let (first, rest) = lost.split_first()?;
        let mut mask = 0;
        let behind = rest.iter().map_while(|number| {
            let bit = number.wrapping_sub(*first).wrapping_sub(1);
            (bit < 16).then(|| mask |= 1u16 << bit)
        });
        lost = &rest[behind.count()..];
        Some((*first, mask))
    })
}
