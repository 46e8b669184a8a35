//! Receiving over real loopback sockets; what loopback never does is injected in place of the call.

//! Batches over real loopback sockets; what loopback never does is injected in place of the call.

use std::net::UdpSocket;

use super::*;
use crate::net::testing::{LOCALHOST, media_socket, next, os_error, path, peer, queue, recv};
use crate::net::{SocketOptions, Tx, TxArena};

fn question_and_answer(address: &str) {
    let (socket, peer) = (media_socket(address), peer(address));
    peer.send_to(b"question", socket.local_addr()).unwrap();
    let mut rx = RxBatch::new();
    assert_eq!(recv(&mut rx, &socket), 1);
    let (remote, bytes, truncated) = rx.datagram(0);
    assert_eq!((&*bytes, truncated), (&b"question"[..], false));
    assert_eq!(remote, peer.local_addr().unwrap());

    let (mut arena, from) = (TxArena::new(), socket.local_addr());
    queue(&mut arena, path(0, remote), b"answer");
    let report = Tx::mmsg([socket].into()).flush(&mut arena);
    assert_eq!((report.sent, report.bytes), (1, 6));
    assert_eq!(next(&peer), ("answer".into(), from));
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
fn a_long_queue_is_received_in_full_batches() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    for i in 0..150u8 {
        peer.send_to(&[i], socket.local_addr()).unwrap();
    }
    let mut rx = RxBatch::new();
    let (mut received, mut calls) = (Vec::new(), 0);
    while received.len() < 150 {
        let count = recv(&mut rx, &socket);
        received.extend((0..count).map(|i| rx.datagram(i).1[0]));
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
        let (_, bytes, flag) = rx.datagram(0);
        assert_eq!((bytes.len(), flag), (received, truncated), "{sent}");
        assert!(bytes.iter().all(|byte| *byte == 7));
    }
}

#[test]
fn a_dead_peer_disturbs_nobody() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let alive = peer.local_addr().unwrap();
    let dead = UdpSocket::bind(LOCALHOST).unwrap().local_addr().unwrap(); // closed again
    let mut tx = Tx::mmsg([socket].into());
    let (mut arena, mut rx) = (TxArena::new(), RxBatch::new());
    for _ in 0..3 {
        queue(&mut arena, path(0, dead), b"anybody there?");
        queue(&mut arena, path(0, alive), b"hello");
        assert_eq!(tx.flush(&mut arena).sent, 2);
        assert_eq!(next(&peer).0, "hello");
        assert_eq!(
            rx.recv(&tx.sockets()[0]).unwrap(),
            0,
            "ICMP is neither a datagram nor an error"
        );
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
