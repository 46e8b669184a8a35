//! Waiting for datagrams within glommio, which knows no readiness for UDP.

#![allow(unsafe_code, reason = "glommio takes descriptors as bare numbers only")]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};

use glommio::net::UdpSocket;

use super::udp::MediaSocket;

/// Tells when something waits at one source of an [`Rx`](super::Rx).
#[derive(Debug)]
pub struct Watch {
    /// A second descriptor of the media socket: it is there to be peeked at.
    peeked: UdpSocket,
}

impl Watch {
    pub(super) fn socket(socket: &MediaSocket) -> io::Result<Self> {
        let fd = socket.try_clone_fd()?;
        // SAFETY: the duplicate is owned by nobody else.
        Ok(Self { peeked: unsafe { UdpSocket::from_raw_fd(fd.into_raw_fd()) } })
    }

    /// Returns when something waits. glommio's first peek after a success is a plain system call
    /// that never yields when something does: whoever loops over this yields by himself.
    pub async fn ready(&self) -> io::Result<()> {
        match self.peeked.peek_from(&mut [0]).await {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }
}
