//! What goes through a server a second, counted on the traces of the sources.

use std::iter::Sum;
use std::ops::{Add, Mul};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::scenario::{Audio, Group, Synthetic, Video, VideoCodec};
use crate::trace::{Trace, TracePacket};

/// A waking shard takes what comes until it looks, µs. With the next three: what a turn takes on
/// the machine of docs/internals/limit.md. They only decide which packets meet in a turn (and give
/// the trains that are measured there); what anything costs is the fit's to say.
const WAKE_US: f64 = 20.0;

/// To take a packet in, µs.
const RX_US: f64 = 5.0;

/// To send a datagram to one viewer, µs.
const TX_US: f64 = 0.6;

/// To send a message of one or more datagrams, µs beside its datagrams.
const TRAIN_US: f64 = 0.9;

/// Packets of a turn at most, as in corinth.
const TURN_MAX: usize = 64;

/// Datagrams of a train at most, as in corinth.
const TRAIN_MAX: usize = 16;

/// Rates of a mix of rooms, a second; seen from the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Peers that are there (no rate).
    pub peers: f64,
    /// Packets from sources.
    pub rx_packets: f64,
    /// Of their datagrams' payload, bits.
    pub rx_bits: f64,
    /// Times that they would wake a shard that has each source for itself.
    pub wakes: f64,
    /// Packets to viewers.
    pub tx_packets: f64,
    /// Of their datagrams' payload, bits.
    pub tx_bits: f64,
    /// Trains that they would make on such a shard.
    pub trains: f64,
    /// Peers that join; as many leave.
    pub joins: f64,
    /// Peers that are told of somebody who joined or left.
    pub notices: f64,
}

impl Add for Flow {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            peers: self.peers + other.peers,
            rx_packets: self.rx_packets + other.rx_packets,
            rx_bits: self.rx_bits + other.rx_bits,
            wakes: self.wakes + other.wakes,
            tx_packets: self.tx_packets + other.tx_packets,
            tx_bits: self.tx_bits + other.tx_bits,
            trains: self.trains + other.trains,
            joins: self.joins + other.joins,
            notices: self.notices + other.notices,
        }
    }
}

impl Mul<f64> for Flow {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self {
            peers: self.peers * times,
            rx_packets: self.rx_packets * times,
            rx_bits: self.rx_bits * times,
            wakes: self.wakes * times,
            tx_packets: self.tx_packets * times,
            tx_bits: self.tx_bits * times,
            trains: self.trains * times,
            joins: self.joins * times,
            notices: self.notices * times,
        }
    }
}

impl Sum for Flow {
    fn sum<I: Iterator<Item = Self>>(flows: I) -> Self {
        flows.fold(Self::default(), Add::add)
    }
}

impl Flow {
    /// Of one of the group's rooms, without joins.
    ///
    /// # Errors
    /// A trace cannot be read.
    pub fn of_room(group: &Group) -> anyhow::Result<Self> {
        let viewers = group.receivers + if group.senders_receive { group.senders - 1 } else { 0 };
        let mut source = Self::default();
        if let Some(video) = &group.video {
            source = source + Played::video(video)?.alone(viewers);
        }
        if let Some(audio) = &group.audio {
            source = source + Played::audio(audio)?.alone(viewers);
        }
        let peers = (group.senders + group.receivers) as f64;
        Ok(Self { peers, ..source * group.senders as f64 })
    }

    /// The same with the packets that were really sent and received, where the traces say how many
    /// should have been: wake-ups and trains change with them.
    pub(super) fn as_measured(self, rx_packets: f64, tx_packets: f64) -> Self {
        let scale =
            |measured: f64, planned: f64| if planned > 0.0 { measured / planned } else { 1.0 };
        let rx = scale(rx_packets, self.rx_packets);
        let tx = scale(tx_packets, self.tx_packets);
        Self {
            rx_packets: self.rx_packets * rx,
            rx_bits: self.rx_bits * rx,
            wakes: self.wakes * rx,
            tx_packets: self.tx_packets * tx,
            tx_bits: self.tx_bits * tx,
            trains: self.trains * tx,
            ..self
        }
    }
}

/// A source's packets, played over and over.
pub(super) struct Played {
    pub(super) trace: Trace,
    /// Between two beginnings, seconds.
    pub(super) period: f64,
}

impl Played {
    /// What the group's senders send each.
    pub(super) fn video(video: &Video) -> anyhow::Result<Self> {
        let mut played = match (&video.synthetic, &video.trace_file) {
            (Some(synthetic), _) => Self::synthetic(synthetic),
            (None, Some(file)) => {
                let text =
                    std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
                Self::whole(Trace::parse(&text).with_context(|| file.clone())?.video())
            }
            (None, None) => Self::whole(Trace::load(video.codec)?.video()),
        };
        ensure!(!played.trace.packets.is_empty(), "the trace has no video");
        if video.uplink_mbit > 0.0 {
            played.trace = played.trace.through_uplink((video.uplink_mbit * 1e6) as u64);
        }
        Ok(played)
    }

    pub(super) fn audio(audio: &Audio) -> anyhow::Result<Self> {
        if audio.packet_ms == 0.0 {
            return Ok(Self::whole(Trace::load(VideoCodec::Vp8)?.audio()));
        }
        let period = audio.packet_ms / 1e3;
        Ok(Self { trace: frames(&[audio.packet_bytes], 1, period), period })
    }

    fn whole(trace: Trace) -> Self {
        let period = trace.duration().as_secs_f64().max(f64::MIN_POSITIVE);
        Self { trace, period }
    }

