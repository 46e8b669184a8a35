//! `rtpParameters.codecs` of a source: which codec it is, and what its payload types carry.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use super::capabilities::{CodecSpec, mime_type};
use super::fmtp::Fmtp;
use super::format::Format;
use super::json::{Object, Text};
use crate::types::{Codec, Kind, Pt, Whole};

/// What packets of one payload type carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PtRole {
    /// The source's codec.
    Media,
    /// Retransmissions (RFC 4588).
    Rtx {
        /// Payload type of what is sent again.
        apt: Pt,
    },
    /// The source's codec with redundancy (RFC 2198): the payload names the codec by the client's
    /// payload type.
    Red,
}

/// A contradiction at a place below `rtpParameters`.
pub(super) fn contradiction(reason: impl std::fmt::Display) -> Error {
    Error::bad_request(format!("rtpParameters.{reason}"))
}

/// An entry as the client wrote it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodecWire<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    mime_type: Option<Text<'a>>,
    clock_rate: Whole<u32>,
    payload_type: Whole<u8>,
    channels: Option<Whole<u32>>,
    #[serde(borrow)]
    rtcp_feedback: Option<Vec<&'a RawValue>>,
    parameters: Option<Fmtp>,
}

/// What `codecs` comes to.
pub(super) struct Codecs {
    pub(super) codec: Codec,
    pub(super) format: Format,
    pub(super) spec: &'static CodecSpec,
    pub(super) fmtp: Fmtp,
    pub(super) payload_types: Vec<(Pt, PtRole)>,
    /// The client sends again what it is told was lost.
    pub(super) nack: bool,
}

impl Codecs {
    /// 400 for what contradicts itself, 415 where the first is a codec the server does not have.
    pub(super) fn new(kind: Kind, mut wire: Vec<Object<CodecWire<'_>>>) -> Result<Self, Error> {
        let declared = declared_payload_types(&wire)?;
        let Some(Object(first)) = wire.first_mut() else {
            return Err(contradiction("codecs: empty"));
        };
        let media = Pt(first.payload_type.0);
        let fmtp = first.parameters.take().unwrap_or_default();
        let name = first.name_of(kind, 0)?;
        let (clock_rate, channels) = first.clock();
        let format = Format::identify(kind, name, clock_rate, channels, &fmtp);
        let known = format.and_then(|f| Some((f.codec()?, f, CodecSpec::find(f)?)));
        let Some((codec, format, spec)) = known else {
            let fmtp = serde_json::to_string(&fmtp).unwrap_or_default();
            let reason = format!("rtpParameters.codecs[0]: {name}/{clock_rate} {fmtp}");
            return Err(Error::unsupported(format!("{reason} is not supported")));
        };
        let nack = first.has_feedback("nack", "");
        let mut payload_types = vec![(media, PtRole::Media)];
        for (i, Object(entry)) in wire.iter().enumerate().skip(1) {
            let name = entry.name_of(kind, i)?;
            let role = if name.eq_ignore_ascii_case("rtx") {
                entry.rtx_role(i, media, &declared)?
            } else {
                let is_red = codec == Codec::Opus && entry.is_red(kind, name);
                is_red.then_some(PtRole::Red)
            };
            let Some(role) = role else { continue };
            if payload_types.iter().any(|(_, taken)| *taken == role) {
                return Err(contradiction(format_args!(
                    "codecs[{i}]: a second {name} for payload type {media}"
                )));
            }
            payload_types.push((Pt(entry.payload_type.0), role));
        }
        Ok(Self { codec, format, spec, fmtp, payload_types, nack })
    }
}

