//! The ports that the server wants, and who has them.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::{Finding, names, ranges, read};
use crate::config::{Config, MediaAddress, MediaTcp};

/// All points of this file; `media` are the UDP ports of the shards.
pub(super) fn examine(proc: &Path, config: &Config, media: &[u16]) -> Vec<Finding> {
    let at = |ports: &[u16]| wanted(&config.media_addresses, ports);
    let http = [Wanted { at: config.http, required: true }];
    let mut found = free(proc, Protocol::Tcp, "HTTP", &http);
    let mut ports: Vec<u16> = media.to_vec();
    if let MediaTcp::Port(port) = config.media_tcp {
        found.extend(free(proc, Protocol::Tcp, "media by TCP", &at(&[port])));
        ports.push(port);
    }
    found.extend(free(proc, Protocol::Udp, "media by UDP", &at(media)));
    ports.push(config.http.port());
    found.extend(reserved(&proc.join("sys/net/ipv4"), &ports));
    found
}

/// Where something is to be served.
struct Wanted {
    at: SocketAddr,
    /// It is an error if it cannot be.
    required: bool,
}

/// Each port at each address. One that no interface has is another point's (`addresses`).
fn wanted(addresses: &[MediaAddress], ports: &[u16]) -> Vec<Wanted> {
    let there = addresses.iter().filter(|address| UdpSocket::bind((address.local, 0)).is_ok());
    let each = there.flat_map(|address| {
        let at = move |port: &u16| (address.local, *port).into();
        ports.iter().map(move |port| Wanted { at: at(port), required: address.required })
    });
    each.collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

/// Why a port is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// Somebody has it, who is known or not.
    Taken(Option<Owner>),
    /// Only root or a service may have it.
    Forbidden,
    /// Anything else, in the kernel's words.
    Other(String),
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Process {
        id: u32,
        name: String,
    },
    /// Of another user, whose processes are not ours to see.
    User(u32),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { id, name } => write!(f, "{name} (process {id})"),
            Self::User(id) => write!(f, "a process of user {id}"),
        }
    }
}

/// Tries each; what is wrong with several is said once.
fn free(proc: &Path, protocol: Protocol, what: &str, wanted: &[Wanted]) -> Vec<Finding> {
    let mut troubles: Vec<(Trouble, Vec<&Wanted>)> = Vec::new();
    for one in wanted {
        let Some(trouble) = trouble(proc, protocol, one.at) else { continue };
        match troubles.iter_mut().find(|(known, _)| *known == trouble) {
            Some((_, same)) => same.push(one),
            None => troubles.push((trouble, vec![one])),
        }
    }
    match troubles.is_empty() {
        true if wanted.is_empty() => Vec::new(),
        true => vec![Finding::good(format!("{what} can be served on {}", places(wanted)))],
        false => troubles.iter().map(|(trouble, at)| complaint(what, trouble, at)).collect(),
    }
}

fn trouble(proc: &Path, protocol: Protocol, at: SocketAddr) -> Option<Trouble> {
    let tried = match protocol {
        Protocol::Tcp => TcpListener::bind(at).map(drop),
        Protocol::Udp => UdpSocket::bind(at).map(drop),
    };
    let error = tried.err()?;
    match error.kind() {
        io::ErrorKind::AddrInUse => Some(Trouble::Taken(owner(proc, protocol, at))),
        io::ErrorKind::PermissionDenied => Some(Trouble::Forbidden),
        _ => Some(Trouble::Other(error.to_string())),
    }
}

fn complaint(what: &str, trouble: &Trouble, wanted: &[&Wanted]) -> Finding {
    let at = match wanted {
        [one] => one.at.to_string(),
        [first, ..] => format!("{} and {} more", first.at, wanted.len() - 1),
        [] => String::new(),
    };
    match trouble {
        Trouble::Taken(Some(Owner::Process { name, id })) if name == "corinth" => {
            Finding::good(format!("{what} on {at}: served by corinth (process {id})"))
        }
        Trouble::Taken(Some(owner @ Owner::Process { .. })) => Finding::poor(
            format!("{what} on {at}: {owner} has this port"),
            "another port, or stop it",
        ),
        Trouble::Taken(owner) => {
            let owner = owner.as_ref().map_or("somebody".to_owned(), Owner::to_string);
            Finding::poor(
                format!("{what} on {at}: {owner} has this port"),
                "if that is corinth itself, all is well; as root, this would say who",
            )
        }
        Trouble::Forbidden => Finding::poor(
            format!("{what} on {at}: not for this user"),
            "the service may (CAP_NET_BIND_SERVICE); by hand, as root",
        ),
        Trouble::Other(error) if wanted.iter().any(|one| one.required) => {
            Finding::bad(format!("{what} on {at}: {error}"), "an address of this host: ip address")
        }
        Trouble::Other(error) => Finding::poor(
            format!("{what} on {at}: {error}; it is done without"),
            "media-address = those that are wanted",
        ),
    }
}

