//! Handshakes wait for their steps, within bounds, and media does not wait for them.

use corinth::types::limit::{HANDSHAKES_MAX, HANDSHAKES_PER_TRANSPORT_MAX};
use corinth::types::{DropReason, Path};

use crate::link::Plan;
use crate::record::{Recorder, Said};
use crate::source::Picture;
use crate::world::media::{RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};

const EACH: usize = HANDSHAKES_PER_TRANSPORT_MAX as usize;

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

/// Takes all steps that wait; how many those are.
fn take_steps(world: &mut World) -> usize {
    let mut steps = 0;
    while world.router.has_handshakes() {
        world.router.handle_handshake(world.now, &mut world.out);
        world.absorb();
        steps += 1;
    }
    steps
}

fn path(world: &mut World, who: Who, link: u32) -> Path {
    path_from(world.link(who, link).address)
}

#[test]
fn one_path_cannot_fill_the_queue() {
    let mut world = World::new(1);
    let [a, _] = world.call("room", ["a", "b"]);
    let hostile = path(&mut world, a, SEND);
    flood(&mut world, &[hostile], 100);
    assert_eq!(world.drops(DropReason::HandshakeBacklog), 100 - EACH as u64);
    // Others shake hands as if nothing was.
    let c = world.member("room", "c");
    world.open(c, RECEIVE, &Plan::RECEIVE);
    world.watch_all(c, RECEIVE);
    world.settle();
    world.assert_media();
}

#[test]
fn what_finds_no_room_is_counted_and_the_rest_goes_on() {
    let mut world = World::new(2);
    let members: Vec<_> = (0..HANDSHAKES_MAX / EACH + 2)
        .map(|i| {
            let who = world.member("room", &format!("member{i}"));
            world.open(who, SEND, &Plan::SEND);
            who
        })
        .collect();
    world.settle();
    let paths: Vec<_> = members.iter().map(|who| path(&mut world, *who, SEND)).collect();
    flood(&mut world, &paths, EACH);
    assert_eq!(world.drops(DropReason::HandshakeBacklog), 2 * EACH as u64);
    assert_eq!(take_steps(&mut world), HANDSHAKES_MAX);
    flood(&mut world, &paths, 1);
    assert_eq!(take_steps(&mut world), paths.len(), "there is room again for everybody");
}

#[test]
fn media_goes_on_between_the_steps() {
    let mut world = World::new(3);
    let [a, b] = world.call("room", ["a", "b"]);
    let paths = [path(&mut world, a, RECEIVE), path(&mut world, b, SEND)];
    flood(&mut world, &paths, EACH);
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
    assert_eq!(take_steps(&mut world), 2 * EACH, "no step was taken meanwhile");
}

#[test]
fn steps_of_a_transport_that_is_closed_are_counted() {
    let mut world = World::new(4);
    let [a, _] = world.call("room", ["a", "b"]);
    let from = path(&mut world, a, SEND);
    flood(&mut world, &[from], 3);
    world.close_transport(a, SEND);
    assert_eq!(take_steps(&mut world), 3);
    assert_eq!(world.drops(DropReason::DtlsUnexpected), 3);
}
