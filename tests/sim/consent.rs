//! Paths and consent: where a transport is reached, where it sends, and when it stops.

use std::time::Duration;

use corinth::types::DropReason;
use corinth::types::limit::{CONSENT_TIMEOUT, PATHS_MAX};

use crate::link::Plan;
use crate::source::Picture;
use crate::stun::Answer;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

const MICRO: Duration = Duration::from_micros(1);

/// The latest that a client was told of a transport's ICE state.
fn ice_state(world: &World, who: Who, id: u32) -> String {
    let mut states = world[who].states.iter().rev();
    states.find(|(of, ..)| *of == id).map(|(_, ice, _)| ice.clone()).expect("told of it")
}

#[test]
fn thirty_seconds_of_silence_stop_sending_and_a_check_revives_it_at_a_key_frame() {
    let mut world = World::new(1);
    let [a, b] = world.call("room", ["a", "b"]);
    world.assert_media();
    world.link(b, RECEIVE).keeps_consent = false;
    world.run_for(CONSENT_TIMEOUT - MICRO);
    assert_eq!(ice_state(&world, b, RECEIVE), "connected");
    world.run_for(MICRO);
    assert_eq!(ice_state(&world, b, RECEIVE), "failed");

    world.forget_packets();
    world.packet(a, VIDEO, Picture::Key);
    world.packet(a, AUDIO, Picture::Key);
    world.source_report(a, AUDIO);
    world.run_for(Duration::from_secs(3));
    let link = world.link(b, RECEIVE);
    assert!(link.rtp.is_empty() && link.rtcp.is_empty(), "nothing is sent without consent");

    world.forget_packets();
    world.check(b, RECEIVE, true);
    world.settle();
    assert_eq!(ice_state(&world, b, RECEIVE), "connected");
    assert_eq!(world.key_frame_requests(a, VIDEO), [world.now], "for who begins anew");
    let video = world.sender_of(b, (a, VIDEO));
    world.packet(a, VIDEO, Picture::Delta);
    world.settle();
    assert!(world.received(b, video).is_empty(), "video does not begin in the middle");
    world.assert_media();
}

#[test]
fn media_alone_keeps_consent_but_does_not_revive_it() {
    let mut world = World::new(2);
    let [a, _] = world.call("room", ["a", "b"]);
    world.link(a, SEND).keeps_consent = false;
    for _ in 0..5 {
        world.run_for(Duration::from_secs(20));
        world.packet(a, AUDIO, Picture::Key);
    }
    assert_eq!(ice_state(&world, a, SEND), "connected");
    world.run_for(CONSENT_TIMEOUT);
    assert_eq!(ice_state(&world, a, SEND), "failed");
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    assert_eq!(ice_state(&world, a, SEND), "failed", "only a check revives");
    world.check(a, SEND, true);
    world.settle();
    assert_eq!(ice_state(&world, a, SEND), "connected");
}

#[test]
fn nothing_authentic_means_no_consent_however_much_noise_comes() {
    let mut world = World::new(3);
    let [a, _] = world.call("room", ["a", "b"]);
    world.link(a, SEND).keeps_consent = false;
    let path = crate::world::path_from(world.link(a, SEND).address);
    for _ in 0..30 {
        world.run_for(Duration::from_secs(1));
        let mut forged = [0x80; 100];
        world.datagram(path, &mut forged);
    }
    assert_eq!(ice_state(&world, a, SEND), "failed");
}

#[test]
fn a_ninth_path_takes_the_place_of_the_oldest_but_not_of_the_one_in_use() {
    let mut world = World::new(4);
    let [a, b] = world.call("room", ["a", "b"]);
    let video = world.sender_of(b, (a, VIDEO));
    let home = world.link(b, RECEIVE).address;
    let others: Vec<_> = (0..PATHS_MAX).map(|_| world.new_address()).collect();
    for address in &others {
        world.own_address(*address, b, RECEIVE);
        world.link(b, RECEIVE).check(*address, false, false);
        world.flush();
    }
    world.settle();
    let mut dropped_from = |address| {
        let before = world.drops(DropReason::NoPath);
        world.link(b, RECEIVE).address = address;
        world.send_pli(b, video);
        world.settle();
        world.drops(DropReason::NoPath) - before
    };
    assert_eq!(dropped_from(others[0]), 1, "the oldest made room");
    assert!(others[1..].iter().all(|address| dropped_from(*address) == 0));
    assert_eq!(dropped_from(home), 0);
    world.assert_media();
}

#[test]
fn media_goes_where_the_latest_nomination_came_from() {
    let mut world = World::new(5);
    let [a, b] = world.call("room", ["a", "b"]);
    world.assert_moves_with_a_nomination(a, b);
}

#[test]
fn a_client_that_wants_to_be_controlled_is_told_487_and_opens_nothing() {
    let mut world = World::new(7);
    let a = world.member("room", "a");
    world.create_transport(a, SEND, &Plan::SEND).expect("a transport");
    let link = world.link(a, SEND);
    link.check(link.address, true, true);
    world.flush();
    world.settle();
    let answers = &world.link(a, SEND).answers;
    assert!(matches!(answers[..], [Answer::Error { code: 487, .. }]), "{answers:?}");
    let path = crate::world::path_from(world.link(a, SEND).address);
    world.datagram(path, &mut [0x80; 100]);
    assert_eq!(world.drops(DropReason::NoPath), 1);
}
