//! What the kernel tells of this machine, its threads and processes.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::measures::Machine;

/// The wall clock, which the kernel stamps datagrams with, in nanoseconds.
pub fn wall_nanos() -> u64 {
    let now = ClockId::CLOCK_REALTIME.now().map(Duration::from).unwrap_or_default();
    now.as_nanos() as u64
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

/// CPU time of a process, all threads, in user and kernel.
///
/// # Errors
/// There is no such process.
pub fn process_cpu(pid: u32) -> anyhow::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))
        .with_context(|| format!("process {pid} is gone"))?;
    Ok(clock.now()?.into())
}

/// How long the threads of a process were ready to run and had no core, since their starts. Zero
/// where the kernel does not tell (CONFIG_SCHED_INFO).
pub fn process_waited(pid: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let waited = threads.filter_map(|entry| {
        // On the core, waiting for it (both in nanoseconds), and how often.
        let text = fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Duration::from_nanos(waited.sum())
}

/// Resident memory of a process, bytes.
///
/// # Errors
/// There is no such process.
pub fn process_rss(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = line
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmRSS in its status")?
        .parse()?;
    Ok(kilobytes * 1024)
}

/// Cores that this process may use, ascending.
///
/// # Errors
/// The system does not say.
pub fn cores() -> anyhow::Result<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect())
}

/// Ties the calling thread, and threads that it starts from then on, to some cores.
///
/// # Errors
/// One of them may not be used.
pub fn pin(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core).with_context(|| format!("there is no core {core}"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("cannot be tied to cores {cores:?}"))
}

/// Datagrams that found the receive queue of one of these sockets (by inode) full, since the start.
/// `net` is `/proc/self/net`, or that of a process in another network namespace.
///
/// # Errors
/// The kernel's tables cannot be read.
pub fn queue_drops(net: &str, inodes: &[u64]) -> io::Result<u64> {
    let mut drops = 0;
    for table in ["udp", "udp6"] {
        let text = match fs::read_to_string(format!("{net}/{table}")) {
            Ok(text) => text,
            // A machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let inode = fields.get(9).and_then(|field| field.parse().ok());
            if inode.is_some_and(|inode: u64| inodes.contains(&inode)) {
                drops += fields.last().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            }
        }
    }
    Ok(drops)
}

/// The inodes of the sockets that a process has open.
///
/// # Errors
/// There is no such process, or it may not be looked into.
pub fn sockets_of(pid: u32) -> anyhow::Result<Vec<u64>> {
    let folder = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&folder).with_context(|| folder.clone())?;
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inode = |link: std::path::PathBuf| {
        let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
        name.parse().ok()
    };
    Ok(links.filter_map(inode).collect())
}

/// This machine.
pub fn machine() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0_u64);
    Machine {
        cpu: value("model name").unwrap_or_default(),
        cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        memory_bytes: memory * 1024,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        virtual_machine: value("flags")
            .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        generator_cores: Vec::new(),
        server_cores: Vec::new(),
    }
}

/// Has the calling thread go before others of its core, where this process may. Those that it
/// starts would inherit that: it is for threads that start nothing.
#[expect(unsafe_code, reason = "setpriority")]
pub fn go_first() {
    // SAFETY: no pointers; 0 is the calling thread. Who is refused runs on as it did.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

/// Raises the limit of open files as far as this process may.
pub fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What cannot be raised shows when files run out.
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_looked_at() {
        let pid = std::process::id();
        assert!(process_rss(pid).unwrap() > 100_000);
        assert!(process_cpu(pid).unwrap() <= Duration::from_secs(3600));
        assert!(!cores().unwrap().is_empty());
        assert!(machine().memory_bytes > 1 << 20);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sockets = sockets_of(pid).unwrap();
        assert!(!sockets.is_empty());
        assert_eq!(queue_drops("/proc/self/net", &sockets).unwrap(), 0);
        drop(socket);
        assert!(process_rss(u32::MAX >> 1).is_err());
    }
}
