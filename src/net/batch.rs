//! Datagrams received in batches: [`RxBatch`] takes many with one system call. It allocates when it
//! is made and never again.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use super::sys::mmsg::{self, BATCH, RxMeta};
use super::udp::MediaSocket;
use crate::types::limit::DATAGRAM_MAX;

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

    /// Datagram `i` of the last `recv`, 0-based, oldest first: who sent it, what it says (at most
    /// `DATAGRAM_MAX` bytes, possibly none; may be decrypted in place), and whether it was longer
    /// and these bytes are only its beginning.
    ///
    /// # Panics
    /// If `i` is not below what that `recv` returned.
    pub fn datagram(&mut self, i: usize) -> (SocketAddr, &mut [u8], bool) {
        let meta = &self.metas[..self.received][i];
        (meta.remote(), &mut self.buffers[i][..meta.len], meta.truncated)
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
pub(super) fn concerns_no_datagram(error: &io::Error) -> bool {
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

#[cfg(test)]
mod tests;
