//! Batches over real loopback sockets; what loopback never does is injected in place of the call.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use super::*;
use crate::net::SocketOptions;

const LOCALHOST: &str = "127.0.0.1:0";

fn media_socket(address: &str) -> MediaSocket {
    let options = SocketOptions { receive_buffer: 1 << 20, send_buffer: 1 << 20 };
    MediaSocket::bind(address.parse().unwrap(), &options).unwrap()
}

/// A client: a plain socket that blocks, but not for ever.
fn peer(address: &str) -> UdpSocket {
    let peer = UdpSocket::bind(address).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    peer
}

/// What a client gets next, and from whom.
fn next(peer: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 2 * DATAGRAM_MAX];
    let (len, from) = peer.recv_from(&mut buffer).unwrap();
    (String::from_utf8(buffer[..len].to_vec()).unwrap(), from)
}

/// Receives once there is something. Loopback delivers at once unless the machine is very busy.
fn recv(batch: &mut RxBatch, socket: &MediaSocket) -> usize {
    for _ in 0..10_000 {
        match batch.recv(socket).unwrap() {
            0 => std::thread::sleep(Duration::from_millis(1)),
            received => return received,
        }
    }
    panic!("nothing came");
}

fn path(socket: u8, remote: SocketAddr) -> Path {
    Path::Udp { socket: SocketId(socket), remote }
}

fn queue(arena: &mut TxArena, path: Path, bytes: &[u8]) {
    arena.slot().unwrap()[..bytes.len()].copy_from_slice(bytes);
    arena.commit(path, bytes.len());
}

/// An arena with one datagram, its index as text, for each of the sockets named.
fn arena_for(sockets: impl ExactSizeIterator<Item = u8>) -> TxArena {
    let mut arena = TxArena::new(sockets.len());
    for (i, socket) in sockets.enumerate() {
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        queue(&mut arena, path(socket, remote), i.to_string().as_bytes());
    }
    arena
}

fn os_error<T>(code: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(code))
}

fn question_and_answer(address: &str) {
    let (socket, peer) = (media_socket(address), peer(address));
    peer.send_to(b"question", socket.local_addr()).unwrap();
    let mut rx = RxBatch::new();
    assert_eq!(recv(&mut rx, &socket), 1);
    let datagram = rx.datagram(0);
    assert_eq!(&*datagram.bytes, b"question");
    assert_eq!(datagram.remote, peer.local_addr().unwrap());
    assert!(!datagram.truncated);

    let mut arena = TxArena::new(1);
    queue(&mut arena, path(0, datagram.remote), b"answer");
    let report = arena.flush(std::slice::from_ref(&socket));
    assert_eq!(report, FlushReport { sent: 1, bytes: 6, blocked: 0, refused: 0 });
    assert_eq!(next(&peer), ("answer".into(), socket.local_addr()));
}

#[test]
fn question_and_answer_over_ipv4() {
    question_and_answer(LOCALHOST);
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests must see what was not tested")]
fn question_and_answer_over_ipv6() {
    match UdpSocket::bind("[::1]:0") {
        Ok(_) => question_and_answer("[::1]:0"),
        Err(error) => eprintln!("skipped, this host has no IPv6 loopback: {error}"),
    }
}

#[test]
fn many_datagrams_reach_their_destinations_in_order() {
    const EACH: usize = 50;
    let sockets = [media_socket(LOCALHOST), media_socket(LOCALHOST)];
    let peers: Vec<_> = (0..5).map(|_| peer(LOCALHOST)).collect();
    let mut arena = TxArena::new(EACH * peers.len() * sockets.len());
    for i in 0..EACH {
        for peer in &peers {
            for socket in 0..2 {
                queue(
                    &mut arena,
                    path(socket, peer.local_addr().unwrap()),
                    i.to_string().as_bytes(),
                );
            }
        }
    }
    let report = arena.flush(&sockets);
    assert_eq!((report.sent, report.blocked, report.refused), (500, 0, 0));
    assert_eq!(report.bytes, (10 + 40 * 2) * 10);
    assert!(arena.is_empty());

    for peer in &peers {
        let received: Vec<_> = (0..2 * EACH).map(|_| next(peer)).collect();
        for socket in &sockets {
            let in_order = received.iter().filter(|(_, from)| *from == socket.local_addr());
            let numbers: Vec<usize> = in_order.map(|(text, _)| text.parse().unwrap()).collect();
            assert_eq!(numbers, Vec::from_iter(0..EACH));
        }
    }
}

#[test]
fn a_long_queue_is_received_in_full_batches() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    for i in 0..150u8 {
        peer.send_to(&[i], socket.local_addr()).unwrap();
    }
    let mut rx = RxBatch::new();
    let (mut received, mut calls) = (Vec::new(), 0);
    while received.len() < 150 {
        let count = recv(&mut rx, &socket);
        received.extend((0..count).map(|i| rx.datagram(i).bytes[0]));
        calls += 1;
    }
    assert!(calls < 15, "three should do, even if some come late: {calls}");
    assert_eq!(received, Vec::from_iter(0..150));
    assert_eq!(rx.recv(&socket).unwrap(), 0);
}

