//! What is in a Router, for people who run the server. Read on their demand, never by the way of a
//! packet.

use serde::Serialize;

use super::peer::Peer;
use super::receiver::Receiver;
use super::room::Room;
use super::router::Router;
use crate::protocol::{DtlsState, IceState};
use crate::types::{Codec, Kind, Path, ReceiverId, TransportId};

/// Rooms, and peers of a room, that are told of at most: making the report must not take long.
pub const REPORT_MAX: usize = 1000;

/// One room in a list of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomSummary<'a> {
    /// Its `roomId`.
    pub room: &'a str,
    /// The shard that it lives on.
    pub shard: u8,
    /// Connections, joined or not.
    pub peers: usize,
    /// Sources: Receivers of all its peers.
    pub receivers: usize,
    /// Senders that are enabled.
    pub senders: usize,
    /// RTP packets that came from its sources, of the streams that are there now.
    pub packets: u64,
    /// Those that did not come.
    pub lost: u64,
}

/// A room with everything in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomReport<'a> {
    /// As in the list.
    #[serde(flatten)]
    pub summary: RoomSummary<'a>,
    /// Who is in it: [`REPORT_MAX`] of them at most.
    pub members: Vec<PeerReport<'a>>,
}

/// One peer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerReport<'a> {
    /// Its `peerName`.
    pub peer: &'a str,
    /// Whether it has said `join`.
    pub joined: bool,
    /// Senders that it was told of.
    pub announced: usize,
    /// Its transports.
    pub transports: Vec<TransportReport>,
    /// What it sends.
    pub receivers: Vec<ReceiverReport>,
}

/// One transport.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransportReport {
    /// The client's number for it.
    pub id: TransportId,
    /// Where it stands.
    pub ice: IceState,
    /// Where it stands.
    pub dtls: DtlsState,
    /// Address of the client that is sent to; none before a check has come, or after silence.
    pub remote: Option<String>,
    /// Senders on it.
    pub senders: usize,
}

/// One Receiver.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverReport {
    /// The client's number for it.
    pub id: ReceiverId,
    /// The client's number for the transport that it is on.
    pub transport_id: Option<TransportId>,
    /// Audio or video.
    pub kind: Kind,
    /// In which codec.
    pub codec: &'static str,
    /// Not forwarded, by the wish of its client.
    pub paused: bool,
    /// RTP packets that came, of the stream that is forwarded.
    pub packets: u64,
    /// Those that did not come.
    pub lost: u64,
    /// Of those, the ones that came as retransmissions.
    pub recovered: u64,
    /// Packets that were sent again to its viewers.
    pub resent: u64,
    /// Interarrival jitter (RFC 3550) in milliseconds.
    pub jitter_ms: f64,
    /// Senders that are enabled.
    pub senders: usize,
}

impl Router {
    /// All rooms, [`REPORT_MAX`] at most.
    pub fn room_summaries(&self) -> Vec<RoomSummary<'_>> {
        self.rooms.values().take(REPORT_MAX).map(|room| self.room_summary(room)).collect()
    }

    /// One room; `None` if there is none of this name.
    pub fn room_report(&self, room: &str) -> Option<RoomReport<'_>> {
        let room = self.rooms.get(*self.room_names.get(room)?)?;
        let peers = self.peers_of(room).take(REPORT_MAX);
        let members = peers.map(|peer| self.peer_report(peer)).collect();
        Some(RoomReport { summary: self.room_summary(room), members })
    }

    fn room_summary<'a>(&'a self, room: &'a Room) -> RoomSummary<'a> {
        let mut summary = RoomSummary {
            room: &room.name,
            shard: self.config.shard.0,
            peers: room.peers.len(),
            receivers: 0,
            senders: 0,
            packets: 0,
            lost: 0,
        };
        for receiver in self.peers_of(room).flat_map(|peer| self.receivers_of(peer)) {
            summary.receivers += 1;
            summary.senders += receiver.senders.len();
            if let Some(stream) = receiver.forwarded_stream() {
                summary.packets += stream.received();
                summary.lost += stream.lost();
            }
        }
        summary
    }

    fn peer_report<'a>(&'a self, peer: &'a Peer) -> PeerReport<'a> {
        let transports = peer.transports.values().filter_map(|key| self.transports.get(*key));
        let transports = transports.map(|association| TransportReport {
            id: association.id,
            ice: association.transport.ice().state(),
            dtls: association.transport.dtls_state(),
            remote: association.transport.send_path().map(remote),
            senders: association.senders.len(),
        });
        let announced = peer.subscriptions.iter();
        PeerReport {
            peer: &peer.name,
            joined: peer.joined,
            announced: announced.filter(|it| self.receivers.contains_key(it.receiver)).count(),
            transports: transports.collect(),
            receivers: self.receivers_of(peer).map(|one| self.receiver_report(one)).collect(),
        }
    }

    fn receiver_report(&self, receiver: &Receiver) -> ReceiverReport {
        let stream = receiver.forwarded_stream();
        ReceiverReport {
            id: receiver.id,
            transport_id: self.transports.get(receiver.transport).map(|on| on.id),
            kind: receiver.kind,
            codec: codec_name(receiver.source.codec),
            paused: receiver.paused,
            packets: stream.map_or(0, |stream| stream.received()),
            lost: stream.map_or(0, |stream| stream.lost()),
            recovered: receiver.nacks.recovered(),
            resent: receiver.senders.values().map(|sender| sender.resent().0).sum(),
            jitter_ms: stream.map_or(0.0, |stream| stream.jitter().as_secs_f64() * 1000.0),
            senders: receiver.senders.len(),
        }
    }

    fn peers_of(&self, room: &Room) -> impl Iterator<Item = &Peer> {
        room.peers.iter().filter_map(|key| self.peers.get(*key))
    }

    fn receivers_of(&self, peer: &Peer) -> impl Iterator<Item = &Receiver> {
        peer.receivers.values().filter_map(|key| self.receivers.get(*key))
    }
}

fn remote(path: Path) -> String {
    match path {
        Path::Udp { remote, .. } => format!("udp {remote}"),
        Path::Tcp { remote, .. } => format!("tcp {remote}"),
    }
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Pcmu => "PCMU",
        Codec::Pcma => "PCMA",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::H264 => "H264",
        Codec::H265 => "H265",
        Codec::Av1 => "AV1",
    }
}
