//! Which addresses this host has, for listening and for candidates when none are configured.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

pub use super::sys::ifaddrs::{InterfaceAddress, interface_addresses};

/// The host's addresses to serve on when nobody says which: the first IPv4 and the first IPv6
/// address of its running interfaces, so none, one or two. Loopback and link-local addresses do
/// not count; an IPv6 address of the Internet is preferred to a private one (RFC 4193).
///
/// Called at startup only; fails where the kernel refuses to list interfaces.
pub fn host_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(choose(&interface_addresses()?))
}

fn choose(addresses: &[InterfaceAddress]) -> Vec<IpAddr> {
    let running = || addresses.iter().filter(|address| address.running).map(|address| address.ip);
    let v4 = running().find(|ip| match ip {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(_) => false,
    });
    let v6 = running()
        .filter_map(|ip| match ip {
            IpAddr::V6(ip) => Some(ip),
            IpAddr::V4(_) => None,
        })
        .filter(|ip| !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified()))
        .min_by_key(Ipv6Addr::is_unique_local); // the first of those that are least private
    v4.into_iter().chain(v6.map(IpAddr::V6)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// `!` marks an interface that is down.
    fn chosen(addresses: &[&str]) -> Vec<String> {
        let addresses: Vec<_> = addresses
            .iter()
            .map(|text| InterfaceAddress {
                interface: "eth0".to_owned(),
                ip: text.trim_start_matches('!').parse().unwrap(),
                prefix: 0,
                up: true,
                running: !text.starts_with('!'),
            })
            .collect();
        choose(&addresses).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn first_usable_address_of_each_family() {
        let host = [
            "127.0.0.1",
            "::1",
            "!192.0.2.9",
            "169.254.1.1",
            "192.0.2.1",
            "192.0.2.2",
            "fe80::1",
            "!2001:db8::9",
            "fd00::1",
            "2001:db8::1",
            "2001:db8::2",
        ];
        assert_eq!(chosen(&host), ["192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn a_private_address_is_better_than_none() {
        assert_eq!(chosen(&["10.0.0.1", "fd00::1", "fd00::2"]), ["10.0.0.1", "fd00::1"]);
        assert_eq!(chosen(&["fe80::1", "fd00::1"]), ["fd00::1"]);
    }

    #[test]
    fn a_host_without_a_network_has_none() {
        assert!(chosen(&["127.0.0.1", "::1", "!192.0.2.1"]).is_empty());
    }

    #[test]
    fn this_hosts_loopback_is_listed_and_not_chosen() {
        let all = interface_addresses().unwrap();
        let loopback = InterfaceAddress {
            interface: "lo".to_owned(),
            ip: Ipv4Addr::LOCALHOST.into(),
            prefix: 8,
            up: true,
            running: true,
        };
        assert!(all.contains(&loopback), "{all:?}");
        assert!(host_addresses().unwrap().iter().all(|ip| !ip.is_loopback()));
    }
}
