//! Who may move media, and who keeps it: clients whose addresses change under them, and those who
//! would have it sent elsewhere. `transport::paths` has every order of events on three paths.

use std::net::SocketAddr;
use std::time::Duration;

use corinth::types::limit::{CONSENT_TIMEOUT, TRANSPORTS_PER_PATH_MAX};
use corinth::types::{ConnectionId, DropReason, Kind, Path, Timestamp};

use crate::link::{Acts, Plan};
use crate::source::Picture;
use crate::stun::Answer;
use crate::world::media::{AUDIO, RECEIVE, SEND};
use crate::world::{Who, World, path_from};

const PACE: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_secs(1);

/// A sends, B watches.
fn scene(seed: u64) -> (World, [Who; 2], u32) {
    let mut world = World::new(seed);
    let [a, b] = world.call("room", ["a", "b"]);
    world.assert_media();
    world.forget_packets();
    let audio = world.sender_of(b, (a, AUDIO));
    (world, [a, b], audio)
}

/// Media for `time`, a packet every 20 ms; what else happens with each of them.
fn play(world: &mut World, a: Who, time: Duration, mut also: impl FnMut(&mut World, u32)) {
    for i in 0..(time.as_millis() / PACE.as_millis()) as u32 {
        also(world, i);
        world.packet(a, AUDIO, Picture::Key);
        world.run_for(PACE);
    }
}

/// Where packets of a Sender went, in order, without repetition.
fn went_to(world: &World, viewer: Who, sender: u32) -> Vec<SocketAddr> {
    let mut to: Vec<_> = world.received(viewer, sender).iter().map(|packet| packet.to).collect();
    to.dedup();
    to
}

/// An address that B could claim to have.
fn elsewhere(world: &mut World, b: Who) -> SocketAddr {
    let address = world.new_address();
    world.own_address(address, b, RECEIVE);
    address
}

/// Somebody who knows the credentials, B itself or whoever reads its packets, forges checks from a
/// third party's address; B goes on where it is.
#[test]
fn forged_nominations_send_nothing_to_a_third_party() {
    let (mut world, [a, b], audio) = scene(1);
    let home = world.link(b, RECEIVE).address;
    let victim = elsewhere(&mut world, b);
    let check = 200; // No check is longer.
    play(&mut world, a, 60 * SECOND, |world, i| {
        if i % 50 == 0 {
            world.report_from(b, RECEIVE, home);
        }
        if i % 500 == 0 {
            world.link(b, RECEIVE).check(victim, true, false);
            world.flush();
        }
    });
    assert_eq!(went_to(&world, b, audio), [home]);
    assert_eq!(world.received(b, audio).len(), 3000);
    let checks = 6;
    assert!(world.sent_to[&victim] < checks * check, "answers to checks, and nothing else");
}

/// The same before DTLS is done: a check and a ClientHello from an address where nobody is.
#[test]
fn a_handshake_sends_no_more_than_three_times_what_came() {
    let (mut world, [a, _], _) = scene(2);
    world.net.conditions.delay = Duration::from_millis(10);
    world.create_transport(a, 9, &Plan::SEND).expect("a transport");
    world.start(a, 9);
    let victim = world.link(a, 9).address;
    world.run_for(Duration::from_millis(35));
    world.net.conditions.loss = 1.0;
    world.run_for(Duration::from_secs(40));
    let (check, hello) = (104, 118);
    let sent = world.sent_to[&victim];
    assert!(sent > 500, "the first flight went at once: {sent}");
    assert!(sent <= 3 * (check + hello), "{sent}");
}

#[test]
fn a_recorded_check_is_good_once_and_nowhere_else() {
    let (mut world, [a, b], audio) = scene(3);
    let home = world.link(b, RECEIVE).address;
    let attacker = elsewhere(&mut world, b);
    world.link(b, RECEIVE).check(home, true, false);
    let recorded = world.link(b, RECEIVE).drain().pop().expect("a check").1;
    world.datagram(path_from(home), &mut recorded.clone());
    play(&mut world, a, 20 * SECOND, |world, _| {
        world.datagram(path_from(attacker), &mut recorded.clone());
    });
    assert_eq!(world.drops(DropReason::StunReplay), 1000);
    assert!(!world.sent_to.contains_key(&attacker), "not even an answer");
    assert_eq!(went_to(&world, b, audio), [home]);
    // Where it came from it is answered again, and is no sign of life.
    world.link(b, RECEIVE).keeps_consent = false;
    for _ in 0..40 {
        world.datagram(path_from(home), &mut recorded.clone());
        world.run_for(SECOND);
    }
    let failed = world[b].states.iter().any(|(id, ice, _)| *id == RECEIVE && ice == "failed");
    assert!(failed, "consent is not renewed by it");
}

