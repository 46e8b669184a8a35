//! What `serve` fails without (version, locked memory, io_uring, descriptors), and what it sends
//! less well or loses packets without.

use std::path::Path;

use super::{Finding, number, read};
use crate::host;
use crate::net::{SocketOptions, Trains, probe_trains, raise_descriptor_limit};

/// Said where the finding says already how it is mended.
const FATAL: &str = "as it says; the server does not start like this";

/// A burst of a gigabit for 30 ms, as the receive buffers can hold it, in packets.
const BACKLOG_WISHED: u64 = 4096;

/// Less than this is what nobody has used for long, and nobody misses. KiB.
const SWAPPED_MAX: u64 = 64 * 1024;

/// All points of this file, for so many shards with so many media sockets each.
pub(super) fn examine(proc: &Path, shards: usize, sockets: usize) -> Vec<Finding> {
    let mut found = vec![version(proc), memlock(shards), io_uring(), ring()];
    found.push(descriptors(shards, sockets));
    found.push(trains(probe_trains().map_err(|error| error.to_string())));
    found.extend(sysctls(&proc.join("sys/net/core")));
    found.extend(swap(&read(&proc.join("swaps"))));
    found
}

fn version(proc: &Path) -> Finding {
    let release = read(&proc.join("sys/kernel/osrelease"));
    match host::check_kernel() {
        Ok(()) => Finding::good(format!("Linux {}", release.trim())),
        Err(error) => Finding::bad(error.to_string(), FATAL),
    }
}

fn memlock(shards: usize) -> Finding {
    let needed = host::memlock_needed(shards);
    let limit = match host::memlock() {
        None => return Finding::good("as much memory may be locked as is wanted"),
        Some(limit) => limit,
    };
    match host::check_memlock(limit, shards) {
        Ok(()) => Finding::good(format!(
            "{} KiB of memory may be locked here, and {} are needed",
            limit / 1024,
            needed / 1024
        )),
        Err(error) => Finding::bad(error.to_string(), FATAL),
    }
}

fn io_uring() -> Finding {
    match host::check_io_uring() {
        Ok(()) => Finding::good("io_uring: the kernel has made a ring"),
        Err(error) => Finding::bad(error.to_string(), FATAL),
    }
}

fn ring() -> Finding {
    match host::check_media_ring() {
        Ok(()) => Finding::good("media by a ring (--io ring) is possible"),
        Err(_) => {
            Finding::good("media by a ring (--io ring) is not possible; by system calls it is")
        }
    }
}

fn descriptors(shards: usize, sockets: usize) -> Finding {
    let limit = raise_descriptor_limit().unwrap_or(u64::MAX);
    if let Err(error) = host::check_descriptors(limit, shards, sockets) {
        return Finding::bad(error.to_string(), FATAL);
    }
    match host::shortcomings(0, 0, limit).pop() {
        Some(shortcoming) => Finding::poor(shortcoming, "LimitNOFILE=262144 in the service"),
        None => Finding::good(format!("{limit} files may be open; each peer is one")),
    }
}

fn trains(probe: Result<Trains, String>) -> Finding {
    match probe {
        Ok(Trains { cut: true, joined: true }) => {
            Finding::good("GSO and GRO: a train over loopback was cut, and joined again")
        }
        Ok(Trains { cut: true, joined: false }) => {
            Finding::good("GSO: a train over loopback was cut; GRO is missing, and not needed")
        }
        Ok(Trains { cut: false, .. }) => Finding::poor(
            "GSO: the kernel does not cut trains, so each packet costs a whole send",
            "a kernel that has UDP_SEGMENT for loopback: 4.18 or newer, and not in a sandbox",
        ),
        Err(error) => Finding::poor(
            format!("GSO: no train could be sent over loopback ({error})"),
            "ip link set lo up",
        ),
    }
}

/// Those of them that the kernel shows: a network namespace has not all.
fn sysctls(folder: &Path) -> Vec<Finding> {
    let buffer = SocketOptions::WISHED.receive_buffer as u64;
    let wishes = [
        ("rmem_max", buffer, "bursts will be lost"),
        ("wmem_max", buffer, "bursts will be lost"),
        ("netdev_max_backlog", BACKLOG_WISHED, "what RPS hands to another core may be lost"),
    ];
    let (mut found, mut enough) = (Vec::new(), Vec::new());
    for (name, wished, why) in wishes {
        match number(&folder.join(name)) {
            Some(granted) if granted < wished => found.push(Finding::poor(
                format!("net.core.{name} is {granted}: {why}"),
                format!("scripts/tune-host.sh, or sysctl net.core.{name}={wished}"),
            )),
            Some(granted) => enough.push(format!("{name} is {granted}")),
            None => {}
        }
    }
    if !enough.is_empty() {
        found.push(Finding::good(format!("net.core: {}", enough.join(", "))));
    }
    found
}

/// `/proc/swaps`: a headline, then file, type, size, used in KiB, priority.
fn swap(table: &str) -> Option<Finding> {
    let used = |line: &str| line.split_whitespace().nth(3)?.parse::<u64>().ok();
    let used: u64 = table.lines().skip(1).filter_map(used).sum();
    (used > SWAPPED_MAX).then(|| {
        Finding::poor(
            format!("{} MiB of memory are swapped out: a shard waits for what it is", used / 1024),
            "MemorySwapMax=0 in the service, and more memory, or less else on this host",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::super::testing::{Host, grades};
    use super::*;

    #[test]
    fn small_buffers_are_named_with_what_makes_them_larger() {
        let files = [("rmem_max", "212992\n"), ("wmem_max", "4194304\n")];
        let host = Host::new("buffers", &files);
        let found = sysctls(host.folder());
        assert_eq!(grades(found.clone()), [Grade::Poor, Grade::Good]);
        assert!(found[0].to_string().contains("sysctl net.core.rmem_max=4194304"), "{}", found[0]);
        assert_eq!(found[1].what, "net.core: wmem_max is 4194304");
        host.write("netdev_max_backlog", "1000\n");
        assert!(sysctls(host.folder())[1].what.contains("netdev_max_backlog is 1000"));
    }

    #[test]
    fn what_is_swapped_out_is_seen() {
        let table = |used: u64| {
            format!("Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 8388604 {used} -2\n")
        };
        assert!(swap(&table(2 << 20)).unwrap().what.starts_with("2048 MiB"));
        assert_eq!(swap(&table(4096)), None);
        assert_eq!(swap(""), None);
    }

    #[test]
    fn trains_are_graded_by_what_came_of_one() {
        let grade = |cut, joined| trains(Ok(Trains { cut, joined })).grade;
        assert_eq!(grade(true, true), Grade::Good);
        assert_eq!(grade(true, false), Grade::Good);
        assert_eq!(grade(false, false), Grade::Poor);
        let failed = trains(Err("Network is unreachable".to_owned()));
        assert!(failed.grade == Grade::Poor && failed.what.contains("unreachable"));
    }

    #[test]
    fn locked_memory_has_a_point_of_its_own() {
        let found = memlock(2);
        assert!(found.what.contains("memory may be locked"), "{found}");
    }
}