#[test]
#[should_panic(expected = "out of bounds")]
fn an_old_batch_is_gone_after_an_empty_one() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    peer.send_to(b"old", socket.local_addr()).unwrap();
    let mut rx = RxBatch::new();
    recv(&mut rx, &socket);
    assert_eq!(rx.recv(&socket).unwrap(), 0);
    rx.datagram(0);
}

#[test]
fn only_what_is_longer_than_a_slot_is_truncated() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let mut rx = RxBatch::new();
    for (sent, received, truncated) in [
        (DATAGRAM_MAX, DATAGRAM_MAX, false),
        (DATAGRAM_MAX + 1, DATAGRAM_MAX, true),
        (9000, DATAGRAM_MAX, true),
        (0, 0, false), // empty, but a datagram; and the flag is not left from the one before
    ] {
        peer.send_to(&vec![7; sent], socket.local_addr()).unwrap();
        assert_eq!(recv(&mut rx, &socket), 1);
        let datagram = rx.datagram(0);
        assert_eq!((datagram.bytes.len(), datagram.truncated), (received, truncated), "{sent}");
        assert!(datagram.bytes.iter().all(|byte| *byte == 7));
    }
}

#[test]
fn a_dead_peer_disturbs_nobody() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let alive = peer.local_addr().unwrap();
    let dead = UdpSocket::bind(LOCALHOST).unwrap().local_addr().unwrap(); // closed again
    let (mut arena, mut rx) = (TxArena::new(2), RxBatch::new());
    for _ in 0..3 {
        queue(&mut arena, path(0, dead), b"anybody there?");
        queue(&mut arena, path(0, alive), b"hello");
        assert_eq!(arena.flush(std::slice::from_ref(&socket)).sent, 2);
        assert_eq!(next(&peer).0, "hello");
        assert_eq!(rx.recv(&socket).unwrap(), 0, "ICMP is neither a datagram nor an error");
    }
}

#[test]
fn what_icmp_left_on_the_socket_is_skipped() {
    let mut rx = RxBatch::new();
    let mut answers = [os_error(libc::ECONNREFUSED), os_error(libc::EINTR), Ok(3)].into_iter();
    rx.recv_with(|_, _| answers.next().unwrap()).unwrap();
    assert_eq!(rx.received, 3);

    rx.recv_with(|_, _| os_error(libc::EHOSTUNREACH)).unwrap();
    assert_eq!(rx.received, 0, "and it is not waited for an end of them");
}

