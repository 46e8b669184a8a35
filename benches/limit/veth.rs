//! The same over a pair of virtual Ethernet devices: the server in a network namespace of its own,
//! the generator in another, both made here and gone with their processes.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

/// Set in the process that is inside the generator's namespace.
pub(crate) const INSIDE: &str = "CORINTH_LIMIT_INSIDE";

/// The generator's address and the server's.
const GENERATOR: &str = "10.77.0.1";
pub(crate) const SERVER: &str = "10.77.0.2";

/// Holds the server's namespace open, at most this long.
const HOLD_SECONDS: &str = "3600";

/// Runs this program again in a namespace of its own; says so and goes on where that may not be.
pub(crate) fn again() -> anyhow::Result<()> {
    let may = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        println!("\nveth: this process may make no network namespaces (unshare --net)");
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let mut command = Command::new("unshare");
    command.arg("--net").arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    ensure!(command.status()?.success(), "the run over veth failed");
    Ok(())
}

/// Within the generator's namespace: makes the server's, joins the two, and measures.
pub(crate) fn inside() -> anyhow::Result<()> {
    let holder = Command::new("unshare").args(["--net", "sleep", HOLD_SECONDS]).spawn()?;
    let holder = Holder(holder);
    let pid = holder.0.id().to_string();
    wait_for_namespace(&pid)?;
    let ip = |arguments: &str| run(Command::new("ip").args(arguments.split(' ')));
    let there = |arguments: &str| {
        let net = format!("--net=/proc/{pid}/ns/net");
        run(Command::new("nsenter").arg(net).arg("ip").args(arguments.split(' ')))
    };
    ip("link set lo up")?;
    ip("link add limit0 type veth peer name limit1")?;
    ip(&format!("link set limit1 netns {pid}"))?;
    ip(&format!("address add {GENERATOR}/24 dev limit0"))?;
    ip("link set limit0 up")?;
    there(&format!("address add {SERVER}/24 dev limit1"))?;
    there("link set limit1 up")?;
    there("link set lo up")?;
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).args(["--beyond", &pid]);
    ensure!(command.status()?.success(), "the run over veth failed");
    Ok(())
}

/// `unshare` needs a moment before its process is elsewhere.
fn wait_for_namespace(pid: &str) -> anyhow::Result<()> {
    let own = std::fs::read_link("/proc/self/ns/net")?;
    for _ in 0..1000 {
        if std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|net| net != own) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    anyhow::bail!("the server's namespace does not come about")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?} (iproute2, util-linux)"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
