//! What two sides must agree on to understand each other's packets: a codec and those of its
//! parameters that make it another one.

use super::fmtp::Fmtp;
use crate::types::{Codec, Kind};

/// A codec in one of its incompatible variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Has no variants.
    Plain(Codec),
    /// RFC 9628 §6: `profile-id`.
    Vp9 {
        /// Bit depth and chroma; 0 if absent.
        profile: u8,
    },
    /// RFC 6184 §8.1.
    H264 {
        /// From `profile-level-id`; the level does not matter, it is negotiated down.
        profile: H264Profile,
        /// `packetization-mode`: 0 (single NAL units, which is the default) or 1.
        mode: u8,
    },
    /// RFC 7798 §7.1: `profile-id`.
    H265 {
        /// 1 if absent: 8 bits.
        profile: u8,
    },
    /// AV1 RTP payload format §7.1: `profile`.
    Av1 {
        /// Bit depth and chroma; 0 if absent.
        profile: u8,
    },
    /// Redundant audio (RFC 2198); no codec of its own.
    Red,
}

/// H.264 profiles as far as WebRTC has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum H264Profile {
    /// The part of Baseline that all other profiles can decode, too.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// High.
    High,
    /// High without what costs time (RFC 6184 has no name for it; H.264 §A.2.4.2). Apple's.
    ConstrainedHigh,
}

impl Format {
    /// The format that `name` (without case), clock rate, channels and parameters describe; `None`
    /// if it is not one that corinth knows.
    pub fn identify(
        kind: Kind,
        name: &str,
        clock_rate: u32,
        channels: Option<u32>,
        fmtp: &Fmtp,
    ) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let format = match (kind, &*name, clock_rate, channels) {
            // RFC 7587 §7: opus is always 48000/2, whatever it carries.
            (Kind::Audio, "opus", 48_000, None | Some(2)) => Self::Plain(Codec::Opus),
            (Kind::Audio, "red", 48_000, None | Some(2)) => Self::Red,
            (Kind::Audio, "pcmu", 8_000, None | Some(1)) => Self::Plain(Codec::Pcmu),
            (Kind::Audio, "pcma", 8_000, None | Some(1)) => Self::Plain(Codec::Pcma),
            (Kind::Video, "vp8", 90_000, _) => Self::Plain(Codec::Vp8),
            (Kind::Video, "vp9", 90_000, _) => Self::Vp9 { profile: number(fmtp, "profile-id")? },
            (Kind::Video, "h264", 90_000, _) => {
                let mode = number(fmtp, "packetization-mode")?;
                Self::H264 { profile: h264_profile(fmtp)?, mode }
            }
            (Kind::Video, "h265", 90_000, _) if is_single_stream(fmtp) => {
                Self::H265 { profile: number_or(1, fmtp, "profile-id")? }
            }
            (Kind::Video, "av1", 90_000, _) => Self::Av1 { profile: number(fmtp, "profile")? },
            _ => return None,
        };
        Some(format)
    }

    /// The codec, or `None` for redundancy.
    pub fn codec(self) -> Option<Codec> {
        match self {
            Self::Plain(codec) => Some(codec),
            Self::Vp9 { .. } => Some(Codec::Vp9),
            Self::H264 { .. } => Some(Codec::H264),
            Self::H265 { .. } => Some(Codec::H265),
            Self::Av1 { .. } => Some(Codec::Av1),
            Self::Red => None,
        }
    }

    /// Whether who has this format understands `other`.
    pub fn decodes(self, other: Self) -> bool {
        match (self, other) {
            // RFC 6184 §6.3: whoever takes mode 1 takes single NAL units as well.
            (
                Self::H264 { profile: ours, mode: most },
                Self::H264 { profile: theirs, mode: used },
            ) => ours.decodes(theirs) && used <= most && most <= 1,
            _ => self == other,
        }
    }

    /// Whether what has `other` can be forwarded under the name and number of this one: more than
    /// is decoded, as nothing is decoded here, where one entry stands for all variants.
    pub fn carries(self, other: Self) -> bool {
        match (self, other) {
            (Self::H265 { .. }, Self::H265 { .. }) => true,
            _ => self.decodes(other),
        }
    }
}

impl H264Profile {
    /// The same profile, or a part of it that has no entry of its own in the server's table.
    fn decodes(self, other: Self) -> bool {
        self == other || (self == Self::High && other == Self::ConstrainedHigh)
    }
}

/// A parameter whose absence means 0; `None` if it is no small number.
fn number(fmtp: &Fmtp, name: &str) -> Option<u8> {
    number_or(0, fmtp, name)
}

fn number_or(absent: u8, fmtp: &Fmtp, name: &str) -> Option<u8> {
    fmtp.text(name).map_or(Some(absent), |text| text.parse().ok())
}

/// RFC 7798 §7.1: `tx-mode`. A source over several streams or transports is none that is served.
fn is_single_stream(fmtp: &Fmtp) -> bool {
    fmtp.text("tx-mode").is_none_or(|mode| mode.eq_ignore_ascii_case("SRST"))
}

