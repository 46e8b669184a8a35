//! Goodbyes (RFC 3550 §6.6).

use std::slice::ChunksExact;

use super::{CompoundWriter, GOODBYE, RtcpPacket, be32};
use crate::types::Ssrc;

/// The streams that a goodbye names.
#[derive(Debug, Clone)]
pub struct Ssrcs<'a>(ChunksExact<'a, u8>);

impl Iterator for Ssrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        self.0.next().map(|ssrc| Ssrc(be32(ssrc, 0)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// A reason in words may follow the SSRCs; nobody reads it.
pub(super) fn parse(count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let ssrcs = body.get(..4 * usize::from(count))?;
    Some(RtcpPacket::Bye(Ssrcs(ssrcs.chunks_exact(4))))
}

impl CompoundWriter<'_> {
    /// Appends a goodbye for at most 31 streams, without a reason.
    pub fn bye(&mut self, ssrcs: &[Ssrc]) -> bool {
        let Some(mut body) = self.begin(GOODBYE, ssrcs.len(), 4 * ssrcs.len()) else {
            return false;
        };
        ssrcs.iter().for_each(|ssrc| body.u32(ssrc.0));
        true
    }
}
