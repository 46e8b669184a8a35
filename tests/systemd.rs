//! The service as systemd runs it: `scripts/install.sh` and the unit on a copy of this host, under
//! a systemd of its own (scripts/in-systemd.sh says what that needs, and ends with 77 without it).

mod common;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::files::Folder;
use common::{Client, PATIENCE, get, status};
use nix::sched::{CloneFlags, setns};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/in-systemd.sh");

/// Shorter times than the unit's, so that what takes them is over soon: to stop takes less than
/// `drain-time`, unless the server says that it needs longer.
const DROP_IN: &str = "\
[Service]
TimeoutStopSec=2
WatchdogSec=5
StandardOutput=file:/run/corinth.log
StandardError=inherit
";
const CONFIG: &str = "http = \"127.0.0.1:8080\"\nshards = 2\ndrain-time = 4\n";
/// How often is looked whether something has come about.
const POLL: Duration = Duration::from_millis(20);

/// A systemd with corinth alone.
struct Machine {
    script: Child,
    cgroup: PathBuf,
    /// Of its process 1, as seen from here.
    pid: String,
    _folder: Folder,
}

impl Machine {
    /// Boots it, and has the calling thread in its network from then on; `None` where none can be
    /// had.
    fn boot() -> Option<Machine> {
        let folder = Folder::new("systemd");
        let path = folder.write("corinth.toml", CONFIG);
        folder.write("corinth.conf", DROP_IN);
        let at = PathBuf::from(path).parent().unwrap().to_owned();
        let mut script = Command::new(SCRIPT);
        script.arg(env!("CARGO_BIN_EXE_corinth")).arg(at).stdin(Stdio::null());
        let mut script = script.stdout(Stdio::null()).spawn().unwrap();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount = mounts.find(|mount| mount[2] == "cgroup2").map_or("/", |mount| mount[1]);
        let cgroup = PathBuf::from(mount).join(format!("corinth-{}", script.id()));
        // Process 1 makes it, and goes into it.
        let first = || {
            let inside = std::fs::read_to_string(cgroup.join("init.scope/cgroup.procs")).ok()?;
            inside.lines().next().map(str::to_owned)
        };
        let pid = (0..PATIENCE.as_millis() / POLL.as_millis()).find_map(|_| {
            std::thread::sleep(POLL);
            first().or_else(|| script.try_wait().unwrap().map(|status| status.to_string()))
        });
        let pid = pid.expect("it boots");
        let machine = Machine { script, cgroup, pid, _folder: folder };
        if machine.pid.parse::<u32>().is_err() {
            assert_eq!(machine.pid, "exit status: 77");
            return None;
        }
        let network = File::open(format!("/proc/{}/ns/net", machine.pid)).unwrap();
        setns(network, CloneFlags::CLONE_NEWNET).unwrap();
        machine.wait_for("ActiveState=active");
        Some(machine)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.pid, "--"]).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A property of the service, as `NAME=VALUE`.
    fn show(&self, name: &str) -> String {
        let output = self.run(&["systemctl", "show", "--property", name, "corinth"]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn wait_for(&self, wanted: &str) {
        let name = wanted.split('=').next().unwrap();
        let is = || {
            std::thread::sleep(POLL);
            self.show(name) == wanted
        };
        let came = (0..PATIENCE.as_millis() / POLL.as_millis()).any(|_| is());
        assert!(came, "{}, not {wanted}: {}", self.show(name), self.log());
    }

    fn log(&self) -> String {
        String::from_utf8(self.run(&["cat", "/run/corinth.log"]).stdout).unwrap()
    }

    /// Writes its configuration and has it reloaded; whether systemd says that it was.
    fn reload(&self, config: &str) -> bool {
        let write = format!("printf '%s' '{config}' > /etc/corinth/corinth.toml");
        assert!(self.run(&["sh", "-c", &write]).status.success());
        self.run(&["systemctl", "reload", "corinth"]).status.success()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
        let gone = || {
            let cgroup = self.cgroup.as_os_str();
            let rmdir = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
            let _ = Command::new("find").arg(cgroup).args(rmdir).stderr(Stdio::null()).status();
            !self.cgroup.exists()
        };
        for _ in 0..100 {
            if gone() {
                break;
            }
            std::thread::sleep(POLL);
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "who reads the log wants to know that it did not run")]
fn systemd_starts_reloads_drains_and_revives_it() {
    let Some(machine) = Machine::boot() else {
        eprintln!("skipped: no systemd can be booted here");
        return;
    };
    let http: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    machine.wait_for("StatusText=serving");
    assert_eq!(status(&get(http, "/readyz")), 200);
    let first = machine.show("MainPID");

    assert!(machine.reload(&format!("{CONFIG}max-peers-per-room = 1\n")), "{}", machine.log());
    let mut client = Client::connect(http, "room", "a");
    client.join();
    let other = Client::connect_on(common::tcp(http), http, "room", "b");
    assert!(other.is_err(), "the new limit counts");
    assert!(!machine.reload("max-peers-per-room = \"one\"\n"), "a bad one fails the reload");
    assert!(machine.log().contains("corinth.toml:1: max-peers-per-room"), "{}", machine.log());
    assert_eq!(machine.show("MainPID"), first, "and changes nothing");
    assert_eq!(status(&get(http, "/readyz")), 200);
    assert!(machine.reload(CONFIG));

    // Longer than systemd would wait, but it says so.
    let mut stop = machine.command(&["systemctl", "stop", "corinth"]).spawn().unwrap();
    machine.wait_for("StatusText=draining");
    assert_eq!(status(&get(http, "/readyz")), 503);
    assert_eq!(client.close_code(), 1001);
    assert!(stop.wait().unwrap().success());
    assert_eq!(machine.show("Result"), "Result=success", "{}", machine.log());

    assert!(machine.run(&["systemctl", "start", "corinth"]).status.success());
    let second = machine.show("MainPID");
    machine.run(&["systemctl", "kill", "--signal", "STOP", "corinth"]);
    machine.wait_for("NRestarts=1");
    machine.wait_for("StatusText=serving");
    assert_ne!(machine.show("MainPID"), second);
    assert_eq!(status(&get(http, "/readyz")), 200);
}
