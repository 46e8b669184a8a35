//! Who is told of what.

use corinth::types::Kind;
use serde_json::json;

use crate::knowledge::Knowledge;
use crate::link::Plan;
use crate::world::World;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};

/// It refuses whatever it did not ask for.
#[test]
fn a_client_that_knows_only_the_seed_is_told_only_the_seed() {
    let mut world = World::new(1);
    let [a, _] = world.call("room", ["a", "b"]);
    let c = world.connect("room", "c");
    world.join(c);
    world.open(c, SEND, &Plan::SEND);
    world.open(c, RECEIVE, &Plan::RECEIVE);
    world.send(c, AUDIO, Kind::Audio, SEND);
    world.watch_all(c, RECEIVE);
    world.watch_all(a, RECEIVE);
    world.assert_media();
    world.close_transport(c, SEND);
    world.assert_truth("room");
    assert!(world[c].states.is_empty());
}

#[test]
fn what_a_client_cannot_decode_is_not_announced_to_it_and_takes_no_id() {
    let mut world = World::new(2);
    let [a, _] = world.call("room", ["a", "b"]);
    let c = world.connect("room", "c");
    let opus = json!({"name": "opus", "mimeType": "audio/opus", "kind": "audio",
        "clockRate": 48000, "channels": 2, "preferredPayloadType": 111});
    let data = json!({"rtpCapabilities": {"codecs": [opus]}});
    let response = world.request(c, "join", data).expect("joins");
    world[c].knowledge = Some(Knowledge::from_snapshot("c", &response));
    world.send(a, 3, Kind::Video, SEND);
    world.send(a, 4, Kind::Audio, SEND);
    let kinds: Vec<_> =
        world[c].knowledge().senders().values().map(|view| view.kind.clone()).collect();
    assert_eq!(kinds, ["audio", "audio", "audio"], "A's, B's, A's second");
    world.pause(a, VIDEO).expect("pauses");
    world.close_receiver(a, 3);
    world.settle();
}
