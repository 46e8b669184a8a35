//! Datagrams in batches: [`RxBatch`] receives many with one system call, [`TxArena`] collects what
//! is to be sent and hands it over in as few. Both allocate when they are made and never again.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use super::sys::mmsg::{self, BATCH, RxMeta, TxDatagram};
use super::udp::MediaSocket;
use crate::types::limit::DATAGRAM_MAX;
use crate::types::{Path, SocketId};

/// How often one `recv` asks again after an error that concerns no datagram of ours.
const RECV_TRIES: usize = 16;

/// Up to 64 datagrams that were received together. 100 KB.
#[derive(Debug)]
pub struct RxBatch {
    buffers: Box<[[u8; DATAGRAM_MAX]]>,
    metas: Box<[RxMeta]>,
    /// How many of them the last `recv` filled.
    received: usize,
    overflow: u64,
}

/// One datagram of an [`RxBatch`].
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Who sent it: as a [`Path`] wants it, without flow label or needless scope.
    pub remote: SocketAddr,
    /// What it says; at most `DATAGRAM_MAX` bytes, possibly none. May be decrypted in place.
    pub bytes: &'a mut [u8],
    /// It was longer than `DATAGRAM_MAX`, and `bytes` is only its beginning.
    pub truncated: bool,
}

impl RxBatch {
    /// Datagrams that fit into one batch.
    pub const CAPACITY: usize = BATCH;

    /// An empty batch.
    #[expect(clippy::new_without_default, reason = "100 KB should not come about by derive")]
    pub fn new() -> Self {
        Self {
            buffers: vec![[0; DATAGRAM_MAX]; BATCH].into_boxed_slice(),
            metas: vec![RxMeta::EMPTY; BATCH].into_boxed_slice(),
            received: 0,
            overflow: 0,
        }
    }

    /// Replaces the batch by what waits in `socket`'s queue, as far as it fits; returns how many
    /// datagrams that is. A full batch (64) means that there may be more, none that there are no
    /// more now.
    ///
    /// Errors are faults of the socket itself; what ICMP says about some peer is not one.
    pub fn recv(&mut self, socket: &MediaSocket) -> io::Result<usize> {
        self.recv_with(|buffers, metas| mmsg::recv(socket.as_fd(), buffers, metas))?;
        for meta in &self.metas[..self.received] {
            if let Some(count) = meta.queue_overflow() {
                self.overflow += u64::from(socket.overflow_since(count));
            }
        }
        Ok(self.received)
    }

