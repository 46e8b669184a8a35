//! DTLS datagrams on their way in and out. Those that come wait for their step: one takes as long
//! as forwarding some hundred packets, so none is done within a turn. The driver does them one at a
//! time, between turns, and a storm of joins is a queue instead of a pause.

use std::collections::VecDeque;

use super::Outbox;
use crate::transport::Transport;
use crate::types::limit::{DATAGRAM_MAX, HANDSHAKES_MAX};
use crate::types::{DropReason, Path, ShardStats, TransportKey};

/// The queue, first come first served. 400 KB.
#[derive(Debug)]
pub(super) struct Handshakes {
    slots: Box<[[u8; DATAGRAM_MAX]]>,
    free: Vec<usize>,
    waiting: VecDeque<Waiting>,
}

/// One datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) transport: TransportKey,
    pub(super) path: Path,
    slot: usize,
    len: usize,
}

impl Handshakes {
    /// Nothing waits.
    pub(super) fn new() -> Self {
        Self {
            slots: vec![[0; DATAGRAM_MAX]; HANDSHAKES_MAX].into_boxed_slice(),
            free: (0..HANDSHAKES_MAX).collect(),
            waiting: VecDeque::with_capacity(HANDSHAKES_MAX),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Copies a datagram to the end; `false` if there is no room.
    pub(super) fn push(&mut self, transport: TransportKey, path: Path, datagram: &[u8]) -> bool {
        let Some(slot) = self.free.pop() else { return false };
        let len = datagram.len().min(DATAGRAM_MAX);
        self.slots[slot][..len].copy_from_slice(&datagram[..len]);
        self.waiting.push_back(Waiting { transport, path, slot, len });
        true
    }

    /// Takes the first one out. Its bytes are good until the next push.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.free.push(waiting.slot);
        Some(waiting)
    }

    /// What it says.
    pub(super) fn bytes(&self, waiting: Waiting) -> &[u8] {
        &self.slots[waiting.slot][..waiting.len]
    }
}

/// Something has come from where a handshake goes to: what had to wait for it is sent.
pub(super) fn send_held(transport: &mut Transport, out: &mut impl Outbox) {
    while out.slot().is_some()
        && let Some((path, datagram)) = transport.poll_held()
        && let Some(slot) = out.slot()
    {
        slot[..datagram.len()].copy_from_slice(&datagram);
        out.commit(path, datagram.len());
    }
}

/// Sends what a transport has to say for itself. Where there is no room, or no consent, the engine
/// is drained all the same: what it says again later, and when, it tells only then.
pub(super) fn transmit(transport: &mut Transport, stats: &mut ShardStats, out: &mut impl Outbox) {
    let path = transport.dtls_path();
    let mut spare = [0; DATAGRAM_MAX];
    loop {
        let (slot, has_room) = match out.slot() {
            Some(slot) => (slot, true),
            None => (&mut spare[..], false),
        };
        let Some(len) = transport.poll_transmit(slot) else { break };
        match path {
            Some(path) if has_room => {
                if transport.ice_mut().paths_mut().may_send(path, len) {
                    out.commit(path, len);
                } else if !transport.hold(&slot[..len]) {
                    stats.drop(DropReason::Unverified);
                }
            }
            Some(_) => stats.drop(DropReason::EgressFull),
            None => stats.drop(DropReason::SenderStopped),
        }
    }
}
