//! RTP's small values as types, so that they cannot be mixed up.

use std::fmt;

/// Synchronization source (RFC 3550 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

/// Payload type, 0..=127 (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pt(pub u8);

/// Extended sequence number: roll-over counter × 2^16 + the 16 bits on the wire. It is the packet
/// index of SRTP (RFC 3711 §3.3.1), of which 48 bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// What the RTP header carries of it.
    pub fn wire(self) -> u16 {
        self.0 as u16
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Pt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Longest mid or rid that is looked at: what a one-byte element can hold (RFC 8285 §4.2).
const TEXT_MAX: usize = 16;

macro_rules! short_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name {
            len: u8,
            bytes: [u8; TEXT_MAX],
        }

        impl $name {
            /// `None` if empty or longer than 16 bytes: no packet could name it.
            pub fn new(text: &[u8]) -> Option<Self> {
                if text.is_empty() || text.len() > TEXT_MAX {
                    return None;
                }
                let mut bytes = [0; TEXT_MAX];
                bytes[..text.len()].copy_from_slice(text);
                Some(Self { len: text.len() as u8, bytes })
            }

            /// The bytes as they stand in the header extension or the SDP.
            pub fn as_bytes(&self) -> &[u8] {
                &self.bytes[..self.len as usize]
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.as_bytes().escape_ascii())
            }
        }
    };
}

short_text! {
    /// Media identification (RFC 9143); `muxId` in the protocol.
    Mid
}
short_text! {
    /// RTP stream id, one of several encodings of a source (RFC 8852).
    Rid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mid_and_rid_are_1_to_16_bytes() {
        assert_eq!(Mid::new(b"0").map(|mid| mid.as_bytes().to_vec()), Some(b"0".to_vec()));
        assert_eq!(Rid::new(&[b'a'; 16]).map(|rid| rid.as_bytes().len()), Some(16));
        assert_eq!(Mid::new(&[]), None);
        assert_eq!(Rid::new(&[b'a'; 17]), None);
    }
}
