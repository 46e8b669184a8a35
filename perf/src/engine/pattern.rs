//! What a source sends, before it is one: when which packet leaves and how long it is. From
//! browsers' traces or made by numbers, played over and over.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::scenario::{Audio, Synthetic, Video, VideoCodec};
use crate::trace::Trace;

/// One packet of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// When it leaves, nanoseconds from the pattern's start.
    pub at: u64,
    /// Its datagram's payload, sealed.
    pub size: usize,
    /// First of a frame.
    pub first: bool,
    /// Last of a frame.
    pub last: bool,
    /// Media time from the pattern's start.
    pub rtp_time: u32,
}

/// What is played over and over.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Never empty; ascending.
    pub pieces: Vec<Piece>,
    /// How long it is, nanoseconds: when it begins anew.
    pub period: u64,
    /// The same in media time.
    pub rtp_period: u32,
    /// RTP clock.
    pub clock_rate: u32,
    /// `None` for audio.
    pub video: Option<VideoPattern>,
}

/// What only video has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VideoPattern {
    /// Codec.
    pub codec: VideoCodec,
    /// Packets of a key frame, each as long as the longest.
    pub key_packets: usize,
    /// The longest datagram's payload.
    pub packet_bytes: usize,
    /// Between two packets of a key frame, nanoseconds.
    pub key_spacing: u64,
}

const VIDEO_CLOCK: u32 = 90_000;
const AUDIO_CLOCK: u32 = 48_000;

/// Between packets of a frame as Chromium sends them.
const BURST_SPACING: u64 = 15_000;

impl Pattern {
    /// Of a scenario's video.
    ///
    /// # Errors
    /// Its trace file cannot be read.
    pub fn video(video: &Video) -> anyhow::Result<Self> {
        let mut pieces = match (&video.synthetic, &video.trace_file) {
            (Some(synthetic), _) => synthesized(synthetic),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the trace {path}"))?;
                Trace::parse(&text).with_context(|| path.clone())?
            }
            (None, None) => Trace::load(video.codec)?.video(),
        };
        ensure!(!pieces.packets.is_empty(), "a trace without video");
        if video.uplink_mbit > 0.0 {
            pieces = pieces.through_uplink((video.uplink_mbit * 1e6) as u64);
        }
        let mut pattern = Self::of(&pieces, VIDEO_CLOCK);
        let packet_bytes = pattern.pieces.iter().map(|piece| piece.size).max().unwrap_or(1200);
        let key_spacing = match video.uplink_mbit {
            0.0 => BURST_SPACING,
            mbit => (packet_bytes as f64 * 8.0 * 1000.0 / mbit) as u64,
        };
        pattern.video = Some(VideoPattern {
            codec: video.codec,
            key_packets: video.key_frame_bytes.div_ceil(packet_bytes).max(1),
            packet_bytes,
            key_spacing,
        });
        Ok(pattern)
    }

    /// Of a scenario's audio.
    ///
    /// # Errors
    /// None, unless the trace in the source tree was damaged.
    pub fn audio(audio: &Audio) -> anyhow::Result<Self> {
        if audio.packet_ms == 0.0 {
            let mut trace = Trace::load(VideoCodec::Vp8)?.audio();
            // Each packet is a frame, though audio's marker says something else.
            trace.packets.iter_mut().for_each(|packet| packet.marker = true);
            return Ok(Self::of(&trace, AUDIO_CLOCK));
        }
        let period = (audio.packet_ms * 1e6) as u64;
        let piece = Piece { at: 0, size: audio.packet_bytes, first: true, last: true, rtp_time: 0 };
        let rtp_period = (audio.packet_ms * f64::from(AUDIO_CLOCK) / 1000.0) as u32;
        Ok(Self { pieces: vec![piece], period, rtp_period, clock_rate: AUDIO_CLOCK, video: None })
    }

    /// Packets a second.
    pub fn packets_per_second(&self) -> f64 {
        self.pieces.len() as f64 * 1e9 / self.period as f64
    }

    /// Bits of datagrams' payload a second.
    pub fn bits_per_second(&self) -> f64 {
        let bytes: usize = self.pieces.iter().map(|piece| piece.size).sum();
        bytes as f64 * 8e9 / self.period as f64
    }

    fn of(trace: &Trace, clock_rate: u32) -> Self {
        let start = trace.packets[0];
        let mut first = true;
        let mut pieces = Vec::with_capacity(trace.packets.len());
        for packet in &trace.packets {
            pieces.push(Piece {
                at: (packet.at - start.at).as_nanos() as u64,
                size: packet.size,
                first,
                last: packet.marker,
                rtp_time: packet.rtp_time.wrapping_sub(start.rtp_time),
            });
            first = packet.marker;
        }
        // The last frame may be cut off by the capture's end.
        if let Some(last) = pieces.last_mut() {
            last.last = true;
        }
        let end = pieces[pieces.len() - 1];
        let frames = pieces.iter().filter(|piece| piece.first).count().max(2) as u64;
        // As long after the last frame as frames are apart on average.
        let rtp_gap = u64::from(end.rtp_time) / (frames - 1);
        let rtp_period = end.rtp_time + rtp_gap.max(1) as u32;
        let period = u64::from(rtp_period) * 1_000_000_000 / u64::from(clock_rate);
        Self { period: period.max(end.at + 1), pieces, rtp_period, clock_rate, video: None }
    }
}

