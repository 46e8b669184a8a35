//! Instructions that the Router executes for each packet it forwards, counted by callgrind: the
//! same on a busy machine as on an idle one, so that CI can hold them. `scripts/icount.sh` runs
//! this under valgrind, once a case, and compares with `benches/icount.txt`.
//!
//! Without arguments it lists its cases. With one it sets up a call of the simulator's clients and
//! plays it through [`measured`], which is all that is counted: routing, opening, rewriting,
//! fan-out, sealing; no sockets, no handshakes. Everything comes from a seed.

#![expect(dead_code, reason = "the simulator has words for much more than this")]
#![expect(clippy::print_stdout, reason = "the list of cases is read by a script")]

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

use std::hint::black_box;

use corinth::protocol::Message;
use corinth::sfu::{CloseReason, Outbox, Router};
use corinth::types::limit::DATAGRAM_MAX;
use corinth::types::{Kind, Path, PeerKey, Timestamp};

use crate::link::Plan;
use crate::source::Picture;
use crate::world::media::{RECEIVE, SEND, VIDEO};
use crate::world::{World, path_from};
// The simulator's modules name each other from the root.
use sim::{client, knowledge, ledger, link, netem, observer, record, rtcp, source, stun, world};

/// Name, kind, viewers, packets in a turn, bytes of a packet.
const CASES: [(&str, Kind, usize, usize, usize); 4] = [
    ("video-1", Kind::Video, 1, 7, 1200),
    ("video-10", Kind::Video, 10, 7, 1200),
    ("video-40", Kind::Video, 40, 7, 1200),
    ("audio-40", Kind::Audio, 40, 1, 120),
];

/// Turns that are counted, after some that are not.
const TURNS: usize = 20;
const WARM_UP: usize = 5;

/// Slots in turn, so that each datagram stays for a while as it does in a shard's arena.
struct Sink {
    slots: Vec<[u8; DATAGRAM_MAX]>,
    datagrams: usize,
}

impl Outbox for Sink {
    fn slot(&mut self) -> Option<&mut [u8]> {
        let next = self.datagrams % self.slots.len();
        Some(&mut self.slots[next])
    }

    fn commit(&mut self, path: Path, len: usize) {
        black_box((path, len));
        self.datagrams += 1;
    }

    fn text(&mut self, _: PeerKey, _: Message) {}

    fn close(&mut self, _: PeerKey, _: CloseReason) {}
}

/// One turn: what callgrind counts. Its name is in `scripts/icount.sh`.
#[inline(never)]
fn measured(router: &mut Router, now: Timestamp, turn: &mut [(Path, Vec<u8>)], sink: &mut Sink) {
    for (path, packet) in turn {
        router.handle_datagram(now, *path, packet, sink);
    }
    router.forward(now, sink);
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let Some((_, kind, viewers, packets, len)) = CASES.into_iter().find(|case| case.0 == wanted)
    else {
        CASES.iter().for_each(|(name, _, viewers, packets, _)| {
            println!("{name} {}", TURNS * viewers * packets);
        });
        return;
    };
    let mut world = World::new(1);
    let speaker = world.member("room", "speaker");
    world.open(speaker, SEND, &Plan::SEND);
    world.send(speaker, VIDEO, kind, SEND);
    for viewer in 0..viewers {
        let viewer = world.member("room", &format!("viewer{viewer}"));
        world.open(viewer, RECEIVE, &Plan::RECEIVE);
        world.watch_all(viewer, RECEIVE);
    }
    world.settle();
    let now = world.now;
    let mut sink = Sink { slots: vec![[0; DATAGRAM_MAX]; 64], datagrams: 0 };
    for turn in 0..WARM_UP + TURNS {
        let mut sealed: Vec<_> = (0..packets)
            .map(|_| {
                let picture = if turn == 0 { Picture::Key } else { Picture::Delta };
                let source = world.source(speaker, VIDEO);
                let ssrc = source.ssrc;
                let (seq, header_len, mut packet) = source.packet(now, picture);
                packet.resize(len, 0);
                let link = world.link(speaker, SEND);
                let sealed = link.seal_rtp(ssrc, seq, header_len, &packet).expect("it has keys");
                (path_from(link.address), sealed)
            })
            .collect();
        if turn < WARM_UP {
            for (path, packet) in &mut sealed {
                world.router.handle_datagram(now, *path, packet, &mut sink);
            }
            world.router.forward(now, &mut sink);
        } else {
            measured(&mut world.router, now, black_box(&mut sealed), &mut sink);
        }
    }
    assert_eq!(sink.datagrams, (WARM_UP + TURNS) * viewers * packets, "everything is forwarded");
}
