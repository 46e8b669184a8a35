//! A host that says what a test wants.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Finding, Grade};
use crate::net::InterfaceAddress;

/// A folder of files that goes with its test.
pub(super) struct Host(PathBuf);

impl Host {
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Host {
        let name = format!("corinth-doctor-{name}-{}", std::process::id());
        let host = Host(std::env::temp_dir().join(name));
        fs::create_dir_all(&host.0).unwrap();
        files.iter().for_each(|(path, text)| host.write(path, text));
        host
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::write(self.make(path), text).unwrap();
    }

    /// A link to `target`, as seen from where it is.
    pub(super) fn link(&self, path: &str, target: &str) {
        symlink(target, self.make(path)).unwrap();
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    fn make(&self, path: &str) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn grades(found: impl IntoIterator<Item = Finding>) -> Vec<Grade> {
    found.into_iter().map(|finding| finding.grade).collect()
}

/// Like `eth0 10.0.0.5/24`; `!` before it: switched off, `?`: without a carrier.
pub(super) fn interface(text: &str) -> InterfaceAddress {
    let (interface, network) = text.split_once(' ').unwrap();
    let (ip, prefix) = network.split_once('/').unwrap();
    InterfaceAddress {
        interface: interface.trim_start_matches(['!', '?']).to_owned(),
        ip: ip.parse().unwrap(),
        prefix: prefix.parse().unwrap(),
        up: !text.starts_with('!'),
        running: !text.starts_with(['!', '?']),
    }
}
