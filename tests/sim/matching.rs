//! Whose a packet is: what was declared outranks what can be guessed, before a source is declared
//! and after it has closed.

use corinth::types::{DropReason, Kind};

use crate::source::{Picture, Source};
use crate::world::media::{RECEIVE, SEND};
use crate::world::{Who, World};

/// What a source declares: its SSRC, its mid, its rid.
type Way = (bool, Option<&'static str>, Option<&'static str>);

const CAMERA: u32 = 1;
const SCREEN: u32 = 2;

/// Every way in which a source can be declared.
fn ways(mid: &'static str) -> [Way; 6] {
    [
        (true, None, None),
        (true, Some(mid), None),
        (false, Some(mid), None),
        (false, Some(mid), Some("h")),
        (true, Some(mid), Some("h")),
        (false, None, None),
    ]
}

/// Two that share a payload type can both be found only if one of them says more.
fn can_be_told_apart(one: Way, other: Way) -> bool {
    let anonymous = |way: Way| !way.0 && way.1.is_none();
    !(anonymous(one) && anonymous(other))
}

/// Every way in which a camera and a screen can be declared so that both can be found.
fn ways_of_two() -> impl Iterator<Item = [Way; 2]> {
    let all = ways("camera").into_iter().flat_map(|one| ways("screen").map(|other| [one, other]));
    all.filter(|[one, other]| can_be_told_apart(*one, *other))
}

fn source(world: &mut World, way: Way) -> Source {
    let mut source = world.new_source(Kind::Video, SEND);
    (source.declares_ssrc, source.mid, source.rid) = way;
    source
}

/// Sends the next packet of a source.
fn send(world: &mut World, who: Who, source: &mut Source, picture: Picture) {
    world.packet_of(who, source, picture);
    world.settle();
}

/// Packets that a viewer has got of the source with this tag; of all that it got, how many.
fn got(world: &World, viewer: Who, tag: u32) -> (usize, usize) {
    let packets: Vec<_> = world[viewer].links.iter().flat_map(|link| &link.rtp).collect();
    (packets.iter().filter(|packet| packet.label.tag == tag).count(), packets.len())
}

/// The client of a viewer that shows one source in place of another fails in `client.rs`.
#[test]
fn what_is_late_of_a_closed_source_is_nobodys() {
    for (seed, [first, second]) in (1..).zip(ways_of_two()) {
        let (mut world, [a, b]) = World::pair(seed);
        let [mut camera, mut screen] = [first, second].map(|way| source(&mut world, way));
        world.create_receiver(a, CAMERA, camera.clone()).expect("a Receiver");
        world.create_receiver(a, SCREEN, screen.clone()).expect("a Receiver");
        world.watch_all(b, RECEIVE);
        send(&mut world, a, &mut camera, Picture::Key);
        send(&mut world, a, &mut screen, Picture::Key);
        assert_eq!(got(&world, b, camera.tag), (1, 2), "{first:?} {second:?}");

        world.close_receiver(a, CAMERA);
        world.forget_packets();
        let nobodys = world.drops(DropReason::NoReceiver);
        for _ in 0..10 {
            send(&mut world, a, &mut camera, Picture::Delta);
            send(&mut world, a, &mut screen, Picture::Delta);
        }
        assert_eq!(got(&world, b, screen.tag), (10, 10), "{first:?} {second:?}");
        assert_eq!(world.drops(DropReason::NoReceiver), nobodys + 10);
    }
}

/// A client may send before its `createReceiver` has come.
#[test]
fn what_is_early_of_a_source_is_its_own_as_soon_as_it_can_be_known() {
    for (seed, [first, second]) in (1..).zip(ways_of_two()) {
        let (mut world, [a, b]) = World::pair(seed);
        let [mut camera, mut screen] = [first, second].map(|way| source(&mut world, way));
        world.create_receiver(a, CAMERA, camera.clone()).expect("a Receiver");
        // Where the camera has said nothing, nothing tells the screen from it, and nobody
        // watches yet.
        if can_be_told_apart(first, (false, None, None)) {
            world.watch_all(b, RECEIVE);
        }
        for _ in 0..3 {
            send(&mut world, a, &mut screen, Picture::Key);
        }
        assert_eq!(got(&world, b, screen.tag).1, 0, "{first:?} {second:?}");
        world.create_receiver(a, SCREEN, screen.clone()).expect("a Receiver");
        world.watch_all(b, RECEIVE);
        world.forget_packets();
        send(&mut world, a, &mut camera, Picture::Key);
        send(&mut world, a, &mut screen, Picture::Key);
        assert_eq!(got(&world, b, camera.tag), (1, 2), "{first:?} {second:?}");
        assert_eq!(got(&world, b, screen.tag), (1, 2), "{first:?} {second:?}");
    }
}

/// A client that goes on under a new SSRC has packets of the old one under way.
#[test]
fn one_late_packet_of_a_replaced_stream_does_not_interrupt_its_successor() {
    let (mut world, [a, b]) = World::pair(1);
    let mut before = source(&mut world, (false, None, None));
    world.create_receiver(a, CAMERA, before.clone()).expect("a Receiver");
    world.watch_all(b, RECEIVE);
    send(&mut world, a, &mut before, Picture::Key);
    let mut after = before.clone();
    after.ssrc += 1;
    send(&mut world, a, &mut after, Picture::Key);
    world.forget_packets();
    for _ in 0..5 {
        send(&mut world, a, &mut before, Picture::Delta);
        send(&mut world, a, &mut after, Picture::Delta);
    }
    assert_eq!(got(&world, b, after.tag), (5, 5), "only the successor's");
    assert_eq!(world.drops(DropReason::Late), 5);
    world.run_for(std::time::Duration::from_secs(1));
    send(&mut world, a, &mut before, Picture::Key);
    assert_eq!(got(&world, b, after.tag), (6, 6), "it is silent: the other may come back");
}

/// The first packets are lost, and the numbers roll over before the next.
#[test]
fn a_stream_that_starts_just_before_its_numbers_roll_over_is_heard() {
    let (mut world, [a, b]) = World::pair(2);
    let mut camera = source(&mut world, (true, None, None));
    camera.seq = (1 << 16) + 3;
    world.create_receiver(a, CAMERA, camera.clone()).expect("a Receiver");
    world.watch_all(b, RECEIVE);
    for _ in 0..3 {
        send(&mut world, a, &mut camera, Picture::Key);
    }
    assert_eq!(got(&world, b, camera.tag), (3, 3));
    assert_eq!(world.drops(DropReason::SrtpBadTag), 0);
}