#[test]
fn a_broken_socket_is_an_error() {
    let error = RxBatch::new().recv_with(|_, _| os_error(libc::EBADF)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
}

#[test]
fn queue_overflow_is_counted_once() {
    let options = SocketOptions { receive_buffer: 1, send_buffer: 1 << 20 };
    let socket = MediaSocket::bind(LOCALHOST.parse().unwrap(), &options).unwrap();
    let (peer, mut rx) = (peer(LOCALHOST), RxBatch::new());
    let mut kept = 0;
    for _ in 0..2 {
        for _ in 0..50 {
            peer.send_to(&[0; 1000], socket.local_addr()).unwrap();
        }
        kept += recv(&mut rx, &socket);
        peer.send_to(b"tells", socket.local_addr()).unwrap();
        kept += recv(&mut rx, &socket);
        peer.send_to(b"tells again", socket.local_addr()).unwrap();
        kept += recv(&mut rx, &socket);
    }
    let lost = 2 * 52 - kept as u64;
    assert!(lost > 50, "the smallest buffer holds {kept}");
    assert_eq!(rx.overflow(), lost);
}

#[test]
fn a_refused_destination_takes_no_other_with_it() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let good = peer.local_addr().unwrap();
    let mut arena = TxArena::new(8);
    let refused = ["127.0.0.1:0", "[::1]:9", "255.255.255.255:9"]; // EINVAL, EAFNOSUPPORT, EACCES
    queue(&mut arena, path(0, good), b"0");
    for (i, address) in refused.iter().enumerate() {
        queue(&mut arena, path(0, address.parse().unwrap()), b"never");
        queue(&mut arena, path(0, good), (i + 1).to_string().as_bytes());
    }
    queue(&mut arena, path(7, good), b"there is no such socket");
    let report = arena.flush(std::slice::from_ref(&socket));
    assert_eq!(report, FlushReport { sent: 4, bytes: 4, blocked: 0, refused: 4 });
    assert!(arena.is_empty());
    let received: Vec<_> = (0..4).map(|_| next(&peer).0).collect();
    assert_eq!(received, ["0", "1", "2", "3"]);
}

#[test]
fn a_full_arena_has_no_slot_until_it_is_flushed() {
    let mut arena = TxArena::new(2);
    assert!(arena.is_empty());
    let first = arena.slot().unwrap().as_ptr();
    assert_eq!(arena.slot().unwrap().as_ptr(), first, "handed out again until committed");
    assert!(arena.is_empty());
    for _ in 0..2 {
        queue(&mut arena, path(0, LOCALHOST.parse().unwrap()), b"x");
    }
    assert!(arena.slot().is_none());
    assert!(!arena.is_empty());
    arena.flush(&[]);
    assert_eq!(arena.slot().unwrap().len(), DATAGRAM_MAX);
}

#[test]
#[should_panic(expected = "a commit without a slot")]
fn commit_needs_a_slot() {
    TxArena::new(0).commit(path(0, LOCALHOST.parse().unwrap()), 0);
}

#[test]
#[should_panic(expected = "1501 bytes")]
fn commit_stays_inside_its_slot() {
    TxArena::new(1).commit(path(0, LOCALHOST.parse().unwrap()), DATAGRAM_MAX + 1);
}

#[test]
fn a_blocked_socket_loses_its_rest_and_only_its_own() {
    for code in [libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM] {
        let mut arena = arena_for((0..300).map(|i: u16| (i % 2) as u8));
        let mut calls = [0; 2];
        let report = arena.flush_with(2, |socket, datagrams| {
            calls[socket] += 1;
            match (socket, calls[0]) {
                (0, 1) => Ok(10),
                (0, _) => os_error(code),
                _ => Ok(datagrams.len()),
            }
        });
        assert_eq!((report.sent, report.blocked, report.refused), (10 + 150, 140, 0));
        assert_eq!(calls, [2, 3], "the blocked one is left alone, the other needs three batches");
        assert!(arena.is_empty());
    }
}

#[test]
fn a_partial_send_is_taken_up_where_it_ended() {
    let mut arena = arena_for((0..100).map(|_| 0u8));
    let mut sent: Vec<usize> = Vec::new();
    let report = arena.flush_with(1, |_, datagrams| {
        let bites = datagrams.iter().take(7);
        sent.extend(bites.map(|d| str::from_utf8(d.bytes).unwrap().parse::<usize>().unwrap()));
        Ok(datagrams.len().min(7))
    });
    assert_eq!(sent, Vec::from_iter(0..100));
    assert_eq!(report, FlushReport { sent: 100, bytes: 190, blocked: 0, refused: 0 });
}
