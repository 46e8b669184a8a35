//! DTLS datagrams on their way in and out. Those that come wait for their step: one takes as long
//! as forwarding some hundred packets, so none is done within a turn. The driver does them one at a
//! time, between turns, and a storm of joins is a queue instead of a pause.

use std::collections::BTreeMap;

use super::Outbox;
use crate::transport::Transport;
use crate::types::limit::{DATAGRAM_MAX, HANDSHAKES_MAX, HANDSHAKES_SHARE};
use crate::types::{DropReason, Path, ShardStats, TransportKey};

/// The queue. It goes by rounds, and each transport has one step in a round: a flight of many
/// datagrams, or a flood, delays others by one of them at a time. 770 KB.
#[derive(Debug)]
pub(super) struct Handshakes {
    slots: Box<[[u8; DATAGRAM_MAX]]>,
    free: Vec<usize>,
    /// By round, and by when they came.
    waiting: BTreeMap<(u64, u64), Waiting>,
    /// Of those who have something waiting.
    lines: BTreeMap<TransportKey, Line>,
    /// The one that the latest step was in.
    round: u64,
    pushed: u64,
}

/// One datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) transport: TransportKey,
    pub(super) path: Path,
    slot: usize,
    len: usize,
}

/// What one transport has waiting.
#[derive(Debug, Default)]
struct Line {
    len: usize,
    /// Its last one's.
    round: u64,
}

impl Handshakes {
    /// Nothing waits.
    pub(super) fn new() -> Self {
        Self {
            slots: vec![[0; DATAGRAM_MAX]; HANDSHAKES_MAX].into_boxed_slice(),
            free: (0..HANDSHAKES_MAX).collect(),
            waiting: BTreeMap::new(),
            lines: BTreeMap::new(),
            round: 0,
            pushed: 0,
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Copies a datagram to the end of its transport's; `false` if those have taken their share of
    /// the room, which is the smaller the less there is.
    pub(super) fn push(&mut self, transport: TransportKey, path: Path, datagram: &[u8]) -> bool {
        let waits = self.lines.get(&transport).map_or(0, |line| line.len);
        if waits >= self.free.len() / HANDSHAKES_SHARE {
            return false;
        }
        let Some(slot) = self.free.pop() else { return false };
        let len = datagram.len().min(DATAGRAM_MAX);
        self.slots[slot][..len].copy_from_slice(&datagram[..len]);
        let line = self.lines.entry(transport).or_default();
        line.len += 1;
        line.round = line.round.max(self.round) + 1;
        self.pushed += 1;
        self.waiting.insert((line.round, self.pushed), Waiting { transport, path, slot, len });
        true
    }

    /// Takes the next one out. Its bytes are good until the next push.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let ((round, _), waiting) = self.waiting.pop_first()?;
        self.round = round;
        self.free.push(waiting.slot);
        if let Some(line) = self.lines.get_mut(&waiting.transport) {
            line.len -= 1;
            if line.len == 0 {
                self.lines.remove(&waiting.transport);
            }
        }
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

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;
    use crate::types::ConnectionId;

    /// Whoever is back as soon as his step was taken has no more turns for it than others.
    #[test]
    fn a_flight_goes_on_beside_those_who_come_again_and_again() {
        let mut keys: SlotMap<TransportKey, ()> = SlotMap::with_key();
        let [honest, hostile @ ..] = [(); 4].map(|()| keys.insert(()));
        let remote = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let path = Path::Tcp { connection: ConnectionId(1), remote };
        let mut handshakes = Handshakes::new();
        for _ in 0..100 {
            assert!(hostile.iter().all(|key| handshakes.push(*key, path, &[0])));
            assert!(hostile.iter().all(|_| handshakes.pop().is_some()));
        }
        assert!(hostile.iter().all(|key| handshakes.push(*key, path, &[0])));
        assert!((0..12).all(|number| handshakes.push(honest, path, &[number])));
        let mut read = Vec::new();
        for _ in 0..12 * 4 {
            let waiting = handshakes.pop().expect("somebody waits");
            match waiting.transport == honest {
                true => read.push(handshakes.bytes(waiting)[0]),
                false => assert!(handshakes.push(waiting.transport, path, &[0])),
            }
        }
        assert_eq!(read, (0..12).collect::<Vec<u8>>(), "in the order in which they came");
    }
}
