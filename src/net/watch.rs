//! Waiting for datagrams within glommio, which knows no readiness for UDP.

#![allow(unsafe_code, reason = "glommio takes descriptors as bare numbers only")]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use glommio::io::BufferedFile;
use glommio::net::UdpSocket;

use super::udp::MediaSocket;

/// Tells when something waits at one source of an [`Rx`](super::Rx).
#[derive(Debug)]
pub struct Watch(Watched);

#[derive(Debug)]
enum Watched {
    /// A second descriptor of a media socket: it is there to be peeked at.
    Socket(UdpSocket),
    /// An eventfd: a read of its eight bytes ends when it fires, and resets it.
    Eventfd(BufferedFile),
}

impl Watch {
    pub(super) fn socket(socket: &MediaSocket) -> io::Result<Self> {
        let fd = socket.try_clone_fd()?;
        // SAFETY: the duplicate is owned by nobody else.
        Ok(Self(Watched::Socket(unsafe { UdpSocket::from_raw_fd(fd.into_raw_fd()) })))
    }

    pub(super) fn eventfd(fd: OwnedFd) -> Self {
        // SAFETY: the descriptor was owned by `fd`, which gave it up.
        Self(Watched::Eventfd(unsafe { BufferedFile::from_raw_fd(fd.into_raw_fd()) }))
    }

    /// Returns when something waits. For a socket, glommio's first peek after a success is a plain
    /// system call that never yields when something does: whoever loops over this yields by
    /// himself.
    pub async fn ready(&self) -> io::Result<()> {
        let ended = match &self.0 {
            Watched::Socket(socket) => socket.peek_from(&mut [0]).await.map(drop),
            Watched::Eventfd(file) => file.read_at(0, 8).await.map(drop),
        };
        ended.map_err(|error| io::Error::other(error.to_string()))
    }
}
