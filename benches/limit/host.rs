//! This host: which core is whose, what CPU time a process has had, what its sockets have lost.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// The core of whoever is measured, and the core of everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) measured: usize,
    pub(crate) generator: usize,
}

impl Cores {
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let cores: Vec<_> =
            (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect();
        ensure!(cores.len() >= 2, "two cores are needed: one to measure, one to generate load");
        Ok(Self { measured: cores[0], generator: cores[1] })
    }
}

/// Ties the calling thread to a core.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// CPU time of a process, all threads, in user and kernel.
pub(crate) fn process_cpu(pid: u32) -> anyhow::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))?;
    Ok(clock.now()?.into())
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> anyhow::Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

/// The wall clock, which the kernel stamps datagrams with, in nanoseconds.
pub(crate) fn wall_nanos() -> anyhow::Result<u64> {
    let now: Duration = ClockId::CLOCK_REALTIME.now()?.into();
    Ok(now.as_nanos() as u64)
}

/// Datagrams that found the receive queue of one of these local ports full.
pub(crate) fn queue_drops(ports: &HashSet<u16>) -> anyhow::Result<u64> {
    let table = fs::read_to_string("/proc/self/net/udp")?;
    let drops = table.lines().skip(1).map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let port = fields.get(1).and_then(|local| local.split(':').nth(1)).context("an address")?;
        let drops: u64 = fields.last().context("a last column")?.parse()?;
        let counts = ports.contains(&u16::from_str_radix(port, 16)?);
        anyhow::Ok(if counts { drops } else { 0 })
    });
    drops.sum()
}
