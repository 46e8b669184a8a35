//! Addresses, and hosts that have them or not.

use super::super::Grade;
use super::super::testing::{grades, interface};
use super::*;

const INET6: &str = "\
    20010db8000000000000000000000001 02 40 00 01     eth0\n\
    20010db8000000000000000000000002 02 40 00 20     eth0\n\
    2a000000000000000000000000000001 02 40 00 80     eth0\n";

/// Like `10.0.0.5=198.51.100.7`.
fn media(text: &str) -> MediaAddress {
    let (local, public) = text.split_once('=').unwrap_or((text, text));
    let (local, public) = (local.parse().unwrap(), public.parse().unwrap());
    MediaAddress { local, public, required: true }
}

fn found(addresses: &[&str], interfaces: &[&str]) -> Vec<Finding> {
    let addresses: Vec<_> = addresses.iter().copied().map(media).collect();
    let interfaces: Vec<_> = interfaces.iter().copied().map(interface).collect();
    examine(&addresses, &interfaces, INET6)
}

/// What alone is found, which is poor.
fn poor(addresses: &[&str], interfaces: &[&str]) -> String {
    let found = found(addresses, interfaces);
    assert_eq!(grades(found.clone()), [Grade::Poor], "{found:?}");
    found[0].to_string()
}

#[test]
fn what_is_in_order_is_named_with_its_interface() {
    let found = found(&["10.0.0.5=8.8.4.4", "2a00::1"], &["eth0 10.0.0.5/24", "eth0 2a00::1/64"]);
    assert_eq!(found[0], Finding::good("clients are told 8.8.4.4 for 10.0.0.5 of eth0"));
    assert_eq!(found[1], Finding::good("clients are told 2a00::1 of eth0"));
}

#[test]
fn an_address_of_no_interface_is_bad_where_it_is_asked_for() {
    let missing = found(&["8.8.4.4"], &["eth0 10.0.0.5/24"]);
    assert_eq!(grades(missing.clone()), [Grade::Bad], "{missing:?}");
    let merely = MediaAddress { required: false, ..media("8.8.4.4") };
    assert_eq!(grades(examine(&[merely], &[], "")), [Grade::Poor]);
    assert!(poor(&["127.0.0.1"], &["lo 127.0.0.1/8"]).contains("loopback only"));
}

#[test]
fn an_interface_without_a_network_is_seen() {
    assert!(poor(&["8.8.4.4"], &["!eth1 8.8.4.4/24"]).contains("eth1, which is switched off"));
    assert!(poor(&["8.8.4.4"], &["?eth1 8.8.4.4/24"]).contains("eth1, which has no carrier"));
}

#[test]
fn two_interfaces_in_one_network_are_seen() {
    let said = poor(&["8.8.4.4"], &["eth0 8.8.4.4/24", "eth0 8.8.4.5/24", "eth1 8.8.4.6/24"]);
    assert!(said.contains("eth0 and eth1 are in one network, 8.8.4.0/24"), "{said}");
    let apart = ["eth0 8.8.4.4/24", "eth1 8.8.5.4/24", "!eth2 8.8.4.6/24", "eth3 8.8.4.4/32"];
    assert_eq!(grades(found(&["8.8.4.4"], &apart)), [Grade::Good]);
}

#[test]
fn addresses_that_do_not_last_are_seen() {
    let interfaces = ["eth0 2001:db8::1/64", "eth0 2001:db8::2/64"];
    let said = |address: &str| found(&[address], &interfaces)[0].to_string();
    assert!(said("2001:db8::1").contains("temporary"), "{}", said("2001:db8::1"));
    assert!(said("2001:db8::2").contains("deprecated"), "{}", said("2001:db8::2"));
}

#[test]
fn what_reaches_only_some_is_seen() {
    for (ip, word) in [
        ("10.1.2.3", "own network"),
        ("fd00::1", "own network"),
        ("100.64.3.4", "carrier"),
        ("203.0.113.9", "documentation"),
        ("2001:db8::9", "documentation"),
        ("169.254.1.1", "own wire"),
    ] {
        assert!(reach(ip.parse().unwrap()).unwrap().contains(word), "{ip}");
    }
    assert_eq!(reach("8.8.4.4".parse().unwrap()), None);
    assert_eq!(reach("100.128.0.1".parse().unwrap()), None);
    let said = poor(&["10.0.0.5"], &["eth0 10.0.0.5/24"]);
    assert!(said.contains("announce = [\"10.0.0.5=PUBLIC\"]"), "{said}");
}

#[test]
fn what_is_announced_has_to_lead_there() {
    let both = ["eth0 10.0.0.5/24", "eth1 8.8.4.4/24"];
    let said = poor(&["10.0.0.5=8.8.4.4"], &both);
    assert!(said.contains("does not listen on"), "{said}");
}
