//! Whether the kernel tracks media as connections: a look-up for each packet, an entry in a bounded
//! table for each client. That it can track is not that it does: some rule has to want it, and
//! another may except the media ports. So a few datagrams are sent from one of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use super::{Finding, number, ranges, read};
use crate::config::MediaAddress;

/// Datagrams of the trial, each to a socket of its own, so that each would be an entry.
const FLOWS: u64 = 32;

/// An address of loopback that nobody listens on, for when the server has its own.
const SPARE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 83, 67, 1));

/// Everything of this file. Nothing where the kernel cannot track.
pub(super) fn examine(proc: &Path, media: &[MediaAddress], ports: &[u16]) -> Option<Finding> {
    let max = number(&proc.join("sys/net/netfilter/nf_conntrack_max"))?;
    let port = *ports.first()?;
    let own = media.iter().map(|address| address.local).chain([SPARE]);
    let count = || number(&proc.join("sys/net/netfilter/nf_conntrack_count"));
    let tracked = own.filter_map(|ip| tracked((ip, port).into(), count).ok()?).next();
    Some(judge(max, tracked, entries(&read(&proc.join("net/nf_conntrack")), ports), ports))
}

/// `tracked`: what became of the trial, if there was one; `entries`: clients in the table.
fn judge(max: u64, tracked: Option<bool>, entries: usize, ports: &[u16]) -> Finding {
    let mut list: Vec<_> = ports.iter().map(|port| usize::from(*port)).collect();
    list.sort_unstable();
    let remedy = match ports.contains(&0) {
        true => "a fixed media-port, then scripts/tune-host.sh --ports".to_owned(),
        false => format!("scripts/tune-host.sh --ports {}", ranges(&list)),
    };
    match (entries, tracked) {
        (0, Some(false)) => Finding::good("what leaves the media ports is not tracked (conntrack)"),
        (0, None) => Finding::poor(
            format!("the kernel can track connections, {max} at most; media's could not be tried"),
            remedy,
        ),
        (0, Some(true)) => Finding::poor(
            format!("the kernel tracks what leaves the media ports, {max} connections at most"),
            remedy,
        ),
        (entries, _) => Finding::poor(
            format!("the kernel tracks media: {entries} connections of {max} are clients'"),
            remedy,
        ),
    }
}

/// Whether datagrams from there become entries; `None` if the kernel does not count them.
fn tracked(from: SocketAddr, count: impl Fn() -> Option<u64>) -> io::Result<Option<bool>> {
    let socket = UdpSocket::bind(from)?;
    let own = || UdpSocket::bind((from.ip(), 0));
    let others = (0..FLOWS).map(|_| own()).collect::<io::Result<Vec<_>>>()?;
    let Some(before) = count() else { return Ok(None) };
    for other in &others {
        // Not even STUN: nobody mistakes it for anything.
        socket.send_to(&[0xff], other.local_addr()?)?;
    }
    // Others come and go meanwhile, but not so many in such a time.
    Ok(count().map(|after| after.saturating_sub(before) > FLOWS / 2))
}

/// How many lines of `/proc/net/nf_conntrack` are clients of the media ports. As root; to others,
/// and on kernels without that file, it is empty. A host's talk to itself does not count: it may be
/// the trial of an earlier run.
fn entries(table: &str, ports: &[u16]) -> usize {
    let is_client = |line: &&str| {
        let mut words = line.split_whitespace();
        let udp = words.any(|word| word == "udp");
        let mut value = |name: &str| words.find_map(|word| word.strip_prefix(name));
        let (from, to) = (value("src="), value("dst="));
        let mut port = |name: &str| value(name).and_then(|port| port.parse::<u16>().ok());
        let ends = [port("sport="), port("dport=")];
        udp && from != to && ends.iter().flatten().any(|port| ports.contains(port))
    };
    table.lines().filter(is_client).count()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::Grade;
    use super::*;

    const TABLE: &str = "\
        ipv4 2 udp 17 29 src=8.8.4.4 dst=10.0.0.5 sport=5000 dport=40001 [UNREPLIED] src=10.0.0.5 \
        dst=8.8.4.4 sport=40001 dport=5000 mark=0 use=1\n\
        ipv4 2 udp 17 29 src=10.0.0.5 dst=10.0.0.5 sport=40001 dport=5000 mark=0 use=1\n\
        ipv4 2 tcp 6 99 ESTABLISHED src=8.8.4.4 dst=10.0.0.5 sport=5000 dport=40001 use=1\n\
        ipv6 10 udp 17 29 src=fd00::9 dst=fd00::1 sport=40000 dport=53 mark=0 use=1\n";

    #[test]
    fn clients_in_the_table_are_counted() {
        assert_eq!(entries(TABLE, &[40000, 40001]), 2);
        assert_eq!(entries(TABLE, &[40001]), 1);
        assert_eq!(entries(TABLE, &[40002]), 0);
        assert_eq!(entries("", &[40000]), 0);
    }

    #[test]
    fn a_table_that_grows_with_our_datagrams_is_noticed() {
        let from = "127.0.0.1:0".parse().unwrap();
        let after = |more: u64| {
            let asked = Cell::new(0);
            tracked(from, || Some(100 + more * asked.replace(1))).unwrap()
        };
        assert_eq!(after(FLOWS), Some(true));
        assert_eq!(after(3), Some(false), "somebody else's");
        assert_eq!(tracked(from, || None).unwrap(), None);
        assert!(tracked("198.51.100.7:0".parse().unwrap(), || Some(0)).is_err());
    }

    #[test]
    fn what_is_tracked_is_graded() {
        let grade = |tracked, entries| judge(262_144, tracked, entries, &[40000, 40001]).grade;
        assert_eq!(grade(Some(false), 0), Grade::Good);
        assert_eq!(grade(Some(true), 0), Grade::Poor);
        assert_eq!(grade(None, 0), Grade::Poor);
        assert_eq!(grade(Some(false), 5), Grade::Poor, "what comes in may be tracked alone");
        let remedy = judge(9, None, 0, &[40000, 40001]).remedy.unwrap();
        assert_eq!(remedy, "scripts/tune-host.sh --ports 40000-40001");
    }
}
