//! How much one client may have others told, and how much of it they must keep: by what it says
//! times who hears it, so that no room drowns in one peer's words.

use std::time::Duration;

use corinth::protocol::Message;
use corinth::protocol::message::Reader;
use corinth::sfu::{CloseReason, Newcomer, Outbox, Router};
use corinth::types::limit::{
    APP_DATA_FREE, APP_DATA_MAX, APP_DATA_PER_PEER_MAX, APP_DATA_PER_ROOM_MAX, AUDIENCE_MIN,
    AUDIENCE_RATE, SIGNAL_UNREAD_MAX,
};
use corinth::types::{DropReason, Kind, Path, PeerKey, Refusal, Rights, Timestamp};
use serde_json::{Value, json};

use crate::link::Plan;
use crate::record::Said;
use crate::source::Source;
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
    // It has earned all that there is to be earned.
    world.run_for(Duration::from_secs(4));
    (world, speaker)
}

/// `pauseReceiver` and `resumeReceiver` in turns: how many of so many are done. The others must be
/// refused for the budget.
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
fn what_many_are_told_is_charged_for_each_of_them() {
    for listeners in [1, 50, 300] {
        let (mut world, speaker) = lecture(1, listeners);
        let everybody = (listeners + 1).max(AUDIENCE_MIN);
        let before = world.router.stats().refusals(Refusal::Audience);
        // Which is less than what makes anybody a slow reader.
        let done = toggle(&mut world, speaker, 80, &longest());
        let told = done * APP_DATA_MAX;
        assert!(done > 0 && told < SIGNAL_UNREAD_MAX / 4, "{done} to {listeners}");
        assert!(told * everybody <= 4 * AUDIENCE_RATE as usize, "{done} to {listeners}");
        let refused = world.router.stats().refusals(Refusal::Audience) - before;
        assert_eq!(refused as usize, 80 - done);
        // It earns more with time, at the same rate for ever.
        world.run_for(Duration::from_secs(2));
        let more = toggle(&mut world, speaker, 80, &longest());
        assert!((1..=done / 2 + 1).contains(&more), "{more} after {done} to {listeners}");
        world.assert_truth("room");
    }
}

/// Once more, and again, and again.
#[test]
fn who_comes_again_has_no_more_told_for_it() {
    for listeners in [2, 400] {
        let (mut world, _) = lecture(7, listeners);
        let listener = world.members("room").last().expect("somebody");
        let heard = world[listener].heard;
        for _ in 0..10 {
            let guest = world.connect("room", "guest");
            world.join(guest);
            world.create_transport(guest, SEND, &Plan::SEND).expect("a transport");
            world.send(guest, 1, Kind::Audio, SEND);
            assert!(toggle(&mut world, guest, 10, &longest()) < 2);
            world.drop_connection(guest);
        }
        assert!(world[listener].heard - heard < 10 * 5, "it is told of little else");
        world.assert_truth("room");
    }
}

