//! DTLS datagrams that wait for their step. A step of a handshake takes as long as forwarding some
//! hundred packets, so none is done within a turn: the driver does them one at a time, between
//! turns, and a storm of joins is a queue instead of a pause.

use std::collections::VecDeque;

use crate::types::TransportKey;
use crate::types::limit::{DATAGRAM_MAX, HANDSHAKES_MAX};

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
    pub(super) fn push(&mut self, transport: TransportKey, datagram: &[u8]) -> bool {
        let Some(slot) = self.free.pop() else { return false };
        let len = datagram.len().min(DATAGRAM_MAX);
        self.slots[slot][..len].copy_from_slice(&datagram[..len]);
        self.waiting.push_back(Waiting { transport, slot, len });
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
