//! What a turn has received, however it came.

use crate::types::Path;

/// What one [`Rx::recv`](super::Rx::recv) found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Datagrams, to be asked for by [`Rx::datagram`](super::Rx::datagram).
    pub datagrams: usize,
    /// Whether more may be waiting.
    pub more: bool,
}

/// One datagram that was received.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Which way it came; without flow label or needless scope.
    pub path: Path,
    /// What it says; at most `DATAGRAM_MAX` bytes, possibly none. May be decrypted in place.
    pub bytes: &'a mut [u8],
    /// It was longer than `DATAGRAM_MAX`, and `bytes` is only its beginning.
    pub truncated: bool,
}
