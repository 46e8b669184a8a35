//! The Router: one shard's rooms and everything in them, and the way of one packet through them.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use slotmap::SlotMap;

use super::Outbox;
use super::association::Association;
use super::event::Happening;
use super::forward::fan_out;
use super::handshakes::Handshakes;
use super::peer::Peer;
use super::receiver::Receiver;
use super::room::Room;
use super::timers::{Owner, Timers};
use super::turn::Turn;
use crate::protocol::notification::transport_state;
use crate::protocol::{DtlsState, IceState, Json, server_capabilities};
use crate::transport::dtls::Identity;
use crate::transport::ice::Ufrag;
use crate::transport::{Event, Transport};
use crate::types::limit::{DATAGRAM_MAX, HANDSHAKES_PER_TRANSPORT_MAX};
use crate::types::{
    Deadline, DropReason, Kind, Limits, Path, PeerKey, Reason, ReceiverKey, RoomKey, ShardId,
    ShardStats, SocketId, Timestamp, TransportKey,
};
use crate::wire::demux::{PacketKind, demux};
use crate::wire::rtp::RtpHeader;
use crate::wire::stun::{self, BindingRequest, IceRole};

/// How often a transport's reports go out. RFC 3550 §6.2 would allow much less for small sessions;
/// browsers send about this often, and a viewer's lips are in sync after the first one.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Reports go out at multiples of this: a shard's transports share 20 wake-ups a second for them,
/// where each would have one of its own.
const REPORT_STEP: Duration = Duration::from_millis(50);
const _: () = assert!(REPORT_INTERVAL.as_micros().is_multiple_of(REPORT_STEP.as_micros()));
/// RFC 8445 §7.3.1.1.
const ROLE_CONFLICT: u16 = 487;
/// RFC 8489 §6.3.1.
const UNKNOWN_ATTRIBUTE: u16 = 420;

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
    pub(super) paths: HashMap<Path, TransportKey, FixedState>,
    timers: Timers,
    pub(super) turn: Turn,
    handshakes: Handshakes,
    pub(super) stats: ShardStats,
}

