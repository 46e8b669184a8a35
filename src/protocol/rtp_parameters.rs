//! What a client says about a source that it sends, checked for contradictions (PROTOCOL section
//! 6). Contradictions with other sources of its transport are found by `sfu`.

use std::collections::HashSet;

use serde::Deserialize;

use super::capabilities::CodecSpec;
use super::fmtp::Fmtp;
use super::format::Format;
use super::json::{Object, Text};
use super::source_codecs::{CodecWire, Codecs, PtRole, contradiction};
use super::{Error, HeaderExtension};
use crate::types::limit::{CNAME_MAX, ENCODINGS_MAX};
use crate::types::{Codec, Kind, Mid, Pt, Rid, Ssrc, Whole};

/// A source as its client described it. Payload types and extension ids are the client's.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceParameters {
    /// Sound or pictures.
    pub kind: Kind,
    /// Of `codecs[0]`.
    pub codec: Codec,
    /// `muxId` or `mid`.
    pub mid: Option<Mid>,
    /// Those that may be received, each once, the codec's own first. Packets of other types are
    /// dropped, also where the client listed them: only `codecs[0]`, its rtx and red are served.
    pub payload_types: Vec<(Pt, PtRole)>,
    /// RTP timestamp units a second.
    pub clock_rate: u32,
    /// Each id once, each known extension once.
    pub extensions: Vec<(HeaderExtension, u8)>,
    /// In the client's order. Empty, or one without ssrc and rid, where the packets are found by
    /// mid or payload type.
    pub encodings: Vec<Encoding>,
    /// `rtcp.cname`: one for all sources that are to be played in sync.
    pub cname: Option<String>,
    /// The client sends again what it is told was lost (`nack`).
    pub nack: bool,
    /// As the source stated it; the server's row may be a superset of it.
    pub(super) format: Format,
    /// The server's row for the codec.
    pub(super) spec: &'static CodecSpec,
    /// Parameters of `codecs[0]`, handed on to viewers.
    pub(super) fmtp: Fmtp,
}

/// One of the streams that carry the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// Unique among all SSRCs of the source.
    pub ssrc: Option<Ssrc>,
    /// Unique among the encodings.
    pub rid: Option<Rid>,
    /// SSRC of its retransmissions.
    pub rtx_ssrc: Option<Ssrc>,
}

impl SourceParameters {
    /// What packets of `pt` carry; `None`: they are dropped.
    pub fn role(&self, pt: Pt) -> Option<PtRole> {
        self.payload_types.iter().find(|(known, _)| *known == pt).map(|(_, role)| *role)
    }

    /// The SSRCs that it says it is sent under.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> {
        self.encodings.iter().flat_map(|encoding| [encoding.ssrc, encoding.rtx_ssrc]).flatten()
    }

    /// The client's id of an extension.
    pub fn extension_id(&self, extension: HeaderExtension) -> Option<u8> {
        self.extensions.iter().find(|(known, _)| *known == extension).map(|(_, id)| *id)
    }

    /// Whether the source may send redundancy.
    pub(super) fn has_red(&self) -> bool {
        self.payload_types.iter().any(|(_, role)| *role == PtRole::Red)
    }

    /// Every format that a viewer must understand.
    pub(super) fn formats(&self) -> impl Iterator<Item = Format> {
        [Some(self.format), self.has_red().then_some(Format::Red)].into_iter().flatten()
    }

    /// Checks what a client wrote; errors are 400, and 415 for a codec the server does not have.
    pub(super) fn new(kind: Kind, wire: RtpParametersWire<'_>) -> Result<Self, Error> {
        let mid = mid(wire.mux_id, wire.mid)?;
        let codecs = Codecs::new(kind, wire.codecs)?;
        let extensions = extensions(wire.header_extensions.unwrap_or_default())?;
        let encodings = encodings(wire.encodings.unwrap_or_default())?;
        let cname = cname(wire.rtcp.and_then(|Object(rtcp)| rtcp.cname))?;
        let Codecs { codec, format, spec, fmtp, payload_types, nack } = codecs;
        let clock_rate = spec.clock_rate;
        Ok(Self {
            kind,
            codec,
            mid,
            payload_types,
            clock_rate,
            extensions,
            encodings,
            cname,
            nack,
            format,
            spec,
            fmtp,
        })
    }
}

/// `rtpParameters` as it stands in `createReceiver`. Members with an underscore are looked at for
/// their type only.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RtpParametersWire<'a> {
    #[serde(borrow)]
    mux_id: Option<Text<'a>>,
    #[serde(borrow)]
    mid: Option<Text<'a>>,
    #[serde(borrow)]
    codecs: Vec<Object<CodecWire<'a>>>,
    #[serde(borrow)]
    header_extensions: Option<Vec<Object<ExtensionWire<'a>>>>,
    #[serde(borrow)]
    encodings: Option<Vec<Object<EncodingWire<'a>>>>,
    #[serde(borrow)]
    rtcp: Option<Object<RtcpWire<'a>>>,
}

