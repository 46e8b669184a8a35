//! A source as it sends: its pattern in time (open loop: it never waits for anything but the
//! clock), key frames where the server asks for them, and what it sent lately, for who asks again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::log::{Sent, SourceLog};
use super::pattern::{Pattern, Piece};
use super::payload::{self, Identity, Place};

/// Packets that can be sent again: those of a browser's last second or two.
const HISTORY: usize = 512;

/// Between two key frames that were asked for, at least: libwebrtc's encoder takes no request that
/// comes sooner (300 ms, `min_keyframe_send_interval` of revision of 2024).
const KEY_FRAME_SPACING: u64 = 300_000_000;

/// RTP's fixed header.
const HEADER: usize = 12;

/// How a source is made.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Number among all sources; packets carry it.
    pub id: u32,
    /// What it notes its packets in.
    pub log: Arc<SourceLog>,
    /// What it sends.
    pub pattern: Arc<Pattern>,
    /// When the pattern began (it may be long ago: sources are out of step), engine's clock.
    pub origin: u64,
    /// Its stream.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// What sealing adds to a packet, bytes.
    pub overhead: usize,
    /// RTCP's name.
    pub cname: String,
}

/// A source at work.
#[derive(Debug)]
pub struct SourceTx {
    /// How it was made.
    pub spec: SourceSpec,
    /// Index of the next piece, and when and at which media time its round began.
    next: usize,
    round: u64,
    rtp_round: u32,
    number: u32,
    /// Packets of a key frame that are still to be sent.
    key_left: usize,
    key_wanted: bool,
    key_at: Option<u64>,
    /// Nothing leaves before.
    free_at: u64,
    history: VecDeque<(u16, Bytes)>,
    /// Counted for reports.
    pub counts: SourceCounts,
}

/// What a source counted in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Packets handed to the kernel.
    pub sent: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Refused by the kernel.
    pub unsent: u64,
    /// Lost by us, as the scenario wants.
    pub lost_on_purpose: u64,
    /// Key frames that the server had asked for.
    pub key_frames: u64,
    /// Requests for them.
    pub key_frame_requests: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Packets that were so late that they were never sent.
    pub given_up: u64,
}

impl SourceCounts {
    /// Takes in another source's.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.bytes += other.bytes;
        self.unsent += other.unsent;
        self.lost_on_purpose += other.lost_on_purpose;
        self.key_frames += other.key_frames;
        self.key_frame_requests += other.key_frame_requests;
        self.resent += other.resent;
        self.given_up += other.given_up;
    }
}

/// For sender reports (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Media time of now.
    pub rtp_time: u32,
    /// Packets ever.
    pub packets: u32,
}

impl SourceTx {
    /// A source that begins at `now`, somewhere in its pattern, at a frame's start, with a key
    /// frame.
    pub fn new(spec: SourceSpec, now: u64) -> Self {
        let Pattern { pieces, period, rtp_period, .. } = &*spec.pattern;
        let rounds = now.saturating_sub(spec.origin) / period;
        let within = now.saturating_sub(spec.origin) % period;
        let (next, rounds) = match pieces.iter().position(|p| p.first && p.at >= within) {
            Some(next) => (next, rounds),
            None => (0, rounds + 1),
        };
        let rtp_round = (rounds as u32).wrapping_mul(*rtp_period);
        let round = spec.origin + rounds * period;
        Self {
            next,
            round,
            rtp_round,
            number: 0,
            key_left: 0,
            key_wanted: spec.pattern.video.is_some(),
            key_at: None,
            free_at: 0,
            history: VecDeque::new(),
            counts: SourceCounts::default(),
            spec,
        }
    }

    /// When the next packet is due.
    pub fn due(&self) -> u64 {
        (self.round + self.piece().at).max(self.free_at)
    }

