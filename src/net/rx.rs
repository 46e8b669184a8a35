//! Receiving: [`Rx`] gives a turn what waits on a shard's media sockets.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::batch::RxBatch;
use super::udp::MediaSocket;
use super::watch::Watch;
use crate::types::{Path, SocketId};

/// The receiving half of a shard's media sockets.
#[derive(Debug)]
pub struct Rx {
    sockets: Rc<[MediaSocket]>,
    batch: RxBatch,
    /// Where the batch came from.
    socket: SocketId,
}

/// What one [`Rx::recv`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Datagrams, to be asked for by [`Rx::datagram`].
    pub datagrams: usize,
    /// Whether more may be waiting.
    pub more: bool,
}

/// One datagram that was received.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Which way it came; without flow label or needless scope.
    pub path: Path,
    /// What it says; at most `DATAGRAM_MAX` bytes, possibly none. May be decrypted in place.
    pub bytes: &'a mut [u8],
    /// It was longer than `DATAGRAM_MAX`, and `bytes` is only its beginning.
    pub truncated: bool,
}

impl Rx {
    pub(super) fn new(sockets: Rc<[MediaSocket]>) -> Self {
        Self { sockets, batch: RxBatch::new(), socket: SocketId(0) }
    }

    /// What to wait for: each tells when [`Rx::recv`] of its index is worth a call. Within an
    /// executor only.
    pub fn watches(&self) -> io::Result<Vec<Watch>> {
        self.sockets.iter().map(Watch::socket).collect()
    }

    /// Replaces what was received before by what waits at the source of that [`Watch`], as far as
    /// it fits into one turn.
    ///
    /// Errors are faults of the socket itself; what ICMP says about some peer is not one.
    pub fn recv(&mut self, source: usize) -> io::Result<Received> {
        self.socket = SocketId(source as u8);
        let datagrams = self.batch.recv(&self.sockets[source])?;
        Ok(Received { datagrams, more: datagrams == RxBatch::CAPACITY })
    }

    /// Datagram `i` of the last [`Rx::recv`], 0-based, in the order in which they came.
    ///
    /// # Panics
    /// If `i` is not below what that `recv` found.
    pub fn datagram(&mut self, i: usize) -> Datagram<'_> {
        let socket = self.socket;
        let (remote, bytes, truncated): (SocketAddr, _, _) = self.batch.datagram(i);
        Datagram { path: Path::Udp { socket, remote }, bytes, truncated }
    }

    /// How many datagrams were lost so far because a socket's receive queue was full. The kernel
    /// tells it with the next datagram that finds room.
    pub fn overflow(&self) -> u64 {
        self.batch.overflow()
    }
}
