//! The Router: one shard's rooms and everything in them, and the way of one packet through them.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use foldhash::fast::FixedState;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use slotmap::SlotMap;

use super::Outbox;
use super::association::Association;
use super::forward::fan_out;
use super::handshakes::Handshakes;
use super::paths::Paths;
use super::peer::Peer;
use super::receiver::{Packet, Receiver};
use super::room::Room;
use super::timers::Timers;
use super::turn::Turn;
use crate::media::{History, Kept};
use crate::protocol::{Json, server_capabilities};
use crate::transport::dtls::Identity;
use crate::transport::ice::Ufrag;
use crate::types::limit::NACKED_MAX;
use crate::types::{
    DropReason, Kind, Limits, Path, PeerKey, ReceiverKey, RoomKey, ShardId, ShardStats, SocketId,
    Timestamp, TransportKey,
};
use crate::wire::demux::{PacketKind, demux};
use crate::wire::rtp::RtpHeader;

/// An address that clients are told to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The socket that receives what is sent there.
    pub socket: SocketId,
    /// As the client sees it: the socket's own address, or the one that NAT maps to it.
    pub address: SocketAddr,
}

/// What a Router is made from.
#[derive(Clone)]
pub struct RouterConfig {
    /// Which shard this is.
    pub shard: ShardId,
    /// In order of preference, best first.
    pub candidates: Vec<Candidate>,
    /// Where clients may connect to by TCP, best first; after the others.
    pub tcp_candidates: Vec<SocketAddr>,
    /// The server's DTLS certificate and settings.
    pub identity: Identity,
    /// The `Instant` that [`Timestamp`] counts from (dimpl wants `Instant`s).
    pub epoch: Instant,
    /// Seed of the Router's randomness: credentials, SSRCs, hashing. From the system's generator in
    /// production, a constant in simulation.
    pub seed: [u8; 32],
    /// Bounds of what clients may have and do.
    pub limits: Limits,
    /// Bytes of packets that are kept to be sent again; taken at the start.
    pub history_bytes: usize,
    /// Whether packets of a video frame that are one byte shorter than others of it are padded to
    /// their length, so that they leave in one train. Costs at most a byte a packet.
    pub even_trains: bool,
}

// The seed does not belong into logs.
impl fmt::Debug for RouterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterConfig")
            .field("shard", &self.shard)
            .field("candidates", &self.candidates)
            .field("identity", &self.identity)
            .field("even_trains", &self.even_trains)
            .finish_non_exhaustive()
    }
}

/// One shard's rooms and everything in them.
///
/// Call `handle_*` when something happened and [`Router::forward`] after a turn's last datagram,
/// drain the [`Outbox`] after each batch of them, then ask [`Router::poll_deadline`] when to call
/// [`Router::handle_timeout`].
#[derive(Debug)]
pub struct Router {
    pub(super) config: RouterConfig,
    /// What `join` answers.
    pub(super) capabilities: Json,
    /// For what must not be guessed.
    pub(super) secrets: StdRng,
    /// For what should only differ; clients see its numbers and could tell the next ones.
    pub(super) rng: fastrand::Rng,
    /// Keyed by the seed, so that nobody outside can choose what collides.
    pub(super) hasher: FixedState,
    pub(super) rooms: SlotMap<RoomKey, Room>,
    pub(super) room_names: HashMap<Box<str>, RoomKey>,
    pub(super) peers: SlotMap<PeerKey, Peer>,
    pub(super) transports: SlotMap<TransportKey, Association>,
    pub(super) transports_made: u64,
    pub(super) receivers: SlotMap<ReceiverKey, Receiver>,
    pub(super) ufrags: HashMap<Ufrag, TransportKey, FixedState>,
    pub(super) paths: Paths,
    pub(super) timers: Timers,
    pub(super) turn: Turn,
    pub(super) history: History,
    /// Numbers that a source is asked for; kept for its memory.
    pub(super) due: Vec<u16>,
    pub(super) handshakes: Handshakes,
    pub(super) stats: ShardStats,
}

impl Router {
    /// A Router without rooms.
    pub fn new(config: RouterConfig) -> Self {
        let mut secrets = StdRng::from_seed(config.seed);
        let rng = fastrand::Rng::with_seed(secrets.next_u64());
        let history = History::new(config.history_bytes);
        let hasher = FixedState::with_seed(secrets.next_u64());
        Self {
            config,
            capabilities: server_capabilities(),
            secrets,
            rng,
            ufrags: HashMap::with_hasher(hasher.clone()),
            paths: Paths::new(hasher.clone()),
            hasher,
            rooms: SlotMap::with_key(),
            room_names: HashMap::new(),
            peers: SlotMap::with_key(),
            transports: SlotMap::with_key(),
            transports_made: 0,
            receivers: SlotMap::with_key(),
            timers: Timers::default(),
            turn: Turn::new(),
            history,
            due: Vec::with_capacity(NACKED_MAX),
            handshakes: Handshakes::new(),
            stats: ShardStats::default(),
        }
    }

