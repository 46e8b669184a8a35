//! `corinth doctor` and `scripts/tune-host.sh`: what is wrong with a host is said, and mended, and
//! put back. Hosts are folders here, or a network namespace where things really are wrong.

mod common;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::files::Folder;
use common::namespace::in_namespace;

fn doctor(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corinth"));
    let output = command.arg("doctor").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_doctor_says_what_to_do() {
    let free = ["--http", "127.0.0.1:0", "--media-port", "0", "--media-address", "127.0.0.1"];
    let (code, said) = doctor(&free);
    assert_eq!(code, Some(0), "{said}");
    for good in ["Linux ", "io_uring: ", "GSO and GRO: ", "HTTP can be served on 127.0.0.1:0\n"] {
        assert!(said.contains(&format!("good  {good}")), "{good}: {said}");
    }
    assert!(said.contains("memory may be locked"), "{said}");
    assert!(said.contains("poor  clients are told loopback only"), "{said}");
    let poor = said.matches("\npoor  ").count();
    assert_eq!(said.matches("\n      -> ").count(), poor, "each has its remedy: {said}");
    let (code, said) = doctor(&["--media-address", "198.51.100.1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("BAD   no interface has 198.51.100.1\n"), "{said}");
}

/// A host in a folder, whose systemctl and nft write down what they are told.
struct Host {
    root: PathBuf,
    _folder: Folder,
}

impl Host {
    fn new(name: &str) -> Host {
        let folder = Folder::new(name);
        let root = Path::new(&folder.write("x", "")).parent().unwrap().join("root");
        Host { root, _folder: folder }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default().trim().to_owned()
    }

    fn script(&self, path: &str, text: &str) {
        self.write(path, &format!("#!/bin/sh\ncd '{}'\n{text}\n", self.root.display()));
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs tune-host.sh for this host, with its own programs first.
    fn tune(&self, arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/tune-host.sh");
        let path = format!("{}/bin:{}", self.root.display(), path());
        let mut command = Command::new(script);
        command.args(arguments).env("TUNE_ROOT", &self.root).env("PATH", path);
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Every file that is not a program of the host's or written by one.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true if entry.ends_with("bin") && entry.parent() == Some(&self.root) => {}
                    true if !entry.is_symlink() => open.push(entry),
                    true => {}
                    false => found.push((entry.clone(), fs::read_to_string(&entry).unwrap())),
                }
            }
        }
        found.sort();
        found
    }
}

/// A host with everything that can be tuned: three cores, a card of two queues and one of one, a
/// bond that has both.
fn untuned(name: &str) -> Host {
    let host = Host::new(name);
    host.write("run/systemd/system/x", "");
    host.write("proc/sys/net/core/rmem_max", "212992\n");
    host.write("proc/sys/net/core/wmem_max", "8388608\n");
    host.write("proc/sys/net/core/netdev_max_backlog", "1000\n");
    host.write("proc/sys/net/ipv4/ip_local_reserved_ports", "40002,8080\n");
    host.write("proc/sys/net/netfilter/nf_conntrack_max", "262144\n");
    host.write("sys/devices/system/cpu/online", "0-2\n");
    for (core, governor) in ["powersave", "performance", "ondemand"].iter().enumerate() {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        host.write(&path, &format!("{governor}\n"));
    }
    let mut table = "      CPU0 CPU1 CPU2\n".to_owned();
    let names = ["mlx5_async0@pci:3", "virtio2-input.0", "virtio2-output.0", "virtio2-input.1"];
    for (irq, name) in (40..).zip(names) {
        table += &format!(" {irq}: 7 0 0 PCI-MSIX 0-edge {name}\n");
        host.write(&format!("sys/devices/pci0/msi_irqs/{irq}"), "");
        host.write(&format!("proc/irq/{irq}/smp_affinity_list"), "0-2\n");
    }
    host.write("proc/interrupts", &table);
    host.write("sys/devices/pci0/virtio2/vendor", "");
    host.write("sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n");
    host.write("sys/class/net/eth0/queues/rx-1/rps_cpus", "0\n");
    symlink("../../../devices/pci0/virtio2", host.root.join("sys/class/net/eth0/device")).unwrap();
    host.write("sys/class/net/eth1/queues/rx-0/rps_cpus", "00000000,00000000\n");
    host.write("sys/class/net/eth1/device/vendor", "");
    host.write("sys/class/net/bond0/lower_eth0/x", "");
    host.write("sys/class/net/bond0/lower_eth1/x", "");
    host.script("bin/systemctl", "echo \"$@\" >> bin/told; [ $1 != is-enabled ] || echo enabled");
    let nft = "case $1 in list) cat bin/table 2>/dev/null ;; delete) rm bin/table ;; \
               *) cat > bin/table ;; esac";
    host.script("bin/nft", nft);
    host
}

#[test]
fn a_host_is_tuned_and_put_back() {
    let host = untuned("tune");
    let as_found = host.files();
    let options = ["--ports", "40001,40000", "--interface", "bond0"];
    let shown = host.tune(&options);
    for line in [
        "rmem_max: 212992, should be 4194304",
        "netdev_max_backlog: 1000, should be 4096",
        "ip_local_reserved_ports: 40002,8080, should be 8080,40000-40002",
        "cpu0/cpufreq/scaling_governor: powersave, should be performance",
        "irq/41/smp_affinity_list: 0-2, should be 0",
        "irq/43/smp_affinity_list: 0-2, should be 1",
        "eth1/queues/rx-0/rps_cpus: 00000000,00000000, should be 00000007",
        "udp sport { 40000-40001 } notrack",
        "irqbalance",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    for right in ["wmem_max", "cpu1", "irq/40", "eth0/queues"] {
        assert!(!shown.contains(right), "{right}: {shown}");
    }
    assert_eq!(host.files(), as_found, "it only shows");

    for _ in 0..2 {
        host.tune(&[&options[..], &["--apply"]].concat());
        assert_eq!(host.read("proc/sys/net/core/rmem_max"), "4194304");
        assert_eq!(host.read("proc/sys/net/core/wmem_max"), "8388608");
        assert_eq!(host.read("proc/irq/42/smp_affinity_list"), "0");
        assert_eq!(host.read("proc/irq/43/smp_affinity_list"), "1");
        assert_eq!(host.read("sys/class/net/eth1/queues/rx-0/rps_cpus"), "00000007");
        let sysctls = host.read("etc/sysctl.d/60-corinth.conf");
        let lines: Vec<_> = sysctls.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "net.core.rmem_max = 4194304",
                "net.core.netdev_max_backlog = 4096",
                "net.ipv4.ip_local_reserved_ports = 8080,40000-40002"
            ]
        );
        assert!(host.read("bin/table").contains("udp dport { 40000-40001 } notrack"));
    }
    let unit = host.read("etc/systemd/system/corinth-tune.service");
    let again = "/usr/local/sbin/corinth-tune --apply --ports 40000-40001 --interface bond0\n";
    assert!(unit.contains(&format!("ExecStart={again}")), "{unit}");
    assert!(host.root.join("usr/local/sbin/corinth-tune").exists());
    let told = host.read("bin/told");
    for call in ["disable --quiet --now irqbalance", "enable --quiet corinth-tune"] {
        assert!(told.contains(call), "{call}: {told}");
    }
    // irqbalance still claims to run, and the kernel writes masks as it likes.
    host.write("sys/class/net/eth1/queues/rx-0/rps_cpus", "00000000,00000007\n");
    host.script("bin/systemctl", "echo \"$@\" >> bin/told; [ $1 != is-active ]");
    assert!(host.tune(&options).contains("everything is as it should be"));

    host.tune(&["--undo"]);
    assert_eq!(host.files(), as_found);
    assert!(!host.root.join("bin/table").exists());
    let told = host.read("bin/told");
    for call in ["enable --quiet irqbalance\nstart irqbalance", "disable --quiet corinth-tune"] {
        assert!(told.contains(call), "{call}: {told}");
    }
    assert!(host.tune(&["--undo"]).contains("nothing to undo"));
}

