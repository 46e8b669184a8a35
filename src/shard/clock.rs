//! The clock. The only file that may read one; everybody else is passed a [`Timestamp`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::types::Timestamp;

/// A shard's time: microseconds since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// What [`Timestamp`]s count from.
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.epoch.elapsed().as_micros() as u64)
    }
}

/// Seconds since 1970, by the system's clock: for what people and other machines date.
pub fn unix_time() -> u64 {
    since_1970().as_secs()
}

/// The same, finer.
#[expect(clippy::disallowed_methods, reason = "this file is where the clock is read")]
pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// CPU time of all threads of the process.
pub(super) fn process_cpu() -> Duration {
    cpu_time(ClockId::ProcessCPUTime)
}

/// How busy this thread is: its CPU time against the time that goes by.
#[derive(Debug)]
pub(super) struct BusyMeter {
    wall: Instant,
    cpu: Duration,
}

impl BusyMeter {
    /// Begins to measure the calling thread.
    #[expect(clippy::disallowed_methods, reason = "this file is where the clock is read")]
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: thread_cpu() }
    }

    /// The share of the time since the last call that the calling thread was running, 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        let before = std::mem::replace(self, Self::start());
        let wall = (self.wall - before.wall).as_secs_f64();
        let cpu = self.cpu.saturating_sub(before.cpu).as_secs_f64();
        if wall > 0.0 { (cpu / wall).min(1.0) } else { 0.0 }
    }
}

fn thread_cpu() -> Duration {
    cpu_time(ClockId::ThreadCPUTime)
}

fn cpu_time(of: ClockId) -> Duration {
    let now = clock_gettime(of);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}
