//! A media source of a simulated client: what it declares, and the packets it makes. Each payload
//! names its source and counts, so that a viewer can tell whose it is and what is missing.

use std::time::Duration;

use corinth::types::{Kind, Timestamp};
use serde_json::{Value, json};

/// Ids of the extensions that say whose a packet is.
const MID: u8 = 4;
const RID: u8 = 5;

/// What it sends again has this payload type, where it has an SSRC of its own.
pub(crate) const RTX_PT: u8 = 121;

/// What a packet of a source shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Picture {
    /// One that decoding can start from; any packet of audio.
    Key,
    /// One that needs those before it.
    Delta,
}

/// A source and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) kind: Kind,
    pub(crate) transport: u32,
    pub(crate) ssrc: u32,
    /// Whether it declares its SSRC, or is to be found by its payload type.
    pub(crate) declares_ssrc: bool,
    /// What it declares besides, and its packets say.
    pub(crate) mid: Option<&'static str>,
    /// See [`Source::mid`].
    pub(crate) rid: Option<&'static str>,
    /// Whether it says that it sends again what it is told was lost.
    pub(crate) nack: bool,
    /// Under which SSRC it does so; `None`: as it was sent.
    pub(crate) rtx_ssrc: Option<u32>,
    /// Unique in the world; in every payload, and in the `appData` of its Receiver.
    pub(crate) tag: u32,
    pub(crate) paused: bool,
    /// Extended sequence number of the next packet.
    pub(crate) seq: u64,
    /// RTP time at the world's epoch.
    pub(crate) timestamp_base: u32,
    pub(crate) counter: u32,
}

/// What a payload says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) tag: u32,
    /// Counts up by one for each packet that the source made.
    pub(crate) counter: u32,
    pub(crate) picture: Picture,
}

impl Source {
    pub(crate) fn new(kind: Kind, transport: u32, tag: u32, rng: &mut fastrand::Rng) -> Self {
        Self {
            kind,
            transport,
            ssrc: rng.u32(1..),
            declares_ssrc: true,
            mid: None,
            rid: None,
            nack: false,
            rtx_ssrc: None,
            tag,
            paused: false,
            seq: rng.u64(..1 << 15),
            timestamp_base: rng.u32(..),
            counter: 0,
        }
    }

    /// Whether packets of this SSRC may be taken for its own.
    pub(crate) fn sends_under(&self, ssrc: u32) -> bool {
        self.ssrc == ssrc || !self.declares_ssrc
    }

    pub(crate) fn clock_rate(&self) -> u32 {
        clock_rate(self.kind)
    }

    fn payload_type(&self) -> u8 {
        match self.kind {
            Kind::Audio => 109,
            Kind::Video => 120,
        }
    }

    /// `rtpParameters` of `createReceiver`, with the payload types of a browser of its own mind.
    pub(crate) fn rtp_parameters(&self) -> Value {
        let (mut codecs, extension) = match self.kind {
            Kind::Audio => (
                json!([{"name": "opus", "mimeType": "audio/opus", "clockRate": 48000, "channels": 2,
                    "payloadType": 109, "rtcpFeedback": [], "parameters": {"useinbandfec": 1}}]),
                "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            ),
            Kind::Video => (
                json!([{"name": "VP8", "mimeType": "video/VP8", "clockRate": 90000,
                    "payloadType": 120, "rtcpFeedback": [], "parameters": {}}]),
                "urn:3gpp:video-orientation",
            ),
        };
        if self.nack {
            codecs[0]["rtcpFeedback"] =
                json!([{"type": "nack"}, {"type": "nack", "parameter": "pli"}]);
        }
        if self.rtx_ssrc.is_some() {
            let rtx = json!({"name": "rtx", "mimeType": "video/rtx", "clockRate": 90000,
                "payloadType": RTX_PT, "parameters": {"apt": 120}});
            codecs.as_array_mut().expect("a list").push(rtx);
        }
        let rtx = self.rtx_ssrc.map(|ssrc| json!({"ssrc": ssrc}));
        let ssrc = self.declares_ssrc.then_some(self.ssrc);
        let mut extensions = vec![json!({"uri": extension, "id": 1})];
        if self.mid.is_some() {
            extensions.push(json!({"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": MID}));
            let uri = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
            extensions.push(json!({"uri": uri, "id": RID}));
        }
        json!({
            "muxId": self.mid,
            "codecs": codecs,
            "headerExtensions": extensions,
            "encodings": [{"ssrc": ssrc, "rid": self.rid, "rtx": rtx}],
            "rtcp": {"cname": format!("c{}", self.tag), "reducedSize": true, "mux": true},
        })
    }

    /// RTP time of a moment.
    pub(crate) fn timestamp(&self, at: Timestamp) -> u32 {
        let ticks = u128::from(at.as_micros()) * u128::from(self.clock_rate()) / 1_000_000;
        self.timestamp_base.wrapping_add(ticks as u32)
    }

    /// Makes the next packet: its extended sequence number, header length and bytes.
    pub(crate) fn packet(&mut self, at: Timestamp, picture: Picture) -> (u64, usize, Vec<u8>) {
        let seq = self.seq;
        let mut packet = vec![0x90, 0x80 | self.payload_type()];
        packet.extend((seq as u16).to_be_bytes());
        packet.extend(self.timestamp(at).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        // One declared element and one that was not (id 9, two bytes), then whose it is.
        let mut block = vec![0x10, 0x7f, 0x91, 1, 2];
        for (id, text) in [(MID, self.mid), (RID, self.rid)] {
            if let Some(text) = text {
                block.push(id << 4 | (text.len() - 1) as u8);
                block.extend(text.bytes());
            }
        }
        block.resize(block.len().next_multiple_of(4), 0);
        packet.extend([0xbe, 0xde, 0, (block.len() / 4) as u8]);
        packet.extend(block);
        let header_len = packet.len();
        // RFC 7741: the start of a partition, then VP8's own P bit, inverted.
        packet.extend([0x10, u8::from(picture == Picture::Delta)]);
        packet.extend(self.tag.to_be_bytes());
        packet.extend(self.counter.to_be_bytes());
        self.seq += 1;
        self.counter += 1;
        (seq, header_len, packet)
    }
}

impl Label {
    pub(crate) fn read(payload: &[u8]) -> Self {
        let word = |at: usize| {
            u32::from_be_bytes(payload[at..at + 4].try_into().expect("a payload of a Source"))
        };
        let picture = if payload[1] == 0 { Picture::Key } else { Picture::Delta };
        Self { tag: word(2), counter: word(6), picture }
    }
}

pub(crate) fn clock_rate(kind: Kind) -> u32 {
    match kind {
        Kind::Audio => 48_000,
        Kind::Video => 90_000,
    }
}

/// An NTP time (32.32 fixed point) of a source's wall clock, which started at an odd moment.
pub(crate) fn ntp(at: Timestamp) -> u64 {
    const BASE: u64 = 0xe123_4567_89ab_cdef;
    BASE.wrapping_add(((u128::from(at.as_micros()) << 32) / 1_000_000) as u64)
}

/// How far apart two NTP times are.
pub(crate) fn ntp_distance(a: u64, b: u64) -> Duration {
    let distance = a.wrapping_sub(b).cast_signed().unsigned_abs();
    Duration::from_micros(((u128::from(distance) * 1_000_000) >> 32) as u64)
}
