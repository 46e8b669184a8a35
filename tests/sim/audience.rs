//! How much one client may have the others told, and have them keep: no room drowns in one peer's
//! words.

use std::time::Duration;

use corinth::types::limit::{
    APP_DATA_MAX, APP_DATA_PER_PEER_MAX, ECHO_BURST, ECHO_PER_SECOND, SIGNAL_QUEUE_MAX,
};
use corinth::types::{Kind, Refusal};
use serde_json::{Value, json};

use crate::link::Plan;
use crate::world::media::SEND;
use crate::world::{Who, World};

/// The longest there may be.
fn longest() -> Value {
    json!("x".repeat(APP_DATA_MAX - 2))
}

/// A room with a speaker, who has one source, and so many listeners.
fn lecture(seed: u64, listeners: usize) -> (World, Who) {
    let mut world = World::new(seed);
    let speaker = world.connect("room", "speaker");
    world.join(speaker);
    world.create_transport(speaker, SEND, &Plan::SEND).expect("a transport");
    world.send(speaker, 1, Kind::Audio, SEND);
    for listener in 0..listeners {
        let listener = world.connect("room", &listener.to_string());
        world.join(listener);
    }
    (world, speaker)
}

/// `pauseReceiver` and `resumeReceiver` in turns: how many of so many are done. The others must be
/// refused.
fn toggle(world: &mut World, who: Who, times: usize, app_data: &Value) -> usize {
    let mut paused = world[who].sources[&1].paused;
    let mut done = 0;
    for _ in 0..times {
        let method = if paused { "resumeReceiver" } else { "pauseReceiver" };
        match world.request(who, method, json!({"id": 1, "appData": app_data})) {
            Ok(_) => (paused, done) = (!paused, done + 1),
            Err(code) => assert_eq!(code, 429),
        }
    }
    world.source(who, 1).paused = paused;
    done
}

#[test]
fn long_words_are_refused_before_they_fill_anybodys_queue() {
    let (mut world, speaker) = lecture(1, 50);
    let done = toggle(&mut world, speaker, 350, &longest());
    let told = done * APP_DATA_MAX;
    assert!(done > 0 && told <= ECHO_BURST as usize, "{done} of 350");
    assert!(4 * told <= SIGNAL_QUEUE_MAX);
    assert!(world.members("room").all(|who| world[who].closed.is_none()));
    world.run_for(Duration::from_secs(2));
    let more = toggle(&mut world, speaker, 50, &longest());
    assert!((1..=2 * ECHO_PER_SECOND as usize / APP_DATA_MAX).contains(&more), "{more}");
    world.assert_truth("room");
}

#[test]
fn short_words_are_free_to_go_in_a_large_room() {
    let (mut world, speaker) = lecture(2, 400);
    assert_eq!(toggle(&mut world, speaker, 100, &Value::Null), 100);
    for id in 2..10 {
        world.send(speaker, id, Kind::Video, SEND);
    }
    assert_eq!(world.router.stats().refusals(Refusal::Requests), 0);
}

#[test]
fn an_end_beyond_the_budget_is_told_without_its_words() {
    let (mut world, speaker) = lecture(3, 50);
    while toggle(&mut world, speaker, 1, &longest()) > 0 {}
    world[speaker].sources.clear();
    world.notify(speaker, "closeReceiver", json!({"id": 1, "appData": longest()}));
    world.assert_truth("room");
    world.leave(speaker);
    world.assert_truth("room");
}

/// `createReceiver` with so long an `appData`.
fn describe(world: &mut World, who: Who, id: u32, bytes: usize) -> Result<(), u16> {
    let source = world.new_source(Kind::Audio, SEND);
    let rest = bytes - json!({"tag": source.tag, "": ""}).to_string().len();
    let data = json!({
        "id": id, "kind": "audio", "transportId": SEND, "rtpParameters": source.rtp_parameters(),
        "appData": {"tag": source.tag, "": "x".repeat(rest)},
    });
    world.run_for(Duration::from_secs(1));
    world.request(who, "createReceiver", data)?;
    world[who].sources.insert(id, source);
    Ok(())
}

#[test]
fn a_peer_is_described_by_so_much_and_what_closes_makes_room() {
    let (mut world, speaker) = lecture(4, 2);
    // Its join and its first source have a little already.
    let most = (APP_DATA_PER_PEER_MAX / APP_DATA_MAX) as u32;
    for id in 2..=most {
        describe(&mut world, speaker, id, APP_DATA_MAX).expect("one more");
    }
    assert_eq!(describe(&mut world, speaker, 9, APP_DATA_MAX), Err(429));
    assert_eq!(world.router.stats().refusals(Refusal::AppData), 1);
    world.assert_truth("room");
    world.close_receiver(speaker, 2);
    describe(&mut world, speaker, 9, APP_DATA_MAX).expect("there is room again");
    world.assert_truth("room");
}
