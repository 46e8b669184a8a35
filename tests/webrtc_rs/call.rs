//! Two clients in one room: `a` sends, `b` looks on. And what they send, and what arrived.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use corinth_perf::peer::{Peer, SenderInfo, Source, TransportOptions};
use corinth_perf::transport::{Content, Receiving, RtcpPacket, Transport};
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtp::header::Header;
use rtp::packet::Packet;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

/// When something that must arrive is taken to be missing.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(8);

/// One client with one transport.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) transport: Transport,
    pub(crate) inbox: Inbox,
}

impl Client {
    pub(crate) async fn join(
        url: &str,
        room: &str,
        name: &str,
        options: TransportOptions,
    ) -> anyhow::Result<Self> {
        let peer = Peer::join(url, room, name).await?;
        let (transport, receiving) =
            peer.create_transport(options).await.with_context(|| format!("{options:?}"))?;
        Ok(Self { peer, transport, inbox: Inbox::new(receiving) })
    }
}

/// A room with two clients, connected.
pub(crate) struct Call {
    pub(crate) a: Client,
    pub(crate) b: Client,
    transport_id: u32,
}

impl Call {
    pub(crate) async fn start(
        url: &str,
        room: &str,
        options: TransportOptions,
    ) -> anyhow::Result<Self> {
        let (a, b) = tokio::try_join!(
            Client::join(url, room, "a", options),
            Client::join(url, room, "b", options),
        )?;
        Ok(Self { a, b, transport_id: options.id })
    }

    /// `a` announces a source, `b` enables its Sender.
    pub(crate) async fn connect(&mut self, source: &Source) -> anyhow::Result<SenderInfo> {
        self.a.peer.send_source(self.transport_id, source).await?;
        let sender = self.b.peer.new_sender().await?;
        self.b.peer.receive(sender.id, self.transport_id).await?;
        Ok(sender)
    }

    /// A request of `a` about one of its Receivers.
    pub(crate) async fn ask_a(&self, method: &str, id: u32) -> anyhow::Result<()> {
        self.a.peer.signaling.request(method, json!({"id": id})).await?;
        Ok(())
    }

    /// A request of `b` about one of its Senders.
    pub(crate) async fn ask_b(&self, method: &str, id: u32) -> anyhow::Result<()> {
        self.b.peer.signaling.request(method, json!({"id": id})).await?;
        Ok(())
    }
}

/// An RTP packet that arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) packet: Packet,
    /// Bytes as a datagram.
    pub(crate) size: usize,
}

/// Everything that arrived at a client, in order.
pub(crate) struct Inbox {
    receiving: Receiving,
    rtp: Vec<Arrival>,
    rtcp: Vec<(Instant, RtcpPacket)>,
}

impl Inbox {
    pub(crate) fn new(receiving: Receiving) -> Self {
        Self { receiving, rtp: Vec::new(), rtcp: Vec::new() }
    }

    /// Takes what comes until `done`.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + ARRIVAL_TIMEOUT;
        while !done(self) {
            if !self.take_one(deadline).await? {
                let (rtp, rtcp) = (self.rtp.len(), self.rtcp.len());
                bail!("still without {what}, having {rtp} RTP and {rtcp} RTCP packets");
            }
        }
        Ok(())
    }

    /// Takes what comes within `time`.
    pub(crate) async fn listen(&mut self, time: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + time;
        while self.take_one(deadline).await? {}
        Ok(())
    }

    async fn take_one(&mut self, deadline: Instant) -> anyhow::Result<bool> {
        let Ok(received) = timeout_at(deadline, self.receiving.recv()).await else {
            return Ok(false);
        };
        let received = received.context("the transport is gone")?;
        match received.content {
            Content::Rtp(packet) => self.rtp.push(Arrival { packet, size: received.size }),
            Content::Rtcp(packets) => {
                self.rtcp.extend(packets.into_iter().map(|packet| (received.at, packet)));
            }
        }
        assert_eq!(self.receiving.refused(), 0, "everything that the server sends can be opened");
        Ok(true)
    }

    /// The packets of one stream.
    pub(crate) fn stream(&self, ssrc: u32) -> Vec<&Arrival> {
        self.rtp.iter().filter(|arrival| arrival.packet.header.ssrc == ssrc).collect()
    }

    /// How many packets came, of whatever stream.
    pub(crate) fn rtp_count(&self) -> usize {
        self.rtp.len()
    }

    /// The RTCP packets of one type, with the time of their arrival.
    pub(crate) fn rtcp<T: 'static>(&self) -> impl Iterator<Item = (Instant, &T)> {
        self.rtcp.iter().filter_map(|(at, packet)| Some((*at, packet.as_any().downcast_ref()?)))
    }

    /// When key frames of `ssrc` were asked for.
    pub(crate) fn plis(&self, ssrc: u32) -> Vec<Instant> {
        let plis = self.rtcp::<PictureLossIndication>();
        plis.filter(|(_, pli)| pli.media_ssrc == ssrc).map(|(at, _)| at).collect()
    }
}

/// The packets of a source. Sequence numbers start just below their end, so that every test that
/// sends more than a few goes over it.
pub(crate) struct Stream {
    source: Source,
    sequence_number: u16,
    timestamp: u32,
    rng: fastrand::Rng,
}

impl Stream {
    pub(crate) fn new(source: &Source) -> Self {
        let rng = fastrand::Rng::with_seed(u64::from(source.ssrc));
        Self { source: source.clone(), sequence_number: 65_530, timestamp: u32::MAX - 5_000, rng }
    }

    /// The next packet, 20 ms after the one before.
    pub(crate) fn packet(&mut self, payload: impl Into<Bytes>) -> Packet {
        self.skip(1);
        self.timestamp = self.timestamp.wrapping_add(self.source.clock_rate / 50);
        let header = Header {
            version: 2,
            payload_type: self.source.payload_type,
            sequence_number: self.sequence_number,
            timestamp: self.timestamp,
            ssrc: self.source.ssrc,
            ..Header::default()
        };
        Packet { header, payload: payload.into() }
    }

    /// The next `packets` numbers are never used, as if their packets were lost.
    pub(crate) fn skip(&mut self, packets: u16) {
        self.sequence_number = self.sequence_number.wrapping_add(packets);
    }

    /// The next packet, with `len` random bytes.
    pub(crate) fn random(&mut self, len: usize) -> Packet {
        let payload: Vec<u8> = std::iter::repeat_with(|| self.rng.u8(..)).take(len).collect();
        self.packet(payload)
    }

    /// The next packet, with a VP8 frame: payload descriptor with S set (RFC 7741 §4.2), then the
    /// frame's tag, whose lowest bit is clear in a key frame only (§4.3).
    pub(crate) fn vp8(&mut self, key: bool) -> Packet {
        let number = self.rng.u8(..);
        match key {
            // Start code, 320 x 240 (RFC 6386 §9.1).
            true => self.packet(vec![
                0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, number,
            ]),
            false => self.packet(vec![0x10, 0x11, 0x02, 0x00, number]),
        }
    }

    /// Timestamp of the last packet.
    pub(crate) fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Number of the last packet.
    pub(crate) fn sequence_number(&self) -> u16 {
        self.sequence_number
    }
}

/// Sequence numbers, relative to the first.
pub(crate) fn steps(arrivals: &[&Arrival]) -> Vec<u16> {
    let numbers = arrivals.iter().map(|arrival| arrival.packet.header.sequence_number);
    let first = numbers.clone().next().unwrap_or_default();
    numbers.map(|number| number.wrapping_sub(first)).collect()
}