    /// Gives up what should have left long before `now` and goes on with the frame that is due
    /// then; returns roughly how many packets are never sent. They take no numbers: nobody misses
    /// them.
    pub fn catch_up(&mut self, now: u64) -> u64 {
        let period = self.spec.pattern.period;
        let behind = now.saturating_sub(self.due());
        let packets = self.spec.pattern.packets_per_second() * behind as f64 / 1e9;
        let rounds = now.saturating_sub(self.round) / period;
        self.round += rounds * period;
        self.rtp_round =
            self.rtp_round.wrapping_add((rounds as u32).wrapping_mul(self.spec.pattern.rtp_period));
        self.free_at = 0;
        self.key_left = 0;
        self.key_wanted = self.spec.pattern.video.is_some();
        let within = now - self.round;
        let ahead = |piece: &Piece| piece.first && piece.at >= within;
        match self.spec.pattern.pieces.iter().position(ahead) {
            Some(next) => self.next = next,
            None => {
                self.next = self.spec.pattern.pieces.len() - 1;
                self.step();
            }
        }
        packets as u64
    }

    /// The server asks for a key frame.
    pub fn ask_for_key_frame(&mut self, now: u64) {
        self.counts.key_frame_requests += 1;
        let soon = self.key_at.is_some_and(|at| now < at + KEY_FRAME_SPACING);
        if self.spec.pattern.video.is_some() && !soon && !self.key_wanted {
            self.key_wanted = true;
            self.counts.key_frames += 1;
        }
    }

    /// Writes the packet that is due into `packet` (emptied first), unsealed, and goes on to the
    /// next. Returns its number and marks; `at` is left for the sender to set.
    pub fn write(&mut self, packet: &mut Vec<u8>) -> (u32, Sent) {
        let piece = self.piece();
        let due = self.due();
        if piece.first
            && self.key_wanted
            && self.key_left == 0
            && let Some(video) = self.spec.pattern.video
        {
            self.key_left = video.key_packets;
            self.key_wanted = false;
            self.key_at = Some(due);
            self.write_key_packet(packet, video.key_packets, piece, due)
        } else if self.key_left > 0
            && let Some(video) = self.spec.pattern.video
        {
            self.write_key_packet(packet, video.key_packets, piece, due)
        } else {
            let place = Place { first: piece.first, key: false };
            let written = self.write_packet(packet, piece, place, piece.size);
            self.step();
            written
        }
    }

    /// The key frame stands for the frame at whose start the pattern is, and what is left of that
    /// is passed over.
    fn write_key_packet(
        &mut self,
        packet: &mut Vec<u8>,
        packets: usize,
        piece: Piece,
        due: u64,
    ) -> (u32, Sent) {
        let (size, spacing) = match self.spec.pattern.video {
            Some(video) => (video.packet_bytes, video.key_spacing),
            None => (piece.size, 0),
        };
        let place = Place { first: self.key_left == packets, key: true };
        self.key_left -= 1;
        let last = self.key_left == 0;
        let written = self.write_packet(packet, Piece { last, ..piece }, place, size);
        self.free_at = due + spacing;
        if last {
            while !self.piece().last {
                self.step();
            }
            self.step();
        }
        written
    }

    fn write_packet(
        &mut self,
        packet: &mut Vec<u8>,
        piece: Piece,
        place: Place,
        size: usize,
    ) -> (u32, Sent) {
        let number = self.number;
        self.number += 1;
        let SourceSpec { id, ssrc, payload_type, overhead, ref pattern, .. } = self.spec;
        let codec = pattern.video.map(|video| video.codec);
        // RFC 3551 §4.1: audio's marker begins a talkspurt, and there is only one.
        let marker = codec.is_some() && piece.last;
        packet.clear();
        packet.extend([0x80, u8::from(marker) << 7 | payload_type]);
        packet.extend((number as u16).to_be_bytes());
        packet.extend(self.rtp_round.wrapping_add(piece.rtp_time).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        let len = size.saturating_sub(HEADER + overhead);
        payload::write(packet, codec, place, Identity { source: id, number }, len);
        let starts_key_frame = codec.is_none() || (place.first && place.key);
        (number, Sent { at: 0, starts_key_frame, ends_frame: codec.is_none() || piece.last })
    }

    fn piece(&self) -> Piece {
        self.spec.pattern.pieces[self.next]
    }

    fn step(&mut self) {
        self.next += 1;
        if self.next == self.spec.pattern.pieces.len() {
            self.next = 0;
            self.round += self.spec.pattern.period;
            self.rtp_round = self.rtp_round.wrapping_add(self.spec.pattern.rtp_period);
        }
    }

    /// Keeps what was sent as `number`, for [`SourceTx::again`].
    pub fn remember(&mut self, number: u32, sealed: Bytes) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back((number as u16, sealed));
    }

