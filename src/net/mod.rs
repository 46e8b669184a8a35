//! L4: the media sockets. Datagrams and the paths they travel, in batches; no RTP in sight.
//!
//! A shard binds one [`MediaSocket`] per listen address, drains it into its [`RxBatch`] when it is
//! readable, and sends what the batch caused from its [`TxArena`]. Nothing here waits, and nothing
//! allocates once it is built. Kernel calls live in `sys`, the only place with `unsafe`.
//! `docs/internals/net.md` explains the socket's options and what becomes of errors.

mod adopt;
mod arena;
mod batch;
mod descriptors;
mod interfaces;
mod linger;
mod probe;
mod sys;
#[cfg(test)]
mod testing;
mod udp;

pub use adopt::{adopt_listener, adopt_pair, adopt_stream, duplicate_stream, watch};
pub use arena::{FlushReport, TxArena};
pub use batch::{Datagram, RxBatch};
pub use descriptors::raise_descriptor_limit;
pub use interfaces::host_addresses;
pub use linger::{LINGER_MAX, linger};
pub use probe::probe_io_uring;
pub use udp::{MediaSocket, SocketOptions};
