//! Receiving: [`Rx`] gives a turn what waits on a shard's media sockets.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::batch::RxBatch;
use super::received::{Datagram, Received};
use super::ring::RingRx;
use super::sys::ring::Ring;
use super::udp::MediaSocket;
use super::watch::Watch;
use crate::types::{Path, SocketId};

/// The receiving half of a shard's media sockets.
#[derive(Debug)]
pub struct Rx {
    sockets: Rc<[MediaSocket]>,
    backend: Backend,
}

#[derive(Debug)]
enum Backend {
    /// `recvmmsg`; and which socket the batch came from.
    Mmsg(RxBatch, SocketId),
    Ring(RingRx),
}

impl Rx {
    pub(super) fn mmsg(sockets: Rc<[MediaSocket]>) -> Self {
        Self { sockets, backend: Backend::Mmsg(RxBatch::new(), SocketId(0)) }
    }

    pub(super) fn ring(sockets: Rc<[MediaSocket]>, ring: &Rc<RefCell<Ring>>) -> Self {
        let rx = RingRx::new(ring, sockets.len());
        Self { sockets, backend: Backend::Ring(rx) }
    }

    /// What to wait for: each tells when [`Rx::recv`] of its index is worth a call. One a socket,
    /// or one for all of them. Within an executor only.
    pub fn watches(&self) -> io::Result<Vec<Watch>> {
        match &self.backend {
            Backend::Mmsg(..) => self.sockets.iter().map(Watch::socket).collect(),
            Backend::Ring(ring) => Ok(vec![Watch::eventfd(ring.eventfd()?)]),
        }
    }

    /// The ring's, for tests that wait without an executor.
    #[cfg(test)]
    pub(super) fn eventfd(&self) -> io::Result<std::os::fd::OwnedFd> {
        match &self.backend {
            Backend::Mmsg(..) => Err(io::ErrorKind::Unsupported.into()),
            Backend::Ring(ring) => ring.eventfd(),
        }
    }

    /// Replaces what was received before by what waits at the source of that [`Watch`], as far as
    /// it fits into one turn.
    ///
    /// Errors are faults of the socket itself; what ICMP says about some peer is not one.
    pub fn recv(&mut self, source: usize) -> io::Result<Received> {
        match &mut self.backend {
            Backend::Mmsg(batch, socket) => {
                *socket = SocketId(source as u8);
                let datagrams = batch.recv(&self.sockets[source])?;
                Ok(Received { datagrams, more: datagrams == RxBatch::CAPACITY })
            }
            Backend::Ring(ring) => ring.recv(&self.sockets),
        }
    }

    /// Datagram `i` of the last [`Rx::recv`], 0-based; those of one socket in the order in which
    /// they came.
    ///
    /// # Panics
    /// If `i` is not below what that `recv` found.
    pub fn datagram(&mut self, i: usize) -> Datagram<'_> {
        match &mut self.backend {
            Backend::Mmsg(batch, socket) => {
                let socket = *socket;
                let (remote, bytes, truncated) = batch.datagram(i);
                Datagram { path: Path::Udp { socket, remote }, bytes, truncated }
            }
            Backend::Ring(ring) => ring.datagram(i),
        }
    }

    /// To be asked before [`Watch::ready`] is waited for, when a `recv` has found nothing more:
    /// whether that is so, and the watch will tell of what comes. Otherwise there is something to
    /// receive.
    pub fn ready_to_sleep(&mut self) -> bool {
        match &mut self.backend {
            // A socket is watched by looking at its queue.
            Backend::Mmsg(..) => true,
            Backend::Ring(ring) => ring.ready_to_sleep(),
        }
    }

    /// How many datagrams were lost so far because a socket's receive queue was full. The kernel
    /// tells it with the next datagram that finds room.
    pub fn overflow(&self) -> u64 {
        match &self.backend {
            Backend::Mmsg(batch, _) => batch.overflow(),
            Backend::Ring(ring) => ring.overflow(),
        }
    }

    /// How often the kernel found no buffer to receive into. Nothing is lost by it alone: the
    /// datagrams wait in their socket's queue.
    pub fn ring_overruns(&self) -> u64 {
        match &self.backend {
            Backend::Mmsg(..) => 0,
            Backend::Ring(ring) => ring.overruns(),
        }
    }
}
