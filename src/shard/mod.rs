//! L5, the only glue: pinned glommio executors, one a core, each with its Router, its media
//! sockets and its WebSockets. `docs/internals/shard.md` draws it.
//!
//! - `serve`: the server as a whole; `attend`: what its main thread does; `host`: what it needs of
//!   its host; `doctor`: whether it has it.
//! - `run`: one shard's thread; `state`: what its tasks share; `outbox`: where its Router speaks.
//! - `media`, `accept`, `ice_tcp`: its tasks; `counted`: what counts connections.
//! - `mailbox`: how it talks to the other shards.
//! - `pages`: what anybody may ask over HTTP, `collected`: what the shards have
//!   counted; `admin`: what operators may.
//! - `live`: what can change while it serves; `orders`: how the main thread tells the shards.
//! - `clock`: the only reader of the time. `pulse`: which shards move.
//! - `journal`: what is told of rooms, in the log and, by way of `notices`, to the `webhook`.

mod accept;
mod admin;
mod attend;
mod clock;
mod collected;
mod counted;
pub mod doctor;
mod host;
mod ice_tcp;
mod journal;
mod live;
mod mailbox;
mod media;
mod notices;
mod orders;
mod outbox;
mod pages;
mod pulse;
mod run;
mod serve;
mod state;
mod webhook;

pub use attend::Occasion;
pub use clock::unix_time;
pub use live::Live;
pub use serve::{Running, serve};
