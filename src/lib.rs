//! corinth: a WebRTC media router (SFU) for bare-metal Linux. Each core runs a shard that owns its
//! rooms, its UDP sockets, its SRTP contexts and the WebSockets of its peers, so media is forwarded
//! without a lock.
//!
//! # The tree, in layers
//!
//! A module imports from those above it in this list, never from those below.
//!
//! | layer | module | what lives there |
//! | --- | --- | --- |
//! | L0 | [`types`] | ids, RTP's values, time, drop reasons, counters, limits |
//! | L1 | [`wire`] | STUN, RTP, RTCP and payload descriptors: bytes to values and back |
//! | L1 | [`protocol`] | the signaling messages: JSON to values and back |
//! | L2 | [`media`] | machines of one RTP stream: statistics, rewriting, key frame requests |
//! | L2 | [`transport`] | one client association: ICE-lite, DTLS, SRTP |
//! | L3 | [`sfu`] | the model: rooms, peers, Receivers, Senders; one [`sfu::Router`] a shard |
//! | L4 | [`net`] | media sockets in batches; knows no RTP |
//! | L4 | [`signal`], [`cluster`], [`http`] | WebSockets; which shard owns a room; HTTP |
//! | L4 | `host` | what the server needs of its host |
//! | L5 | [`shard`] | the only glue: the loop that reads the clock and joins `sfu` with `net` |
//! | L6 | [`server`], [`doctor`] | the process around the shards; whether a host is fit for it |
//!
//! L0 to L3 are sans-IO: bytes, a path and a [`types::Timestamp`] come in, what is to be sent goes
//! to an [`sfu::Outbox`]. No clock, socket, lock or task below L4.
//!
//! # The way of one packet
//!
//! 1. **receive** [`net::Rx::recv`]: one system call fills many slots.
//! 2. **stamp** `shard::Shard::turn`: one clock reading a turn, each datagram to
//!    [`sfu::Router::handle_datagram`].
//! 3. **route** [`wire::demux`], then `sfu::paths`: path to transport, which only a valid STUN
//!    check has opened; SSRC, mid or payload type to stream.
//! 4. **open** `sfu::Association::open_rtp` with [`transport::srtp`]: replay check, decrypt in
//!    place; the window moves only after the tag verified.
//! 5. **account** `sfu::Receiver::account`: statistics, key frame seen, rewritten once for all
//!    Senders into what the turn keeps (`sfu::turn`).
//! 6. **fan out** [`sfu::Router::forward`] at the turn's end, `sfu::forward::fan_out`: walk the
//!    Receiver's Senders, all that the turn has for one, then all for the next.
//! 7. **fit** `sfu::Sender::fit`: may it go, and under which numbers; copy into the send slot and
//!    seal ([`transport::srtp::SrtpTx::seal_rtp`]).
//! 8. **send** [`net::Tx::flush`]: what lies side by side for one path, of one length, leaves as
//!    one train, and one system call takes many.
//!
//! At each step the packet goes on or ends in one counted [`types::DropReason`].

pub mod cli;
pub mod cluster;
pub mod config;
pub mod doctor;
mod host;
pub mod http;
pub mod media;
pub mod net;
pub mod protocol;
pub mod server;
pub mod sfu;
pub mod shard;
pub mod signal;
pub mod transport;
pub mod types;
pub mod wire;
