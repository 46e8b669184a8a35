//! Sending over real loopback sockets; what loopback never does is injected in place of the call.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::net::testing::{LOCALHOST, media_socket, next, path, peer, queue};
use crate::types::IoKind;

/// A socket's answer to a batch: how many it takes, and the error of the next one.
fn take(count: usize, code: Option<i32>, outcomes: &mut [Outcome]) -> usize {
    outcomes[..count].fill(Ok(()));
    let Some(code) = code else { return count };
    outcomes[count] = Err(code);
    count + 1
}

/// A socket that has room for so many and no more.
fn block(count: usize, code: i32, trains: &[TxTrain<'_>], outcomes: &mut [Outcome]) -> usize {
    let count = count.min(trains.len());
    outcomes[..count].fill(Ok(()));
    outcomes[count..trains.len()].fill(Err(code));
    trains.len()
}

fn client(port: u16) -> Path {
    path(0, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// One datagram each, its number as text, to addresses of their own.
fn numbers(count: u16) -> TxArena {
    let mut arena = TxArena::new();
    (0..count).for_each(|i| queue(&mut arena, client(1000 + i), i.to_string().as_bytes()));
    arena
}

fn queue_lengths(arena: &mut TxArena, to: Path, lengths: &[usize]) {
    for len in lengths {
        queue(arena, to, &vec![7; *len]);
    }
}

#[test]
fn many_datagrams_reach_their_destinations_in_order() {
    let sockets = vec![media_socket(LOCALHOST), media_socket(LOCALHOST)];
    let peers: Vec<_> = (0..4).map(|_| peer(LOCALHOST)).collect();
    let (_, mut tx) = crate::net::open(IoKind::Mmsg, sockets).unwrap();
    let mut arena = TxArena::new();
    for round in 0..10 {
        for i in 5 * round..5 * (round + 1) {
            for peer in &peers {
                for socket in 0..2 {
                    let to = path(socket, peer.local_addr().unwrap());
                    assert!(arena.slot().is_some());
                    queue(&mut arena, to, i.to_string().as_bytes());
                }
            }
        }
        let report = tx.flush(&mut arena);
        assert_eq!((report.sent, report.blocked, report.refused), (40, 0, 0));
        assert!(arena.is_empty());
    }
    for peer in &peers {
        let received: Vec<_> = (0..100).map(|_| next(peer)).collect();
        for socket in tx.sockets() {
            let in_order = received.iter().filter(|(_, from)| *from == socket.local_addr());
            let numbers: Vec<usize> = in_order.map(|(text, _)| text.parse().unwrap()).collect();
            assert_eq!(numbers, Vec::from_iter(0..50));
        }
    }
}

#[test]
fn a_blocked_socket_loses_its_rest_and_only_its_own() {
    for code in [libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM] {
        let mut arena = TxArena::new();
        for i in 0..60 {
            let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + i));
            queue(&mut arena, path((i % 2) as u8, remote), b"x");
        }
        let mut calls = [0; 2];
        let report = flush(&mut arena, 2, &mut Refusing::new(), |socket, trains, outcomes| {
            calls[socket] += 1;
            match socket {
                0 => block(10, code, trains, outcomes),
                _ => take(trains.len(), None, outcomes),
            }
        });
        assert_eq!((report.sent, report.blocked, report.refused), (10 + 30, 20, 0));
        assert_eq!(calls, [1, 1]);
        assert!(arena.is_empty());
    }
}

#[test]
fn a_partial_send_is_taken_up_where_it_ended() {
    let mut sent: Vec<usize> = Vec::new();
    let report = flush(&mut numbers(60), 1, &mut Refusing::new(), |_, trains, outcomes| {
        let bites = trains.iter().take(7);
        sent.extend(bites.map(|d| str::from_utf8(d.bytes()).unwrap().parse::<usize>().unwrap()));
        take(trains.len().min(7), None, outcomes)
    });
    assert_eq!(sent, Vec::from_iter(0..60));
    assert_eq!((report.sent, report.bytes), (60, 110));
}

#[test]
fn a_device_that_cannot_cut_gets_single_datagrams_from_then_on() {
    let (mut arena, mut refusing) = (TxArena::new(), Refusing::new());
    let mut calls = Vec::new();
    for port in [1, 2] {
        queue_lengths(&mut arena, client(port), &[100; 4]);
        let report = flush(&mut arena, 1, &mut refusing, |_, trains, outcomes| {
            calls.push(trains.len());
            match trains[0].count() {
                1 => take(trains.len(), None, outcomes),
                _ => take(0, Some(libc::EIO), outcomes),
            }
        });
        assert_eq!((report.sent, report.in_trains(), report.refused), (4, 0, 0));
    }
    assert_eq!(calls, [1, 4, 4], "tried once, then singly; later singly at once");
}

#[test]
fn a_train_that_one_destination_refuses_goes_there_singly_and_others_keep_theirs() {
    for code in [libc::EINVAL, libc::EMSGSIZE] {
        let (mut arena, mut refusing) = (TxArena::new(), Refusing::new());
        let mut tried = 0;
        for _ in 0..2 {
            queue_lengths(&mut arena, client(1), &[100, 100, 90]);
            queue_lengths(&mut arena, client(2), &[50, 50]);
            let mut singles = 0;
            let report = flush(&mut arena, 1, &mut refusing, |_, trains, outcomes| {
                tried += trains.iter().filter(|train| train.count() == 3).count();
                let trouble = trains.iter().position(|train| match train.count() {
                    3 => true,
                    1 => {
                        singles += 1;
                        singles == 2 // one of them is refused even so
                    }
                    _ => false,
                });
                match trouble {
                    Some(at) => take(at, Some(code), outcomes),
                    None => take(trains.len(), None, outcomes),
                }
            });
            assert_eq!((report.sent, report.in_trains(), report.refused), (4, 2, 1));
        }
        assert_eq!(tried, 1, "it is remembered");
    }
}

#[test]
fn what_refuses_is_remembered_within_bounds() {
    let mut refusing = Refusing::new();
    for port in 0..2 * REFUSING_MAX as u16 + 1 {
        refusing.learn(0, Some(client(port)), libc::EMSGSIZE);
        assert!(refusing.refuses(0, client(port)));
        assert!(refusing.paths.len() <= REFUSING_MAX);
    }
    assert!(!refusing.refuses(0, client(0)), "forgotten, to be learned anew");
}

#[test]
fn a_socket_that_fills_up_amid_a_train_sent_singly_loses_the_rest() {
    let mut arena = TxArena::new();
    queue_lengths(&mut arena, client(1), &[100; 5]);
    queue_lengths(&mut arena, client(2), &[50; 3]);
    let report = flush(&mut arena, 1, &mut Refusing::new(), |_, trains, outcomes| {
        match (trains.len(), trains[0].count()) {
            (2, 5) => take(0, Some(libc::EINVAL), outcomes),
            (5, 1) => block(2, libc::EAGAIN, trains, outcomes),
            _ => block(0, libc::EAGAIN, trains, outcomes),
        }
    });
    assert_eq!((report.sent, report.blocked, report.refused), (2, 6, 0));
}
