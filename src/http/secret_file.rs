//! Files with secrets in them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Whoever can read a secret can sign with it.
pub(super) fn warn_of_readers(file: &Path) {
    let everybody = |mode: u32| mode & 0o004 != 0;
    if file.metadata().is_ok_and(|about| everybody(about.permissions().mode())) {
        tracing::warn!("{}: everybody on this host can read this secret", file.display());
    }
}
