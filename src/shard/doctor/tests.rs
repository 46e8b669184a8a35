//! Each point against what a good and a bad host say.

use std::path::PathBuf;

use super::*;

/// A folder of files that goes with its test.
struct Host(PathBuf);

impl Host {
    fn new(name: &str, files: &[(&str, &str)]) -> Host {
        let folder = std::env::temp_dir().join(format!("corinth-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Host(folder)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn grades(found: impl IntoIterator<Item = Finding>) -> Vec<Grade> {
    found.into_iter().map(|finding| finding.grade).collect()
}

#[test]
fn small_buffers_are_named_with_what_makes_them_larger() {
    let host = Host::new("doctor-buffers", &[("rmem_max", "212992\n"), ("wmem_max", "4194304\n")]);
    let found = buffers(&host.0);
    assert_eq!(grades(found.clone()), [Grade::Poor, Grade::Good]);
    assert!(found[0].to_string().contains("sysctl net.core.rmem_max=4194304"), "{}", found[0]);
}

#[test]
fn datagrams_that_the_host_has_lost_are_seen() {
    let snmp = |rx: u64| format!("Udp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 100 {rx} 2\n");
    assert!(udp_errors(&snmp(7)).unwrap().what.starts_with("7 datagrams received and 2"));
    let none = snmp(0).replace(" 2\n", " 0\n");
    assert_eq!(udp_errors(&none).unwrap().grade, Grade::Good);
    assert_eq!(udp_errors(""), None);
}

#[test]
fn a_core_that_clocks_down_is_seen() {
    let file = |core: u8| format!("cpu{core}/cpufreq/scaling_governor");
    let host = Host::new(
        "doctor-governor",
        &[(&file(0), "performance\n"), (&file(1), "performance\n"), (&file(2), "powersave\n")],
    );
    assert_eq!(governor(&host.0, &[0, 1]).unwrap().grade, Grade::Good);
    let slow = governor(&host.0, &[0, 1, 2]).unwrap();
    assert!(slow.grade == Grade::Poor && slow.what.contains("powersave"));
    assert_eq!(governor(&host.0, &[7]), None, "a virtual machine has none");
}

#[test]
fn a_card_on_another_node_is_seen() {
    let host = Host::new(
        "doctor-numa",
        &[
            ("class/net/near/device/numa_node", "0\n"),
            ("class/net/far/device/numa_node", "1\n"),
            ("class/net/virtual/device/numa_node", "-1\n"),
            ("devices/system/node/node0/cpulist", "0-3\n"),
            ("devices/system/node/node1/cpulist", "4-7\n"),
        ],
    );
    let found = numa(&host.0, &[0, 1]);
    assert!(found.len() == 1 && found[0].what.starts_with("far is on NUMA node 1"), "{found:?}");
}

#[test]
fn interrupts_of_one_core_are_seen() {
    let table = |first: u32, second: u32| {
        format!(
            "      CPU0  CPU1\n 1: 5 900000 IO-APIC timer\n \
             24: {first} {second} PCI-MSI eth0-rx-0\n"
        )
    };
    assert_eq!(interrupts(&table(1000, 10), 2).unwrap().grade, Grade::Poor);
    assert_eq!(interrupts(&table(1000, 900), 2).unwrap().grade, Grade::Good);
    assert_eq!(interrupts(&table(1000, 10), 1), None);
    assert_eq!(interrupts("", 2), None);
}

#[test]
fn other_points_are_graded() {
    assert_eq!(processors(4, 2).grade, Grade::Poor);
    assert_eq!(processors(2, 2).grade, Grade::Good);
    assert_eq!(conntrack(""), None);
    assert_eq!(conntrack("262144\n").unwrap().grade, Grade::Poor);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let again = TcpListener::bind(taken.local_addr().unwrap()).unwrap_err();
    assert_eq!(in_use(&again, "HTTP").grade, Grade::Poor);
    let foreign = UdpSocket::bind("192.0.2.1:0").unwrap_err();
    assert_eq!(in_use(&foreign, "media").grade, Grade::Bad);
    for (ip, private) in [("10.1.2.3", true), ("198.51.100.7", false), ("fd00::1", true)] {
        assert_eq!(is_private(ip.parse().unwrap()), private, "{ip}");
    }
}
