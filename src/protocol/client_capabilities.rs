//! What a client says it can decode.

use serde::Deserialize;

use super::SourceParameters;
use super::capabilities::CodecSpec;
use super::fmtp::Fmtp;
use super::format::Format;
use super::json::{Object, Text, Word};
use super::source_codecs::codec_name;
use crate::types::{Kind, Whole};

/// What a client said in `join` that it can decode.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Object<CapabilitiesWire>")]
pub struct ClientCapabilities {
    /// Each once; what corinth does not serve is left out.
    pub(super) formats: Vec<Format>,
}

impl ClientCapabilities {
    /// Whether every format that the source may send is among them.
    pub fn can_decode(&self, source: &SourceParameters) -> bool {
        source.formats().all(|used| self.formats.iter().any(|known| known.decodes(used)))
    }
}

#[derive(Deserialize)]
struct CapabilitiesWire<'a> {
    #[serde(borrow)]
    codecs: Vec<Object<CapabilityWire<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CapabilityWire<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    mime_type: Option<Text<'a>>,
    kind: Option<Word<Kind>>,
    clock_rate: Whole<u32>,
    channels: Option<Whole<u32>>,
    parameters: Option<Fmtp>,
}

impl TryFrom<Object<CapabilitiesWire<'_>>> for ClientCapabilities {
    type Error = String;

    fn try_from(Object(wire): Object<CapabilitiesWire<'_>>) -> Result<Self, String> {
        let mut formats = Vec::new();
        for (i, Object(codec)) in wire.codecs.iter().enumerate() {
            let (mime_kind, name) = codec_name(codec.name.as_ref(), codec.mime_type.as_ref())
                .map_err(|reason| format!("codecs[{i}].{reason}"))?;
            let stated_kind = codec.kind.as_ref().map(|Word(kind)| *kind);
            let Some(kind) = mime_kind.or(stated_kind) else {
                continue;
            };
            let fmtp = codec.parameters.clone().unwrap_or_default();
            let channels = codec.channels.map(|Whole(channels)| channels);
            let format = Format::identify(kind, name, codec.clock_rate.0, channels, &fmtp);
            // What the server never sends, there may be hundreds of; each would be asked for with
            // every source of the room.
            let served = format.filter(|format| CodecSpec::find(*format).is_some());
            formats.extend(served.filter(|format| !formats.contains(format)));
        }
        Ok(Self { formats })
    }
}
