//! What a packet of a source carries, so that whoever opens it knows which it is, and how an SFU
//! knows a key frame. Layout of the payload:
//!
//! ```text
//! 0                  12     16      20      24
//! | codec's beginning | mark | source | number | filling: one byte, over and over |
//! ```

use crate::scenario::VideoCodec;

/// Bytes for the codec's beginning.
const BEGINNING: usize = 12;
const MARK: [u8; 4] = *b"c.pf";
/// Where the filling begins; the shortest payload.
pub const PAYLOAD_MIN: usize = BEGINNING + 12;

/// What a payload says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The source.
    pub source: u32,
    /// Its packet's number.
    pub number: u32,
}

/// Where in its frame a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First packet of the frame.
    pub first: bool,
    /// Of a key frame.
    pub key: bool,
}

/// Writes a payload of `len` bytes (at least [`PAYLOAD_MIN`]) behind what `packet` has. `codec` is
/// `None` for audio.
pub fn write(
    packet: &mut Vec<u8>,
    codec: Option<VideoCodec>,
    place: Place,
    identity: Identity,
    len: usize,
) {
    let start = packet.len();
    let mut beginning = [0; BEGINNING];
    if let Some(codec) = codec {
        begin(&mut beginning, codec, place);
    }
    packet.extend(beginning);
    packet.extend(MARK);
    packet.extend(identity.source.to_be_bytes());
    packet.extend(identity.number.to_be_bytes());
    packet.resize(start + len.max(PAYLOAD_MIN), filling(identity));
}

/// What SFUs look at to find out whether a key frame starts here.
fn begin(beginning: &mut [u8; BEGINNING], codec: VideoCodec, place: Place) {
    let starts_key = place.first && place.key;
    match codec {
        // RFC 7741 §4.2: S says that a partition starts. §4.3 and RFC 6386 §9.1: P says that it is
        // no key frame; then a start code, 1280 by 720.
        VideoCodec::Vp8 => {
            beginning[0] = if place.first { 0x10 } else { 0x00 };
            beginning[1] = u8::from(!starts_key);
            if starts_key {
                beginning[4..11].copy_from_slice(&[0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]);
            }
        }
        // RFC 9628 §4.2: P (predicted) 0x40, B (begins) 0x08. An SFU that looks further finds that
        // the scalability structure (V 0x02) gives the size.
        VideoCodec::Vp9 => {
            beginning[0] = if place.key { 0 } else { 0x40 } | if place.first { 0x08 } else { 0 };
            if starts_key {
                beginning[0] |= 0x02;
                beginning[1..6].copy_from_slice(&[0x10, 0x05, 0x00, 0x02, 0xd0]);
            }
        }
        // RFC 6184 §5.4: sequence parameters come first; everything else is a slice.
        VideoCodec::H264 => {
            beginning[0] = if starts_key { 0x67 } else { 0x41 };
            beginning[1..4].copy_from_slice(&[0x42, 0xe0, 0x1f]);
        }
        // AV1 RTP §4.4: N 0x08, one element (W 0x10), which is a sequence header (type 1).
        VideoCodec::Av1 => {
            beginning[0] = 0x10 | if starts_key { 0x08 } else { 0 };
            beginning[1] = if starts_key { 1 << 3 } else { 6 << 3 };
        }
    }
}

/// What a payload says that it is; `None` if it is not one of ours. The payload may stand behind
/// what retransmission puts before it (RFC 4588 §4: two bytes).
pub fn identify(payload: &[u8]) -> Option<Identity> {
    [0, 2].iter().find_map(|before| {
        let ours = payload.get(before + BEGINNING..before + PAYLOAD_MIN)?;
        let word = |at: usize| Some(u32::from_be_bytes(ours.get(at..at + 4)?.try_into().ok()?));
        (ours[..4] == MARK).then_some(())?;
        Some(Identity { source: word(4)?, number: word(8)? })
    })
}

/// Whether everything behind the numbers is as it was sent.
pub fn is_whole(payload: &[u8], identity: Identity) -> bool {
    let expected = filling(identity);
    payload.get(PAYLOAD_MIN..).is_some_and(|rest| rest.iter().all(|byte| *byte == expected))
}

fn filling(identity: Identity) -> u8 {
    (identity.number as u8).wrapping_mul(31) ^ (identity.source as u8) ^ 0x5a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_says_which_it_is_and_whether_it_is_whole() {
        let identity = Identity { source: 7, number: 70_000 };
        let place = Place { first: true, key: true };
        let mut packet = Vec::new();
        write(&mut packet, Some(VideoCodec::Vp8), place, identity, 500);
        assert_eq!(packet.len(), 500);
        assert_eq!(identify(&packet), Some(identity));
        assert!(is_whole(&packet, identity));
        packet[300] ^= 1;
        assert!(!is_whole(&packet, identity));
        let again = [&[0, 9][..], &packet].concat();
        assert_eq!(identify(&again), Some(identity), "behind a retransmission's number");
        assert_eq!(identify(&[0; 100]), None);
        assert_eq!(identify(b"short"), None);
    }
}
