//! Where a shard's Router says things: datagrams into the send arena, text to the queue of its
//! client's connection, what happens to the journal.

use std::collections::HashMap;
use std::rc::Rc;

use slotmap::SecondaryMap;

use super::framing::Wire;
use super::journal::Journal;
use crate::net::{FlushReport, Tx, TxArena};
use crate::protocol::Message;
use crate::sfu::{CloseReason, Outbox, RoomEvent};
use crate::signal::{Close, Outgoing, Queues};
use crate::types::limit::SIGNAL_QUEUES_MAX;
use crate::types::{ConnectionId, DropReason, Path, PeerKey, ShardStats};

/// The one [`Outbox`] of a shard.
#[derive(Debug)]
pub(super) struct ShardOutbox {
    arena: TxArena,
    tx: Tx,
    /// What became of the datagrams since the last [`ShardOutbox::settle`].
    report: FlushReport,
    clients: SecondaryMap<PeerKey, Rc<Outgoing>>,
    queues: Queues,
    wires: HashMap<ConnectionId, Rc<Wire>>,
    last_wire: u32,
    journal: Journal,
}

impl ShardOutbox {
    /// An outbox that sends by `tx`.
    pub(super) fn new(tx: Tx, journal: Journal) -> Self {
        Self {
            arena: TxArena::new(),
            tx,
            report: FlushReport::default(),
            clients: SecondaryMap::new(),
            queues: Queues::new(SIGNAL_QUEUES_MAX),
            wires: HashMap::new(),
            last_wire: 0,
            journal,
        }
    }

    /// Where it writes what happens.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// A queue for one more client.
    pub(super) fn queue(&self) -> Rc<Outgoing> {
        self.queues.queue()
    }

    /// Keeps what waits for clients within its bound.
    pub(super) fn relieve(&mut self) {
        self.queues.relieve(self.clients.values());
    }

    /// From now on what is said to `peer` goes to `outgoing`.
    pub(super) fn connect(&mut self, peer: PeerKey, outgoing: Rc<Outgoing>) {
        self.clients.insert(peer, outgoing);
    }

    /// `peer` can be told nothing any more.
    pub(super) fn disconnect(&mut self, peer: PeerKey) {
        self.clients.remove(peer);
    }

    /// A TCP connection for media: its number.
    pub(super) fn connect_wire(&mut self, wire: Rc<Wire>) -> ConnectionId {
        self.last_wire = self.last_wire.wrapping_add(1);
        let connection = ConnectionId(self.last_wire);
        self.wires.insert(connection, wire);
        connection
    }

    /// It is gone.
    pub(super) fn disconnect_wire(&mut self, path: Path) {
        if let Path::Tcp { connection, .. } = path {
            self.wires.remove(&connection);
        }
    }

    /// Those that there are.
    pub(super) fn wires(&self) -> impl Iterator<Item = &Wire> {
        self.wires.values().map(|wire| &**wire)
    }

    /// Closes every connection.
    pub(super) fn close_all(&mut self, close: Close) {
        for outgoing in self.clients.values() {
            outgoing.close(close);
        }
    }

    /// Sends what waits and counts it. After each batch.
    pub(super) fn settle(&mut self, stats: &mut ShardStats) {
        self.flush();
        let report = std::mem::take(&mut self.report);
        stats.tx_datagrams += report.sent;
        stats.tx_bytes += report.bytes;
        stats.tx_trains.iter_mut().zip(report.trains).for_each(|(sum, count)| *sum += count);
        stats.drop_many(DropReason::SendBlocked, report.blocked);
        stats.drop_many(DropReason::SendRefused, report.refused);
    }

    /// Out of the slot, which stays free.
    fn send_by_wire(&mut self, connection: ConnectionId, len: usize) {
        let message = self.arena.slot().and_then(|slot| slot.get(..len));
        match message.zip(self.wires.get(&connection)) {
            Some((message, wire)) if wire.push(message) => {
                self.report.sent += 1;
                self.report.bytes += len as u64;
                self.report.trains[0] += 1;
            }
            Some(_) => self.report.blocked += 1,
            None => self.report.refused += 1,
        }
    }

    fn flush(&mut self) {
        if self.arena.is_empty() {
            return;
        }
        self.report.add(&self.tx.flush(&mut self.arena));
    }
}

impl Outbox for ShardOutbox {
    fn slot(&mut self) -> Option<&mut [u8]> {
        if self.arena.slot().is_none() {
            self.flush();
        }
        self.arena.slot()
    }

    fn commit(&mut self, path: Path, len: usize) {
        match path {
            Path::Udp { .. } => self.arena.commit(path, len),
            Path::Tcp { connection, .. } => self.send_by_wire(connection, len),
        }
    }

    fn text(&mut self, peer: PeerKey, message: Message) {
        if let Some(outgoing) = self.clients.get(peer) {
            outgoing.push(message);
        }
    }

    fn close(&mut self, peer: PeerKey, reason: CloseReason) {
        if let Some(outgoing) = self.clients.remove(peer) {
            let (code, reason) = reason.code();
            outgoing.close(Close::new(code, reason));
        }
    }

    fn tell(&mut self, event: &RoomEvent<'_>) {
        self.journal.note(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{self, MediaSocket, SocketOptions};
    use crate::types::{IoKind, ShardId, SocketId};

    #[test]
    fn more_datagrams_than_slots_all_leave() {
        let options = SocketOptions { receive_buffer: 1 << 20, send_buffer: 1 << 20 };
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let path = Path::Udp { socket: SocketId(0), remote: socket.local_addr() };
        let (_, tx) = net::open(IoKind::Mmsg, vec![socket]).unwrap();
        let mut out = ShardOutbox::new(tx, Journal::new(ShardId(0)));
        let mut stats = ShardStats::default();
        let count = 2000;
        for _ in 0..count {
            out.slot().expect("a flush makes room")[0] = 0;
            out.commit(path, 1);
        }
        out.settle(&mut stats);
        let blocked = stats.drops(DropReason::SendBlocked);
        assert_eq!(stats.tx_datagrams + blocked, count);
        assert!(stats.tx_datagrams > 64 * 16, "more than one arena takes");
        out.settle(&mut stats);
        assert_eq!(stats.tx_datagrams + blocked, count, "counted once");
    }

    #[test]
    fn a_datagram_that_the_kernel_refuses_is_counted_and_takes_no_other_with_it() {
        let options = SocketOptions { receive_buffer: 1 << 20, send_buffer: 1 << 20 };
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let alive = socket.local_addr();
        // Nobody can be sent to at port 0.
        let nowhere = "127.0.0.1:0".parse().unwrap();
        let (_, tx) = net::open(IoKind::Mmsg, vec![socket]).unwrap();
        let mut out = ShardOutbox::new(tx, Journal::new(ShardId(0)));
        let mut stats = ShardStats::default();
        for remote in [alive, nowhere, alive] {
            out.slot().expect("there is room")[0] = 0;
            out.commit(Path::Udp { socket: SocketId(0), remote }, 1);
        }
        out.settle(&mut stats);
        assert_eq!((stats.tx_datagrams, stats.drops(DropReason::SendRefused)), (2, 1));
        assert_eq!(stats.drops_total(), 1);
    }
}
