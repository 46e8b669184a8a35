//! The sink that the Router writes to. Its driver (shard, simulator, fuzzer) owns the memory,
//! drains it after each batch, and hands it in again.

use super::event::RoomEvent;
use crate::protocol::Message;
use crate::types::{Path, PeerKey, Rights};

/// Where everything goes that a Router says.
pub trait Outbox {
    /// A slot of `DATAGRAM_MAX` bytes for the next datagram; what it holds before is undefined.
    /// `None` when there is no room: the caller counts `EgressFull`. A slot that is not committed
    /// is handed out again.
    fn slot(&mut self) -> Option<&mut [u8]>;

    /// Sends the first `len` bytes of the slot last handed out. Datagrams of one path leave in
    /// the order of their commits.
    fn commit(&mut self, path: Path, len: usize);

    /// Queues one text frame for a client.
    fn text(&mut self, peer: PeerKey, message: Message);

    /// Closes a client's connection after what was queued for it before. The Router has forgotten
    /// the peer when it says so; the driver need not report it as closed.
    fn close(&mut self, peer: PeerKey, reason: CloseReason);

    /// Something has happened that somebody outside may want to know. Never on the way of a packet;
    /// a driver that has nobody to tell does nothing.
    fn tell(&mut self, event: &RoomEvent<'_>) {
        let _ = event;
    }
}

/// Whose WebSocket was opened.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<'a> {
    /// `roomId`.
    pub room: &'a str,
    /// `peerName`.
    pub peer: &'a str,
    /// What it may do there.
    pub rights: Rights,
}

/// Why the server closes a WebSocket, and with which code (PROTOCOL section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// 4000: the client said `leave`.
    Left,
    /// 4000: the same peer name connected again.
    Replaced,
    /// 4000: somebody who may do so has put it out.
    Kicked,
    /// 4000: somebody who may do so has ended the room.
    RoomClosed,
    /// 1002: JSON, but none of the four envelopes.
    Envelope,
    /// 1007: not JSON.
    NotJson,
    /// 1008: too many requests.
    Flood,
}

impl CloseReason {
    /// The WebSocket close code and the reason text that goes with it.
    pub fn code(self) -> (u16, &'static str) {
        match self {
            CloseReason::Left => (4000, "left"),
            CloseReason::Replaced => (4000, "replaced"),
            CloseReason::Kicked => (4000, "kicked"),
            CloseReason::RoomClosed => (4000, "room closed"),
            CloseReason::Envelope => (1002, "not a protoo message"),
            CloseReason::NotJson => (1007, "invalid JSON"),
            CloseReason::Flood => (1008, "too many requests"),
        }
    }
}
