//! The media addresses against the interfaces, and what clients are told of them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Finding;
use crate::config::MediaAddress;
use crate::net::InterfaceAddress;

/// Addresses that do not reach everybody, and whom they reach.
const SCOPES: &[(&str, &str)] = &[
    ("10.0.0.0/8", PRIVATE),
    ("172.16.0.0/12", PRIVATE),
    ("192.168.0.0/16", PRIVATE),
    ("fc00::/7", PRIVATE),
    ("169.254.0.0/16", "is good on its own wire only (link-local)"),
    ("fe80::/10", "is good on its own wire only (link-local)"),
    ("100.64.0.0/10", "is good behind its carrier's NAT only (RFC 6598)"),
    ("192.0.2.0/24", DOCUMENTATION),
    ("198.51.100.0/24", DOCUMENTATION),
    ("203.0.113.0/24", DOCUMENTATION),
    ("2001:db8::/32", DOCUMENTATION),
    ("3fff::/20", DOCUMENTATION),
    ("198.18.0.0/15", "is for measurements in laboratories (RFC 2544)"),
    ("240.0.0.0/4", "is nobody's (RFC 1112)"),
];
const PRIVATE: &str = "is good in its own network only";
const DOCUMENTATION: &str = "is an example of documentation, and leads nowhere";

/// Marks of `/proc/net/if_inet6` (Linux, `uapi/linux/if_addr.h`) that speak against an address.
const MARKS: &[(u32, &str, &str)] = &[
    (0x01, "is a temporary one (RFC 8981), and will change", "media-address = a lasting one"),
    (0x08, "is another host's as well (duplicate)", "another address: ip -6 address"),
    (0x20, "is no longer to be used (deprecated)", "media-address = one that is not"),
    (0x40, "is not there yet (tentative)", "wait a second; a start before that fails"),
];

/// All points of this file; `if_inet6` is the kernel's table of that name.
pub(super) fn examine(
    media: &[MediaAddress],
    interfaces: &[InterfaceAddress],
    if_inet6: &str,
) -> Vec<Finding> {
    let told: Vec<_> = media.iter().filter(|address| !address.public.is_loopback()).collect();
    if told.is_empty() {
        return vec![Finding::poor(
            "clients are told loopback only: media stays on this host",
            "media-address in corinth.toml",
        )];
    }
    told.into_iter().flat_map(|address| of_one(address, media, interfaces, if_inet6)).collect()
}

fn of_one(
    address: &MediaAddress,
    media: &[MediaAddress],
    interfaces: &[InterfaceAddress],
    if_inet6: &str,
) -> Vec<Finding> {
    let MediaAddress { local, public, required } = address;
    let Some(own) = on(interfaces, *local) else {
        let (what, remedy) = (format!("no interface has {local}"), "one that has: ip address");
        return vec![match required {
            true => Finding::bad(what, format!("media-address = {remedy}")),
            false => Finding::poor(what, remedy),
        }];
    };
    let mut found = bound(own, interfaces, if_inet6);
    found.extend(told(address, media, interfaces));
    if found.is_empty() {
        let name = &own.interface;
        found.push(Finding::good(match local == public {
            true => format!("clients are told {public} of {name}"),
            false => format!("clients are told {public} for {local} of {name}"),
        }));
    }
    found
}

/// What speaks against where it is bound.
fn bound(own: &InterfaceAddress, interfaces: &[InterfaceAddress], if_inet6: &str) -> Vec<Finding> {
    let InterfaceAddress { interface: name, ip, .. } = own;
    let mut found = Vec::new();
    if !own.up {
        found.push(Finding::poor(
            format!("{ip} is of {name}, which is switched off"),
            format!("ip link set {name} up"),
        ));
    } else if !own.running {
        found.push(Finding::poor(
            format!("{ip} is of {name}, which has no carrier"),
            "its cable, or its other end",
        ));
    }
    let marks = ip6_marks(if_inet6, *ip);
    for (_, what, remedy) in MARKS.iter().filter(|(mark, ..)| marks & mark != 0) {
        found.push(Finding::poor(format!("{ip} {what}"), *remedy));
    }
    found.extend(twin(own, interfaces).map(|(other, network)| {
        Finding::poor(
            format!("{name} and {other} are in one network, {network}: answers leave by either"),
            "one of them in another network, or a bond of both",
        )
    }));
    found
}

/// What speaks against what clients are told.
fn told(
    address: &MediaAddress,
    media: &[MediaAddress],
    interfaces: &[InterfaceAddress],
) -> Vec<Finding> {
    let MediaAddress { local, public, .. } = *address;
    let mut found = Vec::new();
    if let Some(reach) = reach(public) {
        found.push(Finding::poor(
            format!("clients are told {public}, which {reach}"),
            format!("announce = [\"{local}=PUBLIC\"] where a NAT stands before it"),
        ));
    }
    // A NAT that does not change addresses is none: what arrives is for an address not listened on.
    let listens = media.iter().any(|one| one.local == public);
    if public != local && !listens && on(interfaces, public).is_some() {
        found.push(Finding::poor(
            format!("clients are told {public}, which this host has and does not listen on"),
            format!("media-address = [\"{public}\"] in place of announce"),
        ));
    }
    found
}

/// Whom an address reaches, if not everybody.
fn reach(ip: IpAddr) -> Option<&'static str> {
    let within = |network: &str| network.parse().is_ok_and(|network: IpNet| network.contains(&ip));
    SCOPES.iter().find(|(network, _)| within(network)).map(|(_, reach)| *reach)
}

fn on(interfaces: &[InterfaceAddress], ip: IpAddr) -> Option<&InterfaceAddress> {
    interfaces.iter().find(|one| one.ip == ip)
}

/// Another interface, switched on too, in the network of this one.
fn twin<'a>(own: &InterfaceAddress, all: &'a [InterfaceAddress]) -> Option<(&'a str, IpNet)> {
    let ours = network(own)?;
    let mut others = all.iter().filter(|one| one.interface != own.interface && one.up);
    let other = others.find(|one| network(one) == Some(ours))?;
    Some((&other.interface, ours))
}

/// `None` for networks of one address, which several interfaces may well be in.
fn network(address: &InterfaceAddress) -> Option<IpNet> {
    let prefix = u8::try_from(address.prefix).ok()?;
    match address.ip {
        IpAddr::V4(ip) if prefix < 32 => Some(Ipv4Net::new(ip, prefix).ok()?.trunc().into()),
        IpAddr::V6(ip) if prefix < 128 => Some(Ipv6Net::new(ip, prefix).ok()?.trunc().into()),
        _ => None,
    }
}

/// Of `/proc/net/if_inet6`: address, index, prefix, scope, marks (all hexadecimal), interface.
fn ip6_marks(if_inet6: &str, ip: IpAddr) -> u32 {
    let marks = |line: &str| -> Option<u32> {
        let mut words = line.split_whitespace();
        let found = u128::from_str_radix(words.next()?, 16).ok()?;
        let marks = u32::from_str_radix(words.nth(3)?, 16).ok()?;
        (IpAddr::from(Ipv6Addr::from(found)) == ip).then_some(marks)
    };
    if_inet6.lines().find_map(marks).unwrap_or(0)
}

#[cfg(test)]
mod tests;
