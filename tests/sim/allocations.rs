//! Nothing is allocated where anybody could make us allocate without end: not for a datagram that
//! is dropped, not for a packet that is forwarded.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use corinth::protocol::Message;
use corinth::sfu::{CloseReason, Outbox};
use corinth::types::limit::DATAGRAM_MAX;
use corinth::types::{Kind, Path, PeerKey};

use crate::link::Plan;
use crate::rtcp;
use crate::source::{Picture, ntp};
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};

/// The system's allocator, counting for each thread: tests run side by side.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more, and nobody who looks at it.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: everything is done by `System`, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How often this thread allocates in `work`.
fn allocations_in(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Counts what it is given and keeps none of it.
struct Sink {
    slot: [u8; DATAGRAM_MAX],
    datagrams: u64,
}

impl Sink {
    fn new() -> Self {
        Self { slot: [0; DATAGRAM_MAX], datagrams: 0 }
    }
}

impl Outbox for Sink {
    fn slot(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.slot)
    }

    fn commit(&mut self, _: Path, _: usize) {
        self.datagrams += 1;
    }

    fn text(&mut self, _: PeerKey, _: Message) {}

    fn close(&mut self, _: PeerKey, _: CloseReason) {}
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_in(|| drop(std::hint::black_box(vec![0u8; 100]))), 1);
}

#[test]
fn packets_are_sent_again_without_an_allocation() {
    let mut world = World::new(1);
    let [a, b] = world.call("room", ["a", "b"]);
    for i in 0..300 {
        world.packet(a, VIDEO, if i == 0 { Picture::Key } else { Picture::Delta });
    }
    world.settle();
    let sender = world.sender_of(b, (a, VIDEO));
    let ssrc = world.ssrc_of(b, sender);
    let last = world.received(b, sender).last().expect("it came").seq as u16;
    let mut nack = |back: u16| {
        let lost: Vec<u16> = (0..100).map(|ahead| last - back + ahead).collect();
        let link = world.link(b, RECEIVE);
        link.send_rtcp(&rtcp::nack(1, ssrc, &lost));
        let (from, sealed) = link.drain().pop().expect("it has keys");
        (path_from(from), sealed)
    };
    let [(path, mut first), (_, mut second)] = [nack(250), nack(150)];
    let (now, mut sink) = (world.now, Sink::new());
    // Somebody who has missed nothing yet has no memory of it.
    world.router.handle_datagram(now, path, &mut first, &mut sink);
    let sent = sink.datagrams;
    let allocations =
        allocations_in(|| world.router.handle_datagram(now, path, &mut second, &mut sink));
    assert_eq!((sink.datagrams - sent, allocations), (100, 0));
}

#[test]
fn a_packet_is_forwarded_to_everybody_without_an_allocation() {
    let mut world = World::new(1);
    let [a, ..] = world.call("room", ["a", "b", "c", "d"]);
    let now = world.now;
    let mut packets = Vec::new();
    for i in 0..2000 {
        for receiver in [AUDIO, VIDEO] {
            let picture = if i == 0 { Picture::Key } else { Picture::Delta };
            let source = world.source(a, receiver);
            let ssrc = source.ssrc;
            let (seq, header_len, packet) = source.packet(now, picture);
            let link = world.link(a, SEND);
            let sealed = link.seal_rtp(ssrc, seq, header_len, &packet).expect("it has keys");
            packets.push((path_from(link.address), sealed));
        }
    }
    let mut sink = Sink::new();
    let (warm_up, measured) = packets.split_at_mut(200);
    for (path, packet) in warm_up {
        world.router.handle_datagram(now, *path, packet, &mut sink);
        world.router.forward(now, &mut sink);
    }
    let before = sink.datagrams;
    let allocations = allocations_in(|| {
        for (path, packet) in measured {
            world.router.handle_datagram(now, *path, packet, &mut sink);
            world.router.forward(now, &mut sink);
        }
    });
    assert_eq!(sink.datagrams - before, 3 * 3800, "each packet, to three viewers");
    assert_eq!(allocations, 0);
}

