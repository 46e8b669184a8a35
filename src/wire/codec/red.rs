//! Redundant audio (RFC 2198): its blocks carry payload types of their own.

use crate::types::Pt;

/// Bytes of the header of a redundant block: F, payload type, timestamp offset, length.
const BLOCK_HEADER_LEN: usize = 4;

/// Bytes of the header of the last block, the primary one: F, payload type.
const LAST_HEADER_LEN: usize = 1;

/// Renumbers the payload type of each block of `payload`, in place. A malformed payload is left as
/// it is.
pub fn rewrite_payload_types(payload: &mut [u8], map: impl Fn(Pt) -> Pt) {
    let Some(last_at) = last_header(payload) else {
        return;
    };
    for header in payload[..=last_at].iter_mut().step_by(BLOCK_HEADER_LEN) {
        *header = *header & 0x80 | map(Pt(*header & 0x7f)).0 & 0x7f;
    }
}

/// Where the header of the primary block is, if all blocks are there. The headers in front of it
/// stand side by side, so it is at a multiple of their length.
fn last_header(payload: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut redundant_len = 0;
    while payload.get(at)? & 0x80 != 0 {
        let header = payload.get(at..at + BLOCK_HEADER_LEN)?;
        // The length is the lower 10 bits.
        redundant_len += usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x03ff);
        at += BLOCK_HEADER_LEN;
    }
    (at + LAST_HEADER_LEN + redundant_len <= payload.len()).then_some(at)
}