impl Router {
    /// A Router without rooms.
    pub fn new(config: RouterConfig) -> Self {
        let mut secrets = StdRng::from_seed(config.seed);
        let rng = fastrand::Rng::with_seed(secrets.next_u64());
        let hasher = FixedState::with_seed(secrets.next_u64());
        Self {
            config,
            capabilities: server_capabilities(),
            secrets,
            rng,
            ufrags: HashMap::with_hasher(hasher.clone()),
            paths: HashMap::with_hasher(hasher.clone()),
            hasher,
            rooms: SlotMap::with_key(),
            room_names: HashMap::new(),
            peers: SlotMap::with_key(),
            transports: SlotMap::with_key(),
            transports_made: 0,
            receivers: SlotMap::with_key(),
            timers: Timers::default(),
            turn: Turn::new(),
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
            Some(PacketKind::Dtls) => self.handle_dtls(path, datagram),
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
        let association = self.transport_on(path)?.1;
        let header = RtpHeader::parse(datagram)?;
        let (len, seq, target) = association.open_rtp(now, &header, datagram)?;
        association.allowance.take(now, datagram.len(), bitrate)?;
        if target.rtx {
            return Err(DropReason::Rtx);
        }
        if self.turn.is_full() {
            self.forward(now, out);
        }
        let packet = &datagram[..len];
        let receiver = self.receivers.get_mut(target.receiver).ok_or(DropReason::NoReceiver)?;
        self.stats.rtp_received += 1;
        let encoding = usize::from(target.encoding);
        let slot = self.turn.slot();
        let arrival = receiver.account(now, encoding, &header, seq, packet, slot)?;
        self.turn.stage(target.receiver, arrival, header.len, len);
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
                let packets = self.turn.packets(chain).count() as u64;
                self.stats.drop_many(DropReason::NoReceiver, packets);
                continue;
            };
            if self.config.even_trains && receiver.kind == Kind::Video {
                self.turn.even(chain);
            }
            let (transports, stats) = (&mut self.transports, &mut self.stats);
            fan_out(now, receiver, self.turn.packets(chain), transports, stats, out);
            if receiver.key_frames.poll_deadline().is_some() {
                self.poll_key_frame(now, chain.receiver, out);
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
        let (key, association) = self.transport_on(path)?;
        let len = association.open_rtcp(now, datagram)?;
        association.allowance.take(now, datagram.len(), bitrate)?;
        self.handle_compound(now, key, &datagram[..len], out)
    }

    /// Handshakes take long: this one only waits for [`Router::handle_handshake`].
    fn handle_dtls(&mut self, path: Path, datagram: &[u8]) -> Result<(), DropReason> {
        let (key, association) = self.transport_on(path)?;
        if association.handshakes_waiting == HANDSHAKES_PER_TRANSPORT_MAX {
            return Err(DropReason::HandshakeBacklog);
        }
        association.handshakes_waiting += 1;
        if !self.handshakes.push(key, datagram) {
            self.transports[key].handshakes_waiting -= 1;
            return Err(DropReason::HandshakeBacklog);
        }
        Ok(())
    }

    /// Whether [`Router::handle_handshake`] has something to do.
    pub fn has_handshakes(&self) -> bool {
        !self.handshakes.is_empty()
    }

    /// One step of one handshake, the one that has waited longest. The driver calls it between
    /// turns, as often as time allows, while [`Router::has_handshakes`].
    pub fn handle_handshake(&mut self, now: Timestamp, out: &mut impl Outbox) {
        let Some(waiting) = self.handshakes.pop() else { return };
        let key = waiting.transport;
        let Some(association) = self.transports.get_mut(key) else {
            return self.stats.drop(DropReason::DtlsUnexpected); // closed meanwhile
        };
        association.handshakes_waiting -= 1;
        let before = association.transport.dtls_state();
        if let Err(reason) = association.transport.handle_dtls(now, self.handshakes.bytes(waiting))
        {
            return self.stats.drop(reason);
        }
        self.stats.handshake_steps += 1;
        if association.transport.dtls_state() != before {
            self.notify_transport_state(key, out);
        }
        self.pump(now, key, out);
    }

    /// Only paths that a valid check opened lead anywhere.
    fn transport_on(&mut self, path: Path) -> Result<(TransportKey, &mut Association), DropReason> {
        let key = *self.paths.get(&path).ok_or(DropReason::NoPath)?;
        let association = self.transports.get_mut(key).ok_or(DropReason::NoPath)?;
        Ok((key, association))
    }

    /// A STUN message is judged by its credentials, wherever it comes from.
    fn handle_stun(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let request = BindingRequest::parse(datagram)?;
        let ufrag: &Ufrag =
            request.username_local.try_into().map_err(|_| DropReason::StunUnknownUfrag)?;
        let key = *self.ufrags.get(ufrag).ok_or(DropReason::StunUnknownUfrag)?;
        let association = self.transports.get_mut(key).ok_or(DropReason::StunUnknownUfrag)?;
        let credentials = association.transport.ice().credentials().find(|it| it.ufrag == *ufrag);
        let credentials = credentials.ok_or(DropReason::StunUnknownUfrag)?;
        if !request.verify(&credentials.key) {
            return Err(DropReason::StunBadIntegrity);
        }
        let slot = out.slot().ok_or(DropReason::EgressFull)?;
        let (id, unknown) = (&request.transaction_id, request.unknown_required.as_slice());
        let refusal = if !unknown.is_empty() {
            Some((UNKNOWN_ATTRIBUTE, "Unknown Attribute"))
        } else if let Some(IceRole::Controlled(_)) = request.role {
            Some((ROLE_CONFLICT, "Role Conflict"))
        } else {
            None
        };
        if let Some((code, reason)) = refusal {
            let len = stun::write_error(slot, id, code, reason, unknown, &credentials.key);
            out.commit(path, len);
            return Ok(());
        }
        let len = stun::write_success(slot, id, path.remote(), &credentials.key);
        out.commit(path, len);
        if let Some(over) = association.transport.ice_mut().confirm(ufrag) {
            self.ufrags.remove(&over);
        }
        self.open_path(now, key, path, request.use_candidate, out);
        Ok(())
    }

    /// A valid check came on `path`: it leads to this transport from now on.
    fn open_path(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        path: Path,
        nominate: bool,
        out: &mut impl Outbox,
    ) {
        let change = self.transports[key].transport.handle_check(now, path, nominate);
        if change.opened {
            if let Some(other) = self.paths.insert(path, key)
                && other != key
                && let Some(association) = self.transports.get_mut(other)
            {
                association.transport.ice_mut().forget(path);
            }
            if let Some(evicted) = change.evicted {
                self.paths.remove(&evicted);
            }
        }
        if change.connected {
            self.notify_transport_state(key, out);
            self.start_sending(now, key, out);
        }
        self.arm_transport(key);
    }

    /// Whether a valid check has opened this path, and its transport is there.
    pub fn has_path(&self, path: Path) -> bool {
        self.paths.contains_key(&path)
    }

    /// Nothing can come and go on this path any more: its connection is gone.
    pub fn handle_path_closed(&mut self, path: Path) {
        let association = self.paths.remove(&path).and_then(|key| self.transports.get_mut(key));
        if let Some(association) = association {
            association.transport.ice_mut().forget(path);
        }
    }

    /// Time has come; early or needless calls do nothing.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut impl Outbox) {
        while let Some((deadline, owner)) = self.timers.pop_due(now) {
            match owner {
                Owner::Receiver(key) => {
                    let receiver = self.receivers.get_mut(key);
                    if receiver.is_some_and(|receiver| receiver.armed.fire(deadline)) {
                        self.poll_key_frame(now, key, out);
                    }
                }
                Owner::Transport(key) => {
                    let association = self.transports.get_mut(key);
                    if association.is_some_and(|association| association.armed.fire(deadline)) {
                        self.handle_transport_timeout(now, key, out);
                    }
                }
            }
        }
    }

