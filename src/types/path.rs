//! Where a datagram came from and where an answer must go: lookup key, send address and grouping
//! key in one.

use std::net::SocketAddr;

/// One of a shard's media sockets (an index into its list of listen addresses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u8);

/// One of a shard's TCP connections for media; no number comes twice before 2^32 others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// How a shard's datagrams get into the kernel and out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoKind {
    /// `recvmmsg` and `sendmmsg`.
    Mmsg,
    /// An io_uring of the shard's own.
    Ring,
}

/// One way between a socket of ours and an address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Path {
    /// Over UDP. `remote` has no flow label and, unless link-local, no scope, so that equal
    /// addresses compare equal.
    Udp {
        /// The local socket; answers leave by it and by no other.
        socket: SocketId,
        /// The client's address as the socket saw it.
        remote: SocketAddr,
    },
    /// Over a TCP connection that the client made; it ends with it.
    Tcp {
        /// Which one.
        connection: ConnectionId,
        /// The client's end.
        remote: SocketAddr,
    },
}

impl Path {
    /// The client's address.
    pub fn remote(self) -> SocketAddr {
        match self {
            Path::Udp { remote, .. } | Path::Tcp { remote, .. } => remote,
        }
    }
}
