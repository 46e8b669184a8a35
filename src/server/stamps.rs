//! Files that are looked at now and then: whether one has changed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files that are looked at now and then, and what they were like.
pub(super) type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// What tells one state of a file from another.
type Stamp = (u64, u64, i64, i64);

/// How these files are now.
pub(super) fn stamped(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Stamps {
    let stamp = |file: &Path| {
        let about = file.metadata().ok()?;
        Some((about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
    };
    files.into_iter().map(|file| (file.as_ref().to_owned(), stamp(file.as_ref()))).collect()
}
