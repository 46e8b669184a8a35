//! How commits become trains.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::net::testing::{LOCALHOST, path, queue};

/// The lengths of each train's datagrams.
fn trains(arena: &TxArena) -> Vec<Vec<usize>> {
    let lengths = |train: TxTrain<'_>| match train.bytes() {
        [] => vec![0],
        _ => train.singly().map(|single| single.bytes().len()).collect(),
    };
    arena.trains().map(|(_, train)| lengths(train)).collect()
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
fn equal_datagrams_of_one_path_leave_together_and_a_shorter_one_ends_the_train() {
    let mut arena = TxArena::new();
    queue_lengths(&mut arena, client(1), &[100, 100, 100, 60, 60, 100, 100, 0, 100]);
    let expected: [&[usize]; 5] = [&[100, 100, 100, 60], &[60], &[100, 100], &[0], &[100]];
    assert_eq!(trains(&arena), expected);
    assert_eq!(arena.len(), 9);
}

#[test]
fn another_path_parts_a_train() {
    let mut arena = TxArena::new();
    queue_lengths(&mut arena, client(1), &[100; 3]);
    queue_lengths(&mut arena, client(2), &[100; 2]);
    queue_lengths(&mut arena, path(1, SocketAddr::from((Ipv4Addr::LOCALHOST, 2))), &[100]);
    assert_eq!(trains(&arena), [vec![100; 3], vec![100; 2], vec![100]]);
    arena.clear();
    queue_lengths(&mut arena, client(1), &[100]);
    assert_eq!(trains(&arena), [[100]], "no train outlives a flush");
}

#[test]
fn sixteen_are_enough() {
    let mut arena = TxArena::new();
    queue_lengths(&mut arena, client(1), &[1200; 40]);
    assert_eq!(trains(&arena), [vec![1200; 16], vec![1200; 16], vec![1200; 8]]);
}

#[test]
fn a_full_arena_has_no_slot_until_it_is_cleared() {
    // Full of trains, and full of bytes.
    for (len, fits) in [(1, TRAINS), (DATAGRAM_MAX, BYTES / DATAGRAM_MAX)] {
        let mut arena = TxArena::new();
        assert!(arena.is_empty());
        let first = arena.slot().unwrap().as_ptr();
        assert_eq!(arena.slot().unwrap().as_ptr(), first, "handed out again until committed");
        assert!(arena.is_empty());
        let mut count = 0;
        while arena.slot().is_some() {
            // Bytes run out only where trains are long.
            let port = if len == 1 { count } else { count / TRAIN_MAX };
            queue_lengths(&mut arena, client(port as u16), &[len]);
            count += 1;
        }
        assert_eq!((count, arena.len()), (fits, fits));
        assert!(!arena.is_empty());
        arena.clear();
        assert_eq!(arena.slot().unwrap().len(), DATAGRAM_MAX);
    }
}

#[test]
#[should_panic(expected = "a commit without a slot")]
fn commit_needs_a_slot() {
    let mut arena = TxArena::new();
    for port in 0..=TRAINS as u16 {
        arena.commit(client(port), 1);
    }
}

#[test]
#[should_panic(expected = "1501 bytes")]
fn commit_stays_inside_its_slot() {
    TxArena::new().commit(path(0, LOCALHOST.parse().unwrap()), DATAGRAM_MAX + 1);
}
