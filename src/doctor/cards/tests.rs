//! Cards of hosts that are files.

use super::super::Grade;
use super::super::testing::{Host, interface};
use super::*;

/// A host whose eth0 has so many queues, virtual like those of virtual machines, with interrupts
/// from 40 on that go to these cores.
fn host(name: &str, queues: usize, cores: &[&str]) -> Host {
    let host = Host::new(name, &[("sys/devices/pci0/virtio2/driver", "")]);
    host.link("sys/class/net/eth0/device", "../../../devices/pci0/virtio2");
    // Its configuration, which never interrupts, is where nobody wants it.
    let mut table = "       CPU0  CPU1  CPU2  CPU3\n39: 0 0 0 0 PCI virtio2-config\n".to_owned();
    host.write("sys/devices/pci0/msi_irqs/39", "msix");
    host.write("proc/irq/39/effective_affinity_list", "3\n");
    for (irq, core) in (40..).zip(cores) {
        host.write(&format!("sys/devices/pci0/msi_irqs/{irq}"), "msix");
        host.write(&format!("proc/irq/{irq}/effective_affinity_list"), &format!("{core}\n"));
        table += &format!(" {irq}:  500 0 0 500 PCI virtio2-input.0\n");
    }
    host.write("proc/interrupts", &table);
    for queue in 0..queues {
        host.write(&format!("sys/class/net/eth0/queues/rx-{queue}/rps_cpus"), "00000000,00\n");
    }
    host
}

fn found(host: &Host, used: &[usize]) -> Option<Finding> {
    interrupts(&host.folder().join("sys"), &host.folder().join("proc"), "eth0", used)
}

#[test]
fn interrupts_where_shards_are_are_good() {
    let host = host("irq-good", 2, &["0", "1"]);
    let found = found(&host, &[0, 1]).unwrap();
    assert_eq!(found, Finding::good("eth0 interrupts cores 0-1, where shards are"));
}

#[test]
fn interrupts_of_one_core_are_seen() {
    let host = host("irq-one", 2, &["1", "1"]);
    let found = found(&host, &[0, 1]).unwrap();
    assert!(found.grade == Grade::Poor && found.what.contains("go to core 1"), "{found}");
}

#[test]
fn interrupts_where_no_shard_is_are_seen() {
    let host = host("irq-far", 3, &["0", "2", "3"]);
    let found = found(&host, &[0, 1]).unwrap();
    assert_eq!(found.what, "eth0 interrupts cores 2-3, where no shard is");
    let remedy = found.remedy.unwrap();
    assert_eq!(remedy, "scripts/tune-host.sh --interface eth0 --cores 0-1");
}

#[test]
fn one_queue_wants_to_be_spread() {
    let host = host("irq-rps", 1, &["0"]);
    assert_eq!(found(&host, &[0]), None, "one shard needs no more");
    let poor = found(&host, &[0, 1]).unwrap();
    assert!(poor.grade == Grade::Poor && poor.what.contains("one queue"), "{poor}");
    host.write("sys/class/net/eth0/queues/rx-0/rps_cpus", "00000000,03\n");
    assert_eq!(found(&host, &[0, 1]).unwrap().grade, Grade::Good);
}

#[test]
fn cards_are_found_below_what_has_the_address() {
    let host = Host::new("cards", &[("class/net/eth0/device/vendor", "")]);
    host.write("class/net/eth1/device/vendor", "");
    host.write("class/net/eth2/device/vendor", "");
    for (upper, lower) in [("br0", "bond0"), ("bond0", "eth0"), ("bond0", "eth1")] {
        host.write(&format!("class/net/{upper}/lower_{lower}/ifindex"), "");
    }
    host.write("class/net/bond0/lower_br0/ifindex", "");
    host.write("class/net/lo/ifindex", "");
    let interfaces = ["br0 10.0.0.5/24", "eth2 10.0.1.5/24", "lo 127.0.0.1/8"].map(interface);
    let media = |ip: &str| {
        let ip = ip.parse().unwrap();
        MediaAddress { local: ip, public: ip, required: true }
    };
    let of = |ip| of(host.folder(), &[media(ip)], &interfaces);
    assert_eq!(of("10.0.0.5"), ["eth0", "eth1"]);
    assert_eq!(of("10.0.1.5"), ["eth2"]);
    assert!(of("127.0.0.1").is_empty() && of("10.0.2.5").is_empty());
}

#[test]
fn who_moves_interrupts_is_seen() {
    let host = Host::new("irqbalance", &[("1/comm", "systemd\n"), ("99/comm", "irqbalanced\n")]);
    let cards = ["eth0".to_owned()];
    assert_eq!(irqbalance(host.folder(), &cards), None);
    host.write("812/comm", "irqbalance\n");
    assert_eq!(irqbalance(host.folder(), &cards).unwrap().grade, Grade::Poor);
    assert_eq!(irqbalance(host.folder(), &[]), None, "there is nothing to move");
}

#[test]
fn only_what_can_be_switched_on_is_asked_for() {
    let found = |active, available| offload("eth0", Some(Feature { active, available })).unwrap();
    assert_eq!(found(true, true).grade, Grade::Good);
    assert_eq!(found(false, false).grade, Grade::Good);
    let remedy = found(false, true).remedy.unwrap();
    assert_eq!(remedy, "ethtool -K eth0 tx-udp-segmentation on");
    assert_eq!(offload("eth0", None), None);
}
