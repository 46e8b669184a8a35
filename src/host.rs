//! L4: what the server needs of its host, and what to tell the operator where it is missing: what
//! it is, and the command that mends it.

use std::io;
use std::num::ParseIntError;
use std::thread;

use glommio::GlommioError;

use crate::net::{probe_io_uring, probe_media_ring};

/// The oldest kernel with what is used.
const KERNEL_MIN: (u32, u32) = (5, 15);

/// glommio refuses less.
const MEMLOCK_MIN: u64 = 512 * 1024;

/// Each peer is a descriptor; fewer than this is too few for a server.
const DESCRIPTORS_WISHED: u64 = 4096;

/// Descriptors of a shard: three rings, two event counters, its listener, its ends of two socket
/// pairs, a ring for media with an event counter and a second descriptor of that; and of each of
/// its media sockets, which glommio watches by a second one.
const DESCRIPTORS_PER_SHARD: u64 = 11;
const DESCRIPTORS_PER_SOCKET: u64 = 2;

/// Descriptors of the process as a whole, and a few to serve with.
const DESCRIPTORS_SPARE: u64 = 24;

/// What a shard's executor takes from locked memory, of which a user may have only 8 MiB in all:
/// the least that glommio takes. Its files and their buffers are not used here.
pub(crate) const IO_MEMORY: usize = 64 * 1024;

/// Entries of each of the three rings of a shard.
pub(crate) const RING_DEPTH: usize = 256;

/// Fails, with what to do about it, if the server cannot run on this host.
pub(crate) fn check() -> io::Result<()> {
    check_kernel()?;
    check_memlock(memlock().unwrap_or(u64::MAX), 1)?;
    check_io_uring()
}

/// Fails if the kernel is too old.
pub(crate) fn check_kernel() -> io::Result<()> {
    let release = read("/proc/sys/kernel/osrelease");
    if kernel(&release).is_some_and(|version| version < KERNEL_MIN) {
        let (major, minor) = KERNEL_MIN;
        return Err(unsupported(format!(
            "Linux {} is too old: {major}.{minor} or newer is needed",
            release.trim()
        )));
    }
    Ok(())
}

/// How many bytes of memory this process may lock; `None` if as many as it likes.
pub(crate) fn memlock() -> Option<u64> {
    soft_limit(&read("/proc/self/limits"), "Max locked memory")
}

/// How many bytes so many shards lock: the kernel keeps them in memory for their rings.
pub(crate) fn memlock_needed(shards: usize) -> u64 {
    MEMLOCK_MIN.max((shards * IO_MEMORY) as u64)
}

/// Fails if `limit` bytes of locked memory are too few for `shards` shards.
pub(crate) fn check_memlock(limit: u64, shards: usize) -> io::Result<()> {
    match memlock_needed(shards) {
        needed if needed <= limit => Ok(()),
        needed => Err(unsupported(format!(
            "only {limit} bytes of memory may be locked and {needed} are needed: \
             run `ulimit -l 8192` first, or set LimitMEMLOCK=infinity in its systemd unit"
        ))),
    }
}

/// Fails if there can be no rings at all.
pub(crate) fn check_io_uring() -> io::Result<()> {
    // On a thread of its own: as a ring is taken down, the kernel interrupts what its thread waits
    // for, and that should be nothing of the caller's.
    let probe = thread::Builder::new().spawn(probe_io_uring)?;
    let found = probe.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    found.map_err(|error| explain_io(&error))
}

/// Fails if there can be no ring for media (`--io ring`).
pub(crate) fn check_media_ring() -> io::Result<()> {
    let probe = thread::Builder::new().spawn(probe_media_ring)?;
    let found = probe.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    found.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => unsupported(
            "--io ring needs Linux 6.1 or newer: leave it out, or say --io mmsg".to_owned(),
        ),
        _ => explain_io(&error),
    })
}

/// Fails if `limit` descriptors are too few for `shards` shards with `sockets` media sockets each:
/// glommio would panic over it.
pub(crate) fn check_descriptors(limit: u64, shards: usize, sockets: usize) -> io::Result<()> {
    // Those that it has already, from whoever started it.
    let open = open_descriptors();
    let each = DESCRIPTORS_PER_SHARD + DESCRIPTORS_PER_SOCKET * sockets as u64;
    let needed = open + DESCRIPTORS_SPARE + each * shards as u64;
    match limit < needed {
        false => Ok(()),
        true => Err(unsupported(format!(
            "only {limit} files may be open and {shards} shards need {needed}: \
             run `ulimit -n 65536` as root first, or set LimitNOFILE=65536 in its systemd unit"
        ))),
    }
}

/// An executor's failure as an operator can use it.
pub(crate) fn explain(error: &GlommioError<()>) -> io::Error {
    match error {
        GlommioError::IoError(source) | GlommioError::EnhancedIoError { source, .. } => {
            explain_io(source)
        }
        other => io::Error::other(format!("cannot start a shard: {other}")),
    }
}

