//! What a shard logs of its peers: a line when one comes and one when it goes, with the ids that
//! the rest is found by. So many a second and no more: a storm of joins must not become one of
//! lines, which are written by the thread that forwards media.

use std::cell::Cell;
use std::time::Duration;

use crate::types::{ShardId, Timestamp};

/// Lines of one shard in a second.
const LINES_PER_SECOND: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// Counts a shard's lines about peers.
#[derive(Debug)]
pub(super) struct Journal {
    shard: ShardId,
    since: Cell<Timestamp>,
    lines: Cell<u32>,
}

impl Journal {
    /// Nothing was written yet.
    pub(super) fn new(shard: ShardId) -> Self {
        Self { shard, since: Cell::new(Timestamp::START), lines: Cell::new(0) }
    }

    /// A peer has connected.
    pub(super) fn connected(&self, now: Timestamp, room: &str, peer: &str) {
        if self.may_write(now) {
            tracing::info!(shard = self.shard.0, room, peer, "connected");
        }
    }

    /// Its connection is over; `transports` are those it had at its end, by the client's numbers.
    pub(super) fn gone(&self, now: Timestamp, room: &str, peer: &str, transports: &str) {
        if self.may_write(now) {
            tracing::info!(shard = self.shard.0, room, peer, transports, "gone");
        }
    }

    /// Takes one line of this second's; says how many were left out when the next one begins.
    fn may_write(&self, now: Timestamp) -> bool {
        if now.since(self.since.get()) >= SECOND {
            let left_out = self.lines.replace(0).saturating_sub(LINES_PER_SECOND);
            self.since.set(now);
            if left_out > 0 {
                tracing::info!(shard = self.shard.0, left_out, "more peers came and went");
            }
        }
        self.lines.set(self.lines.get() + 1);
        self.lines.get() <= LINES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_twenty_lines_a_second() {
        let journal = Journal::new(ShardId(0));
        let at = |ms: u64| Timestamp::from_micros(1 + ms * 1000);
        let written = |from: u64| (0..500).filter(|i| journal.may_write(at(from + i))).count();
        assert_eq!(written(2000), 20);
        assert_eq!(written(2500), 0, "it is the same second");
        assert_eq!(written(3000), 20);
    }
}
