//! This host: which core is whose, what CPU time a process has had, what its sockets have lost.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context as _, ensure};
pub(crate) use corinth_perf::host::{pin, process_cpu, thread_cpu, wall_nanos};

/// The core of whoever is measured, and the core of everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) measured: usize,
    pub(crate) generator: usize,
}

impl Cores {
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let cores = corinth_perf::host::cores()?;
        ensure!(cores.len() >= 2, "two cores are needed: one to measure, one to generate load");
        Ok(Self { measured: cores[0], generator: cores[1] })
    }
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
