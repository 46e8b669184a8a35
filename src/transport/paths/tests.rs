//! Which path media takes, whatever comes in whichever order.

use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::types::{ConnectionId, SocketId};

fn path(port: u16) -> Path {
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Path::Udp { socket: SocketId(0), remote }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000 + millis * 1000)
}

/// A transport whose client is at path 1, which it has nominated.
fn settled() -> Paths {
    let mut paths = Paths::default();
    paths.handle_check(at(0), path(1), true);
    paths.handle_authentic(at(10), path(1));
    assert_eq!(paths.media_path(), Some(path(1)));
    paths
}

#[test]
fn a_handshake_goes_to_the_latest_nominated_path_or_the_latest_checked_and_media_to_neither() {
    let mut paths = Paths::default();
    assert_eq!(paths.selected(), None);
    paths.handle_check(at(1), path(1), false);
    paths.handle_check(at(2), path(2), false);
    assert_eq!(paths.selected(), Some(path(2)));
    paths.handle_check(at(3), path(1), true);
    paths.handle_check(at(4), path(3), false);
    assert_eq!(paths.selected(), Some(path(1)), "a plain check does not move it");
    paths.handle_check(at(5), path(3), true);
    assert_eq!(paths.selected(), Some(path(3)));
    assert_eq!(paths.media_path(), None);
    paths.handle_authentic(at(6), path(2));
    assert_eq!(paths.media_path(), Some(path(2)), "it is the client's, whatever was wished");
}

#[test]
fn a_nomination_counts_from_the_next_authentic_packet_on() {
    let mut paths = settled();
    paths.handle_check(at(20), path(2), true);
    assert_eq!(paths.media_path(), Some(path(1)), "anybody can forge a check");
    paths.handle_authentic(at(30), path(1));
    assert_eq!(paths.media_path(), Some(path(1)));
    paths.handle_authentic(at(40), path(2));
    assert_eq!(paths.media_path(), Some(path(2)));
    for late in 0..100 {
        paths.handle_authentic(at(41 + 10 * late), path(2));
        paths.handle_authentic(at(42 + 10 * late), path(1));
        assert_eq!(paths.media_path(), Some(path(2)), "what is late moves nothing back");
    }
}

#[test]
fn media_follows_packets_that_come_from_elsewhere_only() {
    let mut paths = settled();
    paths.handle_check(at(20), path(2), false);
    paths.handle_authentic(at(100), path(2));
    paths.handle_authentic(at(200), path(1));
    paths.handle_authentic(at(310), path(2));
    assert_eq!(paths.media_path(), Some(path(1)), "both are in use");
    paths.handle_authentic(at(509), path(2));
    assert_eq!(paths.media_path(), Some(path(1)));
    paths.handle_authentic(at(510), path(2));
    assert_eq!(paths.media_path(), Some(path(2)), "200 ms without a word from the first");
    paths.handle_authentic(at(511), path(1));
    assert_eq!(paths.media_path(), Some(path(2)), "its nomination has had its time");
    paths.handle_check(at(520), path(1), true);
    paths.handle_authentic(at(530), path(1));
    assert_eq!(paths.media_path(), Some(path(1)), "a new one has not");
}

#[test]
fn consent_is_a_paths_own() {
    let mut paths = settled();
    paths.handle_check(at(20), path(2), false);
    paths.handle_authentic(at(20), path(2));
    for second in 1..40 {
        paths.handle_check(at(1000 * second), path(2), false);
        paths.handle_timeout(at(1000 * second));
        let expected = if second < 31 { path(1) } else { path(2) };
        assert_eq!(paths.media_path(), Some(expected), "after {second} s");
    }
}

#[test]
fn three_times_what_came_goes_to_who_has_shown_nothing() {
    let mut paths = Paths::default();
    paths.handle_check(at(0), path(1), true);
    assert!(!paths.may_send(path(1), 1));
    paths.note_received(path(1), 100);
    assert!(paths.may_send(path(1), 299) && paths.may_send(path(1), 1));
    assert!(!paths.may_send(path(1), 1));
    paths.handle_authentic(at(1), path(1));
    assert!(paths.may_send(path(1), 1_000_000));
    assert!(!paths.may_send(path(2), 1), "nobody knows it");
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let tcp = Path::Tcp { connection: ConnectionId(1), remote };
    paths.handle_check(at(2), tcp, false);
    assert!(paths.may_send(tcp, 1_000_000), "nobody can forge it");
}

#[test]
fn the_path_in_use_stays_and_one_that_has_shown_nothing_makes_room() {
    let mut paths = settled();
    paths.handle_check(at(20), path(2), false);
    paths.handle_authentic(at(20), path(2));
    for port in 3..=PATHS_MAX as u16 {
        assert_eq!(paths.handle_check(at(30), path(port), false).evicted, None);
    }
    for port in 100..200 {
        let change = paths.handle_check(at(40), path(port), true);
        let evicted = change.evicted.expect("there is no room");
        assert!(evicted != path(1) && evicted != path(2), "{evicted:?}");
    }
    assert_eq!(paths.all().len(), PATHS_MAX);
    assert_eq!(paths.media_path(), Some(path(1)));
}

/// What can happen on a path.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// From a client or a forger: nobody can tell.
    Check {
        nominate: bool,
    },
    Authentic,
    Silence,
    Forget,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<bool>().prop_map(|nominate| Event::Check { nominate }),
        6 => Just(Event::Authentic),
        2 => Just(Event::Silence),
        1 => Just(Event::Forget),
    ]
}

proptest! {
    /// Over every order of check, nomination, authentic packet and silence on three paths: media
    /// never goes where nothing authentic has come from; it never leaves a path for one from which
    /// nothing authentic has come since; and it reaches a client that settles.
    #[test]
    fn media_goes_where_authentic_packets_come_from(
        events in prop::collection::vec((event(), 1..4u16, 1..400u64), 1..120),
        home in 1..4u16,
    ) {
        let mut paths = Paths::default();
        let mut now = 0;
        let mut proved = [false; 4];
        for (event, on, wait) in events {
            let before = paths.media_path();
            match event {
                Event::Check { nominate } => {
                    paths.handle_check(at(now), path(on), nominate);
                    let after = paths.media_path();
                    prop_assert!(before.is_none() || after == before
                        || !paths.get(before.unwrap()).unwrap().is_alive(at(now)));
                }
                Event::Authentic if paths.get(path(on)).is_some() => {
                    paths.handle_authentic(at(now), path(on));
                    proved[usize::from(on)] = true;
                    let after = paths.media_path();
                    prop_assert!(after == before || after == Some(path(on)));
                }
                Event::Authentic => {}
                Event::Silence => {
                    now += 40 * wait;
                    paths.handle_timeout(at(now));
                }
                Event::Forget => {
                    paths.forget(at(now), path(on));
                    proved[usize::from(on)] = false;
                }
            }
            if let Some(Path::Udp { remote, .. }) = paths.media_path() {
                prop_assert!(proved[usize::from(remote.port())]);
            }
            now += wait;
        }
        // The client stays at one of them from now on.
        paths.handle_check(at(now), path(home), false);
        let mut moves = 0;
        for _ in 0..20 {
            now += 50;
            let before = paths.media_path();
            paths.handle_authentic(at(now), path(home));
            moves += u32::from(paths.media_path() != before);
        }
        prop_assert_eq!(paths.media_path(), Some(path(home)));
        prop_assert!(moves <= 1);
    }
}
