//! What the tests of this layer share: loopback sockets, and clients as plain as can be.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::{MediaSocket, RxBatch, SocketOptions, TxArena};
use crate::types::limit::DATAGRAM_MAX;
use crate::types::{Path, SocketId};

pub(super) const LOCALHOST: &str = "127.0.0.1:0";

pub(super) fn media_socket(address: &str) -> MediaSocket {
    let options = SocketOptions { receive_buffer: 1 << 20, send_buffer: 1 << 20 };
    MediaSocket::bind(address.parse().unwrap(), &options).unwrap()
}

/// A client: a plain socket that blocks, but not for ever.
pub(super) fn peer(address: &str) -> UdpSocket {
    let peer = UdpSocket::bind(address).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    peer
}

/// What a client gets next, and from whom.
pub(super) fn next(peer: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 2 * DATAGRAM_MAX];
    let (len, from) = peer.recv_from(&mut buffer).unwrap();
    (String::from_utf8(buffer[..len].to_vec()).unwrap(), from)
}

/// Receives once there is something. Loopback delivers at once unless the machine is very busy.
pub(super) fn recv(batch: &mut RxBatch, socket: &MediaSocket) -> usize {
    for _ in 0..10_000 {
        match batch.recv(socket).unwrap() {
            0 => std::thread::sleep(Duration::from_millis(1)),
            received => return received,
        }
    }
    panic!("nothing came");
}

pub(super) fn path(socket: u8, remote: SocketAddr) -> Path {
    Path::Udp { socket: SocketId(socket), remote }
}

pub(super) fn queue(arena: &mut TxArena, path: Path, bytes: &[u8]) {
    arena.slot().unwrap()[..bytes.len()].copy_from_slice(bytes);
    arena.commit(path, bytes.len());
}

pub(super) fn os_error<T>(code: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(code))
}