    fn handle_transport_timeout(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        out: &mut impl Outbox,
    ) {
        let association = &mut self.transports[key];
        let before = association.transport.dtls_state();
        let consent_ran_out = association.transport.handle_timeout(now);
        let started = association.transport.dtls_state() != before;
        let reports_due = association.reports_at.is_some_and(|at| at <= now);
        if reports_due {
            association.reports_at = Some((now + REPORT_INTERVAL).floor(REPORT_STEP));
            self.send_reports(now, key, out);
        }
        if consent_ran_out || started {
            self.notify_transport_state(key, out);
        }
        self.pump(now, key, out);
    }

    /// Sends what DTLS has to send, and acts on what happened to it.
    pub(super) fn pump(&mut self, now: Timestamp, key: TransportKey, out: &mut impl Outbox) {
        let Some(association) = self.transports.get_mut(key) else { return };
        transmit(&mut association.transport, &mut self.stats, out);
        match association.transport.poll_event() {
            None => self.arm_transport(key),
            Some(Event::Connected) => {
                // Not all transports that connect together should report together.
                let delay = REPORT_INTERVAL.mul_f64(0.25 + 0.75 * self.rng.f64());
                association.reports_at = Some((now + delay).floor(REPORT_STEP));
                self.stats.dtls_connected += 1;
                self.notify_transport_state(key, out);
                self.start_sending(now, key, out);
                self.arm_transport(key);
            }
            Some(Event::Failed(_) | Event::Closed) => {
                self.notify_transport_state(key, out);
                self.close_transport(key, None, out);
            }
        }
    }

    /// This transport can send now: video Senders on it need key frames to begin with.
    fn start_sending(&mut self, now: Timestamp, key: TransportKey, out: &mut impl Outbox) {
        let association = &mut self.transports[key];
        if association.transport.tx().is_none() {
            return;
        }
        let waiting: Vec<_> = association.senders.values().copied().collect();
        for (receiver, sender) in waiting {
            let senders = self.receivers.get(receiver).map(|receiver| &receiver.senders);
            let sender = senders.and_then(|senders| senders.get(sender));
            if sender.is_some_and(|sender| sender.awaits_key_frame()) {
                self.ask_key_frame(now, receiver, out);
            }
        }
    }

    fn notify_transport_state(&self, key: TransportKey, out: &mut impl Outbox) {
        let association = &self.transports[key];
        let (ice, dtls) = (association.transport.ice().state(), association.transport.dtls_state());
        // A transport whose DTLS is over is closed right after this.
        let over = matches!(dtls, DtlsState::Failed | DtlsState::Closed);
        let ice = if over { IceState::Closed } else { ice };
        let (peer, transport) = (association.peer, association.id);
        self.tell(peer, Happening::TransportState { transport, ice, dtls }, out);
        if self.peers.get(peer).is_some_and(|peer| peer.wants_transport_state) {
            out.text(peer, transport_state(transport, ice, dtls).into());
        }
    }

    /// When to call [`Router::handle_timeout`] next.
    pub fn poll_deadline(&self) -> Option<Deadline> {
        self.timers.next()
    }

    pub(super) fn arm_transport(&mut self, key: TransportKey) {
        if let Some(association) = self.transports.get_mut(key) {
            let deadline = association.poll_deadline();
            self.timers.arm(Owner::Transport(key), &mut association.armed, deadline);
        }
    }

    pub(super) fn arm_receiver(&mut self, key: ReceiverKey) {
        if let Some(receiver) = self.receivers.get_mut(key) {
            let at = receiver.key_frames.poll_deadline();
            let deadline = at.map(|at| Deadline { at, reason: Reason::KeyFrame });
            self.timers.arm(Owner::Receiver(key), &mut receiver.armed, deadline);
        }
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

/// Sends what a transport has to say for itself. Where there is no room, or no consent, the engine
/// is drained all the same: what it says again later, and when, it tells only then.
pub(super) fn transmit(transport: &mut Transport, stats: &mut ShardStats, out: &mut impl Outbox) {
    let path = transport.send_path();
    let mut spare = [0; DATAGRAM_MAX];
    loop {
        let (slot, has_room) = match out.slot() {
            Some(slot) => (slot, true),
            None => (&mut spare[..], false),
        };
        let Some(len) = transport.poll_transmit(slot) else { break };
        match path {
            Some(path) if has_room => out.commit(path, len),
            Some(_) => stats.drop(DropReason::EgressFull),
            None => stats.drop(DropReason::SenderStopped),
        }
    }
}
