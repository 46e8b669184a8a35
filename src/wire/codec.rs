//! Payload descriptors (temporary, replaced by the wire helper's).
use crate::types::Codec;
pub fn starts_key_frame(c: Codec, p: &[u8]) -> bool {
    match c {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => true,
        Codec::Vp8 => {
            let Some(&d) = p.first() else { return false };
            let mut i = 1;
            if d & 0x80 != 0 {
                let Some(&x) = p.get(1) else { return false };
                i = 2;
                if x & 0x80 != 0 {
                    match p.get(i) {
                        Some(b) if b & 0x80 != 0 => i += 2,
                        Some(_) => i += 1,
                        None => return false,
                    }
                }
                if x & 0x40 != 0 {
                    i += 1
                }
                if x & 0x30 != 0 {
                    i += 1
                }
            }
            d & 0x17 == 0x10 && p.get(i).is_some_and(|b| b & 1 == 0)
        }
        Codec::Vp9 => p.first().is_some_and(|d| d & 0x48 == 0x08),
        Codec::H264 => match p.first().map(|b| b & 31) {
            Some(5 | 7) => true,
            Some(24) => p.get(3).is_some_and(|b| matches!(b & 31, 5 | 7)),
            Some(28) => p.get(1).is_some_and(|b| b & 0x80 != 0 && b & 31 == 5),
            _ => false,
        },
        Codec::H265 => match p.first().map(|b| (b >> 1) & 63) {
            Some(16..=23 | 32..=34) => true,
            Some(48) => p.get(4).is_some_and(|b| matches!((b >> 1) & 63, 16..=23 | 32..=34)),
            Some(49) => p.get(2).is_some_and(|b| b & 0x80 != 0 && matches!(b & 63, 16..=23)),
            _ => false,
        },
        Codec::Av1 => p.first().is_some_and(|b| b & 8 != 0),
    }
}
pub mod red {
    use crate::types::Pt;
    pub fn rewrite_payload_types(p: &mut [u8], map: impl Fn(Pt) -> Pt) {
        let mut i = 0;
        while let Some(b) = p.get(i).copied() {
            p[i] = (b & 0x80) | map(Pt(b & 0x7f)).0;
            if b & 0x80 == 0 {
                break;
            }
            i += 4;
        }
    }
}
