//! What a token does not allow: sources of a kind are refused, or nothing is announced.

use corinth::types::{Kind, Rights};

use crate::knowledge::Knowledge;
use crate::link::Plan;
use crate::world::World;
use crate::world::media::{RECEIVE, SEND};

#[test]
fn who_may_not_send_a_kind_is_refused_it_and_the_other_kind_goes() {
    let mut world = World::new(1);
    let mute = Rights { audio: false, ..Rights::PARTICIPANT };
    let who = world.connect_with("room", "mute", mute);
    world.join(who);
    world.open(who, SEND, &Plan::SEND);
    let audio = world.new_source(Kind::Audio, SEND);
    assert_eq!(world.create_receiver(who, 1, audio), Err(403));
    world.send(who, 1, Kind::Video, SEND);
    let blind = Rights { video: false, ..Rights::PARTICIPANT };
    let who = world.connect_with("room", "blind", blind);
    world.join(who);
    world.open(who, SEND, &Plan::SEND);
    let video = world.new_source(Kind::Video, SEND);
    assert_eq!(world.create_receiver(who, 1, video), Err(403));
    world.send(who, 1, Kind::Audio, SEND);
}

#[test]
fn who_may_not_receive_is_told_of_no_source() {
    let mut world = World::new(2);
    let [a, _] = world.call("room", ["a", "b"]);
    let mute = world.connect_with("room", "deaf", Rights { receive: false, ..Rights::PARTICIPANT });
    let response = world.request(mute, "join", serde_json::json!({})).expect("joins");
    world[mute].knowledge = Some(Knowledge::from_snapshot("deaf", &response));
    world.send(a, 3, Kind::Video, SEND);
    assert!(world[mute].knowledge().senders().is_empty());
    // It is heard all the same.
    world.open(mute, SEND, &Plan::SEND);
    world.send(mute, 1, Kind::Audio, SEND);
    world.watch_all(a, RECEIVE);
    world.assert_media();
    world.settle();
}
