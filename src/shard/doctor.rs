//! `corinth doctor`: whether this host is fit for the server, point by point, and what to do where
//! it is not. It changes nothing.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::host;
use super::serve::MEDIA_BUFFERS;
use crate::config::Config;
use crate::net::{probe_media_ring, raise_descriptor_limit};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, and could be better.
    Poor,
    /// It does not work like this.
    Bad,
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub grade: Grade,
    /// What was looked at, and what was found.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { grade: Grade::Good, what: what.into(), remedy: None }
    }

    fn poor(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Poor, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, what: what.into(), remedy: Some(remedy.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Good => "good",
            Grade::Poor => "poor",
            Grade::Bad => "BAD ",
        };
        write!(f, "{grade}  {}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n      -> {remedy}"),
            None => Ok(()),
        }
    }
}

/// Looks at everything that a server of this configuration needs of its host.
pub fn examine(config: &Config) -> Vec<Finding> {
    let cores = host::cores();
    let shards = config.shards.unwrap_or(cores.len().clamp(1, 255));
    let mut found = vec![kernel(), ring()];
    found.push(descriptors(shards, config.media_addresses.len()));
    found.extend(buffers("/proc/sys/net/core".as_ref()));
    found.extend(udp_errors(&read("/proc/net/snmp")));
    found.push(processors(shards, cores.len()));
    found.extend(governor("/sys/devices/system/cpu".as_ref(), &cores));
    found.extend(numa("/sys".as_ref(), &cores));
    found.extend(interrupts(&read("/proc/interrupts"), cores.len()));
    found.extend(conntrack(&read("/proc/sys/net/netfilter/nf_conntrack_max")));
    found.push(clock());
    found.push(http_port(config));
    found.extend(media_ports(config, shards));
    found.extend(addresses(config));
    found
}

/// Version, locked memory, io_uring: what `serve` fails for.
fn kernel() -> Finding {
    match host::check() {
        Ok(()) => {
            let release = read("/proc/sys/kernel/osrelease");
            Finding::good(format!("Linux {}, io_uring, locked memory", release.trim()))
        }
        Err(error) => Finding::bad(error.to_string(), "see there; the server does not start"),
    }
}

fn ring() -> Finding {
    let probe = std::thread::Builder::new().spawn(probe_media_ring);
    match probe.map(|probe| probe.join()) {
        Ok(Ok(Ok(()))) => Finding::good("media by a ring (--io ring) is possible"),
        _ => Finding::good("media by a ring (--io ring) is not possible; by system calls it is"),
    }
}

fn descriptors(shards: usize, sockets: usize) -> Finding {
    let limit = raise_descriptor_limit().unwrap_or(u64::MAX);
    if let Err(error) = host::check_descriptors(limit, shards, sockets) {
        return Finding::bad(error.to_string(), "see there; the server does not start");
    }
    match host::shortcomings(0, 0, limit).pop() {
        Some(shortcoming) => Finding::poor(shortcoming, "LimitNOFILE=262144 in the service"),
        None => Finding::good(format!("{limit} files may be open; each peer is one")),
    }
}

fn buffers(folder: &Path) -> Vec<Finding> {
    let wished = MEDIA_BUFFERS.receive_buffer as u64;
    let each = ["rmem_max", "wmem_max"].map(|name| {
        let granted: u64 = number(&folder.join(name)).unwrap_or(u64::MAX);
        match granted < wished {
            false => Finding::good(format!("net.core.{name} is {granted}")),
            true => Finding::poor(
                format!("net.core.{name} is {granted}: bursts will be lost"),
                format!("scripts/tune-host.sh, or sysctl net.core.{name}={wished}"),
            ),
        }
    });
    each.into()
}

/// What the kernel had to throw away since the host started, of whichever program's.
fn udp_errors(snmp: &str) -> Option<Finding> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let count = |name: &str| -> Option<u64> {
        let position = names.split(' ').position(|found| found == name)?;
        values.split(' ').nth(position)?.parse().ok()
    };
    let (rx, tx) = (count("RcvbufErrors")?, count("SndbufErrors")?);
    Some(match rx + tx {
        0 => Finding::good("no datagram was lost in this host's buffers since its start"),
        _ => Finding::poor(
            format!("{rx} datagrams received and {tx} to be sent were lost in buffers so far"),
            "whose they were, corinth_rx_overflow_total tells: docs/operating/tuning.md",
        ),
    })
}

fn processors(shards: usize, cores: usize) -> Finding {
    match shards > cores {
        false => Finding::good(format!("{shards} shards on {cores} cores")),
        true => Finding::poor(
            format!("{shards} shards on {cores} cores wait for each other"),
            format!("shards = {cores} in corinth.toml, or leave it out"),
        ),
    }
}

/// Virtual machines have none.
fn governor(folder: &Path, cores: &[usize]) -> Option<Finding> {
    let of = |core: &usize| {
        fs::read_to_string(folder.join(format!("cpu{core}/cpufreq/scaling_governor"))).ok()
    };
    let governors: Vec<_> = cores.iter().filter_map(of).collect();
    let slow = governors.iter().find(|governor| governor.trim() != "performance");
    match (governors.is_empty(), slow) {
        (true, _) => None,
        (false, None) => Some(Finding::good("the cores keep their speed")),
        (false, Some(slow)) => Some(Finding::poor(
            format!("the cores clock down between bursts (governor {})", slow.trim()),
            "scripts/tune-host.sh, or cpupower frequency-set -g performance",
        )),
    }
}

