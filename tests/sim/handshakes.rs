//! Handshakes wait for their steps, within bounds, and media does not wait for them.

use std::time::Duration;

use corinth::types::limit::{HANDSHAKES_MAX, HANDSHAKES_SHARE};
use corinth::types::{DropReason, Path};

use crate::link::{Acts, Link, Plan};
use crate::record::{Recorder, Said};
use crate::source::Picture;
use crate::world::media::{RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};

/// What one transport can have waiting where no other has.
const ALONE: usize = HANDSHAKES_MAX / (HANDSHAKES_SHARE + 1) + 1;

/// A DTLS record of a handshake that nobody has begun.
const RECORD: [u8; 20] = [22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 7, 1, 2, 3, 4, 5, 6, 7];

/// Datagrams of DTLS from these paths, so many from each, in one turn.
fn flood(world: &mut World, paths: &[Path], count: usize) {
    for _ in 0..count {
        for path in paths {
            let mut record = RECORD;
            world.router.handle_datagram(world.now, *path, &mut record, &mut world.out);
        }
    }
    world.end_turn();
}

fn path(world: &mut World, who: Who, link: u32) -> Path {
    path_from(world.link(who, link).address)
}

#[test]
fn one_path_cannot_fill_the_queue() {
    let mut world = World::new(1);
    let [a, _] = world.call("room", ["a", "b"]);
    let hostile = path(&mut world, a, SEND);
    flood(&mut world, &[hostile], HANDSHAKES_MAX);
    let refused = HANDSHAKES_MAX - ALONE;
    assert_eq!(world.drops(DropReason::HandshakeBacklog), refused as u64);
    // Others shake hands as if nothing was.
    let c = world.member("room", "c");
    world.open(c, RECEIVE, &Plan::RECEIVE);
    world.watch_all(c, RECEIVE);
    world.settle();
    world.assert_media();
}

/// So many clients with a path each.
fn crowd(world: &mut World, count: usize) -> Vec<Path> {
    let open = |i| {
        let who = world.member("room", &format!("member{i}"));
        world.open(who, SEND, &Plan::SEND);
        path(world, who, SEND)
    };
    (0..count).map(open).collect()
}

#[test]
fn what_finds_no_room_is_counted_and_there_is_room_again_for_everybody() {
    let mut world = World::new(2);
    let paths = crowd(&mut world, HANDSHAKES_MAX / 4);
    // More often than any of them is refused at once.
    for _ in 0..3 {
        let before = world.drops(DropReason::HandshakeBacklog);
        flood(&mut world, &paths, ALONE);
        let waiting = world.shake_hands();
        assert!(waiting > HANDSHAKES_MAX / 2 && waiting < HANDSHAKES_MAX, "{waiting}");
        let refused = world.drops(DropReason::HandshakeBacklog) - before;
        assert_eq!(refused as usize, paths.len() * ALONE - waiting);
    }
    let before = world.drops(DropReason::HandshakeBacklog);
    flood(&mut world, &paths[..1], ALONE);
    assert_eq!(world.shake_hands(), ALONE);
    assert_eq!(world.drops(DropReason::HandshakeBacklog), before);
}

/// A certificate of 13 KB makes a flight of a dozen datagrams, which come at one moment: to the
/// server as DTLS server, and as client.
#[test]
fn a_long_certificate_comes_through_whatever_else_waits() {
    for (seed, acts) in [(5, Acts::Client), (6, Acts::Server)] {
        for hostile in [0, 1, 16] {
            let mut world = World::new(seed);
            let paths = crowd(&mut world, hostile);
            world.net.conditions.delay = Duration::from_millis(10);
            let a = world.member("room", "a");
            let plan = Plan { certificate: 13_000, acts, ..Plan::SEND };
            world.create_transport(a, SEND, &plan).expect("a transport");
            let begins = world.now;
            world.start(a, SEND);
            let backlog = world.drops(DropReason::HandshakeBacklog);
            let live = |world: &World| world[a].link(SEND).is_some_and(Link::is_live);
            while !live(&world) {
                flood(&mut world, &paths, 1);
                world.run_for(Duration::from_millis(1));
                assert!(world.now.since(begins) < Duration::from_secs(3), "{acts:?}, {hostile}");
            }
            assert_eq!(world.drops(DropReason::HandshakeBacklog), backlog);
            let flight = world.handshake_of(a, SEND);
            assert!(flight.len() > 12, "{} datagrams", flight.len());
        }
    }
}

/// Each has its turn, whoever came first with however much.
#[test]
fn who_has_one_step_to_take_does_not_wait_for_those_who_have_many() {
    let mut world = World::new(7);
    let paths = crowd(&mut world, 8);
    let a = world.member("room", "a");
    world.create_transport(a, SEND, &Plan::SEND).expect("a transport");
    let from = path(&mut world, a, SEND);
    world.check(a, SEND, true);
    world.settle();
    flood(&mut world, &paths, ALONE);
    let mut hello = world.client_hello();
    world.router.handle_datagram(world.now, from, &mut hello, &mut world.out);
    world.end_turn();
    let steps = (1..=HANDSHAKES_MAX).find(|_| {
        world.router.handle_handshake(world.now, &mut world.out);
        world.out.drain().iter().any(|said| matches!(said, Said::Datagram(to, _) if *to == from))
    });
    assert!(steps.is_some_and(|steps| steps <= 2 * paths.len()), "{steps:?}");
}

#[test]
fn media_goes_on_between_the_steps() {
    let mut world = World::new(3);
    let [a, b] = world.call("room", ["a", "b"]);
    let paths = [path(&mut world, a, RECEIVE), path(&mut world, b, SEND)];
    flood(&mut world, &paths, 8);
    let now = world.now;
    let source = world.source(a, VIDEO);
    let ssrc = source.ssrc;
    let (seq, header_len, packet) = source.packet(now, Picture::Key);
    let link = world.link(a, SEND);
    let mut sealed = link.seal_rtp(ssrc, seq, header_len, &packet).expect("it has keys");
    let from = path_from(link.address);
    let mut out = Recorder::new();
    world.router.handle_datagram(now, from, &mut sealed, &mut out);
    world.router.forward(now, &mut out);
    let to = path(&mut world, b, RECEIVE);
    let sent = out.drain();
    assert!(matches!(&sent[..], [Said::Datagram(path, _)] if *path == to), "{sent:?}");
    assert_eq!(world.shake_hands(), 2 * 8, "no step was taken meanwhile");
}

#[test]
fn steps_of_a_transport_that_is_closed_are_counted() {
    let mut world = World::new(4);
    let [a, _] = world.call("room", ["a", "b"]);
    let from = path(&mut world, a, SEND);
    flood(&mut world, &[from], 3);
    world.close_transport(a, SEND);
    assert_eq!(world.shake_hands(), 3);
    assert_eq!(world.drops(DropReason::DtlsUnexpected), 3);
}
