//! What the server offers: one constant table.

use serde::Serialize;
use serde_json::json;

use super::extension::{ExtensionEntry, server_extensions};
use super::fmtp::Fmtp;
use super::format::{Format, H264Profile};
use super::json::Json;
use crate::types::{Codec, Kind, Pt};

/// One row of the server's table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodecSpec {
    pub(super) format: Format,
    /// As registered; old clients compare with case.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) clock_rate: u32,
    pub(super) channels: Option<u32>,
    pub(super) pt: Pt,
    /// Video comes with a retransmission format (RFC 4588).
    pub(super) rtx_pt: Option<Pt>,
}

const fn audio(
    format: Format,
    name: &'static str,
    clock_rate: u32,
    channels: Option<u32>,
    pt: u8,
) -> CodecSpec {
    CodecSpec { format, name, kind: Kind::Audio, clock_rate, channels, pt: Pt(pt), rtx_pt: None }
}

const fn video(format: Format, name: &'static str, pt: u8) -> CodecSpec {
    let rtx_pt = Some(Pt(pt + 1));
    let (kind, clock_rate, channels) = (Kind::Video, 90_000, None);
    CodecSpec { format, name, kind, clock_rate, channels, pt: Pt(pt), rtx_pt }
}

const fn h264(profile: H264Profile, pt: u8) -> CodecSpec {
    video(Format::H264 { profile, mode: 1 }, "H264", pt)
}

/// In order of preference: old clients take the first codec of a kind that they have.
///
/// Opus is 111 as in Chromium, where red's payload, which names opus by number, then fits as it is.
static TABLE: [CodecSpec; 13] = [
    audio(Format::Plain(Codec::Opus), "opus", 48_000, Some(2), 111),
    video(Format::Plain(Codec::Vp8), "VP8", 96),
    video(Format::Vp9 { profile: 0 }, "VP9", 98),
    video(Format::Vp9 { profile: 2 }, "VP9", 100),
    h264(H264Profile::ConstrainedBaseline, 102),
    h264(H264Profile::Baseline, 104),
    h264(H264Profile::Main, 106),
    h264(H264Profile::High, 108),
    video(Format::H265 { profile: 1 }, "H265", 112),
    video(Format::Av1 { profile: 0 }, "AV1", 114),
    audio(Format::Red, "red", 48_000, Some(2), 110),
    audio(Format::Plain(Codec::Pcmu), "PCMU", 8_000, None, 0),
    audio(Format::Plain(Codec::Pcma), "PCMA", 8_000, None, 8),
];

impl CodecSpec {
    /// The row that a source of `format` is forwarded under.
    pub(super) fn find(format: Format) -> Option<&'static Self> {
        TABLE.iter().find(|spec| spec.format.carries(format))
    }

    /// `mimeType`.
    pub(super) fn mime_type(&self) -> String {
        mime_type(self.kind, self.name)
    }

    /// Feedback that is served: what a client sends may have all of it.
    fn feedback(&self) -> &'static [Feedback] {
        match (self.kind, self.format) {
            (Kind::Audio, Format::Plain(Codec::Opus)) => &[TRANSPORT_CC],
            (Kind::Audio, _) => &[],
            (Kind::Video, _) => &[
                TRANSPORT_CC,
                Feedback { feedback_type: "nack", parameter: "" },
                Feedback { feedback_type: "nack", parameter: "pli" },
                Feedback { feedback_type: "ccm", parameter: "fir" },
            ],
        }
    }

    /// The same of what the server sends, whose packets are not counted over the transport.
    pub(super) fn sender_feedback(&self) -> &'static [Feedback] {
        match self.kind {
            Kind::Audio => &[],
            Kind::Video => &[
                Feedback { feedback_type: "nack", parameter: "" },
                Feedback { feedback_type: "nack", parameter: "pli" },
                Feedback { feedback_type: "ccm", parameter: "fir" },
            ],
        }
    }

    /// What the server says about the codec where no source has said it.
    pub(super) fn parameters(&self) -> Fmtp {
        let h264 = |id: &str| {
            json!({
                "packetization-mode": 1,
                "profile-level-id": id,
                "level-asymmetry-allowed": 1,
            })
        };
        Fmtp::of(match self.format {
            Format::Plain(Codec::Opus) => json!({"minptime": 10, "useinbandfec": 1}),
            Format::Red => {
                let opus = TABLE[0].pt;
                json!({"": format!("{opus}/{opus}")})
            }
            Format::Vp9 { profile } => json!({"profile-id": profile}),
            Format::H264 { profile, .. } => h264(match profile {
                H264Profile::ConstrainedBaseline => "42e01f",
                H264Profile::Baseline => "42001f",
                H264Profile::Main => "4d001f",
                H264Profile::High => "64001f",
                H264Profile::ConstrainedHigh => "640c1f",
            }),
            // RFC 7798 §7.1: main profile and tier, level 5.2 (156 / 30).
            Format::H265 { profile } => {
                json!({"profile-id": profile, "tier-flag": 0, "level-id": 156, "tx-mode": "SRST"})
            }
            Format::Av1 { profile } => json!({"profile": profile, "level-idx": 5, "tier": 0}),
            Format::Plain(_) => json!({}),
        })
    }
}

/// `kind/name`.
pub(super) fn mime_type(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Audio => format!("audio/{name}"),
        Kind::Video => format!("video/{name}"),
    }
}

/// Parameters of a retransmission format.
pub(super) fn rtx_parameters(apt: Pt) -> Fmtp {
    Fmtp::of(json!({"apt": apt.0}))
}

/// An entry of `rtcpFeedback`.
#[derive(Serialize)]
pub(super) struct Feedback {
    #[serde(rename = "type")]
    feedback_type: &'static str,
    parameter: &'static str,
}

const TRANSPORT_CC: Feedback = Feedback { feedback_type: "transport-cc", parameter: "" };

/// The server's `rtpCapabilities`. Builds the text: make it once and keep it.
pub fn server_capabilities() -> Json {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Capabilities {
        codecs: Vec<CodecEntry>,
        header_extensions: Vec<ExtensionEntry>,
        fec_mechanisms: [(); 0],
    }
    Json::of(&Capabilities {
        codecs: TABLE.iter().flat_map(entries).collect(),
        header_extensions: server_extensions(),
        fec_mechanisms: [],
    })
}

/// An entry of `rtpCapabilities.codecs`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CodecEntry {
    name: &'static str,
    mime_type: String,
    kind: Kind,
    clock_rate: u32,
    preferred_payload_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u32>,
    rtcp_feedback: &'static [Feedback],
    parameters: Fmtp,
}

/// A codec and, right behind it, its retransmission format.
fn entries(spec: &'static CodecSpec) -> impl Iterator<Item = CodecEntry> {
    let codec = CodecEntry {
        name: spec.name,
        mime_type: spec.mime_type(),
        kind: spec.kind,
        clock_rate: spec.clock_rate,
        preferred_payload_type: spec.pt.0,
        channels: spec.channels,
        rtcp_feedback: spec.feedback(),
        parameters: spec.parameters(),
    };
    let rtx = spec.rtx_pt.map(|rtx_pt| CodecEntry {
        name: "rtx",
        mime_type: mime_type(spec.kind, "rtx"),
        kind: spec.kind,
        clock_rate: spec.clock_rate,
        preferred_payload_type: rtx_pt.0,
        channels: None,
        rtcp_feedback: &[],
        parameters: rtx_parameters(spec.pt),
    });
    std::iter::once(codec).chain(rtx)
}

#[cfg(test)]
mod tests;
