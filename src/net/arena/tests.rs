//! Sending over real loopback sockets; what loopback never does is injected in place of the call.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::net::testing::{LOCALHOST, media_socket, next, os_error, path, peer, queue};

/// An arena with one datagram, its index as text, for each of the sockets named, and each to an
/// address of its own.
fn arena_for(sockets: impl ExactSizeIterator<Item = u8>) -> TxArena {
    let mut arena = TxArena::new(sockets.len());
    for (i, socket) in sockets.enumerate() {
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + i as u16));
        queue(&mut arena, path(socket, remote), i.to_string().as_bytes());
    }
    arena
}

/// The number that is the text of a lonely datagram.
fn number(train: &TxTrain<'_>) -> usize {
    let texts: Vec<_> = train.datagrams().collect();
    assert_eq!(texts.len(), 1);
    str::from_utf8(texts[0]).unwrap().parse().unwrap()
}

/// Flushes into a socket that takes everything; the lengths of each train's datagrams.
fn trains(arena: &mut TxArena) -> Vec<Vec<usize>> {
    let mut sent = Vec::new();
    arena.flush_with(1, |_, trains| {
        sent.extend(trains.iter().map(|train| train.datagrams().map(<[u8]>::len).collect()));
        Ok(trains.len())
    });
    sent
}

/// Queues datagrams of these lengths for one client.
fn queue_lengths(arena: &mut TxArena, to: Path, lengths: &[usize]) {
    for len in lengths {
        queue(arena, to, &vec![7; *len]);
    }
}

fn client(port: u16) -> Path {
    path(0, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
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
    assert_eq!(report, FlushReport { sent: 4, bytes: 4, in_trains: 4, refused: 4, blocked: 0 });
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
        sent.extend(bites.map(|d| number(d)));
        Ok(datagrams.len().min(7))
    });
    assert_eq!(sent, Vec::from_iter(0..100));
    assert_eq!(report, FlushReport { sent: 100, bytes: 190, ..FlushReport::default() });
}

#[test]
fn equal_datagrams_of_one_path_leave_together_and_a_shorter_one_ends_the_train() {
    let mut arena = TxArena::new(64);
    queue_lengths(&mut arena, client(1), &[100, 100, 100, 60, 60, 100, 100, 0, 100]);
    let expected: [&[usize]; 4] = [&[100, 100, 100, 60], &[60], &[100, 100], &[0]];
    assert_eq!(trains(&mut arena), [&expected[..], &[&[100]]].concat());
}

#[test]
fn what_lies_between_for_others_does_not_part_a_train() {
    let mut arena = TxArena::new(64);
    for _ in 0..3 {
        queue_lengths(&mut arena, client(1), &[100]);
        queue_lengths(&mut arena, client(2), &[50]);
    }
    assert_eq!(trains(&mut arena), [[100; 3], [50; 3]]);
    queue_lengths(&mut arena, client(1), &[100]);
    assert_eq!(trains(&mut arena), [[100]], "no train outlives a flush");
}

#[test]
fn sixteen_are_enough() {
    let mut arena = TxArena::new(64);
    queue_lengths(&mut arena, client(1), &[1200; 40]);
    assert_eq!(trains(&mut arena), [vec![1200; 16], vec![1200; 16], vec![1200; 8]]);
}

#[test]
fn many_full_trains_take_several_calls() {
    let mut arena = TxArena::new(1024);
    for _ in 0..16 {
        for port in 0..64 {
            queue_lengths(&mut arena, client(1000 + port), &[10]);
        }
    }
    let mut calls: Vec<usize> = Vec::new();
    let report = arena.flush_with(1, |_, trains| {
        calls.push(trains.iter().map(TxTrain::count).sum());
        Ok(trains.len())
    });
    assert_eq!(calls, [PARTS; 4]);
    let report_expected =
        FlushReport { sent: 1024, bytes: 10_240, in_trains: 1024, ..FlushReport::default() };
    assert_eq!(report, report_expected);
}

#[test]
fn the_kernel_cuts_a_train_into_the_datagrams_that_it_was() {
    let (socket, peer) = (media_socket(LOCALHOST), peer(LOCALHOST));
    let mut arena = TxArena::new(64);
    let texts: Vec<String> = (0..30).map(|i| format!("{i:0>20}")).collect();
    for text in texts.iter().chain([&"the end".to_owned()]) {
        queue(&mut arena, path(0, peer.local_addr().unwrap()), text.as_bytes());
    }
    let report = arena.flush(std::slice::from_ref(&socket));
    assert_eq!((report.sent, report.in_trains), (31, 31));
    for text in &texts {
        assert_eq!(next(&peer), (text.clone(), socket.local_addr()));
    }
    assert_eq!(next(&peer).0, "the end");
}

#[test]
fn a_device_that_cannot_cut_gets_single_datagrams_from_then_on() {
    let mut arena = TxArena::new(64);
    let mut calls = Vec::new();
    for _ in 0..2 {
        queue_lengths(&mut arena, client(1), &[100; 4]);
        let report = arena.flush_with(1, |_, trains| {
            calls.push(trains.len());
            if trains[0].count() > 1 { os_error(libc::EIO) } else { Ok(trains.len()) }
        });
        assert_eq!((report.sent, report.in_trains, report.refused), (4, 0, 0));
    }
    assert_eq!(calls, [1, 4, 4], "tried once, then singly; later singly at once");
}

#[test]
fn a_train_that_one_destination_refuses_goes_there_singly_and_others_keep_theirs() {
    for code in [libc::EINVAL, libc::EMSGSIZE] {
        let mut arena = TxArena::new(64);
        for _ in 0..2 {
            queue_lengths(&mut arena, client(1), &[100, 100, 90]);
            queue_lengths(&mut arena, client(2), &[50, 50]);
            let mut singles = 0;
            let report = arena.flush_with(1, |_, trains| match trains[0].count() {
                3 => os_error(code),
                1 => {
                    singles += 1;
                    // One of them is refused even so.
                    if singles == 2 { os_error(code) } else { Ok(1) }
                }
                _ => Ok(trains.len()),
            });
            assert_eq!((report.sent, report.in_trains, report.refused), (4, 2, 1));
        }
    }
}

#[test]
fn a_socket_that_fills_up_amid_a_train_sent_singly_loses_the_rest() {
    let mut arena = TxArena::new(64);
    queue_lengths(&mut arena, client(1), &[100; 5]);
    queue_lengths(&mut arena, client(2), &[50; 3]);
    let mut singles = 0;
    let report = arena.flush_with(1, |_, trains| match trains[0].count() {
        1 => {
            singles += 1;
            if singles > 2 { os_error(libc::EAGAIN) } else { Ok(1) }
        }
        _ => os_error(libc::EINVAL),
    });
    assert_eq!((report.sent, report.blocked, report.refused), (2, 6, 0));
}
