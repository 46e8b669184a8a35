//! What coming and going costs in large rooms: one call of the Router each, during which its shard
//! forwards nothing. Some of its peers have as many Receivers as they may; a peer joins, makes one
//! more, and one of those that came first leaves. Nothing is enabled, nobody is behind a socket.
//!
//! A Router of the simulator's is used; `tests/sim` is compiled in for that.

#![expect(dead_code, reason = "the simulator has words for much more than this")]
#![expect(clippy::print_stdout, reason = "it is a program that prints")]

#[path = "../tests/sim"]
mod sim {
    pub(crate) mod client;
    pub(crate) mod knowledge;
    pub(crate) mod ledger;
    pub(crate) mod link;
    pub(crate) mod netem;
    pub(crate) mod observer;
    pub(crate) mod record;
    pub(crate) mod rtcp;
    pub(crate) mod source;
    pub(crate) mod stun;
    pub(crate) mod world;
}

use std::time::{Duration, Instant};

use corinth::protocol::Message;
use corinth::sfu::{CloseReason, Newcomer, Outbox, Router};
use corinth::types::limit::RECEIVERS_PER_PEER_MAX;
use corinth::types::{Kind, Path, PeerKey, Rights, Timestamp};
use serde_json::{Value, json};

use crate::source::Source;
use crate::world::World;
use sim::{client, knowledge, ledger, link, netem, observer, record, rtcp, source, stun, world};

/// How often each is measured; the median counts.
const ROUNDS: usize = 9;

/// Peers that send.
const SPEAKERS: usize = 64;

/// Nobody listens: what is said is made and thrown away.
struct Sink;

impl Outbox for Sink {
    fn slot(&mut self) -> Option<&mut [u8]> {
        None
    }

    fn commit(&mut self, _: Path, _: usize) {}

    fn text(&mut self, _: PeerKey, message: Message) {
        drop(std::hint::black_box(message));
    }

    fn close(&mut self, _: PeerKey, _: CloseReason) {}
}

/// A room, and a clock that goes on by a minute with every word, so that nobody's budget ends.
struct Room {
    router: Router,
    now: Timestamp,
    sources: fastrand::Rng,
}

impl Room {
    fn new(peers: usize) -> Self {
        let World { router, now, .. } = World::new(1);
        let mut room = Self { router, now, sources: fastrand::Rng::with_seed(1) };
        for peer in 0..peers {
            room.join(&peer.to_string());
        }
        room
    }

    fn join(&mut self, name: &str) -> (PeerKey, Duration) {
        let key = self.open(name);
        let time = self.request(key, "join", &json!({"appData": {"displayName": "Somebody"}}));
        self.request(key, "createTransport", &json!({"id": 1, "options": {}}));
        (key, time)
    }

    fn open(&mut self, name: &str) -> PeerKey {
        let newcomer = Newcomer { room: "room", peer: name, rights: Rights::PARTICIPANT };
        self.router.handle_open(self.now, &newcomer, &mut Sink).expect("there is room")
    }

    fn request(&mut self, key: PeerKey, method: &str, data: &Value) -> Duration {
        let text = json!({"request": true, "id": 1, "method": method, "data": data}).to_string();
        self.time(|room| room.router.handle_text(room.now, key, &text, &mut Sink))
    }

    /// How long one call takes.
    #[expect(clippy::disallowed_methods, reason = "it is what is measured")]
    fn time(&mut self, call: impl FnOnce(&mut Self)) -> Duration {
        self.now = self.now + Duration::from_secs(60);
        let began = Instant::now();
        call(self);
        began.elapsed()
    }

    /// `createReceiver`
    fn send(&mut self, key: PeerKey, id: u32) -> Duration {
        let source = Source::new(Kind::Video, 1, id, &mut self.sources);
        let mut data = json!({"id": id, "kind": source.kind, "transportId": 1});
        data["rtpParameters"] = source.rtp_parameters();
        self.request(key, "createReceiver", &data)
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    println!("peers in the room: join, a new source, leave");
    for peers in [300, 1000, 3000] {
        let mut room = Room::new(peers - SPEAKERS);
        let speakers: Vec<_> =
            (0..SPEAKERS).map(|peer| room.join(&format!("speaker{peer}")).0).collect();
        for speaker in &speakers {
            for id in 1..=RECEIVERS_PER_PEER_MAX as u32 {
                room.send(*speaker, id);
            }
        }
        let (mut joins, mut sources, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
        for (round, speaker) in speakers.into_iter().take(ROUNDS).enumerate() {
            let (key, joined) = room.join(&format!("guest{round}"));
            joins.push(joined);
            sources.push(room.send(key, 1));
            let leave = |room: &mut Room| room.router.handle_closed(speaker, "gone", &mut Sink);
            leaves.push(room.time(leave));
        }
        let [join, source, leave] = [joins, sources, leaves].map(median);
        println!("{peers}: {join:?}, {source:?}, {leave:?}");
    }
}