/// 250 viewers of an audio and a video source: 500 Senders. For a minute of virtual time, with
/// reports, consent checks and requests for key frames as in life; only the packets are fewer:
/// three frames of two packets and ten of audio a second, as a debug build has to seal them all.
#[test]
fn a_minute_of_a_webinar_allocates_nothing_on_the_way_of_its_packets() {
    const VIEWERS: usize = 250;
    let mut world = World::new(3);
    let speaker = world.member("room", "speaker");
    world.open(speaker, SEND, &Plan::SEND);
    world.send(speaker, AUDIO, Kind::Audio, SEND);
    world.send(speaker, VIDEO, Kind::Video, SEND);
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|i| {
            let viewer = world.member("room", &format!("viewer{i}"));
            world.open(viewer, RECEIVE, &Plan::RECEIVE);
            world.watch_all(viewer, RECEIVE);
            viewer
        })
        .collect();
    world.settle();
    let mut minute = Minute { world, sink: Sink::new(), on_the_way: 0, beside: 0 };
    // Warm: each kind of thing has happened once.
    (0..20).for_each(|tick| minute.tick(tick, speaker, &viewers));
    (minute.on_the_way, minute.beside) = (0, 0);
    let before = minute.world.router.stats().clone();
    (20..620).for_each(|tick| minute.tick(tick, speaker, &viewers));
    let stats = minute.world.router.stats();
    let forwarded = stats.rtp_forwarded - before.rtp_forwarded;
    assert_eq!(forwarded, (60 * VIEWERS * (10 + 3 * 2)) as u64, "everything, to everybody");
    assert!(minute.sink.datagrams > forwarded + (60 + 60 / 5) * VIEWERS as u64, "and the rest");
    assert_eq!(minute.on_the_way, 0);
    // A transport's reports, once a second, take a list; checks and requests take nothing.
    assert!(minute.beside <= 62 * (VIEWERS as u64 + 3), "{}", minute.beside);
}

/// A call as it goes on, and how often the Router allocated.
struct Minute {
    world: World,
    sink: Sink,
    /// For media.
    on_the_way: u64,
    /// For checks, reports and requests, and because time had come.
    beside: u64,
}

impl Minute {
    /// A tenth of a second.
    fn tick(&mut self, tick: u64, speaker: Who, viewers: &[Who]) {
        self.world.now = self.world.now + Duration::from_millis(100);
        let now = self.world.now;
        self.packet(speaker, AUDIO, Picture::Key);
        if tick % 10 < 3 {
            self.packet(speaker, VIDEO, Picture::Key);
            self.packet(speaker, VIDEO, Picture::Delta);
        }
        if tick.is_multiple_of(10) {
            for receiver in [AUDIO, VIDEO] {
                let source = self.world.source(speaker, receiver);
                let report = rtcp::sender_report(source.ssrc, ntp(now), source.timestamp(now));
                self.world.link(speaker, SEND).send_rtcp(&report);
            }
            let viewer = viewers[tick as usize % viewers.len()];
            let sender = *self.world[viewer].watched.keys().next().expect("it watches");
            let ssrc = self.world.ssrc_of(viewer, sender);
            self.world.link(viewer, RECEIVE).send_rtcp(&rtcp::pli(1, ssrc));
        }
        let datagrams = self.world.clients_say();
        let Self { world, sink, .. } = self;
        self.beside += allocations_in(|| {
            for (path, mut datagram) in datagrams {
                world.router.handle_datagram(now, path, &mut datagram, sink);
                // Freeing what was received is not the Router's.
                std::mem::forget(datagram);
            }
            world.router.forward(now, sink);
            while world.router.poll_deadline().is_some_and(|deadline| deadline.at <= now) {
                world.router.handle_timeout(now, sink);
            }
        });
    }

    fn packet(&mut self, who: Who, receiver: u32, picture: Picture) {
        let Self { world, sink, .. } = self;
        let now = world.now;
        let source = world.source(who, receiver);
        let ssrc = source.ssrc;
        let (seq, header_len, packet) = source.packet(now, picture);
        let link = world.link(who, SEND);
        let mut sealed = link.seal_rtp(ssrc, seq, header_len, &packet).expect("it has keys");
        let path = path_from(link.address);
        self.on_the_way += allocations_in(|| {
            world.router.handle_datagram(now, path, &mut sealed, sink);
            world.router.forward(now, sink);
        });
    }
}

#[test]
fn what_is_dropped_costs_no_allocation() {
    let mut world = World::new(2);
    let [a, _] = world.call("room", ["a", "b"]);
    let (now, known) = (world.now, path_from(world.link(a, SEND).address));
    let unknown = path_from(world.new_address());
    let mut rng = fastrand::Rng::with_seed(3);
    // First bytes of STUN, DTLS, RTP with RTCP, and of nothing at all.
    const FIRST: [u8; 5] = [0, 22, 0x80, 0x90, 0xff];
    let mut datagram = [0; DATAGRAM_MAX];
    let mut sink = Sink::new();
    let dropped = world.router.stats().drops_total();
    let allocations = allocations_in(|| {
        for i in 0..50_000 {
            rng.fill(&mut datagram);
            datagram[0] = FIRST[i % FIRST.len()];
            // DTLS from a path that a client has opened goes to the engine, which may keep pieces
            // of a handshake, within its own bounds.
            let path = if i % 2 == 0 || datagram[0] == 22 { unknown } else { known };
            let len = rng.usize(..=DATAGRAM_MAX);
            world.router.handle_datagram(now, path, &mut datagram[..len], &mut sink);
        }
    });
    assert_eq!(world.router.stats().drops_total() - dropped, 50_000);
    assert_eq!((allocations, sink.datagrams), (0, 0));
}
