//! What can change while the server runs: made from a configuration, handed to each shard.

use std::io;
use std::time::Duration;

use crate::config::Config;

/// What a reload replaces, as a whole.
#[derive(Debug, Clone)]
pub struct Live {
    /// Between pings on a WebSocket.
    pub(super) ping_interval: Duration,
    /// From which share of its core on, in thousandths, a shard is full.
    pub(super) busy_max: u64,
}

impl Live {
    /// Reads what the configuration names. Errors name the file and what is wrong with it.
    pub fn load(config: &Config) -> io::Result<Live> {
        Ok(Live { ping_interval: config.ping_interval, busy_max: config.busy_max })
    }
}