    /// Other bounds from now on; what is there already stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.config.limits = limits;
        for association in self.transports.values_mut() {
            association.allowance.cut(limits.bitrate);
        }
    }

    /// Step 3: a datagram came in on `path`. It is decrypted in place. It goes on or ends in one
    /// counted [`DropReason`]; what is media waits for [`Router::forward`], what is DTLS for
    /// [`Router::handle_handshake`].
    pub fn handle_datagram(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) {
        let result = match demux(datagram) {
            Some(PacketKind::Rtp) => self.handle_rtp(now, path, datagram, out),
            Some(PacketKind::Rtcp) => self.handle_rtcp(now, path, datagram, out),
            Some(PacketKind::Stun) => self.handle_stun(now, path, datagram, out),
            Some(PacketKind::Dtls) => self.handle_dtls(path, datagram, out),
            None => Err(DropReason::Unknown),
        };
        if let Err(reason) = result {
            self.stats.drop(reason);
        }
    }

    fn handle_rtp(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let bitrate = self.config.limits.bitrate;
        let header = RtpHeader::parse(datagram)?;
        let owners = &mut self.paths;
        let (key, association, (len, seq, target)) =
            owners.open(path, datagram, &mut self.transports, |association, datagram| {
                association.open_rtp(now, path, &header, datagram)
            })?;
        let allowed = association.allowance.take(now, datagram.len(), bitrate);
        if association.arrivals.take_started() {
            self.arm_transport(key);
        }
        allowed?;
        if self.turn.is_full() {
            self.forward(now, out);
        }
        if target.rtx {
            return self.handle_repetition(now, key, target, &header, &mut datagram[..len]);
        }
        let encoding = usize::from(target.encoding);
        let packet = &datagram[..len];
        let packet = Packet { encoding, header: &header, seq, bytes: packet, recovered: false };
        self.take_in(now, target.receiver, packet)
    }

    /// Step 5: a packet of a source is accounted for, and waits for its Senders.
    pub(super) fn take_in(
        &mut self,
        now: Timestamp,
        key: ReceiverKey,
        packet: Packet<'_>,
    ) -> Result<(), DropReason> {
        let (header, len) = (packet.header, packet.bytes.len());
        let receiver = self.receivers.get_mut(key).ok_or(DropReason::NoReceiver)?;
        self.stats.rtp_received += 1;
        let arrival = receiver.account(now, packet, self.history.slot())?;
        let place = self.history.keep(Kept {
            seq: arrival.seq,
            timestamp: arrival.timestamp,
            at: now,
            header_len: header.len,
            len,
        });
        receiver.places.put(arrival.seq, place);
        self.turn.stage(key, arrival, place, (header.len, len));
        Ok(())
    }

    /// Steps 6 and 7 for the media of a turn: call it after the last [`Router::handle_datagram`] of
    /// each.
    pub fn forward(&mut self, now: Timestamp, out: &mut impl Outbox) {
        let mut i = 0;
        while let Some(chain) = self.turn.chain(i) {
            i += 1;
            let Some(receiver) = self.receivers.get_mut(chain.receiver) else {
                // It was closed in this very turn.
                let packets = self.turn.packets(chain, &self.history).count() as u64;
                self.stats.drop_many(DropReason::NoReceiver, packets);
                continue;
            };
            if self.config.even_trains && receiver.kind == Kind::Video {
                self.turn.even(chain, &mut self.history);
            }
            let (transports, stats) = (&mut self.transports, &mut self.stats);
            let packets = self.turn.packets(chain, &self.history);
            fan_out(now, receiver, packets, transports, stats, out);
            if receiver.has_requests() {
                self.poll_requests(now, chain.receiver, out);
            }
        }
        self.turn.clear();
    }

    fn handle_rtcp(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let bitrate = self.config.limits.bitrate;
        let owners = &mut self.paths;
        let (key, association, len) =
            owners.open(path, datagram, &mut self.transports, |association, datagram| {
                association.open_rtcp(now, path, datagram)
            })?;
        association.allowance.take(now, datagram.len(), bitrate)?;
        self.handle_compound(now, key, &datagram[..len], out)
    }

    /// Counters; the driver adds what only it sees (datagrams sent, send errors).
    pub fn stats_mut(&mut self) -> &mut ShardStats {
        &mut self.stats
    }

    /// Counters.
    pub fn stats(&self) -> &ShardStats {
        &self.stats
    }
}