    fn recv_with(
        &mut self,
        mut recv: impl FnMut(&mut [[u8; DATAGRAM_MAX]], &mut [RxMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.received = 0;
        for _ in 0..RECV_TRIES {
            match recv(&mut self.buffers, &mut self.metas) {
                Ok(received) => {
                    self.received = received;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if concerns_no_datagram(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Datagram `i` of the last `recv`, 0-based, oldest first.
    ///
    /// # Panics
    /// If `i` is not below what that `recv` returned.
    pub fn datagram(&mut self, i: usize) -> Datagram<'_> {
        let meta = &self.metas[..self.received][i];
        Datagram {
            remote: meta.remote(),
            bytes: &mut self.buffers[i][..meta.len],
            truncated: meta.truncated,
        }
    }

    /// How many datagrams were lost so far because a socket's receive queue was full, over all
    /// sockets that this batch received from. The kernel tells it with the next datagram that
    /// finds room.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }
}

/// An interruption, a want of memory that may pass, or an error that ICMP left on the socket
/// (Linux, `icmp_err_convert` and its IPv6 twin): reading it removes it, and the queue is unharmed.
fn concerns_no_datagram(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EINTR
                | libc::ENOMEM
                | libc::ENOBUFS
                | libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::EHOSTDOWN
                | libc::ENETUNREACH
                | libc::ENETDOWN
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EPROTO
                | libc::EMSGSIZE
                | libc::EACCES
        )
    )
}

/// Datagrams waiting to be sent, each in a slot of `DATAGRAM_MAX` bytes.
#[derive(Debug)]
pub struct TxArena {
    slots: Box<[[u8; DATAGRAM_MAX]]>,
    /// Where the first slots go, and how much of each.
    queue: Vec<(Path, usize)>,
}

/// What became of the datagrams of one [`TxArena::flush`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushReport {
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Datagrams dropped because the socket or the kernel had no room.
    pub blocked: u64,
    /// Datagrams that the kernel refused to send to where they should go.
    pub refused: u64,
}

impl TxArena {
    /// An arena for `slots` datagrams, 1.5 KB each.
    pub fn new(slots: usize) -> Self {
        Self {
            slots: vec![[0; DATAGRAM_MAX]; slots].into_boxed_slice(),
            queue: Vec::with_capacity(slots),
        }
    }

    /// The next free slot, `DATAGRAM_MAX` bytes of anything; `None` when all are in use. The same
    /// one again until it is committed.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        self.slots.get_mut(self.queue.len()).map(|slot| &mut slot[..])
    }

    /// Queues the first `len` bytes of the slot that was handed out last.
    ///
    /// # Panics
    /// If there was no slot, or it is shorter than `len`: the caller has written past its end.
    pub fn commit(&mut self, path: Path, len: usize) {
        assert!(self.queue.len() < self.slots.len(), "a commit without a slot");
        assert!(len <= DATAGRAM_MAX, "{len} bytes in a slot of {DATAGRAM_MAX}");
        self.queue.push((path, len));
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends everything by `sockets` (the index is the [`SocketId`]), each socket's datagrams in
    /// the order of their commits, without ever waiting; the arena is empty afterwards. Where the
    /// kernel has no more room, the rest of that socket's datagrams are dropped: real-time media
    /// that waits is worth less than what comes after it. A datagram that is refused (dead route,
    /// forbidden destination, port 0) takes no other with it.
    pub fn flush(&mut self, sockets: &[MediaSocket]) -> FlushReport {
        self.flush_with(sockets.len(), |socket, datagrams| {
            mmsg::send(sockets[socket].as_fd(), datagrams)
        })
    }

    /// [`TxArena::flush`] with the system call passed in, for the tests: sends the first of the
    /// datagrams by the socket of that index and returns how many went.
    fn flush_with(
        &mut self,
        sockets: usize,
        mut send: impl FnMut(usize, &[TxDatagram<'_>]) -> io::Result<usize>,
    ) -> FlushReport {
        let mut report = FlushReport::default();
        for socket in 0..sockets {
            let mut waiting = self.datagrams(socket);
            let mut room = true;
            while room {
                let mut batch = [TxDatagram::EMPTY; BATCH];
                let mut filled = 0;
                for (place, datagram) in batch.iter_mut().zip(&mut waiting) {
                    *place = datagram;
                    filled += 1;
                }
                if filled == 0 {
                    break;
                }
                room = send_batch(&batch[..filled], &mut report, |rest| send(socket, rest));
            }
            report.blocked += waiting.count() as u64;
        }
        // What names a socket that there is not can go nowhere.
        report.refused += self.queue.len() as u64 - report.sent - report.blocked - report.refused;
        self.queue.clear();
        report
    }

    /// What is queued for one socket.
    fn datagrams(&self, socket: usize) -> impl Iterator<Item = TxDatagram<'_>> {
        self.queue.iter().zip(&self.slots).filter_map(move |((path, len), slot)| {
            let Path::Udp { socket: SocketId(id), remote } = *path;
            (usize::from(id) == socket)
                .then(|| TxDatagram { to: remote.into(), bytes: &slot[..*len] })
        })
    }
}

/// Sends a batch in its order; false if the kernel had no room for all of it.
fn send_batch(
    batch: &[TxDatagram<'_>],
    report: &mut FlushReport,
    mut send: impl FnMut(&[TxDatagram<'_>]) -> io::Result<usize>,
) -> bool {
    let mut rest = batch;
    while !rest.is_empty() {
        match send(rest) {
            Ok(sent @ 1..) => {
                let (gone, left) = rest.split_at(sent);
                report.sent += sent as u64;
                report.bytes +=
                    gone.iter().map(|datagram| datagram.bytes.len() as u64).sum::<u64>();
                rest = left;
            }
            Err(error) if is_want_of_room(&error) => {
                report.blocked += rest.len() as u64;
                return false;
            }
            Ok(_) | Err(_) => {
                report.refused += 1;
                rest = &rest[1..];
            }
        }
    }
    true
}

/// The socket's buffer is full, or the kernel's memory; the next datagram would fare no better.
fn is_want_of_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests;