impl CodecWire<'_> {
    /// Its name, once it is known to be of the right kind.
    fn name_of(&self, kind: Kind, i: usize) -> Result<&str, Error> {
        let (mime_kind, name) = codec_name(self.name.as_ref(), self.mime_type.as_ref())
            .map_err(|reason| contradiction(format_args!("codecs[{i}].{reason}")))?;
        match mime_kind {
            Some(mime_kind) if mime_kind != kind => {
                let (is, expected) = (mime_type(mime_kind, name), mime_type(kind, "…"));
                Err(contradiction(format_args!("codecs[{i}].mimeType: {is}, expected {expected}")))
            }
            _ => Ok(name),
        }
    }

    /// Whether it lists this feedback; entries of another shape say nothing.
    fn has_feedback(&self, feedback_type: &str, parameter: &str) -> bool {
        #[derive(Deserialize)]
        struct FeedbackWire<'a> {
            #[serde(borrow, rename = "type")]
            feedback_type: Text<'a>,
            #[serde(borrow)]
            parameter: Option<Text<'a>>,
        }
        self.rtcp_feedback.iter().flatten().any(|entry| {
            serde_json::from_str(entry.get()).is_ok_and(
                |Object(entry): Object<FeedbackWire<'_>>| {
                    let stated = entry.parameter.as_ref().map_or("", |Text(parameter)| parameter);
                    entry.feedback_type.0 == feedback_type && stated == parameter
                },
            )
        })
    }

    /// Its clock rate and channels.
    fn clock(&self) -> (u32, Option<u32>) {
        (self.clock_rate.0, self.channels.map(|Whole(channels)| channels))
    }

    /// Checks that it repairs something; the role is `None` where that is not `media`.
    fn rtx_role(
        &self,
        i: usize,
        media: Pt,
        declared: &HashSet<u8>,
    ) -> Result<Option<PtRole>, Error> {
        let Some(apt) = self.parameters.as_ref().and_then(|fmtp| fmtp.text("apt")) else {
            return Err(contradiction(format_args!("codecs[{i}].parameters: missing field `apt`")));
        };
        match apt.parse() {
            Ok(pt) if pt != self.payload_type.0 && declared.contains(&pt) => {
                Ok((Pt(pt) == media).then_some(PtRole::Rtx { apt: media }))
            }
            _ => Err(contradiction(format_args!(
                "codecs[{i}].parameters.apt: no codec has payload type {apt}"
            ))),
        }
    }

    fn is_red(&self, kind: Kind, name: &str) -> bool {
        let (clock_rate, channels) = self.clock();
        Format::identify(kind, name, clock_rate, channels, &Fmtp::default()) == Some(Format::Red)
    }
}

/// RFC 5761 §4: RTP's payload types keep away from 64 to 95, or RTCP could not be told apart.
fn declared_payload_types(codecs: &[Object<CodecWire<'_>>]) -> Result<HashSet<u8>, Error> {
    let mut declared = HashSet::new();
    for (i, Object(codec)) in codecs.iter().enumerate() {
        let Whole(pt) = codec.payload_type;
        if !matches!(pt, 0..=63 | 96..=127) {
            return Err(contradiction(format_args!(
                "codecs[{i}].payloadType: {pt}, expected 0 to 63 or 96 to 127"
            )));
        }
        if !declared.insert(pt) {
            return Err(contradiction(format_args!("codecs[{i}].payloadType: {pt} a second time")));
        }
    }
    Ok(declared)
}

/// The codec's name, and its kind where there is a `mimeType`. An error begins with the member.
pub(super) fn codec_name<'a>(
    name: Option<&'a Text<'_>>,
    mime_type: Option<&'a Text<'_>>,
) -> Result<(Option<Kind>, &'a str), String> {
    let name = name.map(|Text(name)| &**name);
    let Some(Text(mime)) = mime_type else {
        return Ok((None, name.ok_or("mimeType: missing")?));
    };
    let (kind, subtype) = match mime.split_once('/') {
        Some((top, subtype)) if top.eq_ignore_ascii_case("audio") => (Kind::Audio, subtype),
        Some((top, subtype)) if top.eq_ignore_ascii_case("video") => (Kind::Video, subtype),
        _ => return Err(format!("mimeType: {mime:?}, expected audio/… or video/…")),
    };
    match name {
        Some(name) if !name.eq_ignore_ascii_case(subtype) => {
            Err(format!("name: {name:?}, but mimeType is {mime:?}"))
        }
        _ => Ok((Some(kind), subtype)),
    }
}
