//! What becomes of a source on its way to one viewer: the server's payload types and extension
//! ids, and the `rtpParameters` that tell the viewer so (PROTOCOL section 6).

use std::borrow::Cow;

use serde::Serialize;

use super::capabilities::{CodecSpec, Feedback, mime_type, rtx_parameters};
use super::fmtp::Fmtp;
use super::format::Format;
use super::{Json, PtRole, SourceParameters};
use crate::types::{Pt, Ssrc};

/// How a Sender's packets look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderParameters {
    /// The `rtpParameters` object.
    pub json: Json,
    /// Source's payload type → the Sender's; rtx is not among them, as it is never handed on.
    pub payload_types: Vec<(Pt, Pt)>,
    /// Source's extension id → the Sender's; what is not among them is stripped.
    pub extensions: Vec<(u8, u8)>,
    /// The payload type that rtx is announced under, if it is.
    pub rtx: Option<Pt>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RtpParameters<'a> {
    mux_id: (),
    codecs: Vec<CodecEntry<'a>>,
    header_extensions: Vec<ExtensionEntry>,
    encodings: [EncodingEntry; 1],
    rtcp: Rtcp<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CodecEntry<'a> {
    name: &'static str,
    mime_type: String,
    clock_rate: u32,
    payload_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u32>,
    rtcp_feedback: &'static [Feedback],
    parameters: Cow<'a, Fmtp>,
}

#[derive(Serialize)]
struct ExtensionEntry {
    uri: &'static str,
    id: u8,
}

#[derive(Serialize)]
struct EncodingEntry {
    ssrc: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtx: Option<RtxEntry>,
}

#[derive(Serialize)]
struct RtxEntry {
    ssrc: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rtcp<'a> {
    cname: &'a str,
    reduced_size: bool,
    mux: bool,
}

impl SourceParameters {
    /// How a Sender of this source looks to its viewer: the source's codec and its parameters
    /// under the server's numbers, one encoding, the extensions that are handed on. `rtx_ssrc` is
    /// ignored for codecs without rtx.
    pub fn sender_parameters(
        &self,
        ssrc: Ssrc,
        rtx_ssrc: Option<Ssrc>,
        cname: &str,
    ) -> SenderParameters {
        let rtx = rtx_ssrc.zip(self.spec.rtx_pt);
        let red = CodecSpec::find(Format::Red).filter(|_| self.has_red());
        let handed_on = self.extensions.iter().filter_map(|(extension, theirs)| {
            let (uri, id) = extension.forwarded()?;
            Some((ExtensionEntry { uri, id }, (*theirs, id)))
        });
        let (header_extensions, extensions) = handed_on.unzip();

        let media = codec_entry(self.spec, Cow::Borrowed(&self.fmtp));
        let red_entry = red.map(|spec| codec_entry(spec, Cow::Owned(spec.parameters())));
        let rtx_entry = rtx.map(|(_, rtx_pt)| self.rtx_entry(rtx_pt));
        let json = Json::of(&RtpParameters {
            mux_id: (),
            codecs: [Some(media), rtx_entry, red_entry].into_iter().flatten().collect(),
            header_extensions,
            encodings: [EncodingEntry {
                ssrc: ssrc.0,
                rtx: rtx.map(|(ssrc, _)| RtxEntry { ssrc: ssrc.0 }),
            }],
            rtcp: Rtcp { cname, reduced_size: true, mux: true },
        });
        SenderParameters {
            json,
            payload_types: self.forwarded_types(red),
            extensions,
            rtx: rtx.map(|(_, pt)| pt),
        }
    }

    fn forwarded_types(&self, red: Option<&CodecSpec>) -> Vec<(Pt, Pt)> {
        let ours = |role| match role {
            PtRole::Media => Some(self.spec.pt),
            PtRole::Red => red.map(|spec| spec.pt),
            PtRole::Rtx { .. } => None,
        };
        let types = self.payload_types.iter();
        types.filter_map(|&(theirs, role)| Some((theirs, ours(role)?))).collect()
    }

    fn rtx_entry(&self, rtx_pt: Pt) -> CodecEntry<'_> {
        CodecEntry {
            name: "rtx",
            mime_type: mime_type(self.kind, "rtx"),
            clock_rate: self.clock_rate,
            payload_type: rtx_pt.0,
            channels: None,
            rtcp_feedback: &[],
            parameters: Cow::Owned(rtx_parameters(self.spec.pt)),
        }
    }
}

fn codec_entry<'a>(spec: &CodecSpec, parameters: Cow<'a, Fmtp>) -> CodecEntry<'a> {
    CodecEntry {
        name: spec.name,
        mime_type: spec.mime_type(),
        clock_rate: spec.clock_rate,
        payload_type: spec.pt.0,
        channels: spec.channels,
        rtcp_feedback: spec.sender_feedback(),
        parameters,
    }
}

#[cfg(test)]
mod tests;