#[test]
fn a_notification_beyond_the_budget_is_ignored_and_a_leave_is_shortened() {
    let (mut world, speaker) = lecture(3, 300);
    assert!(toggle(&mut world, speaker, 80, &longest()) < 80, "the budget is used up");
    let before = world.drops(DropReason::SignalIgnored);
    for (method, id) in [("closeReceiver", 1), ("closeTransport", SEND)] {
        world.notify(speaker, method, json!({"id": id, "appData": longest()}));
    }
    assert_eq!(world.drops(DropReason::SignalIgnored), before + 2);
    world.assert_truth("room");
    let text = json!({"notification": true, "method": "leave", "data": {"appData": longest()}});
    let key = world[speaker].key;
    world.router.handle_text(world.now, key, &text.to_string(), &mut world.out);
    let (mut told, mut closed) = (0, 0);
    for said in world.out.drain() {
        match said {
            Said::Text(_, text) => {
                assert!(text.contains(r#""method":"peerLeft""#) && text.len() < 200, "{text}");
                told += 1;
            }
            Said::Close(who, reason) => {
                assert_eq!((who, reason), (key, CloseReason::Left));
                closed += 1;
            }
            Said::Datagram(..) => {}
        }
    }
    assert_eq!((told, closed), (300, 1));
}

/// `createReceiver` with so long an `appData`.
fn describe(world: &mut World, who: Who, id: u32, bytes: usize) -> Result<(), u16> {
    let source = world.new_source(Kind::Audio, SEND);
    let app_data = json!({"tag": source.tag, "": ""});
    let rest = bytes - app_data.to_string().len();
    let data = json!({
        "id": id, "kind": "audio", "transportId": SEND, "rtpParameters": source.rtp_parameters(),
        "appData": {"tag": source.tag, "": "x".repeat(rest)},
    });
    world.request(who, "createReceiver", data)?;
    world[who].sources.insert(id, source);
    Ok(())
}

#[test]
fn a_peer_is_described_by_so_much_and_what_closes_makes_room() {
    let (mut world, speaker) = lecture(4, 2);
    let most = (APP_DATA_PER_PEER_MAX / APP_DATA_MAX) as u32;
    // Its join and its first source have a little already.
    for id in 2..=most {
        describe(&mut world, speaker, id, APP_DATA_MAX).expect("one more");
    }
    assert_eq!(describe(&mut world, speaker, 9, APP_DATA_MAX), Err(429));
    assert_eq!(world.router.stats().refusals(Refusal::AppData), 1);
    world.assert_truth("room");
    describe(&mut world, speaker, 10, 1000).expect("that much is left");
    world.close_receiver(speaker, 2);
    describe(&mut world, speaker, 9, APP_DATA_MAX).expect("there is room again");
    world.close_transport(speaker, SEND);
    world.run_for(Duration::from_secs(4));
    world.create_transport(speaker, SEND, &Plan::SEND).expect("a transport");
    for id in 1..=most - 1 {
        describe(&mut world, speaker, id, APP_DATA_MAX).expect("one more");
    }
    world.assert_truth("room");
}

/// Hears answers only, and of them the beginning: the whole would be gigabytes.
#[derive(Default)]
struct Answers {
    last: String,
}

impl Outbox for Answers {
    fn slot(&mut self) -> Option<&mut [u8]> {
        None
    }

    fn commit(&mut self, _: Path, _: usize) {}

    fn text(&mut self, _: PeerKey, message: Message) {
        let beginning = String::from_utf8_lossy(&Reader::new(message).read(60)).into_owned();
        if beginning.starts_with(r#"{"response""#) {
            self.last = beginning;
        }
    }

    fn close(&mut self, _: PeerKey, _: CloseReason) {}
}

/// A room with far more clients than the simulator has.
struct Crowd {
    now: Timestamp,
    router: Router,
    names: u32,
    out: Answers,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let World { now, router, .. } = World::new(seed);
        Self { now, router, names: 0, out: Answers::default() }
    }

    /// Whether the request is done.
    fn request(&mut self, key: PeerKey, method: &str, data: Value) -> bool {
        let text = json!({"request": true, "id": 1, "method": method, "data": data});
        self.router.handle_text(self.now, key, &text.to_string(), &mut self.out);
        self.out.last.contains(r#""ok":true"#)
    }

    /// One more joins, at once or later; whether it may, with so long an `appData`.
    fn join(&mut self, bytes: usize, pause: Duration) -> (PeerKey, bool) {
        self.names += 1;
        let name = self.names.to_string();
        let newcomer = Newcomer { room: "room", peer: &name, rights: Rights::PARTICIPANT };
        let key = self.router.handle_open(self.now, &newcomer, &mut self.out);
        let key = key.expect("there is room for a peer");
        self.now = self.now + pause;
        (key, self.request(key, "join", json!({"appData": "x".repeat(bytes - 2)})))
    }
}

#[test]
fn small_words_are_free_to_go_in_a_room_of_thousands() {
    let mut crowd = Crowd::new(6);
    (0..3000).for_each(|_| assert!(crowd.join(100, Duration::ZERO).1));
    let (speaker, _) = crowd.join(100, Duration::ZERO);
    assert!(crowd.request(speaker, "createTransport", json!({"id": SEND, "options": {}})));
    let mut rng = fastrand::Rng::with_seed(6);
    for id in 1..=12 {
        // Five at once, and more as time goes by.
        crowd.now = crowd.now + Duration::from_millis(if id > 5 { 500 } else { 0 });
        let source = Source::new(Kind::Video, SEND, id, &mut rng);
        let mut data = json!({"id": id, "kind": source.kind, "transportId": SEND});
        data["rtpParameters"] = source.rtp_parameters();
        assert!(crowd.request(speaker, "createReceiver", data), "source {id}");
    }
    // A mute and its end, ten times a second.
    for _ in 0..100 {
        crowd.now = crowd.now + Duration::from_millis(100);
        for method in ["pauseReceiver", "resumeReceiver"] {
            assert!(crowd.request(speaker, method, json!({"id": 1})));
        }
    }
    crowd.router.assert_consistent();
}

#[test]
fn a_room_is_described_by_so_much_and_each_peer_by_a_little_of_its_own() {
    let mut crowd = Crowd::new(5);
    let pause = Duration::from_secs(4);
    let most = APP_DATA_PER_ROOM_MAX / (APP_DATA_MAX - APP_DATA_FREE);
    let members: Vec<_> = (0..most).map(|_| crowd.join(APP_DATA_MAX, pause)).collect();
    assert!(members.iter().all(|(_, joined)| *joined));
    assert!(!crowd.join(APP_DATA_MAX, pause).1, "one too many");
    assert_eq!(crowd.router.stats().refusals(Refusal::AppData), 1);
    assert!(crowd.join(APP_DATA_FREE, pause).1, "that much is anybody's");
    crowd.router.handle_closed(members[7].0, "gone", &mut crowd.out);
    assert!(crowd.join(APP_DATA_MAX, pause).1, "there is room again");
    crowd.router.assert_consistent();
}
