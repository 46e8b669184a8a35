//! What a shard says to the main thread: one byte on a socket. A signal's is another.

/// Its thread is over.
pub(crate) const ENDED: u8 = 0;
/// Somebody asks for a drain.
pub(crate) const DRAIN: u8 = 1;
/// A shard that drains has no rooms left in its part of the directory.
pub(crate) const IDLE: u8 = 2;
