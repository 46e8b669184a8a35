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
mod linger;
mod probe;
mod rx;
mod sys;
#[cfg(test)]
mod testing;
mod tx;
mod udp;
mod watch;

pub use adopt::{adopt_listener, adopt_pair, adopt_stream, duplicate_stream};
pub use arena::TxArena;
pub use batch::RxBatch;
pub use descriptors::raise_descriptor_limit;
pub use interfaces::host_addresses;
pub use linger::{LINGER_MAX, linger};
pub use probe::probe_io_uring;
pub use rx::{Datagram, Received, Rx};
pub use tx::{FlushReport, Tx};
pub use udp::{MediaSocket, SocketOptions};
pub use watch::Watch;

use std::rc::Rc;

/// The two halves of a shard's media sockets; the index of each is its
/// [`SocketId`](crate::types::SocketId).
pub fn open(sockets: Vec<MediaSocket>) -> (Rx, Tx) {
    let sockets: Rc<[MediaSocket]> = sockets.into();
    (Rx::new(Rc::clone(&sockets)), Tx::new(sockets))
}
