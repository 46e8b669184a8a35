//! A send arena that is full: what cannot be sent now is dropped or waits, and time goes on.

use std::time::Duration;

use corinth::types::{DropReason, Limits};

use crate::link::{Acts, Plan};
use crate::source::Picture;
use crate::world::World;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};

#[test]
fn a_full_arena_costs_packets_and_is_counted() {
    let mut world = World::new(1);
    let [a, _] = world.call("room", ["a", "b"]);
    world.assert_media();
    let before = world.drops(DropReason::EgressFull);
    world.out.room = 0;
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    assert_eq!(world.drops(DropReason::EgressFull), before + 1);
    world.out.room = usize::MAX;
    world.assert_media();
}

/// The server is to start the handshake, or to go on with it, and has no room to.
#[test]
fn handshakes_that_find_no_room_wait_for_it_and_do_not_stop_the_clock() {
    for full_after in [Duration::from_millis(500), Duration::from_millis(1050)] {
        let mut world = World::new(2);
        world.net.conditions.delay = Duration::from_millis(20);
        let a = world.member("room", "a");
        world.create_transport(a, SEND, &Plan { acts: Acts::Server, ..Plan::SEND }).expect("one");
        world.start(a, SEND);
        world.run_for(full_after);
        world.out.room = 0;
        world.run_for(Duration::from_secs(2));
        world.out.room = usize::MAX;
        world.run_for(Duration::from_secs(8));
        assert!(world.link(a, SEND).is_live(), "full after {full_after:?}");
    }
}

#[test]
fn a_transport_that_brings_more_than_it_may_loses_the_rest_and_no_other_does() {
    let mut world = World::new(3);
    let [a, _] = world.call("room", ["a", "b"]);
    world.assert_media();
    world.run_for(Duration::from_secs(2));
    world.router.set_limits(Limits { bitrate: 16_000, ..Limits::DEFAULT });
    let sent = (0..1000).find(|_| {
        world.packet(a, AUDIO, Picture::Key);
        world.settle();
        world.drops(DropReason::Bitrate) > 0
    });
    assert!(sent.is_some_and(|sent| sent > 5), "2000 bytes, and then no more: {sent:?}");
    world.run_for(Duration::from_secs(1));
    world.assert_media();
}

/// Each report is opened and read, and moves the clock of its source: they are bounded like media.
#[test]
fn reports_count_as_what_a_transport_brings() {
    let mut world = World::new(4);
    let [a, b] = world.call("room", ["a", "b"]);
    world.assert_media();
    let video = world.sender_of(b, (a, VIDEO));
    world.run_for(Duration::from_secs(2));
    world.router.set_limits(Limits { bitrate: 16_000, ..Limits::DEFAULT });
    let home = world.link(b, RECEIVE).address;
    let sent = (0..1000).find(|_| {
        world.report_from(b, RECEIVE, home);
        world.drops(DropReason::Bitrate) > 0
    });
    assert!(sent.is_some_and(|sent| (20..100).contains(&sent)), "2000 bytes: {sent:?}");
    world.forget_packets();
    world.send_pli(b, video);
    world.settle();
    assert!(world.key_frame_requests(a, VIDEO).is_empty(), "what is too much says nothing");
    world.run_for(Duration::from_secs(1));
    world.send_pli(b, video);
    world.settle();
    assert_eq!(world.key_frame_requests(a, VIDEO), [world.now]);
}

/// Silence earns no more than a second's worth, however long it was.
#[test]
fn a_transport_saves_up_no_more_than_a_second() {
    let mut world = World::new(5);
    let [a, _] = world.call("room", ["a", "b"]);
    world.router.set_limits(Limits { bitrate: 160_000, ..Limits::DEFAULT });
    let burst = |world: &mut World| {
        let before = world.drops(DropReason::Bitrate);
        let sent = (0..10_000).find(|_| {
            world.packet(a, AUDIO, Picture::Key);
            world.settle();
            world.drops(DropReason::Bitrate) > before
        });
        sent.expect("there is a limit")
    };
    let first = burst(&mut world);
    for silence in [1, 10, 3600] {
        world.run_for(Duration::from_secs(silence));
        let saved = burst(&mut world);
        assert!(saved <= first + 1, "{first} at first, {saved} after {silence} s");
    }
}