/// Anybody who has a transport of his own, in whatever room, can forge checks of it from B's
/// address.
#[test]
fn another_transports_checks_take_no_path_away() {
    let (mut world, [a, b], audio) = scene(4);
    let home = world.link(b, RECEIVE).address;
    let c = world.member("other", "c");
    world.create_transport(c, 7, &Plan::SEND).expect("a transport");
    world.share_address(home, c, 7);
    play(&mut world, a, 50 * SECOND, |world, i| {
        if i % 12 == 0 {
            world.link(c, 7).check(home, true, false);
            world.flush();
        }
        if i % 50 == 0 {
            world.report_from(b, RECEIVE, home);
        }
    });
    assert_eq!(world.received(b, audio).len(), 2500);
    assert_eq!(world.drops(DropReason::SrtpBadTag) + world.drops(DropReason::NoKeys), 0);
}

/// Two transports on one socket, as some clients have them; each hears what is its own.
#[test]
fn two_transports_share_a_path() {
    let mut world = World::new(5);
    let [a, b] = ["a", "b"].map(|name| world.member("room", name));
    for who in [a, b] {
        world.open(who, SEND, &Plan::SEND);
        let address = world.link(who, SEND).address;
        world.create_transport(who, RECEIVE, &Plan::SEND).expect("a transport");
        world.link(who, RECEIVE).address = address;
        world.share_address(address, who, RECEIVE);
        world.start(who, RECEIVE);
        world.run_for(SECOND);
        assert!(world.link(who, RECEIVE).is_live());
        world.send(who, AUDIO, Kind::Audio, SEND);
    }
    for who in [a, b] {
        world.watch_all(who, RECEIVE);
    }
    for _ in 0..20 {
        world.assert_media();
        for who in [a, b] {
            let address = world.link(who, RECEIVE).address;
            world.report_from(who, RECEIVE, address);
        }
        world.run_for(SECOND);
    }
    let forged = world.drops(DropReason::SrtpBadTag) + world.drops(DropReason::NoPath);
    assert_eq!(forged, 0, "nothing counts as forged");
}

/// Who has shown nothing on a path makes room for whoever comes; who has stays.
#[test]
fn a_path_leads_to_so_many_transports_and_those_that_are_there_stay() {
    let mut world = World::new(6);
    let a = world.member("room", "a");
    let address = world.new_address();
    let most = TRANSPORTS_PER_PATH_MAX as u32;
    // These only check, as a forger does.
    let silent = Plan { states: Some("client"), acts: Acts::Server, ..Plan::SEND };
    let begin = |world: &mut World, id: u32, plan: &Plan| {
        world.create_transport(a, id, plan).expect("a transport");
        world.link(a, id).address = address;
        world.share_address(address, a, id);
        world.start(a, id);
        world.run_for(3 * SECOND);
        world.link(a, id).is_live()
    };
    for id in 0..most + 2 {
        begin(&mut world, id, &silent);
    }
    for id in 10..10 + most {
        assert!(begin(&mut world, id, &Plan::SEND), "{id}");
    }
    assert!(!begin(&mut world, 20, &Plan::SEND));
    assert!(world.drops(DropReason::PathTaken) > 0);
}

/// Nominated on one port; then a NAT forgets, and plain checks and reports come from another.
#[test]
fn media_follows_a_client_whose_nat_has_forgotten_it() {
    let (mut world, [a, b], audio) = scene(7);
    let home = world.link(b, RECEIVE).address;
    let moved = elsewhere(&mut world, b);
    world.link(b, RECEIVE).keeps_consent = false;
    let from = world.now;
    play(&mut world, a, 10 * SECOND, |world, i| {
        if i % 125 == 1 {
            world.link(b, RECEIVE).check(moved, false, false);
            world.flush();
        }
        if i % 50 == 10 {
            world.report_from(b, RECEIVE, moved);
        }
    });
    assert_eq!(went_to(&world, b, audio), [home, moved]);
    let received = world.received(b, audio);
    let first = received.iter().find(|packet| packet.to == moved).expect("it came");
    assert!(first.at.since(from) < 2 * SECOND, "its second report says so");
}

