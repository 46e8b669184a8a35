//! What is told of a call to whoever watches from outside, in order. That it always adds up,
//! `observer` sees to in every scenario.

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
        "room/: RoomStarted".to_owned(),
        "room/ada: PeerConnected".to_owned(),
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
