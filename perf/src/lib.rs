//! The client's side of a call, on webrtc-rs's crates: an implementation that is not corinth's, so
//! that each test or load run with it is an interop run as well. Shares no code with the server.
//!
//! From the outside in:
//! - [`peer`]: a peer of a room: what it sends, what it is sent.
//! - [`signaling`]: protoo requests and notifications over a WebSocket.
//! - [`transport`]: one ICE + DTLS-SRTP association, made of [`ice`], [`dtls`] and [`srtp`].
//! - [`trace`]: what browsers really send, to be played again.
//! - [`relay`]: a bad network to put between a client and the server.
//!
//! Everything runs on the caller's tokio runtime. What is dropped stops: a dropped
//! [`transport::Transport`] ends its tasks, a dropped [`signaling::Signaling`] its connection.

pub mod dtls;
pub mod ice;
pub mod peer;
pub mod relay;
pub mod signaling;
pub mod srtp;
pub mod trace;
pub mod transport;

#[cfg(test)]
mod loopback_tests;
