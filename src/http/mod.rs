//! L4: HTTP/1.1, as little of it as the server needs: the head of one request, one answer, and the
//! connection is closed or becomes a WebSocket (RFC 9112). Called by the accept loop of a shard.
//! And the one thing that the server asks of others: [`webhook`].
//!
//! Bounds: a head has [`HEAD_MAX`] bytes, [`HEADERS_MAX`] fields and [`HEAD_TIME`] to arrive; no
//! request has a body that would be read.

mod assets;
pub mod health;
pub mod metrics;
mod request;
mod response;
mod secret_file;
pub mod server;
pub mod stats;
pub mod token;
mod upgrade;
pub mod webhook;

pub use assets::asset;
pub use request::{BadRequest, Request};
pub use response::Response;
pub use upgrade::Upgrade;

use std::time::Duration;

/// Largest head of a request, in bytes.
pub const HEAD_MAX: usize = 16 * 1024;

/// Most header fields of a request.
pub const HEADERS_MAX: usize = 64;

/// How long a client may take to send the head, and again to take the answer.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
