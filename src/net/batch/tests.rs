//! Receiving over real loopback sockets; what loopback never does is injected in place of the call.

//! Batches over real loopback sockets; what loopback never does is injected in place of the call.

use super::*;
use crate::net::SocketOptions;
use crate::net::testing::{LOCALHOST, media_socket, os_error, peer, recv};

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
