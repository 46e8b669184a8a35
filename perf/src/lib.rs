//! Capacity planning for SFUs, in the client's role, on webrtc-rs's crates: an implementation that
//! is not corinth's, so that each test or load run with it is an interop run as well. Shares no
//! code with the server.
//!
//! A client, from the outside in:
//! - [`peer`]: a peer of a room: what it sends, what it is sent.
//! - [`signaling`]: protoo requests and notifications over a WebSocket.
//! - [`transport`]: one ICE + DTLS-SRTP association, made of [`ice`], [`dtls`] and [`srtp`].
//! - [`trace`]: what browsers really send, to be played again.
//! - [`relay`]: a bad network to put between a client and the server.
//!
//! The suite:
//! - [`cli`], [`commands`]: what can be asked for, and what happens then.
//! - [`scenario`]: who is in which rooms and sends what; profiles.
//! - [`rig`]: a server under load, one step after the other.
//! - [`engine`]: the media of thousands of peers, a thread a core.
//! - [`load`]: who joins, connects, comes and goes.
//! - [`sfu`]: servers: how to start one, sign in, send, receive.
//! - [`step`], [`meter`]: from counts to figures.
//! - [`measures`]: what a run measured, as data.
//! - [`findings`]: what of it is wrong, in words.
//! - [`selfcheck`]: what the generator can do alone.
//! - [`capture`]: more traces.
//! - [`apart`]: a network of one's own.
//! - [`report`]: the same for people.
//! - [`capacity`]: the highest load that holds all limits.
//! - [`plan`]: how many cores a mix of rooms needs.
//!
//! Everything of the client runs on the caller's tokio runtime. What is dropped stops: a dropped
//! [`transport::Transport`] ends its tasks, a dropped [`signaling::Signaling`] its connection.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "no shard: programs that read clocks and have threads that talk"
)]

pub mod apart;
pub mod args;
pub mod binary;
pub mod capacity;
pub mod capture;
pub mod cli;
pub mod commands;
pub mod dtls;
pub mod engine;
pub mod findings;
pub mod host;
pub mod ice;
pub mod load;
pub mod measures;
pub mod meter;
pub mod peer;
pub mod plan;
pub mod progress;
pub mod relay;
pub mod report;
pub mod rig;
pub mod scenario;
pub mod selfcheck;
pub mod sfu;
pub mod signaling;
pub mod srtp;
pub mod step;
pub mod trace;
pub mod transport;

#[cfg(test)]
mod loopback_tests;
