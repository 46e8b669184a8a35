//! The clock. The only file that may read one; everybody else is passed a [`Timestamp`].

use std::time::Instant;

use crate::types::Timestamp;

/// A shard's time: microseconds since its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// What [`Timestamp`]s count from.
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.epoch.elapsed().as_micros() as u64)
    }
}
