//! A network of one's own: this program again, in a network namespace that it makes and that ends
//! with it. Servers that use no loopback address have one there, the generator as many as it wants,
//! and nothing can leave the machine.

use std::net::Ipv4Addr;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, ensure};

/// Set in the program that is inside.
const INSIDE: &str = "CORINTH_PERF_INSIDE";

/// The address of servers.
pub const SERVER: &str = "10.9.0.1";

/// Addresses of the generator's peers: all of the network are this machine's.
pub const PEERS: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 10, 0, 1), 0xfffe);

/// The network of [`PEERS`].
const NETWORK: &str = "10.10.0.0/16";

/// Whether this program is inside already.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again, inside, with the same arguments; its exit code.
///
/// # Errors
/// This process may make no network namespaces.
pub fn again() -> anyhow::Result<ExitCode> {
    let may = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    ensure!(
        may.is_ok_and(|status| status.success()),
        "this process may make no network namespace (unshare --net; as root it may)"
    );
    let mut command = Command::new("unshare");
    command.arg("--net").arg(std::env::current_exe()?).args(std::env::args_os().skip(1));
    let status = command.env(INSIDE, "1").status().context("unshare")?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}

/// Inside: makes the network.
///
/// # Errors
/// `ip` (iproute2) is not there or fails.
pub fn make() -> anyhow::Result<()> {
    ip("link set lo up")?;
    ip("link add server0 type veth peer name server1")?;
    ip(&format!("address add {SERVER}/24 dev server0"))?;
    ip("link set server0 up")?;
    ip("link set server1 up")?;
    // On the server's device: libnice ties its sockets to that, and does not answer beyond it.
    ip(&format!("route add local {NETWORK} dev server0"))
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    let status = command.args(arguments.split(' ')).status().context("ip (iproute2)")?;
    ensure!(status.success(), "ip {arguments} failed");
    Ok(())
}
