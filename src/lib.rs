//! corinth: a WebRTC media router (SFU) for bare-metal Linux.

pub mod cluster;
pub mod http;
pub mod media;
pub mod net;
pub mod protocol;
pub mod sfu;
pub mod shard;
pub mod signal;
pub mod transport;
pub mod types;
pub mod wire;
