//! L4: the media sockets. Datagrams and the paths they travel, in batches; no RTP in sight.
//!
//! A shard binds one [`MediaSocket`] per listen address and [`open`]s them: what waits comes by
//! [`Rx`], what a turn caused is written into its [`TxArena`] and leaves by [`Tx`]. Nothing here
//! waits but [`Watch`], and nothing allocates once it is built. Kernel calls live in `sys`, the
//! only place with `unsafe` but for descriptors that glommio takes (`adopt`, `watch`).
//! `docs/internals/net.md` explains the socket's options and what becomes of errors.

mod adopt;
mod arena;
mod batch;
mod descriptors;
mod interfaces;
mod probe;
mod received;
mod ring;
mod rx;
mod stream;
mod sys;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod trains;
mod tx;
mod udp;
mod watch;

pub use adopt::{adopt_listener, adopt_pair};
pub use arena::TxArena;
pub use batch::RxBatch;
pub use descriptors::raise_descriptor_limit;
pub use interfaces::{InterfaceAddress, host_addresses, interface_addresses};
pub use probe::{probe_io_uring, probe_media_ring};
pub use received::{Datagram, Received};
pub use rx::Rx;
pub use stream::{Detached, LINGER_MAX, Stream};
pub use sys::ethtool::{Feature, feature};
pub use sys::timex::{Discipline, discipline};
pub use tls::{Tls, own_names};
pub use trains::{Trains, probe_trains};
pub use tx::{FlushReport, Tx};
pub use udp::{MediaSocket, SocketOptions};
pub use watch::Watch;

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use crate::types::IoKind;

/// The two halves of a shard's media sockets; the index of each is its
/// [`SocketId`](crate::types::SocketId). On the thread that will use them.
///
/// With [`IoKind::Ring`] fails where the kernel has no such ring for us: older than 6.1 (`EINVAL`),
/// or io_uring is forbidden (`EPERM`, `ENOSYS`).
pub fn open(kind: IoKind, sockets: Vec<MediaSocket>) -> io::Result<(Rx, Tx)> {
    let sockets: Rc<[MediaSocket]> = sockets.into();
    match kind {
        IoKind::Mmsg => Ok((Rx::mmsg(Rc::clone(&sockets)), Tx::mmsg(sockets))),
        IoKind::Ring => {
            let descriptors: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            let ring = Rc::new(RefCell::new(sys::ring::Ring::new(&descriptors)?));
            Ok((Rx::ring(Rc::clone(&sockets), &ring), Tx::ring(sockets, ring)))
        }
    }
}
