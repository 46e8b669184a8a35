//! Both ways into the kernel do the same: over real loopback sockets, with real refusals.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::SockRef;

use super::testing::{LOCALHOST, media_socket, next, path, peer, queue};
use super::*;
use crate::types::limit::DATAGRAM_MAX;
use crate::types::{Path, SocketId};

const BOTH: [IoKind; 2] = [IoKind::Mmsg, IoKind::Ring];

/// What has come to any of the sockets: which way, and what.
fn receive(rx: &mut Rx, kind: IoKind, sockets: usize) -> Vec<(Path, Vec<u8>, bool)> {
    let sources = if kind == IoKind::Ring { 1 } else { sockets };
    let mut received = Vec::new();
    for source in 0..sources {
        loop {
            let found = rx.recv(source).unwrap();
            for i in 0..found.datagrams {
                let datagram = rx.datagram(i);
                received.push((datagram.path, datagram.bytes.to_vec(), datagram.truncated));
            }
            if found.datagrams == 0 && !found.more {
                break;
            }
        }
    }
    received
}

/// Receives until so many have come. Loopback delivers at once unless the machine is very busy.
fn receive_all(rx: &mut Rx, kind: IoKind, sockets: usize, count: usize) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    for _ in 0..10_000 {
        received.extend(receive(rx, kind, sockets).into_iter().map(|(_, bytes, _)| bytes));
        if received.len() >= count {
            return received;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{} of {count} came", received.len());
}

/// The one datagram that comes.
fn receive_one(rx: &mut Rx, kind: IoKind) -> (Path, Vec<u8>, bool) {
    for _ in 0..10_000 {
        if let Some(datagram) = receive(rx, kind, 1).pop() {
            return datagram;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("nothing came");
}

fn question_and_answer(kind: IoKind, address: &str) {
    let (socket, peer) = (media_socket(address), peer(address));
    let (local, remote) = (socket.local_addr(), peer.local_addr().unwrap());
    let (mut rx, mut tx) = open(kind, vec![socket]).unwrap();
    for _ in 0..3 {
        peer.send_to(b"question", local).unwrap();
        let (from, bytes, truncated) = receive_one(&mut rx, kind);
        assert_eq!((&*bytes, truncated), (&b"question"[..], false));
        assert_eq!(from, path(0, remote));
        let mut arena = TxArena::new();
        queue(&mut arena, from, b"answer");
        assert_eq!(tx.flush(&mut arena).sent, 1);
        assert_eq!(next(&peer), ("answer".into(), local));
    }
}

#[test]
fn question_and_answer_over_ipv4() {
    BOTH.into_iter().for_each(|kind| question_and_answer(kind, LOCALHOST));
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests must see what was not tested")]
fn question_and_answer_over_ipv6() {
    match UdpSocket::bind("[::1]:0") {
        Ok(_) => BOTH.into_iter().for_each(|kind| question_and_answer(kind, "[::1]:0")),
        Err(error) => eprintln!("skipped, this host has no IPv6 loopback: {error}"),
    }
}

#[test]
fn each_socket_is_told_apart() {
    for kind in BOTH {
        let sockets = vec![media_socket(LOCALHOST), media_socket(LOCALHOST)];
        let addresses: Vec<_> = sockets.iter().map(MediaSocket::local_addr).collect();
        let (mut rx, mut tx) = open(kind, sockets).unwrap();
        let peer = peer(LOCALHOST);
        let remote = peer.local_addr().unwrap();
        receive(&mut rx, kind, 2);
        for (i, address) in addresses.iter().enumerate() {
            peer.send_to(&[i as u8], address).unwrap();
        }
        let mut received = Vec::new();
        while received.len() < 2 {
            received.extend(receive(&mut rx, kind, 2));
        }
        received.sort_by_key(|(_, bytes, _)| bytes[0]);
        let expected = [0, 1].map(|i| (path(i, remote), vec![i], false));
        assert_eq!(received, expected);
        let mut arena = TxArena::new();
        queue(&mut arena, path(1, remote), b"one");
        queue(&mut arena, path(0, remote), b"zero");
        assert_eq!(tx.flush(&mut arena).sent, 2);
        let mut answers = [next(&peer), next(&peer)];
        answers.sort();
        assert_eq!(answers, [("one".into(), addresses[1]), ("zero".into(), addresses[0])]);
    }
}

#[test]
fn only_what_is_longer_than_a_slot_is_truncated() {
    for kind in BOTH {
        let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
        let local = socket.local_addr();
        let (mut rx, _tx) = open(kind, vec![socket]).unwrap();
        for (sent, received, truncated) in [
            (DATAGRAM_MAX, DATAGRAM_MAX, false),
            (DATAGRAM_MAX + 1, DATAGRAM_MAX, true),
            (9000, DATAGRAM_MAX, true),
            (0, 0, false), // empty, but a datagram; and the flag is not left from the one before
            (1, 1, false), // what was empty ends nothing
        ] {
            peer.send_to(&vec![7; sent], local).unwrap();
            let (_, bytes, flag) = receive_one(&mut rx, kind);
            assert_eq!((bytes.len(), flag), (received, truncated), "{kind:?} {sent}");
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
    }
}

#[test]
fn a_turn_is_bounded_and_a_long_queue_loses_nothing() {
    for kind in BOTH {
        let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
        let local = socket.local_addr();
        let (mut rx, _tx) = open(kind, vec![socket]).unwrap();
        for i in 0..150u8 {
            peer.send_to(&[i], local).unwrap();
        }
        let first = rx.recv(0).unwrap();
        assert!(first.datagrams <= RxBatch::CAPACITY, "{kind:?}");
        let mut received: Vec<_> = (0..first.datagrams).map(|i| rx.datagram(i).bytes[0]).collect();
        let rest = receive_all(&mut rx, kind, 1, 150 - received.len());
        received.extend(rest.iter().map(|bytes| bytes[0]));
        assert_eq!(received, Vec::from_iter(0..150), "{kind:?}");
        assert_eq!(rx.recv(0).unwrap(), Received { datagrams: 0, more: false });
    }
}

#[test]
fn a_ring_that_runs_out_of_buffers_counts_it_and_goes_on() {
    const COUNT: usize = 1500;
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    SockRef::from(&socket).set_recv_buffer_size(64 << 20).unwrap();
    let local = socket.local_addr();
    let (mut rx, _tx) = open(IoKind::Ring, vec![socket]).unwrap();
    receive(&mut rx, IoKind::Ring, 1);
    let mut lost = 0;
    for round in 0..3u32 {
        for i in 0..COUNT as u32 {
            peer.send_to(&(round * COUNT as u32 + i).to_ne_bytes(), local).unwrap();
            if i.is_multiple_of(50) {
                // The kernel fills buffers, and none is given back.
                rx.ready_to_sleep();
            }
        }
        let received = receive(&mut rx, IoKind::Ring, 1);
        let numbers: Vec<_> = received
            .iter()
            .map(|(_, bytes, _)| u32::from_ne_bytes(bytes[..4].try_into().unwrap()))
            .collect();
        assert!(numbers.is_sorted(), "in order");
        lost += COUNT - numbers.len();
    }
    assert!(rx.ring_overruns() > 0, "more came than there are buffers");
    // One more tells how many did not find room in the socket's queue.
    peer.send_to(b"last", local).unwrap();
    receive_all(&mut rx, IoKind::Ring, 1, 1);
    assert_eq!(rx.overflow(), lost as u64, "everything else came");
}

#[test]
fn a_dead_peer_disturbs_nobody() {
    for kind in BOTH {
        let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
        let (local, alive) = (socket.local_addr(), peer.local_addr().unwrap());
        let dead = UdpSocket::bind(LOCALHOST).unwrap().local_addr().unwrap(); // closed again
        let (mut rx, mut tx) = open(kind, vec![socket]).unwrap();
        let mut arena = TxArena::new();
        for _ in 0..3 {
            queue(&mut arena, path(0, dead), b"anybody there?");
            queue(&mut arena, path(0, alive), b"hello");
            assert_eq!(tx.flush(&mut arena).sent, 2);
            assert_eq!(next(&peer).0, "hello");
            assert_eq!(receive(&mut rx, kind, 1), [], "ICMP is neither a datagram nor an error");
        }
        peer.send_to(b"still there", local).unwrap();
        assert_eq!(receive_one(&mut rx, kind).1, b"still there");
    }
}

#[test]
fn an_error_that_icmp_left_on_the_socket_is_skipped() {
    // With IP_RECVERR, which corinth does not set, the error of a dead peer reaches the socket.
    for kind in BOTH {
        let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
        let local = socket.local_addr();
        let dead = UdpSocket::bind(LOCALHOST).unwrap().local_addr().unwrap(); // closed again
        receive_errors(&socket);
        let (mut rx, mut tx) = open(kind, vec![socket]).unwrap();
        receive(&mut rx, kind, 1);
        let mut arena = TxArena::new();
        queue(&mut arena, path(0, dead), b"anybody there?");
        assert_eq!(tx.flush(&mut arena).sent, 1);
        for _ in 0..3 {
            peer.send_to(b"hello", local).unwrap();
            assert_eq!(receive_one(&mut rx, kind).1, b"hello", "{kind:?}");
        }
    }
}

#[expect(unsafe_code, reason = "socket2 has no such option, as nothing but this test wants it")]
fn receive_errors(socket: &MediaSocket) {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and the length describe `on`, which outlives the call.
    let returned = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_RECVERR,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    assert_eq!(returned, 0);
}

#[test]
fn a_refused_destination_takes_no_other_with_it() {
    for kind in BOTH {
        let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
        let good = peer.local_addr().unwrap();
        let mut arena = TxArena::new();
        // EINVAL, EAFNOSUPPORT, EACCES
        let refused = ["127.0.0.1:0", "[::1]:9", "255.255.255.255:9"];
        queue(&mut arena, path(0, good), b"0");
        for (i, address) in refused.iter().enumerate() {
            queue(&mut arena, path(0, address.parse().unwrap()), b"never");
            queue(&mut arena, path(0, address.parse().unwrap()), b"train");
            queue(&mut arena, path(0, good), (i + 1).to_string().as_bytes());
        }
        queue(&mut arena, path(7, good), b"there is no such socket");
        let (_rx, mut tx) = open(kind, vec![socket]).unwrap();
        let report = tx.flush(&mut arena);
        assert_eq!((report.sent, report.refused, report.blocked), (4, 7, 0), "{kind:?}");
        assert!(arena.is_empty());
        let received: Vec<_> = (0..4).map(|_| next(&peer).0).collect();
        assert_eq!(received, ["0", "1", "2", "3"]);
    }
}

#[test]
fn the_kernel_cuts_a_train_into_the_datagrams_that_it_was() {
    for kind in BOTH {
        let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
        let from = socket.local_addr();
        let mut arena = TxArena::new();
        let texts: Vec<String> = (0..30).map(|i| format!("{i:0>20}")).collect();
        for text in texts.iter().chain([&"the end".to_owned()]) {
            queue(&mut arena, path(0, peer.local_addr().unwrap()), text.as_bytes());
        }
        let (_rx, mut tx) = open(kind, vec![socket]).unwrap();
        let report = tx.flush(&mut arena);
        assert_eq!((report.sent, report.in_trains()), (31, 31));
        assert_eq!((report.trains[15], report.trains[14]), (1, 1));
        for text in &texts {
            assert_eq!(next(&peer), (text.clone(), from));
        }
        assert_eq!(next(&peer).0, "the end");
    }
}

#[test]
fn a_socket_that_the_kernel_cuts_nothing_for_sends_singly() {
    for kind in BOTH {
        let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
        // Without checksums the kernel refuses to cut, with EIO.
        no_checksums(&socket);
        let to = path(0, peer.local_addr().unwrap());
        let (_rx, mut tx) = open(kind, vec![socket]).unwrap();
        let mut arena = TxArena::new();
        for _ in 0..2 {
            for text in ["aa", "bb", "cc"] {
                queue(&mut arena, to, text.as_bytes());
            }
            let report = tx.flush(&mut arena);
            assert_eq!((report.sent, report.in_trains()), (3, 0), "{kind:?}");
            assert_eq!([next(&peer).0, next(&peer).0, next(&peer).0], ["aa", "bb", "cc"]);
        }
    }
}

#[expect(unsafe_code, reason = "socket2 has no such option, as nothing but this test wants it")]
fn no_checksums(socket: &MediaSocket) {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and the length describe `on`, which outlives the call.
    let returned = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    assert_eq!(returned, 0);
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests must see what was not tested")]
#[expect(clippy::disallowed_methods, reason = "a network namespace is a thread's")]
fn trains_of_what_is_too_long_for_a_path_go_there_singly() {
    // In a network of its own, where nothing longer than 1000 bytes is sent in one piece: the
    // kernel cuts no train into pieces that it would have to cut again.
    let test = std::thread::spawn(|| {
        if !alone_with_an_mtu_of_1000() {
            return eprintln!("skipped, this process may make no network of its own");
        }
        for kind in BOTH {
            let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
            let to = path(0, peer.local_addr().unwrap());
            let (_rx, mut tx) = open(kind, vec![socket]).unwrap();
            let mut arena = TxArena::new();
            for _ in 0..2 {
                for letter in [b'a', b'b', b'c'] {
                    queue(&mut arena, to, &[letter; 1200]);
                }
                for letter in [b'd', b'e'] {
                    queue(&mut arena, to, &[letter; 500]);
                }
                let report = tx.flush(&mut arena);
                assert_eq!((report.sent, report.refused, report.blocked), (5, 0, 0), "{kind:?}");
                let mut received: Vec<_> = (0..5).map(|_| next(&peer).0).collect();
                received.sort();
                let letters: Vec<_> = received.iter().map(|text| &text[..1]).collect();
                assert_eq!(letters, ["a", "b", "c", "d", "e"], "{kind:?}");
            }
        }
    });
    test.join().unwrap();
}

/// Moves the calling thread into a network namespace with loopback alone.
fn alone_with_an_mtu_of_1000() -> bool {
    let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok();
    let mut ip = std::process::Command::new("ip");
    ip.args(["link", "set", "lo", "mtu", "1000", "up"]);
    unshared && ip.status().is_ok_and(|status| status.success())
}

#[test]
fn more_requests_than_the_ring_has_room_for_are_submitted_all_the_same() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let mut ring = sys::ring::Ring::new(&[socket.as_fd()]).unwrap();
    (0..2000).for_each(|_| ring.arm(0));
    peer.send_to(b"hello", socket.local_addr()).unwrap();
    let found = (0..10_000).find_map(|_| {
        ring.collect();
        let completion = ring.next_received();
        if completion.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        completion
    });
    assert!(found.expect("one of them receives").result.is_ok());
}

/// Whether the ring's eventfd is readable, within a moment or at all.
fn tells(rx: &Rx, patience: Duration) -> bool {
    let fd = rx.eventfd().unwrap();
    let mut poll = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    poll_for(&mut poll, patience)
}

#[expect(unsafe_code, reason = "neither std nor socket2 waits for a descriptor")]
fn poll_for(poll: &mut [libc::pollfd; 1], patience: Duration) -> bool {
    // SAFETY: the pointer and the count describe `poll`, which outlives the call.
    unsafe { libc::poll(poll.as_mut_ptr(), 1, patience.as_millis() as libc::c_int) == 1 }
}

#[test]
fn a_ring_that_sleeps_is_told_of_what_comes() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let local = socket.local_addr();
    let (mut rx, _tx) = open(IoKind::Ring, vec![socket]).unwrap();
    receive(&mut rx, IoKind::Ring, 1);
    assert!(rx.ready_to_sleep());
    assert!(!tells(&rx, Duration::ZERO), "nothing has come");
    peer.send_to(b"hello", local).unwrap();
    assert!(tells(&rx, Duration::from_secs(10)));
    assert_eq!(receive_one(&mut rx, IoKind::Ring).1, b"hello");
}

#[test]
fn what_comes_between_the_last_look_and_sleep_keeps_the_ring_awake() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let local = socket.local_addr();
    let (mut rx, _tx) = open(IoKind::Ring, vec![socket]).unwrap();
    assert_eq!(receive(&mut rx, IoKind::Ring, 1), []);
    // The eventfd is muted while the shard is awake: of this it says nothing, and it never will.
    peer.send_to(b"hello", local).unwrap();
    assert!(!tells(&rx, Duration::from_millis(5)), "it is muted");
    assert!(!rx.ready_to_sleep(), "or it would sleep over a datagram");
    assert_eq!(receive_one(&mut rx, IoKind::Ring).1, b"hello");
}

#[test]
fn what_a_flush_finds_by_the_way_is_received_in_the_next_turn() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let (local, remote) = (socket.local_addr(), peer.local_addr().unwrap());
    let (mut rx, mut tx) = open(IoKind::Ring, vec![socket]).unwrap();
    receive(&mut rx, IoKind::Ring, 1);
    peer.send_to(b"one", local).unwrap();
    let (from, ..) = receive_one(&mut rx, IoKind::Ring);
    peer.send_to(b"two", local).unwrap();
    let mut arena = TxArena::new();
    queue(&mut arena, from, b"answer");
    assert_eq!(tx.flush(&mut arena).sent, 1);
    assert_eq!(next(&peer).0, "answer");
    assert_eq!(receive_one(&mut rx, IoKind::Ring).1, b"two");
    assert_eq!(from, Path::Udp { socket: SocketId(0), remote });
}