    /// A second of frames, or one frame where they are rarer; each leaves at once.
    fn synthetic(video: &Synthetic) -> Self {
        let bytes = (video.mbit * 1e6 / 8.0 / video.frames_per_second).ceil().max(1.0) as usize;
        let mut frame = vec![video.packet_bytes; bytes / video.packet_bytes];
        if !bytes.is_multiple_of(video.packet_bytes) {
            frame.push(bytes % video.packet_bytes);
        }
        let count = video.frames_per_second.round().max(1.0);
        let interval = 1.0 / video.frames_per_second;
        Self { trace: frames(&frame, count as usize, interval), period: count * interval }
    }

    /// What it makes of a shard that has nothing else to do: whenever the shard is free, it takes
    /// what has come, and sends it to all viewers.
    fn alone(&self, viewers: usize) -> Flow {
        let packets = &self.trace.packets;
        let micros = |packet: &TracePacket| packet.at.as_secs_f64() * 1e6;
        let (mut next, mut free, mut wakes, mut trains) = (0, f64::NEG_INFINITY, 0, 0);
        while let Some(first) = packets.get(next) {
            let asleep = micros(first) > free;
            wakes += usize::from(asleep);
            let now = if asleep { micros(first) + WAKE_US } else { free };
            let come = packets[next..].iter().take_while(|packet| micros(packet) <= now);
            let count = come.take(TURN_MAX).count();
            let turn = &packets[next..next + count];
            let sent = trains_of(turn.iter().map(|packet| packet.size));
            let each = TX_US * count as f64 + TRAIN_US * sent as f64;
            free = now + RX_US * count as f64 + each * viewers as f64;
            trains += sent;
            next += count;
        }
        let bits = packets.iter().map(|packet| 8 * packet.size).sum::<usize>();
        let viewers = viewers as f64;
        let second = |count: usize| count as f64 / self.period;
        Flow {
            rx_packets: second(packets.len()),
            rx_bits: second(bits),
            wakes: second(wakes),
            tx_packets: second(packets.len()) * viewers,
            tx_bits: second(bits) * viewers,
            trains: second(trains) * viewers,
            ..Flow::default()
        }
    }
}

/// Trains that packets of these sizes leave in: equal ones, the last one shorter perhaps.
pub(super) fn trains_of(sizes: impl Iterator<Item = usize>) -> usize {
    let (mut trains, mut room, mut size) = (0, 0, 0);
    for next in sizes {
        if room == 0 || next > size {
            trains += 1;
            (room, size) = (TRAIN_MAX - 1, next);
        } else {
            room = if next < size { 0 } else { room - 1 };
        }
    }
    trains
}

/// So many frames of packets of these sizes, `interval` seconds apart.
fn frames(sizes: &[usize], count: usize, interval: f64) -> Trace {
    let packet = |frame: usize, at: usize| TracePacket {
        at: Duration::from_secs_f64(frame as f64 * interval),
        size: sizes[at],
        marker: at + 1 == sizes.len(),
        payload_type: 96,
        seq: (frame * sizes.len() + at) as u16,
        rtp_time: (frame as f64 * interval * 90_000.0) as u32,
    };
    let frame = |frame: usize| (0..sizes.len()).map(move |at| packet(frame, at));
    Trace { packets: (0..count).flat_map(frame).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Demand;

    fn flow(mix: &str) -> Flow {
        Demand::parse(&[mix.to_owned()], 0.0).unwrap().flow().unwrap()
    }

    #[test]
    fn rates_are_those_of_the_traces() {
        let meeting = flow("10x4");
        assert_eq!(meeting.peers, 40.0);
        assert!((meeting.rx_packets / 40.0 - 278.0).abs() < 1.0, "228 of video, 50 of audio");
        assert!((meeting.tx_packets / meeting.rx_packets - 3.0).abs() < 1e-9);
        assert!((meeting.rx_bits / 40.0 - 2.12e6).abs() < 0.1e6, "{}", meeting.rx_bits / 40.0);
        assert_eq!(flow("1+9:audio").tx_packets, 9.0 * flow("1+3:audio").rx_packets);
    }

    /// docs/internals/limit.md measures trains of 2.9 and 1.0 at 200 viewers; spaced packets begin
    /// to meet at 500 (1.9).
    #[test]
    fn longer_turns_gather_longer_trains_and_fewer_wake_ups() {
        let train = |mix: &str| {
            let flow = flow(mix);
            flow.tx_packets / flow.trains
        };
        assert!((1.0..1.2).contains(&train("1+3:video")), "{}", train("1+3:video"));
        assert!((2.2..3.2).contains(&train("1+200:video")), "{}", train("1+200:video"));
        assert_eq!(train("1+200:video:uplink=20"), 1.0);
        assert!((1.3..2.2).contains(&train("1+500:video:uplink=20")));
        assert_eq!(train("10+1000:audio"), 1.0);
        assert!(flow("1+3:video").wakes > 120.0);
        assert!(flow("1+200:video").wakes < 40.0, "one a frame");
    }

    #[test]
    fn a_train_ends_behind_a_shorter_and_before_a_longer_packet() {
        assert_eq!(trains_of([].into_iter()), 0);
        assert_eq!(trains_of([9, 9, 9].into_iter()), 1);
        assert_eq!(trains_of([9, 9, 8].into_iter()), 1);
        assert_eq!(trains_of([9, 9, 8, 8].into_iter()), 2);
        assert_eq!(trains_of([9, 10, 10].into_iter()), 2);
        assert_eq!(trains_of([9; 17].into_iter()), 2);
    }

    #[test]
    fn made_up_video_has_the_rate_that_it_was_given() {
        let flow = flow("1+10:video:mbit=4");
        assert!((flow.rx_bits / 4e6 - 1.0).abs() < 0.001, "{}", flow.rx_bits);
        assert_eq!(flow.wakes, 30.0, "a frame leaves at once");
    }
}