    /// What was sent with this sequence number, as it was sent.
    pub fn again(&mut self, seq: u16) -> Option<Bytes> {
        let found = self.history.iter().rev().find(|(known, _)| *known == seq)?;
        self.counts.resent += 1;
        Some(found.1.clone())
    }

    /// Where it is at `now`.
    pub fn progress(&self, now: u64) -> Progress {
        let since = now.saturating_sub(self.round);
        let clock = u64::from(self.spec.pattern.clock_rate);
        let elapsed = u128::from(since) * u128::from(clock) / 1_000_000_000;
        Progress { rtp_time: self.rtp_round.wrapping_add(elapsed as u32), packets: self.number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Video;

    const START: u64 = 5_000_000_000;

    fn source() -> SourceTx {
        let video: Video = toml::from_str("key_frame_bytes = 5000").unwrap();
        let spec = SourceSpec {
            id: 3,
            log: Arc::new(SourceLog::new(true)),
            pattern: Arc::new(Pattern::video(&video).unwrap()),
            origin: 0,
            ssrc: 9,
            payload_type: 96,
            overhead: 16,
            cname: "c".into(),
        };
        SourceTx::new(spec, START)
    }

    /// Due time, marks, whether it has the marker bit, length.
    fn write(source: &mut SourceTx) -> (u64, Sent, bool, usize) {
        let mut packet = Vec::new();
        let due = source.due();
        let (_, sent) = source.write(&mut packet);
        (due, sent, packet[1] & 0x80 != 0, packet.len() + 16)
    }

    #[test]
    fn it_begins_with_a_key_frame_and_keeps_its_times() {
        let mut source = source();
        let mut packets: Vec<_> = (0..2000).map(|_| write(&mut source)).collect();
        let (due, sent, marker, len) = packets[0];
        assert!((START..START + 40_000_000).contains(&due) && sent.starts_key_frame && !marker);
        assert!((1000..1300).contains(&len));
        assert!(packets.is_sorted_by_key(|packet| packet.0));
        let key_len = 5000_usize.div_ceil(len);
        assert!(packets[key_len - 1].2 && packets[..key_len - 1].iter().all(|it| !it.2));
        assert_eq!(packets.iter().filter(|packet| packet.1.starts_key_frame).count(), 1);
        let frames = packets.iter().filter(|packet| packet.2).count() as f64;
        let seconds = (packets.pop().unwrap().0 - due) as f64 / 1e9;
        assert!((29.0..31.0).contains(&(frames / seconds)), "{frames} in {seconds} s");
    }

    #[test]
    fn a_request_brings_one_key_frame_and_another_too_soon_none() {
        let mut source = source();
        let mut keys = 0;
        for i in 0..700 {
            if i % 10 == 0 {
                source.ask_for_key_frame(source.due());
            }
            keys += u32::from(write(&mut source).1.starts_key_frame);
        }
        // 700 packets are 3 s, more or less.
        assert!((8..=11).contains(&keys), "{keys}");
        assert_eq!(source.counts.key_frame_requests, 70);
    }

    #[test]
    fn who_is_hopelessly_late_goes_on_where_it_should_be() {
        let mut source = source();
        for _ in 0..100 {
            write(&mut source);
        }
        for seconds in [3, 30, 300] {
            let now = source.due() + seconds * 1_000_000_000;
            let given_up = source.catch_up(now);
            assert!((200 * seconds..250 * seconds).contains(&given_up), "{given_up}");
            let (due, sent, ..) = write(&mut source);
            assert!((now..now + 100_000_000).contains(&due) && sent.starts_key_frame);
        }
    }

    #[test]
    fn what_was_sent_lately_is_sent_again_as_it_was() {
        let mut source = source();
        for number in 0..1000 {
            source.remember(number, Bytes::from(number.to_be_bytes().to_vec()));
        }
        assert_eq!(source.again(999).unwrap()[..], 999_u32.to_be_bytes());
        assert!(source.again(1000).is_none() && source.again(100).is_none());
    }
}
