//! DTLS in both roles, early and late parameters, bad networks, and certificates that do not match.

use std::time::Duration;

use corinth::types::{DropReason, Kind, Timestamp};

use crate::link::{Acts, Link, Plan};
use crate::netem::{Conditions, Hop};
use crate::source::Picture;
use crate::world::media::{AUDIO, RECEIVE, SEND};
use crate::world::{Who, World, path_from};

/// When a client that makes this transport is connected, counted from its first check.
fn time_to_connect(plan: &Plan) -> Duration {
    let mut world = World::new(1);
    let a = world.member("room", "a");
    let start = world.now;
    world.open(a, SEND, plan);
    assert_eq!(world.router.stats().dtls_connected, 1);
    connected_at(&world, a, SEND).since(start)
}

fn connected_at(world: &World, who: Who, id: u32) -> Timestamp {
    world[who].link(id).and_then(|link| link.connected_at).expect("connected")
}

#[test]
fn whatever_role_is_stated_a_client_that_starts_is_answered_at_once() {
    for states in [None, Some("auto"), Some("client"), Some("server")] {
        for answers in [false, true] {
            let plan = Plan { states, answers, ..Plan::SEND };
            assert_eq!(time_to_connect(&plan), Duration::ZERO, "{plan:?}");
        }
    }
}

#[test]
fn the_server_starts_after_a_second_if_the_client_said_server_and_is() {
    for answers in [false, true] {
        let plan = Plan { states: Some("server"), acts: Acts::Server, answers, ..Plan::SEND };
        assert_eq!(time_to_connect(&plan), Duration::from_secs(1), "{plan:?}");
    }
}

#[test]
fn a_handshake_waits_for_the_fingerprint_and_lets_nothing_through_before() {
    let mut world = World::new(2);
    let a = world.member("room", "a");
    world.create_transport(a, SEND, &Plan::RECEIVE).expect("a transport");
    world.send(a, AUDIO, Kind::Audio, SEND);
    world.start(a, SEND);
    world.run_for(Duration::from_secs(5));
    assert!(world.link(a, SEND).keys.is_some(), "the handshake itself is done");
    assert_eq!(world.router.stats().dtls_connected, 0);
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    assert_eq!(world.drops(DropReason::NoKeys), 1);
    world.update_transport(a, SEND, &Plan::RECEIVE);
    assert_eq!(world.router.stats().dtls_connected, 1);
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    assert_eq!(world.router.stats().rtp_received, 1);
}

#[test]
fn a_certificate_that_was_not_stated_closes_that_transport_and_no_other() {
    let mut world = World::new(3);
    let [a, b] = world.call("room", ["a", "b"]);
    let c = world.member("room", "c");
    let liar = Plan { lies: true, ..Plan::SEND };
    world.create_transport(c, SEND, &liar).expect("a transport");
    world.send(c, AUDIO, Kind::Audio, SEND);
    world.watch_all(a, RECEIVE);
    for answers in [false, true] {
        assert_eq!(world[b].knowledge().peers["c"].senders.len(), usize::from(!answers));
        if answers {
            world.create_transport(c, SEND, &Plan { answers, ..liar }).expect("its id is free");
        }
        world.start(c, SEND);
        world.settle();
        if answers {
            world.update_transport(c, SEND, &liar);
            world.update_transport(c, SEND, &Plan::SEND);
        }
        world.settle();
        assert!(world[c].link(SEND).is_none(), "the server closed it");
        assert_eq!(world.router.stats().transports, 4, "A's and B's");
        world.assert_truth("room");
        world.assert_media();
    }
}

#[test]
fn another_fingerprint_later_is_ignored() {
    let mut world = World::new(4);
    world.call("room", ["a", "b"]);
    let a = world.everybody().next().expect("A");
    let ignored = world.drops(DropReason::SignalIgnored);
    world.update_transport(a, SEND, &Plan { lies: true, ..Plan::SEND });
    assert_eq!(world.drops(DropReason::SignalIgnored), ignored + 1);
    world.update_transport(a, SEND, &Plan::SEND);
    assert_eq!(world.drops(DropReason::SignalIgnored), ignored + 1, "the same again is none");
    world.assert_media();
}

#[test]
fn a_goodbye_closes_the_transport_on_the_server() {
    let mut world = World::new(5);
    let [a, _] = world.call("room", ["a", "b"]);
    let now = world.now;
    world.link(a, SEND).close_dtls(now);
    world.flush();
    world.settle();
    assert!(world[a].link(SEND).is_none());
    world.assert_truth("room");
    world.assert_media();
}

/// How long the slowest of 100 handshakes takes: fifty clients, two transports each.
fn slowest_of_a_hundred(conditions: Conditions, plans: [Plan; 2]) -> Duration {
    let mut world = World::new(6);
    world.net.conditions = conditions;
    let everybody: Vec<Who> = (0..50).map(|i| world.member("room", &format!("p{i}"))).collect();
    let start = world.now;
    for who in &everybody {
        for (id, plan) in [SEND, RECEIVE].into_iter().zip(&plans) {
            world.create_transport(*who, id, plan).expect("a transport");
            world.start(*who, id);
        }
    }
    let all = |world: &World| {
        let mut links = everybody.iter().flat_map(|who| &world[*who].links);
        links.all(Link::is_live) && world.router.stats().dtls_connected == 100
    };
    assert!(world.run_until(Duration::from_secs(30), all), "all connect");
    let links = everybody.iter().flat_map(|who| &world[*who].links);
    let times = links.filter_map(|link| link.connected_at).map(|at| at.since(start));
    times.max().expect("a hundred")
}

