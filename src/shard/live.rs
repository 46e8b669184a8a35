//! What can change while the server runs: made from a configuration, handed to each shard.

use std::io;
use std::time::Duration;

use crate::config::Config;
use crate::http::token::{Denied, Keys, of_request};
use crate::http::{Request, Upgrade};
use crate::types::Rights;

/// What a reload replaces, as a whole.
#[derive(Debug, Clone)]
pub struct Live {
    /// Between pings on a WebSocket.
    pub(super) ping_interval: Duration,
    /// From which share of its core on, in thousandths, a shard is full.
    pub(super) busy_max: u64,
    /// How long rooms may go on when the server is told to stop.
    pub(super) drain_time: Duration,
    /// What tokens are verified with.
    pub(super) keys: Keys,
}

impl Live {
    /// Reads what the configuration names. Errors name the file and what is wrong with it.
    pub fn load(config: &Config) -> io::Result<Live> {
        let files = config.token_keys.iter().map(|key| (&*key.id, &*key.file));
        Ok(Live {
            ping_interval: config.ping_interval,
            busy_max: config.busy_max,
            drain_time: config.drain_time,
            keys: Keys::load(files)?,
        })
    }

    /// What the client of this request may do; `now` is in seconds since 1970. Where there are no
    /// keys, everybody may take part: `Config` has seen to it that this was meant.
    pub(super) fn admit(
        &self,
        request: &Request,
        upgrade: &Upgrade,
        now: u64,
    ) -> Result<Rights, Denied> {
        if self.keys.is_empty() {
            return Ok(Rights::PARTICIPANT);
        }
        let token = of_request(request).ok_or(Denied::Token("a token is needed"))?;
        self.keys.verify(&token, now)?.admits(&upgrade.room, &upgrade.peer)
    }

    /// Whether tokens are asked for.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether the token of this request is for whoever runs the server: `admin` of every room.
    pub(super) fn admit_admin(&self, request: &Request, now: u64) -> Result<(), Denied> {
        let token = of_request(request).ok_or(Denied::Token("a token is needed"))?;
        let grant = self.keys.verify(&token, now)?;
        match grant.room.is_none() && grant.rights.admin {
            true => Ok(()),
            false => Err(Denied::Rights("the token is not for every room and admin")),
        }
    }
}
