//! `getStats`: what a client is told of what goes to and fro is what really went.

use corinth::types::Kind;
use serde_json::{Value, json};

use crate::link::Plan;
use crate::source::Picture;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

fn stats(world: &mut World, who: Who, data: Value) -> Value {
    world.request(who, "getStats", data).expect("it may ask")
}

#[test]
fn a_client_is_told_what_came_from_it_and_what_went_to_it() {
    let mut world = World::new(1);
    let [a, b] = world.call("room", ["a", "b"]);
    for i in 0..20 {
        if i % 5 == 4 {
            world.lose_packet(a, AUDIO);
        } else {
            world.packet(a, AUDIO, Picture::Key);
        }
    }
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    let told = stats(&mut world, a, json!({}));
    let transports = json!([
        {"id": SEND, "iceState": "connected", "dtlsState": "connected"},
        {"id": RECEIVE, "iceState": "connected", "dtlsState": "connected"},
    ]);
    assert_eq!(told["transports"], transports);
    let ssrc = world[a].sources[&AUDIO].ssrc;
    let audio = &told["receivers"][0];
    assert_eq!(
        [&audio["id"], &audio["transportId"], &audio["kind"], &audio["ssrc"]],
        [&json!(AUDIO), &json!(SEND), &json!("audio"), &json!(ssrc)]
    );
    assert_eq!([&audio["packetsReceived"], &audio["packetsLost"]], [17, 4]);
    assert_eq!(told["receivers"][1]["packetsReceived"], 0);

    let sender = world.sender_of(b, (a, AUDIO));
    let told = stats(&mut world, b, json!({"senderId": sender}));
    let got = world.received(b, sender);
    let payload = 10;
    assert_eq!(
        told,
        json!({"transports": [], "receivers": [], "senders": [{
            "id": sender, "transportId": RECEIVE, "kind": "audio", "ssrc": got[0].ssrc,
            "packetsSent": got.len(), "bytesSent": got.len() * payload,
            "retransmittedPacketsSent": 0, "retransmittedBytesSent": 0,
        }]})
    );
    assert_eq!(stats(&mut world, b, json!({}))["senders"].as_array().map(Vec::len), Some(2));
}

#[test]
fn only_what_is_ones_own_and_enabled_can_be_asked_about() {
    let mut world = World::new(2);
    let [a, b] = world.call("room", ["a", "b"]);
    world.send(a, 3, Kind::Video, SEND);
    let announced = world.sender_of(b, (a, 3));
    for (data, code) in [
        (json!({"transportId": 9}), 404),
        (json!({"receiverId": 9}), 404),
        (json!({"senderId": 99}), 404),
        (json!({"senderId": announced}), 409),
        (json!({"receiverId": AUDIO, "senderId": 99}), 404),
        (json!({"receiverId": "1"}), 400),
    ] {
        assert_eq!(world.request(b, "getStats", data.clone()), Err(code), "{data}");
    }
    let both = stats(&mut world, b, json!({"transportId": SEND, "receiverId": VIDEO}));
    let ids = |of: &str| {
        let all = both[of].as_array().expect("a list");
        all.iter().map(|it| it["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!([ids("transports"), ids("receivers")], [[json!(SEND)], [json!(VIDEO)]]);
    let c = world.connect("room", "c");
    assert_eq!(world.request(c, "getStats", json!({})), Err(403));
}

#[test]
fn asking_about_much_costs_as_much_as_asking_much() {
    let mut world = World::new(3);
    let viewer = world.member("room", "viewer");
    world.open(viewer, RECEIVE, &Plan::RECEIVE);
    for i in 0..7 {
        let source = world.member("room", &format!("p{i}"));
        world.create_transport(source, SEND, &Plan::SEND).expect("a transport");
        (0..10).for_each(|id| world.send(source, id, Kind::Audio, SEND));
        world.run_for(std::time::Duration::from_millis(100));
    }
    world.watch_all(viewer, RECEIVE);
    world.run_for(std::time::Duration::from_secs(10));
    let burst = (0..1000).take_while(|_| world.request(viewer, "getStats", json!({})).is_ok());
    let burst = burst.count();
    // 71 things are one request, and the asking is another.
    assert_eq!(burst, 200);
}
