//! What a browser really sends: captured packets of Chromium's video and audio, with their sizes
//! and times. How packets arrive decides what a server can do in batches, so load that is made up
//! says little.

use std::io::Read;
use std::time::Duration;

use anyhow::Context as _;
use flate2::read::GzDecoder;

use crate::scenario::VideoCodec;

/// Bytes on the wire beside a datagram's payload: Ethernet with preamble and gap 38, IPv4 20, UDP
/// 8.
const WIRE_OVERHEAD: usize = 66;

/// A packet as it left the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePacket {
    /// Since the start of the capture.
    pub at: Duration,
    /// The datagram's payload in bytes, the SRTP tag of 16 included.
    pub size: usize,
    /// Last packet of a frame.
    pub marker: bool,
    /// The browser's payload type; see [`Trace::video`].
    pub payload_type: u8,
    /// Low bits of the packet's number in its stream.
    pub seq: u16,
    /// Media time, from the stream's first packet.
    pub rtp_time: u32,
}

/// Packets in the order in which they left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Never empty.
    pub packets: Vec<TracePacket>,
}

/// The payload type that Chromium gives opus in all captures; all others are video's.
const OPUS: u8 = 111;

/// Chromium's, 1280x720 at 30 frames a second, 2 Mbit/s, and opus beside it.
fn captured(codec: VideoCodec) -> &'static [u8] {
    match codec {
        VideoCodec::Vp8 => include_bytes!("../traces/vp8.csv.gz"),
        VideoCodec::Vp9 => include_bytes!("../traces/vp9.csv.gz"),
        VideoCodec::H264 => include_bytes!("../traces/h264.csv.gz"),
        VideoCodec::Av1 => include_bytes!("../traces/av1.csv.gz"),
    }
}

impl Trace {
    /// A capture that comes with this crate, about 20 s of this codec and opus.
    ///
    /// # Errors
    /// None, unless the file in the source tree was damaged.
    pub fn load(codec: VideoCodec) -> anyhow::Result<Self> {
        let mut text = String::new();
        GzDecoder::new(captured(codec)).read_to_string(&mut text)?;
        Self::parse(&text)
    }

    /// Reads `time_us,size,marker,pt,seq,rtp_ts` lines, after comments (`#`) and a headline.
    ///
    /// # Errors
    /// A line is no packet, or there is none.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
        let packets: Vec<_> = lines
            .map(|line| packet(line).with_context(|| format!("no packet: {line:?}")))
            .collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(!packets.is_empty(), "a trace without packets");
        Ok(Self { packets })
    }

    /// The video alone.
    pub fn video(&self) -> Self {
        self.only(|packet| packet.payload_type != OPUS)
    }

    /// The audio alone.
    pub fn audio(&self) -> Self {
        self.only(|packet| packet.payload_type == OPUS)
    }

    fn only(&self, wanted: impl Fn(&TracePacket) -> bool) -> Self {
        Self { packets: self.packets.iter().copied().filter(wanted).collect() }
    }

    /// The same packets behind an uplink of so many bits a second, which sends one after the other,
    /// with what Ethernet, IPv4 and UDP add to each. A packet's time is when its last bit has left.
    pub fn through_uplink(&self, bits_per_second: u64) -> Self {
        let mut free = Duration::ZERO;
        let packets = self.packets.iter().map(|packet| {
            let bits = 8 * (packet.size + WIRE_OVERHEAD) as u64;
            free =
                free.max(packet.at) + Duration::from_nanos(bits * 1_000_000_000 / bits_per_second);
            TracePacket { at: free, ..*packet }
        });
        Self { packets: packets.collect() }
    }

    /// How long it takes to the last packet.
    pub fn duration(&self) -> Duration {
        self.packets.last().map_or(Duration::ZERO, |packet| packet.at)
    }
}

fn packet(line: &str) -> Option<TracePacket> {
    let mut fields = line.split(',');
    let mut next = || fields.next()?.trim().parse::<u64>().ok();
    Some(TracePacket {
        at: Duration::from_micros(next()?),
        size: usize::try_from(next()?).ok()?,
        marker: next()? != 0,
        payload_type: u8::try_from(next()?).ok()?,
        seq: u16::try_from(next()?).ok()?,
        rtp_time: u32::try_from(next()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capture_is_twenty_seconds_of_thirty_frames() {
        for codec in [VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::H264, VideoCodec::Av1] {
            let trace = Trace::load(codec).unwrap();
            assert!((19.0..21.0).contains(&trace.duration().as_secs_f64()), "{codec:?}");
            let frames = trace.video().packets.iter().filter(|packet| packet.marker).count();
            assert!((550..=610).contains(&frames), "{codec:?}: {frames}");
            let audio = trace.audio().packets.len();
            assert!((950..=1050).contains(&audio), "{codec:?}: {audio}");
            assert_eq!(trace.video().packets.len() + audio, trace.packets.len());
            assert!(trace.packets.is_sorted_by_key(|packet| packet.at));
        }
    }

    #[test]
    fn an_uplink_spaces_a_burst_and_leaves_alone_what_has_room() {
        let text = "#\nhead\n0,934,0,96,1,0\n1,934,1,96,2,0\n9000,434,1,96,3,3000\n";
        let spaced = Trace::parse(text).unwrap().through_uplink(20_000_000);
        let at: Vec<_> = spaced.packets.iter().map(|packet| packet.at.as_micros()).collect();
        assert_eq!(at, [400, 800, 9200], "1000 bytes take 400 µs, 500 half of it");
    }

    #[test]
    fn what_is_no_packet_is_an_error() {
        for text in ["", "head\n", "head\n1,2,3\n", "head\n0,x,0,96,1,0\n"] {
            assert!(Trace::parse(text).is_err(), "{text:?}");
        }
    }
}
