//! A media socket: one UDP address of this host, with the options that media wants.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::sys::sockopt;

/// What may be wished of a media socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOptions {
    /// Bytes of datagrams that may wait to be received (`SO_RCVBUF`). The kernel grants at most
    /// `net.core.rmem_max` and takes up to twice what it grants from its own memory.
    pub receive_buffer: usize,
    /// The same for sending (`SO_SNDBUF`, `net.core.wmem_max`).
    pub send_buffer: usize,
}

impl SocketOptions {
    /// What a shard wishes: 2500 full datagrams, 40 ms of a gigabit.
    pub const WISHED: SocketOptions =
        SocketOptions { receive_buffer: 4 * 1024 * 1024, send_buffer: 4 * 1024 * 1024 };
}

/// A UDP socket of one concrete address: never a wildcard, so that answers leave from where they
/// were asked. Non-blocking and close-on-exec. Belongs to one thread.
#[derive(Debug)]
pub struct MediaSocket {
    socket: Socket,
    local: SocketAddr,
    receive_buffer: usize,
    send_buffer: usize,
    /// The kernel's count of queue overflows as last seen.
    overflow_seen: Cell<u32>,
}

impl MediaSocket {
    /// Binds to `address`; port 0 lets the kernel choose. Errors name the address and, where there
    /// is one, the usual cause. That a buffer is smaller than wished is no error: ask
    /// [`MediaSocket::receive_buffer`].
    pub fn bind(address: SocketAddr, options: &SocketOptions) -> io::Result<MediaSocket> {
        if address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot bind UDP {address}: media needs one address of this host"),
            ));
        }
        Self::open(address, options).map_err(|error| explain(address, &error))
    }

    fn open(address: SocketAddr, options: &SocketOptions) -> io::Result<MediaSocket> {
        // socket2's `new` sets close-on-exec in the same system call.
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        sockopt::ignore_path_mtu(socket.as_fd(), address.is_ipv6())?;
        sockopt::count_queue_overflow(socket.as_fd())?;
        socket.set_recv_buffer_size(options.receive_buffer)?;
        socket.set_send_buffer_size(options.send_buffer)?;
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        // The kernel doubles what is set, to have room for its own headers (man 7 socket).
        let receive_buffer = socket.recv_buffer_size()? / 2;
        let send_buffer = socket.send_buffer_size()? / 2;
        Ok(Self { socket, local, receive_buffer, send_buffer, overflow_seen: Cell::new(0) })
    }

    /// The address it is bound to, with the port that the kernel chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What was granted of [`SocketOptions::receive_buffer`], in the same measure: less than
    /// wished means that `net.core.rmem_max` is too small.
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// What was granted of [`SocketOptions::send_buffer`] (`net.core.wmem_max`).
    pub fn send_buffer(&self) -> usize {
        self.send_buffer
    }

    /// A second descriptor of the same socket, for a reactor that wants to own what it watches.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }

    /// How many datagrams a full receive queue has cost since this was last asked; `count` is what
    /// the kernel says about all of the socket's life, modulo 2^32.
    pub(super) fn overflow_since(&self, count: u32) -> u32 {
        count.wrapping_sub(self.overflow_seen.replace(count))
    }
}

impl AsFd for MediaSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for MediaSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The error as an operator can use it: what was tried, what the kernel said, the usual cause.
fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    let hint = match error.raw_os_error() {
        Some(libc::EADDRNOTAVAIL) => {
            "; no interface of this host has it: listen on a local address and announce the \
             public one"
        }
        Some(libc::EADDRINUSE) => "; another program, or another corinth, has the port",
        Some(libc::EACCES) => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        Some(libc::EAFNOSUPPORT) => "; this host has no such IP version switched on",
        Some(libc::EINVAL) => "; link-local addresses and IPv4 ones in IPv6 form do not serve",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot bind UDP {address}: {error}{hint}"))
}

#[cfg(test)]
mod tests;
