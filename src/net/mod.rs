//! L4: the media sockets. Datagrams and the paths they travel, in batches; no RTP in sight.
//!
//! A shard binds one [`MediaSocket`] per listen address, drains it into its [`RxBatch`] when it is
//! readable, and sends what the batch caused from its [`TxArena`]. Nothing here waits, and nothing
//! allocates once it is built. Kernel calls live in `sys`, the only place with `unsafe`.
//! `docs/internals/net.md` explains the socket's options and what becomes of errors.

mod batch;
mod interfaces;
mod sys;
mod udp;

pub use batch::{Datagram, FlushReport, RxBatch, TxArena};
pub use interfaces::host_addresses;
pub use udp::{MediaSocket, SocketOptions};
