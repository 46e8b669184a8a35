//! What is told of a call to whoever watches from outside, in order. That it always adds up,
//! `observer` sees to in every scenario.

use corinth::sfu::CloseReason;
use corinth::types::Kind;

use crate::link::Plan;
use crate::world::World;
use crate::world::media::SEND;

#[test]
fn a_call_is_told_from_its_first_peer_to_its_last() {
    let mut world = World::new(1);
    let ada = world.member("room", "ada");
    world.open(ada, SEND, &Plan::SEND);
    world.send(ada, 5, Kind::Video, SEND);
    let bob = world.connect("room", "bob");
    world.join(bob);
    world.connect("room", "bob");
    world.leave(ada);
    let [.., last] = world.everybody().collect::<Vec<_>>()[..] else { panic!("three were there") };
    world.drop_connection(last);
    let transport = format!("TransportId({SEND})");
    let state = |dtls: &str| {
        let states = format!("transport: {transport}, ice: Connected, dtls: {dtls}");
        format!("room/ada: TransportState {{ {states} }}")
    };
    let told = [
        "room/ada: PeerConnected".to_owned(),
        "room/: RoomStarted".to_owned(),
        "room/ada: PeerJoined".to_owned(),
        state("New"),
        state("Connecting"),
        state("Connected"),
        format!(
            "room/ada: ReceiverCreated {{ receiver: ReceiverId(5), transport: {transport}, \
             kind: Video }}"
        ),
        "room/bob: PeerConnected".to_owned(),
        "room/bob: PeerJoined".to_owned(),
        "room/bob: PeerConnected".to_owned(),
        "room/bob: PeerLeft { joined: true, reason: \"replaced\" }".to_owned(),
        "room/ada: ReceiverClosed { receiver: ReceiverId(5) }".to_owned(),
        format!("room/ada: TransportClosed {{ transport: {transport} }}"),
        "room/ada: PeerLeft { joined: true, reason: \"left\" }".to_owned(),
        "room/bob: PeerLeft { joined: false, reason: \"disconnected\" }".to_owned(),
        "room/: RoomEnded".to_owned(),
    ];
    let found = std::mem::take(&mut world.out.observer.told);
    assert_eq!(found, told);
}

#[test]
fn a_room_in_which_nobody_joined_was_none() {
    let mut world = World::new(2);
    let who = world.connect("room", "ada");
    world.drop_connection(who);
    let left = "room/ada: PeerLeft { joined: false, reason: \"disconnected\" }";
    assert_eq!(world.out.observer.told, ["room/ada: PeerConnected", left]);
}

/// Somebody who may has one peer put out, and then all.
#[test]
fn who_is_put_out_hears_why_and_the_others_hear_that_they_are_gone() {
    let mut world = World::new(3);
    let [ada, bob, cid] = world.call("room", ["ada", "bob", "cid"]);
    let stranger = world.member("other", "ada");
    assert!(!world.router.kick("room", "dot", &mut world.out));
    assert!(!world.router.kick("nowhere", "ada", &mut world.out));
    assert!(world.router.kick("room", "ada", &mut world.out));
    world.absorb();
    assert_eq!(world[ada].closed, Some(CloseReason::Kicked));
    world.assert_truth("room");
    assert_eq!(world[bob].knowledge().peers.len(), 1);
    world.out.observer.told.clear();
    let heard = world[cid].heard;
    assert_eq!(world.router.end_room("nowhere", &mut world.out), None);
    assert_eq!(world.router.end_room("room", &mut world.out), Some(2));
    world.absorb();
    assert_eq!(world[bob].closed, Some(CloseReason::RoomClosed));
    assert_eq!(world[cid].closed, Some(CloseReason::RoomClosed));
    assert_eq!(world[cid].heard, heard, "nobody hears of the others' end, all have the same");
    assert_eq!(world.out.observer.told.last().unwrap(), "room/: RoomEnded");
    assert_eq!(world[stranger].closed, None);
    world.assert_truth("other");
}
