//! Ports that are taken here, and tables of hosts that are files.

use super::super::Grade;
use super::super::testing::Host;
use super::*;

fn one(at: SocketAddr) -> [Wanted; 1] {
    [Wanted { at, required: true }]
}

#[test]
fn who_has_a_port_is_named() {
    let proc = Path::new("/proc");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = (Protocol::Tcp, tcp.local_addr().unwrap(), tcp);
    let everywhere = UdpSocket::bind("0.0.0.0:0").unwrap();
    let at = (Ipv4Addr::LOCALHOST, everywhere.local_addr().unwrap().port()).into();
    for (protocol, at) in [(tcp.0, tcp.1), (Protocol::Udp, at)] {
        let found = free(proc, protocol, "it", &one(at));
        assert_eq!(found.len(), 1);
        let us = format!("(process {}) has this port", std::process::id());
        assert!(found[0].grade == Grade::Poor && found[0].what.ends_with(&us), "{}", found[0]);
    }
}

#[test]
fn our_own_server_is_in_order() {
    let owner = |name: &str| Some(Owner::Process { id: 7, name: name.to_owned() });
    let [one] = one("127.0.0.1:1".parse().unwrap());
    let said = |owner| complaint("media", &Trouble::Taken(owner), &[&one, &one, &one]);
    let ours = said(owner("corinth"));
    assert_eq!(ours.grade, Grade::Good);
    assert_eq!(ours.what, "media on 127.0.0.1:1 and 2 more: served by corinth (process 7)");
    assert_eq!(said(owner("coturn")).grade, Grade::Poor);
    assert!(said(Some(Owner::User(33))).what.contains("a process of user 33 has"));
    assert!(said(None).what.contains("somebody has"));
}

#[test]
fn free_ports_are_good_and_foreign_addresses_are_not() {
    let free =
        |at: &str| free(Path::new("/proc"), Protocol::Tcp, "HTTP", &one(at.parse().unwrap()));
    assert_eq!(free("127.0.0.1:0"), [Finding::good("HTTP can be served on 127.0.0.1:0")]);
    assert_eq!(free("198.51.100.7:0")[0].grade, Grade::Bad);
}

#[test]
fn the_kernels_tables_are_understood() {
    let line = "  5: 0500000A:9C40 00000000:0000 07 0:0 00:0 0 33 0 4711 2 0 0";
    let at = |text: &str| socket(line, Protocol::Udp, text.parse().unwrap());
    let bytes = if cfg!(target_endian = "little") { "10.0.0.5" } else { "5.0.0.10" };
    assert_eq!(at(&format!("{bytes}:40000")), Some((33, "4711".to_owned())));
    assert_eq!(at("0.0.0.0:40000"), Some((33, "4711".to_owned())));
    assert_eq!((at("10.0.0.6:40000"), at(&format!("{bytes}:40001"))), (None, None));
    let wanted: SocketAddr = format!("{bytes}:40000").parse().unwrap();
    assert_eq!(socket(line, Protocol::Tcp, wanted), None, "07: it does not listen");
    assert_eq!(socket("sl local_address", Protocol::Udp, wanted), None);
    let loopback = match cfg!(target_endian = "little") {
        true => "00000000000000000000000001000000",
        false => "00000000000000000000000000000001",
    };
    assert_eq!(hexadecimal(loopback), Some(Ipv6Addr::LOCALHOST.into()));
    assert_eq!(hexadecimal("0"), None);
}

#[test]
fn ports_that_anybody_may_be_given_are_seen() {
    let host = Host::new("reserved", &[("ip_local_port_range", "32768\t40001\n")]);
    host.write("ip_local_reserved_ports", "\n");
    let ports = [40000, 40001, 40002, 8080, 0];
    let found = || reserved(host.folder(), &ports).unwrap();
    assert!(found().what.contains("given port 40000-40001 by"), "{}", found());
    assert!(found().remedy.unwrap().contains("--ports 40000-40001 "));
    host.write("ip_local_reserved_ports", "39999-40000,50000\n");
    assert!(found().what.contains("given port 40001 by"), "{}", found());
    host.write("ip_local_reserved_ports", "40000-40010\n");
    assert_eq!(found().grade, Grade::Good);
    assert_eq!(reserved(Path::new("/nowhere"), &ports), None);
}