#[test]
fn after_a_start_of_the_host_it_is_tuned_again_and_can_be_put_back() {
    let host = untuned("tune-again");
    let as_found = host.files();
    host.tune(&["--interface", "eth0", "--cores", "1-2", "--apply"]);
    assert_eq!(host.read("proc/irq/41/smp_affinity_list"), "1");
    assert_eq!(host.read("proc/irq/43/smp_affinity_list"), "2");
    // The kernel has forgotten, /etc/sysctl.d has not, and interrupts have other numbers.
    fs::remove_dir_all(host.root.join("run/corinth-tune")).unwrap();
    host.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    host.write("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "ondemand\n");
    host.write("proc/irq/41/smp_affinity_list", "0-2\n");
    host.write("proc/irq/42/smp_affinity_list", "0-2\n");
    host.write("proc/irq/43/smp_affinity_list", "0-2\n");
    let unit = host.read("etc/systemd/system/corinth-tune.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let arguments: Vec<_> = line.split(' ').skip(1).collect();
    host.tune(&arguments);
    assert_eq!(host.read("proc/irq/43/smp_affinity_list"), "2");
    // Whoever changes his mind can still go back to the beginning.
    host.tune(&["--interface", "eth0", "--cores", "0", "--apply"]);
    assert_eq!(host.read("proc/irq/43/smp_affinity_list"), "0");
    host.tune(&["--undo"]);
    assert_eq!(host.files(), as_found);
}

/// Where programs are looked for; nft is where not everybody looks.
fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// One of the host's own programs; its standard output.
fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).env("PATH", path()).output();
    let output = output.unwrap_or_else(|error| panic!("{command}, as root: {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_doctor_sees_what_is_wrong_with_a_network() {
    in_namespace("the_doctor_sees_what_is_wrong_with_a_network", || {
        for interface in ["twin", "off"] {
            run(&format!("ip link add {interface}0 type veth peer name {interface}1"));
        }
        run("ip address add 10.9.0.7/24 dev twin0");
        run("ip link set twin0 up");
        run("ip address add 10.8.0.1/24 dev off0");
        let media = "10.9.0.1,fd00:9::1,10.8.0.1,10.7.0.1";
        let arguments =
            ["--shards", "2", "--media-tcp", "4443", "--media-address", media, "--announce"];
        let arguments = [&arguments[..], &["10.9.0.1=10.9.0.7,10.8.0.1=100.64.0.9"]].concat();
        let _taken = [
            UdpSocket::bind("0.0.0.0:40001").unwrap(),
            UdpSocket::bind("[fd00:9::1]:40000").unwrap(),
        ];
        let _taken = (_taken, TcpListener::bind("127.0.0.1:8080").unwrap());
        let (code, said) = doctor(&arguments);
        assert_eq!(code, Some(1), "{said}");
        let us = format!("(process {}) has this port", std::process::id());
        for line in [
            "BAD   no interface has 10.7.0.1",
            "poor  10.8.0.1 is of off0, which is switched off",
            "poor  corinth0 and twin0 are in one network, 10.9.0.0/24",
            "poor  clients are told 10.9.0.7, which this host has and does not listen on",
            "poor  clients are told 100.64.0.9, which is good behind its carrier's NAT only",
            "poor  any program may be given port 40000-40001 by chance",
            "good  media by TCP can be served on 4443 of 10.9.0.1, fd00:9::1, 10.8.0.1",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        let taken: Vec<_> = said.lines().filter(|line| line.ends_with(&us)).collect();
        assert_eq!(taken.len(), 2, "{said}");
        assert!(taken[0].contains("HTTP on 127.0.0.1:8080"), "{taken:?}");
        assert!(taken[1].contains("media by UDP on 10.9.0.1:40001 and 2 more"), "{taken:?}");
    });
}

#[test]
fn media_is_kept_out_of_the_kernels_table() {
    in_namespace("media_is_kept_out_of_the_kernels_table", || {
        // Some rule that wants connections tracked, as every firewall has it.
        run("nft add table inet firewall");
        run("nft add chain inet firewall output { type filter hook output priority 0 ; }");
        run("nft add rule inet firewall output ct state established accept");
        let ruleset = || run("nft list ruleset");
        let reserved = || fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap();
        let before = (ruleset(), reserved());
        let arguments = ["--shards", "2", "--media-address", "10.9.0.1", "--http", "127.0.0.1:0"];
        let said = || doctor(&arguments).1;
        let tracked = "poor  the kernel tracks what leaves the media ports";
        let chance = "poor  any program may be given port 40000-40001 by chance";
        for line in [tracked, chance, "-> scripts/tune-host.sh --ports 40000-40001\n"] {
            assert!(said().contains(line), "{line}: {}", said());
        }
        // The namespace's own settings are the kernel's; the host's others are not there.
        let host = Host::new("notrack");
        fs::create_dir_all(&host.root).unwrap();
        symlink("/proc", host.root.join("proc")).unwrap();
        for ports in ["40000-40003", "40000-40001", "40000-40001"] {
            host.tune(&["--ports", ports, "--apply"]);
        }
        assert!(!ruleset().contains("40003"), "{}", ruleset());
        assert_eq!(reserved().trim(), "40000-40003", "nothing is taken away but by --undo");
        assert!(said().contains("good  what leaves the media ports is not tracked"), "{}", said());
        assert!(said().contains("good  no program is given the server's ports"), "{}", said());
        host.tune(&["--undo"]);
        assert_eq!((ruleset(), reserved()), before);
        assert!(said().contains(tracked), "{}", said());
    });
}