#[derive(Deserialize)]
struct ExtensionWire<'a> {
    #[serde(borrow)]
    uri: Text<'a>,
    id: Whole<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EncodingWire<'a> {
    ssrc: Option<Whole<u32>>,
    #[serde(borrow)]
    rid: Option<Text<'a>>,
    rtx: Option<Object<RtxWire>>,
    #[serde(rename = "dtx")]
    _dtx: Option<bool>,
    #[serde(borrow, rename = "scalabilityMode")]
    _scalability_mode: Option<Text<'a>>,
    #[serde(rename = "maxBitrate")]
    _max_bitrate: Option<Whole<u64>>,
}

#[derive(Deserialize)]
struct RtxWire {
    ssrc: Option<Whole<u32>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RtcpWire<'a> {
    #[serde(borrow)]
    cname: Option<Text<'a>>,
    #[serde(rename = "reducedSize")]
    _reduced_size: Option<bool>,
    #[serde(rename = "mux")]
    _mux: Option<bool>,
}

/// ORTC's default for `muxId` is the empty string, which is no mid.
fn mid(mux_id: Option<Text<'_>>, mid: Option<Text<'_>>) -> Result<Option<Mid>, Error> {
    let present = |text: Option<Text<'_>>, name| match text {
        Some(Text(text)) if !text.is_empty() => match Mid::new(text.as_bytes()) {
            Some(mid) => Ok(Some(mid)),
            None => Err(contradiction(format_args!("{name}: longer than 16 bytes: {text:?}"))),
        },
        _ => Ok(None),
    };
    match (present(mux_id, "muxId")?, present(mid, "mid")?) {
        (Some(a), Some(b)) if a != b => {
            Err(contradiction(format_args!("mid: {b:?}, but muxId is {a:?}")))
        }
        (a, b) => Ok(a.or(b)),
    }
}

fn extensions(wire: Vec<Object<ExtensionWire<'_>>>) -> Result<Vec<(HeaderExtension, u8)>, Error> {
    let mut ids = HashSet::new();
    let mut extensions: Vec<(HeaderExtension, u8)> = Vec::new();
    for (i, Object(ExtensionWire { uri, id: Whole(id) })) in wire.into_iter().enumerate() {
        if id == 0 {
            return Err(contradiction(format_args!(
                "headerExtensions[{i}].id: 0, expected 1 to 255"
            )));
        }
        if !ids.insert(id) {
            return Err(contradiction(format_args!(
                "headerExtensions[{i}].id: {id} a second time"
            )));
        }
        let extension = HeaderExtension::from_uri(&uri.0);
        let is_known = extension != HeaderExtension::Other;
        if is_known && extensions.iter().any(|(earlier, _)| *earlier == extension) {
            return Err(contradiction(format_args!(
                "headerExtensions[{i}].uri: {} a second time",
                uri.0
            )));
        }
        extensions.push((extension, id));
    }
    Ok(extensions)
}

fn encodings(wire: Vec<Object<EncodingWire<'_>>>) -> Result<Vec<Encoding>, Error> {
    let count = wire.len();
    if count > ENCODINGS_MAX {
        return Err(contradiction(format_args!("encodings: {count}, more than {ENCODINGS_MAX}")));
    }
    let mut ssrcs = HashSet::new();
    let mut rids = HashSet::new();
    let mut encodings = Vec::with_capacity(count);
    for (i, Object(wire)) in wire.into_iter().enumerate() {
        let at = |reason: String| contradiction(format_args!("encodings[{i}].{reason}"));
        let rid = match wire.rid {
            Some(Text(rid)) => match Rid::new(rid.as_bytes()) {
                Some(rid) => Some(rid),
                None => return Err(at(format!("rid: {rid:?}, expected 1 to 16 bytes"))),
            },
            None => None,
        };
        let rtx_ssrc = wire.rtx.and_then(|Object(rtx)| rtx.ssrc);
        let [ssrc, rtx_ssrc] = [wire.ssrc, rtx_ssrc].map(|ssrc| ssrc.map(|Whole(ssrc)| ssrc));
        for (name, ssrc) in [("ssrc", ssrc), ("rtx.ssrc", rtx_ssrc)] {
            if let Some(ssrc) = ssrc.filter(|ssrc| !ssrcs.insert(*ssrc)) {
                return Err(at(format!("{name}: {ssrc} a second time")));
            }
        }
        if let Some(rid) = rid.filter(|rid| !rids.insert(*rid)) {
            return Err(at(format!("rid: {rid:?} a second time")));
        }
        if count > 1 && ssrc.is_none() && rid.is_none() {
            return Err(at("ssrc: missing, and rid as well, with several encodings".into()));
        }
        encodings.push(Encoding { ssrc: ssrc.map(Ssrc), rid, rtx_ssrc: rtx_ssrc.map(Ssrc) });
    }
    Ok(encodings)
}

/// It goes into other clients' SDP: no line may end inside it.
fn cname(text: Option<Text<'_>>) -> Result<Option<String>, Error> {
    match text {
        Some(Text(text)) if text.len() > CNAME_MAX => Err(contradiction(format_args!(
            "rtcp.cname: {} bytes, more than {CNAME_MAX}",
            text.len()
        ))),
        Some(Text(text)) if text.contains(char::is_control) => {
            Err(contradiction(format_args!("rtcp.cname: control character in {text:?}")))
        }
        text => Ok(text.map(|Text(text)| text.into_owned()).filter(|text| !text.is_empty())),
    }
}

#[cfg(test)]
mod tests;
