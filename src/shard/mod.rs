//! L5, the only glue: pinned glommio executors, one a core, each with its Router, its media
//! sockets and its WebSockets. `docs/internals/shard.md` draws it. What is around them all is
//! `server`.
//!
//! - `run`: one shard's thread; `state`: what its tasks share; `outbox`: where its Router speaks.
//! - `media`, `accept`, `ice_tcp`: its tasks; `framing`: messages in a stream of bytes; `client`:
//!   who sent a request; `counted`: what counts connections.
//! - `mailbox`: how it talks to the other shards; `orders`: what the main thread tells it; `words`:
//!   what it tells the main thread.
//! - `pages`: what anybody may ask over HTTP, `collected`: what the shards have counted, `process`:
//!   what the metrics tell of all of them; `admin`: what operators may ask.
//! - `live`: what can change while it serves.
//! - `clock`: the only reader of the time. `pulse`: which shards move.
//! - `journal`: what is told of rooms, in the log and, by way of `notices`, to the webhook.

mod accept;
mod admin;
mod client;
mod clock;
mod collected;
mod counted;
mod framing;
mod ice_tcp;
mod journal;
mod live;
mod mailbox;
mod media;
mod notices;
mod orders;
mod outbox;
mod pages;
mod process;
mod pulse;
mod run;
mod state;
mod words;

pub(crate) use clock::Clock;
pub use clock::unix_time;
pub use live::Live;
pub(crate) use mailbox::mesh;
pub(crate) use notices::{Notices, Wanted};
pub(crate) use orders::{Order, Orders};
pub(crate) use pulse::Pulse;
pub(crate) use run::{Parts, TcpMedia, executor, run};
pub(crate) use state::Common;
pub(crate) use words::{DRAIN, ENDED, IDLE};
