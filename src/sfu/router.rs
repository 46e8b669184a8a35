//! The Router: everything a shard decides.

use std::net::SocketAddr;
use std::time::Instant;

use super::Outbox;
use crate::types::{Deadline, Path, PeerKey, ShardId, ShardStats, SocketId, Timestamp};

/// An address that clients are told to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The socket that receives what is sent there.
    pub socket: SocketId,
    /// As the client sees it: the socket's own address, or the one that NAT maps to it.
    pub address: SocketAddr,
}

/// What a Router is made from.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Which shard this is.
    pub shard: ShardId,
    /// In order of preference, best first.
    pub candidates: Vec<Candidate>,
    /// The `Instant` that [`Timestamp`] counts from (dimpl wants `Instant`s).
    pub epoch: Instant,
    /// Seed of the Router's randomness: ids, credentials, SSRCs. From the system's generator in
    /// production, a constant in simulation.
    pub seed: u64,
}

/// One shard's rooms and everything in them.
///
/// Call `handle_*` when something happened, drain the [`Outbox`] after each batch of them, then
/// ask [`Router::poll_deadline`] when to call [`Router::handle_timeout`].
#[derive(Debug)]
pub struct Router {
    stats: ShardStats,
}

impl Router {
    /// A Router without rooms.
    pub fn new(config: RouterConfig) -> Self {
        let _ = config;
        Self { stats: ShardStats::default() }
    }

    /// A WebSocket was opened for `peer` in `room` (both valid names). Replaces an older connection
    /// of the same name at once. `None`: the room is full (HTTP 429).
    pub fn handle_open(
        &mut self,
        now: Timestamp,
        room: &str,
        peer: &str,
        out: &mut impl Outbox,
    ) -> Option<PeerKey> {
        let _ = (now, room, peer, out);
        None
    }

    /// A text frame came from a client. Unknown peers are ignored.
    pub fn handle_text(&mut self, now: Timestamp, peer: PeerKey, text: &str, out: &mut impl Outbox) {
        let _ = (now, peer, text, out);
    }

    /// A WebSocket is gone, whoever closed it. Unknown peers are ignored.
    pub fn handle_closed(&mut self, now: Timestamp, peer: PeerKey, out: &mut impl Outbox) {
        let _ = (now, peer, out);
    }

    /// A datagram came in on `path`; it is decrypted in place.
    pub fn handle_datagram(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) {
        let _ = (now, path, datagram, out);
    }

    /// Time has come; early or needless calls do nothing.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut impl Outbox) {
        let _ = (now, out);
    }

    /// When to call [`Router::handle_timeout`] next.
    pub fn poll_deadline(&self) -> Option<Deadline> {
        None
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
