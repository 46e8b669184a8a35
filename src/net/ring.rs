//! The receiving side of the ring: what it brings in the order in which it came, buffers lent for
//! one turn, sockets armed anew when their multishot has ended.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::batch::concerns_no_datagram;
use super::received::{Datagram, Received};
use super::sys::mmsg::BATCH;
use super::sys::pool::{Lent, Pool};
use super::sys::ring::{Ring, RxHead};
use super::udp::MediaSocket;
use crate::types::{Path, SocketId};

/// Receives from all sockets of a shard.
#[derive(Debug)]
pub(super) struct RingRx {
    ring: Rc<RefCell<Ring>>,
    pool: Rc<Pool>,
    /// What this turn looks at.
    turn: Vec<Filled>,
    /// Whether each socket's multishot lives.
    armed: Vec<bool>,
    overflow: u64,
    overruns: u64,
}

/// A buffer with a datagram.
#[derive(Debug)]
struct Filled {
    socket: usize,
    lent: Lent,
    head: RxHead,
}

impl RingRx {
    pub(super) fn new(ring: &Rc<RefCell<Ring>>, sockets: usize) -> Self {
        Self {
            ring: Rc::clone(ring),
            pool: Rc::clone(ring.borrow().pool()),
            turn: Vec::with_capacity(BATCH),
            armed: vec![false; sockets],
            overflow: 0,
            overruns: 0,
        }
    }

    /// Takes a turn's worth of what has come.
    pub(super) fn recv(&mut self, sockets: &[MediaSocket]) -> io::Result<Received> {
        let mut ring = self.ring.borrow_mut();
        ring.mute(true);
        self.turn.drain(..).for_each(|filled| ring.provide(filled.lent));
        // A multishot that ended for want of buffers finds some again only when all that came
        // before has been looked at.
        if !ring.has_received() {
            for (socket, armed) in self.armed.iter_mut().enumerate().filter(|(_, armed)| !**armed) {
                ring.arm(socket);
                *armed = true;
            }
            ring.collect();
        }
        let mut fault = None;
        while self.turn.len() < BATCH
            && let Some(completion) = ring.next_received()
        {
            let socket = completion.socket;
            self.armed[socket] &= completion.more;
            match completion.result {
                Ok(mut lent) => {
                    let head = RxHead::parse(self.pool.bytes(&mut lent));
                    let Some(head) = head else {
                        ring.provide(lent);
                        continue;
                    };
                    if let Some(count) = head.queue_overflow {
                        self.overflow += u64::from(sockets[socket].overflow_since(count));
                    }
                    self.turn.push(Filled { socket, lent, head });
                }
                Err(libc::ENOBUFS) => self.overruns += 1,
                Err(code) => {
                    let error = io::Error::from_raw_os_error(code);
                    if !concerns_no_datagram(&error) {
                        fault = Some(error);
                    }
                }
            }
        }
        if let Some(error) = fault.filter(|_| self.turn.is_empty()) {
            return Err(error);
        }
        let more = ring.has_received() || self.armed.contains(&false);
        Ok(Received { datagrams: self.turn.len(), more })
    }

    /// Datagram `i` of this turn.
    pub(super) fn datagram(&mut self, i: usize) -> Datagram<'_> {
        let Filled { socket, lent, head } = &mut self.turn[i];
        Datagram {
            path: Path::Udp { socket: SocketId(*socket as u8), remote: head.from.to_socket_addr() },
            bytes: &mut self.pool.bytes(lent)[head.payload.clone()],
            truncated: head.truncated,
        }
    }

    /// Whether nothing has come, and the eventfd will tell of what comes.
    pub(super) fn ready_to_sleep(&mut self) -> bool {
        self.ring.borrow_mut().ready_to_sleep()
    }

    /// Datagrams that found a socket's receive queue full.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// How often the kernel found no buffer; datagrams wait in their socket's queue meanwhile.
    pub(super) fn overruns(&self) -> u64 {
        self.overruns
    }

    /// A second descriptor of the eventfd.
    pub(super) fn eventfd(&self) -> io::Result<OwnedFd> {
        self.ring.borrow().eventfd().try_clone_to_owned()
    }
}
