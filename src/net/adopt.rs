//! Descriptors into glommio's types and out of them again. glommio 0.9 gives its streams only
//! `AsRawFd` and `FromRawFd`, so ownership has to be asserted here, and nowhere else.

#![allow(unsafe_code, reason = "glommio takes and shows descriptors as bare numbers only")]

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// A glommio listener over a bound and listening socket. Within an executor only.
pub fn adopt_listener(listener: TcpListener) -> glommio::net::TcpListener {
    // SAFETY: the descriptor was owned by `listener`, which gave it up.
    unsafe { glommio::net::TcpListener::from_raw_fd(listener.into_raw_fd()) }
}

/// A glommio stream over a connected socket. Within an executor only.
pub(super) fn adopt_stream(stream: OwnedFd) -> glommio::net::TcpStream {
    // SAFETY: the descriptor was owned by `stream`, which gave it up.
    unsafe { glommio::net::TcpStream::from_raw_fd(stream.into_raw_fd()) }
}

/// A second descriptor of the same connection, to be carried to another thread. Dropping `stream`
/// afterwards leaves the connection open; what it has not read stays in the kernel's queue, since
/// glommio only ever polls a stream for readiness through its ring.
pub(super) fn duplicate_stream(stream: &glommio::net::TcpStream) -> io::Result<OwnedFd> {
    // SAFETY: `stream` owns its descriptor and outlives this borrow.
    let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    fd.try_clone_to_owned()
}

/// A glommio stream over one end of a socket pair. Within an executor only.
pub fn adopt_pair(end: std::os::unix::net::UnixStream) -> glommio::net::UnixStream {
    // SAFETY: the descriptor was owned by `end`, which gave it up.
    unsafe { glommio::net::UnixStream::from_raw_fd(end.into_raw_fd()) }
}