#[test]
fn a_hundred_handshakes_connect_over_a_network_that_loses_every_fifth_datagram() {
    let delay = Duration::from_millis(20);
    let lossy = Conditions { delay, loss: 0.2, ..Conditions::PERFECT };
    // One that states another role than it takes can lose all its hellos before the server begins.
    let starts = Plan { states: Some("auto"), ..Plan::SEND };
    let waits = Plan { acts: Acts::Server, ..Plan::SEND };
    let slowest = slowest_of_a_hundred(lossy, [starts, waits]);
    assert!(slowest < Duration::from_secs(8), "the slowest took {slowest:?}");
}

#[test]
fn a_hundred_clients_that_say_server_and_act_as_client_connect_over_uneven_delays() {
    let uneven = Conditions { jitter: Duration::from_millis(200), ..Conditions::PERFECT };
    let slowest = slowest_of_a_hundred(uneven, [Plan::SEND; 2]);
    assert!(slowest < Duration::from_secs(2), "the slowest took {slowest:?}");
}

#[test]
fn plaintext_alerts_from_somebody_else_do_not_end_a_connection() {
    let mut world = World::new(7);
    let [a, _] = world.call("room", ["a", "b"]);
    let path = path_from(world.link(a, SEND).address);
    for (level, description) in [(1, 0), (2, 0), (2, 40), (2, 20)] {
        let mut alert = vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, level, description];
        world.datagram(path, &mut alert);
        world.settle();
        assert!(world[a].link(SEND).is_some(), "alert {level} {description}");
    }
    world.assert_media();
}

#[test]
fn plaintext_alerts_from_somebody_else_do_not_end_a_handshake() {
    let mut world = World::new(10);
    let a = world.member("room", "a");
    world.net.conditions.delay = Duration::from_millis(10);
    world.create_transport(a, SEND, &Plan::SEND).expect("a transport");
    let path = path_from(world.link(a, SEND).address);
    world.start(a, SEND);
    for number in 0..20 {
        // A goodbye, or a failed handshake.
        let (level, description) = if number % 2 == 0 { (1, 0) } else { (2, 40) };
        let mut alert = vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, number, 0, 2, level, description];
        if number % 4 >= 2 {
            // Behind a record that means nothing yet.
            let first = [23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 2, number, 0, 1, 0];
            alert.splice(0..0, first);
        }
        world.datagram(path, &mut alert);
        world.run_for(Duration::from_millis(3));
        assert!(world[a].link(SEND).is_some(), "alert {number}");
    }
    world.run_for(Duration::from_secs(1));
    assert!(world.link(a, SEND).is_live());
}

#[test]
fn noise_in_records_does_not_end_a_connection() {
    let mut world = World::new(8);
    let [a, _] = world.call("room", ["a", "b"]);
    let path = path_from(world.link(a, SEND).address);
    for len in 1..300 {
        let mut noise = vec![0; len];
        world.rng.fill(&mut noise);
        noise[0] = 20 + (len % 44) as u8;
        world.datagram(path, &mut noise);
        // The same under a header that holds: version, an epoch, and the length that it has.
        for (epoch, kind) in (0..3).flat_map(|epoch| (20..24).map(move |kind| (epoch, kind))) {
            let Some(body) = len.checked_sub(13) else { break };
            noise[0] = kind;
            noise[1..5].copy_from_slice(&[0xfe, 0xfd, 0, epoch]);
            noise[11..13].copy_from_slice(&(body as u16).to_be_bytes());
            world.datagram(path, &mut noise.clone());
            // And, in a handshake record, as a message that is all there (RFC 6347 §4.2.2).
            if let Some(message) = body.checked_sub(12) {
                let message = (message as u32).to_be_bytes();
                noise[13] = [1, 2, 11, 12, 13, 14, 15, 16, 20][len % 9];
                noise[14..17].copy_from_slice(&message[1..]);
                noise[17..19].copy_from_slice(&[0, (len % 16) as u8]);
                noise[19..22].fill(0);
                noise[22..25].copy_from_slice(&message[1..]);
                world.datagram(path, &mut noise.clone());
            }
        }
        assert!(world[a].link(SEND).is_some(), "{noise:?}");
    }
    world.assert_media();
}

#[test]
fn hellos_cut_off_anywhere_do_not_spoil_the_handshake_after_them() {
    let mut world = World::new(9);
    let a = world.member("room", "a");
    world.net.conditions.delay = Duration::from_millis(10);
    world.create_transport(a, SEND, &Plan::SEND).expect("a transport");
    world.start(a, SEND);
    world.run_for(Duration::from_millis(20));
    // Its check was answered: now its hello is under way.
    let path = path_from(world.link(a, SEND).address);
    let (hop, mut hello) = world.net.pop().expect("a hello");
    assert_eq!((hop, hello[0]), (Hop::ToServer(path), 22));
    for len in 0..hello.len() {
        world.datagram(path, &mut hello[..len].to_vec());
        assert!(world[a].link(SEND).is_some(), "cut at {len}");
    }
    world.datagram(path, &mut hello);
    world.run_for(Duration::from_millis(50));
    assert!(world.link(a, SEND).is_live());
    assert_eq!(world.router.stats().dtls_connected, 1);
}