/// RFC 6184 §8.1, table 5: the profile follows from `profile_idc` and three to five bits of the
/// constraint flags. Profiles that the server does not offer are left out. Flags 4 and 5 make of
/// Main and High a part of it: what decodes the one decodes the other (H.264 §A.2.2, §A.2.4).
fn h264_profile(fmtp: &Fmtp) -> Option<H264Profile> {
    let Some(text) = fmtp.text("profile-level-id") else {
        return Some(H264Profile::Baseline);
    };
    if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let [_, idc, constraints, _level] = u32::from_str_radix(&text, 16).ok()?.to_be_bytes();
    match (idc, constraints) {
        (0x42, c) if c & 0x4f == 0x40 => Some(H264Profile::ConstrainedBaseline),
        (0x4d, c) if c & 0x8f == 0x80 => Some(H264Profile::ConstrainedBaseline),
        (0x58, c) if c & 0xcf == 0xc0 => Some(H264Profile::ConstrainedBaseline),
        (0x42, c) if c & 0x4f == 0x00 => Some(H264Profile::Baseline),
        (0x58, c) if c & 0xcf == 0x80 => Some(H264Profile::Baseline),
        (0x4d, c) if c & 0xa3 == 0x00 => Some(H264Profile::Main),
        (0x64, c) if c & 0x0f == 0x0c => Some(H264Profile::ConstrainedHigh),
        (0x64, c) if c & 0x07 == 0x00 => Some(H264Profile::High),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn h264(parameters: serde_json::Value) -> Option<Format> {
        Format::identify(Kind::Video, "H264", 90_000, None, &Fmtp::of(parameters))
    }

    #[test]
    fn h264_profiles_by_their_bits() {
        use H264Profile::*;
        for (id, profile) in [
            ("42e01f", Some(ConstrainedBaseline)),
            ("42E034", Some(ConstrainedBaseline)),
            ("42c00b", Some(ConstrainedBaseline)),
            ("4d801f", Some(ConstrainedBaseline)),
            ("58c01f", Some(ConstrainedBaseline)),
            ("42001f", Some(Baseline)),
            ("42a01f", Some(Baseline)),
            ("58801f", Some(Baseline)),
            ("4d001f", Some(Main)),
            ("4d401f", Some(Main)),
            ("64001f", Some(High)),
            ("640028", Some(High)),
            ("64081f", Some(High)),
            ("640c1f", Some(ConstrainedHigh)),
            ("640C2A", Some(ConstrainedHigh)),
            ("4d0c1f", Some(Main)),
            ("64011f", None),
            ("f4001f", None),
            ("42e01", None),
            ("42e01f0", None),
            ("+2e01f", None),
            ("", None),
        ] {
            let format = h264(json!({"profile-level-id": id, "packetization-mode": "1"}));
            assert_eq!(format, profile.map(|profile| Format::H264 { profile, mode: 1 }), "{id}");
        }
    }

    #[test]
    fn h264_defaults_and_digits_read_as_a_number() {
        let baseline = Format::H264 { profile: H264Profile::Baseline, mode: 0 };
        assert_eq!(h264(json!({})), Some(baseline));
        let high = Format::H264 { profile: H264Profile::High, mode: 1 };
        assert_eq!(h264(json!({"profile-level-id": 640_032, "packetization-mode": 1})), Some(high));
    }

    #[test]
    fn h264_mode_1_takes_mode_0_but_not_the_reverse() {
        let format = |mode| Format::H264 { profile: H264Profile::Main, mode };
        assert!(format(1).decodes(format(0)) && format(1).decodes(format(1)));
        assert!(!format(0).decodes(format(1)) && !format(1).decodes(format(2)));
        assert!(!format(2).decodes(format(2)), "interleaving is not served");
    }

    #[test]
    fn names_without_case_but_rates_and_channels_exactly() {
        let none = Fmtp::default();
        let audio = |name, rate, channels| {
            Format::identify(Kind::Audio, name, rate, channels, &none).is_some()
        };
        assert!(audio("OPUS", 48_000, Some(2)) && audio("opus", 48_000, None));
        assert!(audio("PCMU", 8_000, Some(1)) && audio("pcma", 8_000, None));
        assert!(!audio("opus", 16_000, Some(2)) && !audio("opus", 48_000, Some(1)));
        assert!(!audio("PCMU", 16_000, None) && !audio("PCMU", 8_000, Some(2)));
        assert!(!audio("VP8", 90_000, None) && !audio("rtx", 48_000, None));
    }

    #[test]
    fn variants_by_profile() {
        let identify = |name, parameters| {
            Format::identify(Kind::Video, name, 90_000, None, &Fmtp::of(parameters))
        };
        assert_eq!(identify("VP9", json!({})), Some(Format::Vp9 { profile: 0 }));
        assert_eq!(identify("VP9", json!({"profile-id": "2"})), Some(Format::Vp9 { profile: 2 }));
        assert_eq!(identify("VP9", json!({"profile-id": "x"})), None);
        assert_eq!(identify("H265", json!({})), Some(Format::H265 { profile: 1 }));
        assert_eq!(identify("H265", json!({"tx-mode": "MRST"})), None);
        let main10 = identify("H265", json!({"profile-id": 2, "tx-mode": "SRST"})).unwrap();
        let main = Format::H265 { profile: 1 };
        assert!(main.carries(main10) && !main.decodes(main10));
        assert_eq!(identify("AV1", json!({"profile": 1})), Some(Format::Av1 { profile: 1 }));
        assert_eq!(identify("AV1", json!({"profile": -1})), None);
    }
}
