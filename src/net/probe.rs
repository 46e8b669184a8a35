//! Whether this process may use io_uring at all: glommio panics where it may not.

#![allow(unsafe_code, reason = "nothing in the standard library asks for a ring")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::sys::ring::Ring;

/// `struct io_uring_params` of the kernel is 120 bytes; zeros mean no wishes.
type Params = [u64; 15];

/// Asks the kernel for a ring and gives it back. The errors say who refused: `ENOSYS` no kernel
/// support or a seccomp profile, `EPERM` a sysctl, a security module or a seccomp profile.
pub fn probe_io_uring() -> io::Result<()> {
    let mut params: Params = [0; 15];
    // SAFETY: the kernel reads and writes 120 bytes at `params`, which is that long and aligned.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call has just made this descriptor for us alone.
    drop(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    Ok(())
}

/// Asks for a ring as [`IoKind::Ring`](crate::types::IoKind::Ring) wants it, and gives it back.
/// `EINVAL`: the kernel is older than 6.1.
pub fn probe_media_ring() -> io::Result<()> {
    Ring::probe()
}

#[cfg(test)]
mod tests {
    #[test]
    fn these_tests_run_where_there_is_io_uring() {
        super::probe_io_uring().unwrap();
    }
}
