//! Where a shard's Router says things: datagrams into the send arena, text to the queue of its
//! client's connection.

use std::rc::Rc;

use slotmap::SecondaryMap;

use crate::net::{FlushReport, MediaSocket, TxArena};
use crate::sfu::{CloseReason, Outbox};
use crate::signal::{Close, Outgoing};
use crate::types::{DropReason, Path, PeerKey, ShardStats};

/// Datagrams that one batch may cause before some of them have to leave in its middle: a batch of
/// 64 to sixteen receivers. 1.5 MB a shard.
const TX_SLOTS: usize = 1024;

/// The one [`Outbox`] of a shard.
#[derive(Debug)]
pub(super) struct ShardOutbox {
    arena: TxArena,
    sockets: Vec<MediaSocket>,
    /// What became of the datagrams since the last [`ShardOutbox::settle`].
    report: FlushReport,
    clients: SecondaryMap<PeerKey, Rc<Outgoing>>,
}

impl ShardOutbox {
    /// An outbox that sends by `sockets`; their order is that of the `SocketId`s.
    pub(super) fn new(sockets: Vec<MediaSocket>) -> Self {
        Self {
            arena: TxArena::new(TX_SLOTS),
            sockets,
            report: FlushReport::default(),
            clients: SecondaryMap::new(),
        }
    }

    /// The media sockets.
    pub(super) fn sockets(&self) -> &[MediaSocket] {
        &self.sockets
    }

    /// From now on what is said to `peer` goes to `outgoing`.
    pub(super) fn connect(&mut self, peer: PeerKey, outgoing: Rc<Outgoing>) {
        self.clients.insert(peer, outgoing);
    }

    /// `peer` can be told nothing any more.
    pub(super) fn disconnect(&mut self, peer: PeerKey) {
        self.clients.remove(peer);
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
        stats.tx_in_trains += report.in_trains;
        stats.drop_many(DropReason::SendBlocked, report.blocked);
        stats.drop_many(DropReason::SendRefused, report.refused);
    }

    fn flush(&mut self) {
        if self.arena.is_empty() {
            return;
        }
        let report = self.arena.flush(&self.sockets);
        self.report.sent += report.sent;
        self.report.bytes += report.bytes;
        self.report.in_trains += report.in_trains;
        self.report.blocked += report.blocked;
        self.report.refused += report.refused;
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
        self.arena.commit(path, len);
    }

    fn text(&mut self, peer: PeerKey, text: String) {
        if let Some(outgoing) = self.clients.get(peer) {
            outgoing.push(text);
        }
    }

    fn close(&mut self, peer: PeerKey, reason: CloseReason) {
        if let Some(outgoing) = self.clients.remove(peer) {
            let (code, reason) = reason.code();
            outgoing.close(Close::new(code, reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::SocketOptions;
    use crate::types::SocketId;

    #[test]
    fn more_datagrams_than_slots_all_leave() {
        let options = SocketOptions { receive_buffer: 1 << 20, send_buffer: 1 << 20 };
        let socket = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let path = Path::Udp { socket: SocketId(0), remote: socket.local_addr() };
        let mut out = ShardOutbox::new(vec![socket]);
        let mut stats = ShardStats::default();
        let count = TX_SLOTS as u64 + 10;
        for _ in 0..count {
            out.slot().expect("a flush makes room")[0] = 0;
            out.commit(path, 1);
        }
        out.settle(&mut stats);
        let blocked = stats.drops(DropReason::SendBlocked);
        assert_eq!(stats.tx_datagrams + blocked, count);
        assert!(stats.tx_datagrams > TX_SLOTS as u64);
        out.settle(&mut stats);
        assert_eq!(stats.tx_datagrams + blocked, count, "counted once");
    }
}
