//! L4: WebSockets. From the answer to the upgrade to the last Close, for one connection; what
//! the frames say is the business of whoever is called with them (PROTOCOL section 2, RFC 6455).
//!
//! Bounds: a frame `FRAME_MAX`, what waits for a client `SIGNAL_QUEUE_MAX`, for one that takes
//! nothing `SIGNAL_UNREAD_MAX`, for all of a shard `SIGNAL_QUEUES_MAX`, a silent client two ping
//! intervals, a goodbye [`connection::FLUSH_MAX`] and [`LINGER_MAX`](crate::net::LINGER_MAX).

mod codec;
pub mod connection;
mod outgoing;
mod queues;

pub use codec::{Codec, Frame};
pub use connection::{Connection, End};
pub use outgoing::Outgoing;
pub use queues::Queues;

/// Why the server closes a connection: the code of the Close frame and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// RFC 6455 §7.4, or 4000 for a final one.
    pub code: u16,
    /// For people who read logs; at most 123 bytes.
    pub reason: &'static str,
}

impl Close {
    /// The server stops.
    pub const GOING_AWAY: Close = Close::new(1001, "server going away");
    /// Nothing came for two ping intervals. Not final, so that a client with a bad link returns.
    pub const SILENT: Close = Close::new(1001, "silent for too long");
    /// Not a WebSocket frame, or one out of place.
    pub const PROTOCOL: Close = Close::new(1002, "WebSocket protocol error");
    /// The protocol has text frames only.
    pub const BINARY: Close = Close::new(1003, "binary frame");
    /// Text that is none.
    pub const NOT_UTF8: Close = Close::new(1007, "invalid UTF-8");
    /// More than `FRAME_MAX` bytes.
    pub const TOO_BIG: Close = Close::new(1009, "frame too big");
    /// The client does not read what it is sent.
    pub const SLOW: Close = Close::new(1013, "too slow a reader");

    /// A code with its reason.
    pub const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}