/// `8080`, or `40000-40003 of 127.0.0.1, ::1`.
fn places(wanted: &[Wanted]) -> String {
    let mut ports: Vec<_> = wanted.iter().map(|one| usize::from(one.at.port())).collect();
    let mut ips: Vec<_> = wanted.iter().map(|one| one.at.ip().to_string()).collect();
    ports.sort_unstable();
    ports.dedup();
    ips.dedup();
    match wanted {
        [one] => one.at.to_string(),
        _ => format!("{} of {}", ranges(&ports), ips.join(", ")),
    }
}

/// Who has a port, as far as `/proc` tells us.
pub(super) fn owner(proc: &Path, protocol: Protocol, at: SocketAddr) -> Option<Owner> {
    let tables = match protocol {
        Protocol::Tcp => ["net/tcp", "net/tcp6"],
        Protocol::Udp => ["net/udp", "net/udp6"],
    };
    let texts = tables.map(|table| read(&proc.join(table)));
    let lines = texts.iter().flat_map(|text| text.lines().skip(1));
    let (user, inode) = lines.filter_map(|line| socket(line, protocol, at)).next()?;
    Some(process(proc, &inode).unwrap_or(Owner::User(user)))
}

/// User and inode of a line of the kernel's table, if that socket stands in the way: slot, local
/// address, remote address, state, queues, timer, retransmits, user, timeout, inode.
fn socket(line: &str, protocol: Protocol, wanted: SocketAddr) -> Option<(u32, String)> {
    const LISTENING: &str = "0A";
    let words: Vec<_> = line.split_whitespace().collect();
    let (ip, port) = words.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let taken = hexadecimal(ip)?;
    let overlaps = taken == wanted.ip() || taken.is_unspecified() || wanted.ip().is_unspecified();
    let listens = protocol == Protocol::Udp || *words.get(3)? == LISTENING;
    let found = port == wanted.port() && overlaps && listens;
    found.then_some((words.get(7)?.parse().ok()?, (*words.get(9)?).to_owned()))
}

/// An address as words of the processor's byte order.
fn hexadecimal(text: &str) -> Option<IpAddr> {
    let word =
        |i: usize| Some(u32::from_str_radix(text.get(8 * i..8 * i + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).into())
        }
        _ => None,
    }
}

/// The process that has a socket open.
fn process(proc: &Path, inode: &str) -> Option<Owner> {
    let link = format!("socket:[{inode}]");
    let mut processes = names(proc).into_iter().filter_map(|name| name.parse::<u32>().ok());
    let id = processes.find(|id| {
        let open = fs::read_dir(proc.join(format!("{id}/fd"))).into_iter().flatten().flatten();
        open.filter_map(|one| fs::read_link(one.path()).ok()).any(|to| to.as_os_str() == &*link)
    })?;
    let name = read(&proc.join(format!("{id}/comm"))).trim().to_owned();
    Some(Owner::Process { id, name })
}

/// Ports that the kernel gives to whoever asks for any may be gone when the server wants them.
fn reserved(folder: &Path, ports: &[u16]) -> Option<Finding> {
    let range = read(&folder.join("ip_local_port_range"));
    let mut range = range.split_whitespace().map(|port| port.parse::<usize>().ok());
    let (first, last) = (range.next()??, range.next()??);
    let reserved = read(&folder.join("ip_local_reserved_ports"));
    let reserved = crate::host::cpu_list(reserved.trim()).unwrap_or_default();
    let mut open: Vec<_> = ports.iter().map(|port| usize::from(*port)).collect();
    open.retain(|port| *port != 0 && (first..=last).contains(port) && !reserved.contains(port));
    open.sort_unstable();
    open.dedup();
    let list = ranges(&open);
    Some(match open.is_empty() {
        true => Finding::good("no program is given the server's ports by chance"),
        false => Finding::poor(
            format!("any program may be given port {list} by chance, before the server starts"),
            format!("scripts/tune-host.sh --ports {list} (ip_local_reserved_ports)"),
        ),
    })
}

#[cfg(test)]
mod tests;
