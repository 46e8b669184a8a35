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

/// What someone who has seen nothing before a packet can begin with there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// Nothing.
    None,
    /// A picture that needs no other, if the decoder has its parameters from somewhere else.
    Picture,
    /// All that it takes.
    Whole,
}

/// What begins with `payload` (without RTP padding): its first packet, where it is a key frame.
/// Sound can start anywhere. A payload that is malformed or too short to tell is no start.
pub fn start(codec: Codec, payload: &[u8]) -> Start {
    let whole = |starts: Option<bool>| starts.map(|it| if it { Start::Whole } else { Start::None });
    let start = match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => Some(Start::Whole),
        Codec::Vp8 => whole(vp8::starts_key_frame(payload)),
        Codec::Vp9 => whole(vp9::starts_key_frame(payload)),
        Codec::H264 => h264::start(payload),
        Codec::H265 => h265::start(payload),
        Codec::Av1 => whole(av1::starts_key_frame(payload)),
    };
    start.unwrap_or(Start::None)
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
