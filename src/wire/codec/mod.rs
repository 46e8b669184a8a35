//! Decrypted payloads, as far as forwarding looks into them: where a key frame starts. One file
//! per payload format; each reads descriptors and headers, never coded pictures.
//!
//! An end-to-end encrypted payload may be unreadable here. Then no key frame is seen, and who
//! waits for one must have a limit.

mod av1;
mod h264;
mod h265;
pub mod red;
mod vp8;
mod vp9;

use crate::types::Codec;

/// Whether `payload` (without RTP padding) is the first packet of a key frame, so that someone who
/// has seen nothing before it can start here. Sound can start anywhere. A payload that is
/// malformed or too short to tell is no start.
pub fn starts_key_frame(codec: Codec, payload: &[u8]) -> bool {
    let starts = match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => Some(true),
        Codec::Vp8 => vp8::starts_key_frame(payload),
        Codec::Vp9 => vp9::starts_key_frame(payload),
        Codec::H264 => h264::starts_key_frame(payload),
        Codec::H265 => h265::starts_key_frame(payload),
        Codec::Av1 => av1::starts_key_frame(payload),
    };
    starts.unwrap_or(false)
}

/// The units of an aggregation packet of H264 or H265: each behind its length in 16 bits. Ends
/// early at one that reaches over the end.
fn aggregated(mut units: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&len, rest) = units.split_first_chunk()?;
        let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(len)))?;
        units = rest;
        Some(unit)
    })
}

#[cfg(test)]
mod tests;
