//! Where the server's program is: beside this one, built from the same source tree if that is
//! there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

/// The `corinth` to measure: what was named; else the one of the source tree that this program was
/// built from, brought up to date first; else the one beside this program.
///
/// # Errors
/// There is none, or it does not build.
pub fn corinth(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        ensure!(named.exists(), "there is no {}", named.display());
        return Ok(named.to_owned());
    }
    let own = std::env::current_exe().context("where this program is")?;
    let beside = own.with_file_name("corinth");
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built_here = tree
        .canonicalize()
        .is_ok_and(|tree| own.starts_with(&tree) && tree.join("Cargo.toml").exists());
    if built_here {
        build(&tree)?;
    }
    if !beside.exists() {
        bail!("there is no server beside this program ({}); --server names one", beside.display());
    }
    Ok(beside)
}

/// A server of yesterday must not be measured as today's.
fn build(tree: &Path) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(tree).args(["build", "--quiet", "--bin", "corinth"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.status().context("cargo, to build the server (--server names one)")?;
    ensure!(status.success(), "the server does not build");
    Ok(())
}