/// The network cards should be on the node whose cores serve them.
fn numa(sys: &Path, cores: &[usize]) -> Vec<Finding> {
    let nodes = sys.join("devices/system/node");
    let holds = |node: i64| {
        let list = fs::read_to_string(nodes.join(format!("node{node}/cpulist"))).ok()?;
        let list = host::cpu_list(list.trim()).ok()?;
        Some(cores.iter().all(|core| list.contains(core)))
    };
    let cards = fs::read_dir(sys.join("class/net")).into_iter().flatten().flatten();
    let far = cards.filter_map(|card| {
        let node = fs::read_to_string(card.path().join("device/numa_node")).ok()?;
        let node: i64 = node.trim().parse().ok()?;
        let name = card.file_name().to_string_lossy().into_owned();
        // -1: the machine has one node.
        (node >= 0 && holds(node) == Some(false)).then(|| {
            Finding::poor(
                format!("{name} is on NUMA node {node}, and not all cores used are"),
                format!("CPUAffinity= in the service: the cores of node{node}/cpulist"),
            )
        })
    });
    far.collect()
}

/// `/proc/interrupts`: a line an interrupt, a column a core.
fn interrupts(table: &str, cores: usize) -> Option<Finding> {
    let columns = table.lines().next()?.split_whitespace().count();
    let cards = table.lines().skip(1).filter(|line| {
        let name = line.split_whitespace().next_back().unwrap_or_default();
        ["eth", "en", "virtio", "mlx"].iter().any(|prefix| name.starts_with(prefix))
    });
    let mut busy = vec![0u64; columns];
    for line in cards {
        let counts = line.split_whitespace().skip(1).take(columns);
        for (sum, count) in busy.iter_mut().zip(counts) {
            *sum += count.parse::<u64>().unwrap_or_default();
        }
    }
    let all: u64 = busy.iter().sum();
    let most = *busy.iter().max()?;
    if all == 0 || cores < 2 {
        return None;
    }
    Some(match most * 10 > all * 9 {
        false => Finding::good("the network card interrupts several cores"),
        true => Finding::poor(
            "nearly all interrupts of the network card go to one core",
            "more queues (ethtool -L IF combined N), one a core: docs/operating/tuning.md",
        ),
    })
}

fn conntrack(max: &str) -> Option<Finding> {
    let max = max.trim();
    (!max.is_empty()).then(|| {
        Finding::poor(
            format!("the kernel tracks connections, {max} at most, media's too if not told"),
            "notrack for the media ports: docs/operating/network.md",
        )
    })
}

fn clock() -> Finding {
    let kept =
        ["/run/systemd/timesync/synchronized", "/run/chrony", "/run/ntpd.pid", "/run/openntpd"];
    match kept.iter().any(|path| Path::new(path).exists()) {
        true => Finding::good("somebody keeps the clock"),
        false => Finding::poor(
            "nobody seems to keep the clock; tokens end by it",
            "apt-get install systemd-timesyncd, or chrony",
        ),
    }
}

fn http_port(config: &Config) -> Finding {
    match TcpListener::bind(config.http) {
        Ok(_) => Finding::good(format!("HTTP can be served on {}", config.http)),
        Err(error) => in_use(&error, &format!("HTTP on {}", config.http)),
    }
}

fn media_ports(config: &Config, shards: usize) -> Vec<Finding> {
    let ports = match config.media_ports(shards) {
        Ok(ports) => ports,
        Err(error) => return vec![Finding::bad(error.to_string(), "a lower media-port")],
    };
    let mut found = Vec::new();
    for address in &config.media_addresses {
        for port in &ports {
            match UdpSocket::bind((address.local, *port)) {
                // The server does without an address that nobody has named and the host lacks.
                Err(error) if address.required || error.kind() == io::ErrorKind::AddrInUse => {
                    found.push(in_use(&error, &format!("media on {}:{port}", address.local)));
                }
                _ => {}
            }
        }
    }
    if found.is_empty() {
        let (first, last) = (ports.first().unwrap_or(&0), ports.last().unwrap_or(&0));
        found.push(Finding::good(format!("media can be served on UDP {first} to {last}")));
    }
    found
}

fn in_use(error: &io::Error, what: &str) -> Finding {
    match error.kind() {
        io::ErrorKind::AddrInUse => Finding::poor(
            format!("{what}: somebody has this port"),
            "if that is corinth itself, all is well; ss -ltnup tells",
        ),
        io::ErrorKind::PermissionDenied => Finding::poor(
            format!("{what}: {error}"),
            "the service may (CAP_NET_BIND_SERVICE); by hand, as root",
        ),
        _ => Finding::bad(format!("{what}: {error}"), "an address of this host: ip address"),
    }
}

fn addresses(config: &Config) -> Vec<Finding> {
    let told = config.media_addresses.iter().filter(|address| !address.public.is_loopback());
    let told = told.map(|address| match is_private(address.public) {
        false => Finding::good(format!("clients are told {}", address.public)),
        true => Finding::poor(
            format!("clients are told {}, which is good in its own network only", address.public),
            format!("announce = [\"{}=PUBLIC\"] where a NAT stands before it", address.local),
        ),
    });
    let told: Vec<_> = told.collect();
    match told.is_empty() {
        false => told,
        true => vec![Finding::poor(
            "clients are told loopback only: media stays on this host",
            "media-address in corinth.toml",
        )],
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Of what cannot be read nothing is known.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
