//! The server's sockets: where HTTP is accepted, where media comes by UDP and by TCP.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

use crate::config::{Config, MediaAddress, MediaTcp};
use crate::net::{MediaSocket, SocketOptions};
use crate::sfu::Candidate;
use crate::shard::TcpMedia;
use crate::types::SocketId;

/// Connections that wait to be accepted, per shard.
const BACKLOG: i32 = 1024;

/// One listening socket per shard on the same port, among which the kernel spreads connections.
pub(super) fn listen(
    address: SocketAddr,
    shards: usize,
    setting: &str,
) -> io::Result<Vec<TcpListener>> {
    let explain = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("; another program has this port, choose one with --{setting}")
            }
            io::ErrorKind::AddrNotAvailable => {
                "; no interface of this host has this address".into()
            }
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need CAP_NET_BIND_SERVICE".into()
            }
            _ => String::new(),
        };
        io::Error::new(error.kind(), format!("cannot listen on TCP {address}: {error}{hint}"))
    };
    // Sockets that share a port share it with any process of this user, another corinth included.
    // One that does not share finds out whether the port is free, and which, if any will do.
    let probe = tcp_socket(address, false).map_err(explain)?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    let shared = (0..shards).map(|_| {
        let socket = tcp_socket(address, true)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    });
    shared.collect::<io::Result<_>>().map_err(explain)
}

/// Where each shard gets media over TCP. `bound` is where media is served.
pub(super) fn listen_for_media(
    config: &Config,
    bound: &[SocketAddr],
    http: SocketAddr,
    shards: usize,
) -> io::Result<Vec<TcpMedia>> {
    let mut all: Vec<_> = (0..shards).map(|_| TcpMedia::default()).collect();
    let served = config.media_addresses.iter();
    let served = served.filter(|a| bound.iter().any(|bound| bound.ip() == a.local));
    let mut candidates = Vec::new();
    match config.media_tcp {
        MediaTcp::Auto | MediaTcp::Off => {}
        MediaTcp::Http => {
            let reaches = |ip: IpAddr| {
                // The wildcard of IPv6 takes both.
                let any = http.ip().is_unspecified() && (http.is_ipv6() || ip.is_ipv4());
                any || http.ip() == ip
            };
            candidates.extend(served.filter(|a| reaches(a.local)).map(|a| (a.public, http.port())));
            if candidates.is_empty() && !http.ip().is_unspecified() {
                candidates.push((http.ip(), http.port()));
            }
        }
        MediaTcp::Port(port) => {
            for address in served {
                let listeners = listen((address.local, port).into(), shards, "media-tcp")?;
                candidates.push((address.public, listeners[0].local_addr()?.port()));
                all.iter_mut().zip(listeners).for_each(|(one, it)| one.listeners.push(it));
            }
        }
    }
    for one in &mut all {
        one.candidates = candidates.iter().copied().map(SocketAddr::from).collect();
    }
    Ok(all)
}

fn tcp_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of an earlier run that linger in the kernel keep no port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// One shard's media sockets, and what clients are told of them.
pub(super) struct Media {
    pub(super) sockets: Vec<MediaSocket>,
    pub(super) candidates: Vec<Candidate>,
}

/// Binds one shard's media sockets. What was merely found on the host may fail.
pub(super) fn bind_media(
    addresses: &[MediaAddress],
    port: u16,
    notes: &mut Vec<String>,
) -> io::Result<Media> {
    let mut media = Media { sockets: Vec::new(), candidates: Vec::new() };
    for address in addresses {
        let socket = match MediaSocket::bind((address.local, port).into(), &SocketOptions::WISHED) {
            Ok(socket) => socket,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let text = format!("{error}; choose others with --media-port");
                return Err(io::Error::new(error.kind(), text));
            }
            Err(error) if address.required => return Err(error),
            Err(error) => {
                // A host without IPv6 is nothing to be told about.
                if !address.local.is_loopback() {
                    notes.push(error.to_string());
                }
                continue;
            }
        };
        media.candidates.push(Candidate {
            socket: SocketId(media.sockets.len() as u8),
            address: (address.public, socket.local_addr().port()).into(),
        });
        media.sockets.push(socket);
    }
    match media.sockets.is_empty() {
        true => Err(io::Error::other("no address of this host can serve media")),
        false => Ok(media),
    }
}