/// A second of frames of one size, each a burst.
fn synthesized(synthetic: &Synthetic) -> Trace {
    let Synthetic { mbit, frames_per_second, packet_bytes } = *synthetic;
    let frame_bytes = mbit * 1e6 / 8.0 / frames_per_second;
    let packets = (frame_bytes / packet_bytes as f64).ceil().max(1.0) as usize;
    // Browsers cut a frame into equal packets.
    let size = ((frame_bytes / packets as f64) as usize).max(60);
    let frames = frames_per_second.ceil().max(2.0) as usize;
    let packet = |frame: usize, packet: usize| crate::trace::TracePacket {
        at: Duration::from_secs_f64(frame as f64 / frames_per_second)
            + Duration::from_nanos(BURST_SPACING * packet as u64),
        size,
        marker: packet + 1 == packets,
        payload_type: 96,
        seq: (frame * packets + packet) as u16,
        rtp_time: (frame as f64 * f64::from(VIDEO_CLOCK) / frames_per_second) as u32,
    };
    let all = (0..frames).flat_map(|frame| (0..packets).map(move |n| packet(frame, n)));
    Trace { packets: all.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video() -> Video {
        toml::from_str("").unwrap()
    }

    #[test]
    fn a_trace_goes_round_without_a_break() {
        let pattern = Pattern::video(&video()).unwrap();
        let last = pattern.pieces[pattern.pieces.len() - 1];
        assert!(pattern.pieces[0].first && last.last);
        let gap = (pattern.period - last.at) as f64 / 1e6;
        assert!((20.0..45.0).contains(&gap), "{gap} ms to the next round");
        assert!((220.0..236.0).contains(&pattern.packets_per_second()));
        assert!((1.8e6..2.3e6).contains(&pattern.bits_per_second()));
        let audio = Pattern::audio(&toml::from_str("").unwrap()).unwrap();
        assert!((49.0..51.0).contains(&audio.packets_per_second()));
        assert!(audio.pieces.iter().all(|piece| piece.first && piece.last));
    }

    #[test]
    fn numbers_make_what_they_say() {
        let synthetic = Synthetic { mbit: 4.0, frames_per_second: 25.0, packet_bytes: 1200 };
        let pattern = Pattern::video(&Video { synthetic: Some(synthetic), ..video() }).unwrap();
        assert!((3.9e6..4.01e6).contains(&pattern.bits_per_second()));
        assert_eq!(pattern.pieces.iter().filter(|piece| piece.last).count(), 25);
        assert_eq!(pattern.period, 1_000_000_000);
        let audio = Audio { packet_ms: 20.0, packet_bytes: 60 };
        let pattern = Pattern::audio(&audio).unwrap();
        assert_eq!((pattern.packets_per_second(), pattern.bits_per_second()), (50.0, 24_000.0));
    }

    #[test]
    fn an_uplink_spaces_key_frames_too() {
        let pattern = Pattern::video(&Video { uplink_mbit: 20.0, ..video() }).unwrap();
        let spacing = pattern.video.unwrap().key_spacing;
        assert!((400_000..600_000).contains(&spacing), "{spacing} ns");
    }
}
