//! Nothing is allocated where anybody could make us allocate without end: not for a datagram that
//! is dropped, not for a packet that is forwarded.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use corinth::sfu::{CloseReason, Outbox};
use corinth::types::limit::DATAGRAM_MAX;
use corinth::types::{Path, PeerKey};

use crate::source::Picture;
use crate::world::media::{AUDIO, SEND, VIDEO};
use crate::world::{World, path_from};

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

    fn text(&mut self, _: PeerKey, _: String) {}

    fn close(&mut self, _: PeerKey, _: CloseReason) {}
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_in(|| drop(std::hint::black_box(vec![0u8; 100]))), 1);
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
