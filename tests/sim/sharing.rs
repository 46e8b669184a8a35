//! Several transports on one path: a client's own, on one socket, or others' whose checks somebody
//! forges from a client's address. Nobody takes anything from anybody.

use std::time::Duration;

use corinth::types::limit::TRANSPORTS_PER_PATH_MAX;
use corinth::types::{DropReason, Kind};

use crate::link::{Acts, Link, Plan};
use crate::netem::Conditions;
use crate::source::Picture;
use crate::world::media::{AUDIO, SEND};
use crate::world::{Who, World, path_from};

const PACE: Duration = Duration::from_millis(20);

/// It checks, and does nothing else.
const IDLE: Plan = Plan { states: Some("client"), acts: Acts::Server, ..Plan::SEND };

/// A client of another room with an idle transport, whose checks may come from anywhere.
fn forger(world: &mut World, transports: u32) -> Who {
    let forger = world.member("elsewhere", "forger");
    for id in 0..transports {
        world.create_transport(forger, id, &IDLE).expect("a transport");
    }
    forger
}

/// Browsers report under SSRC 1 on each transport that only receives, and count from zero on each.
#[test]
fn what_one_transport_has_received_is_no_replay_on_another() {
    let mut world = World::new(1);
    let a = world.member("room", "a");
    world.open(a, 1, &Plan::SEND);
    let address = world.link(a, 1).address;
    for id in 2..=3 {
        world.create_transport(a, id, &Plan::SEND).expect("a transport");
        world.link(a, id).address = address;
        world.share_address(address, a, id);
        world.start(a, id);
        world.run_for(Duration::from_secs(1));
        assert!(world.link(a, id).is_live());
    }
    for _ in 0..20 {
        for id in 1..=3 {
            world.report_from(a, id, address);
        }
    }
    assert_eq!(world.drops(DropReason::SrtpReplay), 0);
    assert_eq!(world.drops(DropReason::SrtpBadTag), 0);
}

/// Who forges a client's address with keys of his own can say how far an SSRC has come: to himself.
#[test]
fn an_intruders_numbers_make_no_replay_of_a_clients_packets() {
    let mut world = World::new(2);
    let [a, b] = world.call("room", ["a", "b"]);
    let audio = world.sender_of(b, (a, AUDIO));
    let address = world.link(a, SEND).address;
    let intruder = world.member("elsewhere", "intruder");
    world.open(intruder, SEND, &Plan::SEND);
    let mut source = world.new_source(Kind::Audio, SEND);
    (source.ssrc, source.seq) = (world.source(a, AUDIO).ssrc, world.source(a, AUDIO).seq + 5000);
    world.create_receiver(intruder, AUDIO, source).expect("a Receiver");
    world.link(intruder, SEND).address = address;
    world.share_address(address, intruder, SEND);
    world.check(intruder, SEND, true);
    world.settle();
    world.forget_packets();
    for i in 0..200 {
        if i % 10 == 0 {
            world.packet(intruder, AUDIO, Picture::Key);
        }
        world.packet(a, AUDIO, Picture::Key);
        world.run_for(PACE);
    }
    assert_eq!(world.received(b, audio).len(), 200);
    assert_eq!(world.drops(DropReason::SrtpReplay), 0);
}

#[test]
fn forged_checks_keep_nobody_from_shaking_hands() {
    let mut world = World::new(3);
    let most = TRANSPORTS_PER_PATH_MAX as u32 + 1;
    let forger = forger(&mut world, most);
    world.net.conditions =
        Conditions { delay: Duration::from_millis(10), loss: 0.1, ..Conditions::PERFECT };
    let everybody: Vec<Who> = (0..30).map(|i| world.member("room", &format!("p{i}"))).collect();
    for who in &everybody {
        world.create_transport(*who, SEND, &Plan::SEND).expect("a transport");
        world.start(*who, SEND);
        let address = world.link(*who, SEND).address;
        for id in 0..most {
            world.share_address(address, forger, id);
        }
    }
    let all_live = |world: &World| {
        everybody.iter().all(|who| world[*who].link(SEND).is_some_and(Link::is_live))
            && world.router.stats().dtls_connected == everybody.len() as u64
    };
    // The forger sees each first check, and is there before the hello.
    let step = Duration::from_millis(15);
    for _ in 0..600 {
        world.run_for(step);
        if all_live(&world) {
            return;
        }
        for who in &everybody {
            let address = world.link(*who, SEND).address;
            if !world.router.has_path(path_from(address)) {
                continue;
            }
            for id in 0..most {
                world.link(forger, id).check(address, true, false);
                for (from, mut forged) in world.link(forger, id).drain() {
                    world.datagram(path_from(from), &mut forged);
                }
            }
        }
    }
    let slow = everybody.iter().filter(|who| !world[**who].link(SEND).is_some_and(Link::is_live));
    panic!("{} of {} do not connect", slow.count(), everybody.len());
}
