//! The pulse of all shards: each says with every heartbeat that it moves, and whoever wants to know
//! can see which does not. The one thing that threads share, ten stores a second each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Clock;
use crate::types::{ShardId, Timestamp};

/// A shard that has not moved for so long is stuck: thirty heartbeats.
const STUCK: Duration = Duration::from_secs(3);

/// When each shard last moved.
#[derive(Debug)]
pub(crate) struct Pulse {
    clock: Clock,
    beats: Vec<AtomicU64>,
}

impl Pulse {
    /// Of `shards` shards, all taken to have moved just now.
    pub(crate) fn new(shards: usize) -> Self {
        let clock = Clock::start();
        let now = clock.now().as_micros();
        Self { clock, beats: (0..shards).map(|_| AtomicU64::new(now)).collect() }
    }

    /// This shard moves.
    pub(super) fn beat(&self, shard: ShardId) {
        self.beats[usize::from(shard.0)].store(self.clock.now().as_micros(), Ordering::Relaxed);
    }

    /// A shard that is stuck, and for how long it has been.
    pub(crate) fn stuck(&self) -> Option<(ShardId, Duration)> {
        let now = self.clock.now();
        let silent = self.beats.iter().enumerate().map(|(shard, beat)| {
            let beat = Timestamp::from_micros(beat.load(Ordering::Relaxed));
            (ShardId(shard as u8), now.since(beat))
        });
        silent.max_by_key(|(_, silence)| *silence).filter(|(_, silence)| *silence > STUCK)
    }
}
