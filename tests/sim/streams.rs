//! What is known of an SSRC before a Receiver declares it, and after.

use corinth::types::{DropReason, Kind};

use crate::source::{Picture, Source};
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

/// Sends the next packet of a source that is not in the client's list.
fn send(world: &mut World, who: Who, source: &mut Source) {
    world.packet_of(who, source, Picture::Key);
    world.settle();
}

/// More than half a roll-over, in steps that can be followed, but not skipped.
fn roll_over(world: &mut World, who: Who, source: &mut Source) {
    for _ in 0..3 {
        send(world, who, source);
        source.seq += 30_000;
    }
}

#[test]
fn roll_overs_between_two_receivers_of_one_ssrc_are_counted() {
    let (mut world, [a, b]) = World::pair(1);
    world.send(a, AUDIO, Kind::Audio, SEND);
    world.watch_all(b, RECEIVE);
    world.assert_media();
    let mut source = world.source(a, AUDIO).clone();
    world.close_receiver(a, AUDIO);
    roll_over(&mut world, a, &mut source);
    assert_eq!(world.drops(DropReason::NoReceiver), 3);
    world.create_receiver(a, AUDIO, source).expect("the SSRC is free again");
    world.watch_all(b, RECEIVE);
    world.assert_media();
    assert_eq!(world.drops(DropReason::SrtpBadTag), 0);
}

#[test]
fn roll_overs_before_the_first_receiver_of_an_ssrc_are_counted() {
    let (mut world, [a, b]) = World::pair(2);
    let mut source = world.new_source(Kind::Audio, SEND);
    roll_over(&mut world, a, &mut source);
    world.create_receiver(a, AUDIO, source).expect("an SSRC that nobody declared");
    world.watch_all(b, RECEIVE);
    world.assert_media();
    assert_eq!(world.drops(DropReason::SrtpBadTag), 0);
}

/// Whoever sends under ever new SSRCs costs no more than so many, and loses nothing that is his.
#[test]
fn ssrcs_that_nobody_declared_make_room() {
    let (mut world, [a, b]) = World::pair(3);
    world.send(a, VIDEO, Kind::Video, SEND);
    for _ in 0..1000 {
        let mut source = world.new_source(Kind::Audio, SEND);
        send(&mut world, a, &mut source);
    }
    assert_eq!(world.drops(DropReason::NoReceiver), 1000);
    world.send(a, AUDIO, Kind::Audio, SEND);
    world.watch_all(b, RECEIVE);
    world.assert_media();
}

/// Camera and screen have one payload type: until the screen is declared, its packets can only be
/// taken for the camera's.
#[test]
fn a_second_source_may_send_before_it_is_declared() {
    let (mut world, [a, b]) = World::pair(4);
    world.send(a, VIDEO, Kind::Video, SEND);
    let mut screen = world.new_source(Kind::Video, SEND);
    send(&mut world, a, &mut screen);
    world.create_receiver(a, 9, screen).expect("the SSRC was guessed at, not declared");
    world.watch_all(b, RECEIVE);
    world.assert_media();
}
