//! L6: the process. Sockets are bound, shards started and told what to do; the main thread attends
//! to signals, reloads, systemd and the end.
//!
//! - `serve`: starts a server and stops it; `bind`: its sockets.
//! - `attend`: what the main thread does meanwhile; `stamps`: files that it watches.
//! - `commander`: how it tells the shards. `webhook`: the thread that tells somebody's web server.

mod attend;
mod bind;
mod commander;
mod serve;
mod stamps;
mod webhook;

pub use attend::Occasion;
pub use serve::{Running, serve};
