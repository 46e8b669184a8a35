//! Payload-specific feedback that asks for key frames: PLI (RFC 4585 §6.3.1) and FIR (RFC 5104
//! §4.3.1).

use std::slice::ChunksExact;

use super::{CompoundWriter, PAYLOAD_FEEDBACK, RtcpPacket, be32};
use crate::types::Ssrc;

pub(super) const PLI: u8 = 1;
pub(super) const FIR: u8 = 4;

/// Bytes of the SSRCs of who asks and of whose media, which start every feedback packet.
pub(super) const SSRCS_LEN: usize = 8;
const FIR_ENTRY_LEN: usize = 8;

/// The streams that a full intra request names, each with the number of the request: the same
/// number again is the same request again.
#[derive(Debug, Clone)]
pub struct FirEntries<'a>(ChunksExact<'a, u8>);

impl Iterator for FirEntries<'_> {
    type Item = (Ssrc, u8);

    fn next(&mut self) -> Option<(Ssrc, u8)> {
        self.0.next().map(|entry| (Ssrc(be32(entry, 0)), entry[4]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

pub(super) fn parse_pli(body: &[u8]) -> Option<RtcpPacket<'_>> {
    let ssrcs: &[u8; SSRCS_LEN] = body.first_chunk()?;
    let (sender_ssrc, media_ssrc) = (Ssrc(be32(ssrcs, 0)), Ssrc(be32(ssrcs, 4)));
    Some(RtcpPacket::Pli { sender_ssrc, media_ssrc })
}

pub(super) fn parse_fir(body: &[u8]) -> Option<RtcpPacket<'_>> {
    // The second SSRC is unused: each entry names its own.
    let (ssrcs, entries) = body.split_at_checked(SSRCS_LEN)?;
    let entries = entries.chunks_exact(FIR_ENTRY_LEN);
    if !entries.remainder().is_empty() {
        return None;
    }
    Some(RtcpPacket::Fir { sender_ssrc: Ssrc(be32(ssrcs, 0)), entries: FirEntries(entries) })
}

impl CompoundWriter<'_> {
    /// Appends a request for a key frame of `media_ssrc`.
    pub fn pli(&mut self, sender_ssrc: Ssrc, media_ssrc: Ssrc) -> bool {
        let Some(mut body) = self.begin(PAYLOAD_FEEDBACK, usize::from(PLI), SSRCS_LEN) else {
            return false;
        };
        body.u32(sender_ssrc.0);
        body.u32(media_ssrc.0);
        true
    }
}
