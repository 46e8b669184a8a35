//! What can change while the server runs: made from a configuration, handed to each shard.

use std::io;
use std::time::Duration;

use crate::config::Config;

/// What a reload replaces, as a whole.
#[derive(Debug, Clone)]
pub struct Live {
    /// Between pings on a WebSocket.
    pub(super) ping_interval: Duration,
}

impl Live {
    /// Reads what the configuration names. Errors name the file and what is wrong with it.
    pub fn load(config: &Config) -> io::Result<Live> {
        Ok(Live { ping_interval: config.ping_interval })
    }
}
