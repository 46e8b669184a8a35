//! The RTP header (RFC 3550 §5.1): read in place, and rewritten for another session at the same
//! length.

use super::rtp_ext::{self, ExtensionMap, Extensions};
use crate::types::{DropReason, Pt, SeqNo, Ssrc};

/// Bytes of the header before CSRCs and extensions.
const FIXED_LEN: usize = 12;

/// Bytes of profile and length in front of the extension elements.
const BLOCK_HEAD_LEN: usize = 4;

/// What an RTP header says, and where its parts are. SRTP leaves all of it in the clear.
#[derive(Debug, Clone, Copy)]
pub struct RtpHeader {
    /// Last packet of a frame (video), first after silence (audio).
    pub marker: bool,
    /// Payload type, in the numbers of whoever sent the packet.
    pub pt: Pt,
    /// Sequence number as it is on the wire.
    pub seq: u16,
    /// Media time in units of the codec's clock rate.
    pub timestamp: u32,
    /// The stream that the packet belongs to.
    pub ssrc: Ssrc,
    /// The payload ends in padding, of which the last byte is the count. SRTP encrypts it, so it
    /// has not been looked at.
    pub has_padding: bool,
    /// Bytes up to the payload: fixed part, CSRCs and extension block.
    pub len: usize,
    csrcs: u8,
    has_extensions: bool,
}

/// What a forwarded packet says instead. Marker, padding bit and CSRCs stay as they are.
#[derive(Debug, Clone, Copy)]
pub struct HeaderRewrite<'a> {
    /// Payload type of the new session.
    pub pt: Pt,
    /// Sequence number of the new stream.
    pub seq: u16,
    /// Media time of the new stream.
    pub timestamp: u32,
    /// The new stream.
    pub ssrc: Ssrc,
    /// Extension ids of the new session.
    pub extensions: &'a ExtensionMap,
}

impl RtpHeader {
    /// Reads the header of `packet`, which may be encrypted. `RtpMalformed` if it is not version 2
    /// or ends before the header does; neither padding nor payload are judged.
    pub fn parse(packet: &[u8]) -> Result<RtpHeader, DropReason> {
        let fixed: &[u8; FIXED_LEN] = packet.first_chunk().ok_or(DropReason::RtpMalformed)?;
        let [flags, marker_pt, s0, s1, t0, t1, t2, t3, x0, x1, x2, x3] = *fixed;
        if flags >> 6 != 2 {
            return Err(DropReason::RtpMalformed);
        }
        let csrcs = flags & 0x0f;
        let has_extensions = flags & 0x10 != 0;
        let mut len = FIXED_LEN + 4 * usize::from(csrcs);
        if has_extensions {
            let words = packet.get(len + 2..len + 4).ok_or(DropReason::RtpMalformed)?;
            let words = u16::from_be_bytes([words[0], words[1]]);
            len += BLOCK_HEAD_LEN + 4 * usize::from(words);
        }
        if packet.len() < len {
            return Err(DropReason::RtpMalformed);
        }
        Ok(RtpHeader {
            marker: marker_pt & 0x80 != 0,
            pt: Pt(marker_pt & 0x7f),
            seq: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([x0, x1, x2, x3])),
            has_padding: flags & 0x20 != 0,
            len,
            csrcs,
            has_extensions,
        })
    }

    /// The header extension elements of `packet` (the one that was parsed) as (id, value), in the
    /// order of the wire. Ends early at an element that is malformed.
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = (u8, &'a [u8])> {
        let block = match self.has_extensions {
            true => packet.get(self.block_at()..self.len).unwrap_or_default(),
            false => &[],
        };
        Extensions::new(block)
    }

    /// Writes the header of `packet` (the one that was parsed) into the front of `out`, saying
    /// what `rewrite` says, at exactly the length that it had: what becomes free in the extension
    /// block is padding. Returns that length, [`RtpHeader::len`].
    ///
    /// # Panics
    /// If `packet` is another one and shorter, or `out` is shorter than the header.
    pub fn rewrite(&self, packet: &[u8], rewrite: &HeaderRewrite<'_>, out: &mut [u8]) -> usize {
        let packet = &packet[..self.len];
        let out = &mut out[..self.len];
        let block_at = self.block_at();
        out[0] = packet[0];
        out[1] = u8::from(self.marker) << 7 | rewrite.pt.0 & 0x7f;
        out[2..4].copy_from_slice(&rewrite.seq.to_be_bytes());
        out[4..8].copy_from_slice(&rewrite.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&rewrite.ssrc.0.to_be_bytes());
        out[FIXED_LEN..block_at].copy_from_slice(&packet[FIXED_LEN..block_at]);
        if self.has_extensions {
            rtp_ext::rewrite_block(&packet[block_at..], rewrite.extensions, &mut out[block_at..]);
        }
        self.len
    }

    /// Where the extension block starts, or would.
    fn block_at(&self) -> usize {
        FIXED_LEN + 4 * usize::from(self.csrcs)
    }
}

/// Sets sequence number and timestamp, bytes 2 to 7 of a packet (RFC 3550 §5.1).
#[inline]
pub fn set_numbers(packet: &mut [u8], seq: SeqNo, timestamp: u32) {
    packet[2..4].copy_from_slice(&seq.wire().to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
}

#[cfg(test)]
mod tests;
