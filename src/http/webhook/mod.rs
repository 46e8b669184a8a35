//! L4: the webhook. What happens in rooms is told to a web server of the operator's, signed as
//! Standard Webhooks 1.0 says, in order, again and again until it is taken or an hour old.
//! docs/operating/webhooks.md is the contract.
//!
//! `notice` is one event, `waiting` keeps those that wait, `queue` decides what is sent and when,
//! both sans-IO, `secrets` signs, `post` sends. Blocking, so not for a shard: `shard::webhook` runs
//! it on a thread of its own.
//!
//! Bounds: [`EVENTS_MAX`] events in a request, [`TRY_TIME`] for each try, [`KEEP`] for all of them.

mod notice;
mod post;
mod queue;
mod secrets;
mod waiting;

pub use notice::{Notice, NoticeKind};
pub use post::{Client, TRY_TIME};
pub use queue::{EVENTS_MAX, Failure, KEEP, Parcel, Queue};
pub use secrets::Secrets;
pub use waiting::Waiting;

use std::io;
use std::path::Path;
use std::sync::Arc;

/// Who is told, and what proves who tells it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Target(Arc<Told>);

#[derive(Debug)]
struct Told {
    url: String,
    secrets: Secrets,
}

impl Target {
    /// A URL, and the file with the secrets; errors name the file and what is wrong with it.
    pub fn load(url: &str, secret: &Path) -> io::Result<Target> {
        Ok(Self(Arc::new(Told { url: url.to_owned(), secrets: Secrets::load(secret)? })))
    }
}
