//! What a Router does with one packet of a source for each of its viewers: find, open, account,
//! rewrite once, and then copy, number and seal for everybody. Without sockets: what it wants to
//! send is thrown away. Beside it, in the same run, the seal alone: the part that no shape of the
//! code can save.
//!
//! A call of the simulator's clients makes the room; `tests/sim` is compiled in for that.

#![expect(dead_code, reason = "the simulator has words for much more than this")]

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

use std::cell::RefCell;
use std::hint::black_box;

use corinth::protocol::Message;
use corinth::sfu::{CloseReason, Outbox};
use corinth::transport::srtp::{PacketIndex, SrtpProfile, SrtpTx};
use corinth::types::limit::DATAGRAM_MAX;
use corinth::types::{Kind, Path, PeerKey, SeqNo, Ssrc};
use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use rtp::header::Header;
use rtp::packet::Packet;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;
use webrtc_util::marshal::{Marshal, Unmarshal};

use crate::link::Plan;
use crate::source::Picture;
use crate::world::media::{RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};
// The simulator's modules name each other from the root.
use sim::{client, knowledge, ledger, link, netem, observer, record, rtcp, source, stun, world};

/// A whole packet of a source, as browsers make them.
const PACKET: usize = 1200;

/// What a shard's arena has room for.
const SLOTS: usize = 64;

/// An outbox like a shard's, in that each datagram has a slot of its own for a while.
struct Sink {
    slots: Vec<[u8; DATAGRAM_MAX]>,
    next: usize,
}

impl Sink {
    fn new() -> Self {
        Self { slots: vec![[0; DATAGRAM_MAX]; SLOTS], next: 0 }
    }
}

impl Outbox for Sink {
    fn slot(&mut self) -> Option<&mut [u8]> {
        self.slots.get_mut(self.next).map(|slot| &mut slot[..])
    }

    fn commit(&mut self, path: Path, len: usize) {
        black_box((path, len));
        self.next = (self.next + 1) % self.slots.len();
    }

    fn text(&mut self, _: PeerKey, _: Message) {}

    fn close(&mut self, _: PeerKey, _: CloseReason) {}
}

/// One client that sends video, and `viewers` that watch it.
fn webinar(viewers: usize) -> (World, Who) {
    let mut world = World::new(1);
    let speaker = world.member("room", "speaker");
    world.open(speaker, SEND, &Plan::SEND);
    world.send(speaker, VIDEO, Kind::Video, SEND);
    for viewer in 0..viewers {
        let viewer = world.member("room", &format!("viewer{viewer}"));
        world.open(viewer, RECEIVE, &Plan::RECEIVE);
        world.watch_all(viewer, RECEIVE);
    }
    world.settle();
    (world, speaker)
}

/// The speaker's next packet, sealed.
fn packet(world: &mut World, speaker: Who, picture: Picture) -> (Path, Vec<u8>) {
    let now = world.now;
    let source = world.source(speaker, VIDEO);
    let ssrc = source.ssrc;
    let (seq, header_len, mut packet) = source.packet(now, picture);
    packet.resize(PACKET, 0);
    let link = world.link(speaker, SEND);
    let sealed = link.seal_rtp(ssrc, seq, header_len, &packet).expect("it has keys");
    (path_from(link.address), sealed)
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan_out");
    for viewers in [1, 10, 100, 1000] {
        let (mut world, speaker) = webinar(viewers);
        let (path, mut first) = packet(&mut world, speaker, Picture::Key);
        world.datagram(path, &mut first);
        assert_eq!(world.router.stats().rtp_forwarded, viewers as u64);
        let (now, mut sink) = (world.now, Sink::new());
        group.throughput(Throughput::Elements(viewers as u64));
        let world = RefCell::new(world);
        group.bench_function(format!("router/{viewers}"), |b| {
            b.iter_batched(
                || packet(&mut world.borrow_mut(), speaker, Picture::Delta),
                |(path, mut packet)| {
                    let router = &mut world.borrow_mut().router;
                    router.handle_datagram(now, path, &mut packet, &mut sink);
                    router.forward(now, &mut sink);
                },
                BatchSize::PerIteration,
            );
        });
    }
    with_libraries(&mut group);
    let tx = SrtpTx::new(SrtpProfile::AeadAes256Gcm, &[1; 32], &[2; 12]);
    let (plain, mut slot, mut seq) = ([0x80; PACKET], [0; DATAGRAM_MAX], 0);
    group.throughput(Throughput::Elements(1));
    group.bench_function("copy_and_seal", |b| {
        b.iter(|| {
            slot[..PACKET].copy_from_slice(black_box(&plain));
            seq += 1;
            tx.seal_rtp(&mut slot, 24, PACKET, PacketIndex::at_will(Ssrc(1), SeqNo(seq)))
        });
    });
    group.finish();
}

/// The same for 100 viewers with the libraries alone, as one would begin: the header marshalled and
/// the packet sealed for each by `rtp` and `webrtc-srtp`.
fn with_libraries(group: &mut BenchmarkGroup<'_, WallTime>) {
    const VIEWERS: usize = 100;
    let context = |i: usize| {
        Context::new(&[i as u8; 32], &[2; 12], ProtectionProfile::AeadAes256Gcm, None, None)
    };
    let mut viewers: Vec<_> = (0..VIEWERS).map(|i| context(i).expect("lengths fit")).collect();
    let mut source = context(VIEWERS).expect("lengths fit");
    let header = Header { version: 2, payload_type: 96, ssrc: 7, ..Header::default() };
    let plain = Packet { header, payload: vec![0; PACKET - 12].into() };
    let mut seq = 0;
    group.throughput(Throughput::Elements(VIEWERS as u64));
    group.bench_function(format!("webrtc-rs/{VIEWERS}"), |b| {
        b.iter_batched(
            || {
                seq += 1;
                let mut packet = plain.clone();
                packet.header.sequence_number = seq;
                source.encrypt_rtp(&packet.marshal().expect("it is well-formed")).expect("sealed")
            },
            |sealed| {
                // Its own window would refuse what it has sealed itself: opening is left out.
                let mut packet = Packet::unmarshal(&mut &sealed[..]).expect("it is well-formed");
                packet.payload = plain.payload.clone();
                for viewer in &mut viewers {
                    packet.header.ssrc = 9;
                    packet.header.payload_type = 100;
                    let plain = packet.marshal().expect("it is well-formed");
                    black_box(viewer.encrypt_rtp(&plain).expect("numbers go up"));
                }
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