/// A client that moves has packets of both ways under way, in any order.
#[test]
fn media_moves_once_with_a_client_that_moves() {
    for nominates in [false, true] {
        let (mut world, [a, b], audio) = scene(8);
        let home = world.link(b, RECEIVE).address;
        let moved = elsewhere(&mut world, b);
        play(&mut world, a, 6 * SECOND, |world, i| match i {
            0..50 => world.report_from(b, RECEIVE, home),
            50 => {
                world.link(b, RECEIVE).check(moved, nominates, false);
                world.flush();
            }
            51..80 => {
                for from in [moved, home] {
                    world.report_from(b, RECEIVE, from);
                }
            }
            _ => world.report_from(b, RECEIVE, moved),
        });
        assert_eq!(went_to(&world, b, audio), [home, moved], "nominates: {nominates}");
    }
}

/// Firefox opens a second association to a transport when it has renegotiated in a certain way: it
/// nominates a new port and says ClientHello there. The first one goes on.
#[test]
fn a_second_association_takes_nothing_from_the_first() {
    let (mut world, [a, b], audio) = scene(9);
    let home = world.link(b, RECEIVE).address;
    let second = elsewhere(&mut world, b);
    let hello = world.client_hello();
    play(&mut world, a, 40 * SECOND, |world, i| {
        if i % 50 == 0 {
            world.report_from(b, RECEIVE, home);
        }
        if i % 25 == 0 {
            world.link(b, RECEIVE).check(second, true, false);
            world.flush();
            world.datagram(path_from(second), &mut hello.clone());
        }
    });
    assert_eq!(went_to(&world, b, audio), [home]);
    assert_eq!(world.received(b, audio).len(), 2000);
}

/// A path that is silent for 30 s is not sent to while another lives, and one path's life is not
/// another's.
#[test]
fn consent_is_each_paths_own() {
    let (mut world, [a, b], audio) = scene(10);
    let home = world.link(b, RECEIVE).address;
    let other = elsewhere(&mut world, b);
    world.link(b, RECEIVE).keeps_consent = false;
    world.link(b, RECEIVE).check(other, false, false);
    world.flush();
    world.report_from(b, RECEIVE, other);
    let from: Timestamp = world.now;
    play(&mut world, a, 40 * SECOND, |world, i| {
        if i % 100 == 0 {
            world.link(b, RECEIVE).check(other, false, false);
            world.flush();
        }
    });
    assert_eq!(went_to(&world, b, audio), [home, other]);
    let received = world.received(b, audio);
    let first = received.iter().find(|packet| packet.to == other).expect("it came");
    assert!(first.at.since(from) <= CONSENT_TIMEOUT + SECOND);
}

#[test]
fn a_forged_report_does_not_keep_consent() {
    let (mut world, [_, b], _) = scene(11);
    world.link(b, RECEIVE).keeps_consent = false;
    let path = path_from(world.link(b, RECEIVE).address);
    for _ in 0..35 {
        world.run_for(SECOND);
        let mut forged = [0x80; 60];
        (forged[1], forged[56]) = (201, 0x80);
        world.datagram(path, &mut forged);
    }
    let failed = world[b].states.iter().any(|(id, ice, _)| *id == RECEIVE && ice == "failed");
    assert!(failed);
}

/// RFC 8489 §6.3.1: what has to be understood and is not.
#[test]
fn a_check_that_demands_what_nobody_knows_is_answered_with_420_and_opens_nothing() {
    let (mut world, [_, b], _) = scene(12);
    let from = elsewhere(&mut world, b);
    world.link(b, RECEIVE).check_with(from, &[0x7abc]);
    world.flush();
    world.settle();
    let answers = &world.link(b, RECEIVE).answers;
    assert!(matches!(answers.last(), Some(Answer::Error { code: 420, .. })), "{answers:?}");
    assert!(!world.router.has_path(path_from(from)));
}

/// A connection is a path that ends; its number may be another's after that.
#[test]
fn a_closed_connection_leads_nowhere() {
    let (mut world, [_, b], _) = scene(13);
    let remote = elsewhere(&mut world, b);
    let path = Path::Tcp { connection: ConnectionId(7), remote };
    world.link(b, RECEIVE).check(remote, true, false);
    let (_, mut check) = world.link(b, RECEIVE).drain().pop().expect("a check");
    world.datagram(path, &mut check);
    assert!(world.router.has_path(path));
    world.link(b, RECEIVE).address = remote;
    world.link(b, RECEIVE).send_rtcp(&crate::rtcp::empty_report(1));
    let (_, mut report) = world.link(b, RECEIVE).drain().pop().expect("a report");
    world.datagram(path, &mut report.clone());
    assert_eq!(world.drops(DropReason::NoPath), 0);
    let now = world.now;
    world.router.handle_path_closed(now, path);
    world.router.assert_consistent();
    assert!(!world.router.has_path(path));
    world.datagram(path, &mut report);
    assert_eq!(world.drops(DropReason::NoPath), 1);
}
