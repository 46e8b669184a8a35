//! What a server's process uses: CPU, cycles, memory, and what its sockets lose.

use std::fs;
use std::time::Duration;

use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

use crate::host;

/// Looks at one process on this machine.
#[derive(Debug)]
pub struct Meter {
    pid: u32,
    sockets: Vec<u64>,
    net: String,
}

/// A process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// CPU time since its start, all threads.
    pub cpu: Duration,
    /// Time since its start in which its threads were ready and had no core.
    pub waited: Duration,
    /// Resident memory, bytes.
    pub rss: u64,
    /// Datagrams that found a receive queue of it full.
    pub queue_drops: u64,
}

impl Meter {
    /// For the process `pid`.
    ///
    /// # Errors
    /// There is none, or it may not be looked at.
    pub fn new(pid: u32) -> anyhow::Result<Self> {
        let sockets = host::sockets_of(pid)?;
        Ok(Self { pid, sockets, net: format!("/proc/{pid}/net") })
    }

    /// Looks for sockets that it has opened since: some servers open one for each peer.
    ///
    /// # Errors
    /// It has ended.
    pub fn look_again(&mut self) -> anyhow::Result<()> {
        self.sockets = host::sockets_of(self.pid)?;
        Ok(())
    }

    /// Now.
    ///
    /// # Errors
    /// It has ended.
    pub fn read(&self) -> anyhow::Result<Reading> {
        Ok(Reading {
            cpu: host::process_cpu(self.pid)?,
            waited: host::process_waited(self.pid),
            rss: host::process_rss(self.pid)?,
            queue_drops: host::queue_drops(&self.net, &self.sockets)?,
        })
    }

    /// Begins to count processor cycles of all its threads; `None` where the machine counts none,
    /// or does not let us.
    pub fn count_cycles(&self) -> Option<Cycles> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
        let ids = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let counter = |thread: i32| {
            let mut builder = Builder::new().kind(Hardware::CPU_CYCLES);
            builder.include_kernel();
            let mut counter = builder.observe_pid(thread).any_cpu().build().ok()?;
            counter.enable().ok()?;
            Some(counter)
        };
        let counters: Option<Vec<_>> = ids.map(counter).collect();
        counters.filter(|counters| !counters.is_empty()).map(Cycles)
    }
}

/// Counters of a process's threads.
#[derive(Debug)]
pub struct Cycles(Vec<Counter>);

impl Cycles {
    /// Since they began; `None` if a counter failed.
    pub fn read(&mut self) -> Option<u64> {
        self.0.iter_mut().map(|counter| counter.read().ok()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_metered() {
        let meter = Meter::new(std::process::id()).unwrap();
        let before = meter.read().unwrap();
        let mut sum = 0_u64;
        while meter.read().unwrap().cpu < before.cpu + Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(before.rss > 0);
        if let Some(mut cycles) = meter.count_cycles() {
            assert!(cycles.read().is_some(), "where there are counters they can be read");
        }
        assert!(Meter::new(u32::MAX >> 1).is_err());
    }
}
