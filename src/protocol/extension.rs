//! RTP header extensions that corinth knows by name, and the ids that it gives them.

use serde::Serialize;

use crate::types::Kind;

/// A header extension (RFC 8285).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderExtension {
    /// Which media section a packet belongs to (RFC 9143 §15).
    Mid,
    /// Which encoding of its source a packet belongs to (RFC 8852).
    RtpStreamId,
    /// Which encoding a retransmitted packet repairs (RFC 8852).
    RepairedRtpStreamId,
    /// Counts all packets of a transport
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
    TransportWideCc,
    /// How loud it is (RFC 6464).
    AudioLevel,
    /// Which way is up (3GPP TS 26.114 §7.4.5).
    VideoOrientation,
    /// What a frame depends on (AV1 RTP payload format, appendix A).
    DependencyDescriptor,
    /// When it was captured (libwebrtc's abs-capture-time).
    AbsCaptureTime,
    /// How much delay the source likes (libwebrtc's playout-delay).
    PlayoutDelay,
    /// Any other: never forwarded.
    Other,
}

/// What the server says about one extension.
struct Row {
    extension: HeaderExtension,
    uri: &'static str,
    /// The server's id of it, 1 to 14, so that the one-byte form can carry it.
    id: u8,
    kinds: &'static [Kind],
    /// Whether Senders hand it on; what names a stream for the server ends at the server.
    forwarded: bool,
}

const AUDIO: &[Kind] = &[Kind::Audio];
const VIDEO: &[Kind] = &[Kind::Video];
const BOTH: &[Kind] = &[Kind::Audio, Kind::Video];

const fn row(
    extension: HeaderExtension,
    uri: &'static str,
    id: u8,
    kinds: &'static [Kind],
    forwarded: bool,
) -> Row {
    Row { extension, uri, id, kinds, forwarded }
}

/// Id 4 waits for abs-send-time.
static TABLE: [Row; 9] = {
    use HeaderExtension::*;
    [
        row(Mid, "urn:ietf:params:rtp-hdrext:sdes:mid", 1, BOTH, false),
        row(RtpStreamId, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", 2, VIDEO, false),
        row(
            RepairedRtpStreamId,
            "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            3,
            VIDEO,
            false,
        ),
        row(
            TransportWideCc,
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            5,
            BOTH,
            false,
        ),
        row(AudioLevel, "urn:ietf:params:rtp-hdrext:ssrc-audio-level", 6, AUDIO, true),
        row(VideoOrientation, "urn:3gpp:video-orientation", 7, VIDEO, true),
        row(
            DependencyDescriptor,
            concat!(
                "https://aomediacodec.github.io/av1-rtp-spec/",
                "#dependency-descriptor-rtp-header-extension"
            ),
            8,
            VIDEO,
            true,
        ),
        row(
            AbsCaptureTime,
            "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            9,
            BOTH,
            true,
        ),
        row(
            PlayoutDelay,
            "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            10,
            VIDEO,
            true,
        ),
    ]
};

impl HeaderExtension {
    /// By its URI, which is compared exactly.
    pub fn from_uri(uri: &str) -> Self {
        TABLE.iter().find(|row| row.uri == uri).map_or(Self::Other, |row| row.extension)
    }

    /// URI and id under which Senders carry it; `None` if they do not.
    pub fn forwarded(self) -> Option<(&'static str, u8)> {
        let row = TABLE.iter().find(|row| row.extension == self)?;
        row.forwarded.then_some((row.uri, row.id))
    }
}

/// An entry of `rtpCapabilities.headerExtensions`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExtensionEntry {
    kind: Kind,
    uri: &'static str,
    preferred_id: u8,
}

/// What the server offers: an entry for each kind of media that an extension goes with, all
/// entries of one extension under one id, since a bundled transport has one id space.
pub(super) fn server_extensions() -> Vec<ExtensionEntry> {
    let entries = |kind| {
        let rows = TABLE.iter().filter(move |row| row.kinds.contains(&kind));
        rows.map(move |row| ExtensionEntry { kind, uri: row.uri, preferred_id: row.id })
    };
    entries(Kind::Audio).chain(entries(Kind::Video)).collect()
}