fn explain_io(error: &io::Error) -> io::Error {
    let disabled = read("/proc/sys/kernel/io_uring_disabled");
    match error.raw_os_error() {
        Some(libc::EPERM) if matches!(disabled.trim(), "1" | "2") => unsupported(format!(
            "io_uring is switched off on this host (kernel.io_uring_disabled is {}): \
             run `sudo sysctl kernel.io_uring_disabled=0`",
            disabled.trim()
        )),
        Some(libc::EPERM | libc::EACCES) => unsupported(
            "io_uring is forbidden to this process, as container runtimes and sandboxes do: \
             run it with a seccomp profile that allows io_uring_setup, io_uring_enter and \
             io_uring_register (Docker: `--security-opt seccomp=unconfined`)"
                .to_owned(),
        ),
        Some(libc::ENOSYS) => unsupported(
            "io_uring is missing: the kernel was built without CONFIG_IO_URING, or a seccomp \
             profile hides it (Docker: `--security-opt seccomp=unconfined`)"
                .to_owned(),
        ),
        Some(libc::ENOMEM) => unsupported(
            "there is no memory for io_uring's rings: run `ulimit -l unlimited` first, or set \
             LimitMEMLOCK=infinity in its systemd unit"
                .to_owned(),
        ),
        Some(libc::EMFILE) => unsupported(
            "there are too few file descriptors: run `ulimit -n 65536` as root first, or set \
             LimitNOFILE=65536 in its systemd unit"
                .to_owned(),
        ),
        _ => io::Error::new(error.kind(), format!("cannot set up io_uring: {error}")),
    }
}

fn unsupported(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// What is not as it should be, though the server runs. `wished` and `granted` are bytes of a
/// media socket's receive buffer, `descriptors` how many this process may have.
pub(crate) fn shortcomings(wished: usize, granted: usize, descriptors: u64) -> Vec<String> {
    let mut found = Vec::new();
    if granted < wished {
        found.push(format!(
            "media sockets buffer {granted} bytes and should {wished}, bursts will be lost: \
             run `sudo sysctl net.core.rmem_max={wished}`"
        ));
    }
    if descriptors < DESCRIPTORS_WISHED {
        found.push(format!(
            "only {descriptors} files may be open, and each peer is one: run `ulimit -n 65536` as \
             root first, or set LimitNOFILE=65536 in its systemd unit"
        ));
    }
    found
}

/// Descriptors that this process has now. Linux 6.2 and newer say it as the size of the folder;
/// older ones have to be asked for each.
pub(crate) fn open_descriptors() -> u64 {
    const FOLDER: &str = "/proc/self/fd";
    match std::fs::metadata(FOLDER).map_or(0, |folder| folder.len()) {
        0 => std::fs::read_dir(FOLDER).map_or(0, |open| open.count() as u64),
        count => count,
    }
}

/// The cores that this process may use, in order; empty if the kernel does not say.
pub(crate) fn cores() -> Vec<usize> {
    let status = read("/proc/self/status");
    let list =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    cpu_list(list.trim()).unwrap_or_default()
}

/// Like `0-3,8`.
pub(crate) fn cpu_list(list: &str) -> Result<Vec<usize>, ParseIntError> {
    let mut cores = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>()?..=last.parse()?);
    }
    Ok(cores)
}

/// Like `6.1.0-18-amd64`.
fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// From `/proc/self/limits`: name, soft limit, hard limit, unit.
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Of what cannot be read nothing is known.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_understood() {
        assert_eq!(kernel("6.1.0-18-amd64\n"), Some((6, 1)));
        assert_eq!(kernel("5.15-rc1"), Some((5, 15)));
        assert_eq!(kernel(""), None);
        assert_eq!(cpu_list("0-2,5,7-8").unwrap(), [0, 1, 2, 5, 7, 8]);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  524288  files\n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024));
        assert_eq!(soft_limit(limits, "Max locked memory"), None);
    }

    #[test]
    fn each_failure_names_its_remedy() {
        let text = |errno| explain_io(&io::Error::from_raw_os_error(errno)).to_string();
        assert!(text(libc::ENOSYS).contains("seccomp"));
        assert!(text(libc::EMFILE).contains("ulimit -n"));
    }

    #[test]
    fn what_was_not_granted_is_reported() {
        let text = shortcomings(4096, 1024, 1 << 20).join("\n");
        assert!(text.contains("sysctl net.core.rmem_max=4096"), "{text}");
        assert!(shortcomings(1024, 1024, 1 << 20).is_empty());
        assert!(shortcomings(1024, 1024, 64)[0].contains("only 64 files"));
    }

    #[test]
    fn locked_memory_is_reckoned_by_shard() {
        assert!(check_memlock(MEMLOCK_MIN, 8).is_ok());
        let few = check_memlock(MEMLOCK_MIN, 9).unwrap_err().to_string();
        assert!(few.contains("589824 are needed") && few.contains("ulimit -l"), "{few}");
    }

    #[test]
    fn this_process_has_cores() {
        assert!(!cores().is_empty());
    }
}
