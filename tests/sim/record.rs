//! The simulator's [`Outbox`]: writes down what the Router says, in order.

use corinth::protocol::Message;
use corinth::sfu::{CloseReason, Outbox, RoomEvent};
use corinth::types::limit::DATAGRAM_MAX;
use corinth::types::{Path, PeerKey};

use crate::observer::Observer;

/// One thing that the Router said.
#[derive(Debug)]
pub(crate) enum Said {
    Text(PeerKey, String),
    Close(PeerKey, CloseReason),
    Datagram(Path, Vec<u8>),
}

/// What the Router said since it was last drained.
pub(crate) struct Recorder {
    slot: Box<[u8; DATAGRAM_MAX]>,
    said: Vec<Said>,
    /// Datagrams that the next batch still takes; a real arena is as finite.
    pub(crate) room: usize,
    refused: u32,
    /// Who is told of what happens.
    pub(crate) observer: Observer,
}

/// Who asks for room more often than this, between two drains, does nothing else.
const REFUSALS_MAX: u32 = 100_000;

impl Recorder {
    pub(crate) fn new() -> Self {
        // Slots are handed out as they were left: nobody may rely on zeros.
        Self {
            slot: Box::new([0xa5; DATAGRAM_MAX]),
            said: Vec::new(),
            room: usize::MAX,
            refused: 0,
            observer: Observer::default(),
        }
    }

    pub(crate) fn drain(&mut self) -> Vec<Said> {
        self.refused = 0;
        std::mem::take(&mut self.said)
    }
}

impl Outbox for Recorder {
    fn slot(&mut self) -> Option<&mut [u8]> {
        if self.room == 0 {
            self.refused += 1;
            assert!(self.refused < REFUSALS_MAX, "waits for room that only its caller can make");
            return None;
        }
        Some(&mut self.slot[..])
    }

    fn commit(&mut self, path: Path, len: usize) {
        self.room = self.room.checked_sub(1).expect("only a slot that was there is committed");
        self.said.push(Said::Datagram(path, self.slot[..len].to_vec()));
    }

    fn text(&mut self, peer: PeerKey, message: Message) {
        self.said.push(Said::Text(peer, message.to_string()));
    }

    fn close(&mut self, peer: PeerKey, reason: CloseReason) {
        self.said.push(Said::Close(peer, reason));
    }

    fn tell(&mut self, event: &RoomEvent<'_>) {
        self.observer.note(event);
    }
}
