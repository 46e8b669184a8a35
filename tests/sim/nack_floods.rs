//! Viewers who ask for what they have, for what never was, for everything, again and again: it
//! costs little, and what goes out does not grow with what is asked.

use corinth::types::{Kind, Unanswered};

use crate::rtcp;
use crate::source::Picture;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

/// A call in which b has got some video of a: the number of the last packet.
fn watched(seed: u64, packets: u32) -> (World, [Who; 2], u16) {
    let (mut world, [a, b]) = World::pair(seed);
    world.send(a, VIDEO, Kind::Video, SEND);
    world.watch_all(b, RECEIVE);
    world.settle();
    for i in 0..packets {
        world.packet(a, VIDEO, if i == 0 { Picture::Key } else { Picture::Delta });
    }
    world.settle();
    let sender = world.sender_of(b, (a, VIDEO));
    let last = world.received(b, sender).last().expect("it came").seq as u16;
    (world, [a, b], last)
}

fn nack(world: &mut World, (who, transport): (Who, u32), ssrc: u32, lost: &[u16]) {
    world.link(who, transport).send_rtcp(&rtcp::nack(1, ssrc, lost));
    world.flush();
    world.settle();
}

fn unanswered(world: &World) -> Vec<(Unanswered, u64)> {
    let stats = world.router.stats();
    let all = Unanswered::ALL.map(|reason| (reason, stats.unanswered(reason)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn what_is_asked_for_twice_within_a_round_trip_goes_once() {
    let (mut world, [a, b], last) = watched(1, 10);
    let ssrc = world.ssrc_of(b, world.sender_of(b, (a, VIDEO)));
    for _ in 0..3 {
        nack(&mut world, (b, RECEIVE), ssrc, &[last - 1, last]);
    }
    assert_eq!((world.router.stats().nacked, world.router.stats().resent), (6, 2));
    assert_eq!(unanswered(&world), [(Unanswered::JustResent, 4)]);
    let sender = world.sender_of(b, (a, VIDEO));
    let got = world.received(b, sender);
    let again: Vec<_> = got.iter().filter(|packet| packet.resent).collect();
    assert_eq!(again.len(), 2);
    for repetition in again {
        let first = got.iter().find(|it| !it.resent && it.seq == repetition.seq).expect("it came");
        assert_eq!(first.label.counter, repetition.label.counter);
        assert_eq!(first.timestamp, repetition.timestamp);
    }
}

#[test]
fn numbers_that_were_never_sent_are_counted_and_nothing_goes() {
    let (mut world, [a, b], last) = watched(2, 10);
    let ssrc = world.ssrc_of(b, world.sender_of(b, (a, VIDEO)));
    nack(&mut world, (b, RECEIVE), ssrc, &[last.wrapping_sub(60), last + 1, last + 2]);
    // Behind the first number nothing was.
    assert_eq!(unanswered(&world), [(Unanswered::NeverSent, 2), (Unanswered::Gone, 1)]);
    assert_eq!(world.router.stats().resent, 0);
}

#[test]
fn who_asks_for_all_numbers_gets_no_more_than_a_share_of_what_it_was_sent() {
    let (mut world, [a, b], last) = watched(3, 2000);
    let ssrc = world.ssrc_of(b, world.sender_of(b, (a, VIDEO)));
    let before = (world.datagrams, world.router.stats().tx_bytes);
    let all: Vec<u16> = (0..=u16::MAX).map(|back| last.wrapping_sub(u16::MAX - back)).collect();
    for _ in 0..17 {
        // As much as fits into a packet each, 17 numbers in 4 bytes.
        for chunk in all.chunks(17 * 300) {
            nack(&mut world, (b, RECEIVE), ssrc, chunk);
        }
    }
    let stats = world.router.stats();
    assert!(stats.resent <= 2000, "each once: {}", stats.resent);
    // 1000 numbers of a packet are looked at.
    assert_eq!(stats.nacked, 17 * (12 * 1000 + 1000));
    assert!(world.datagrams - before.0 <= 2100, "{} datagrams", world.datagrams - before.0);
}

#[test]
fn resends_end_with_the_budget() {
    let (mut world, [a, b], last) = watched(4, 1);
    let sender = world.sender_of(b, (a, VIDEO));
    let ssrc = world.ssrc_of(b, sender);
    // 600 big packets, of which all are said to be lost, each more than once.
    let mut numbers = vec![last];
    for _ in 0..600 {
        let now = world.now;
        let source = world.source(a, VIDEO);
        let source_ssrc = source.ssrc;
        let (seq, header_len, mut packet) = source.packet(now, Picture::Delta);
        packet.resize(1200, 0);
        world.link(a, SEND).send_rtp(source_ssrc, seq, header_len, &packet);
        world.flush();
        numbers.push(numbers[numbers.len() - 1].wrapping_add(1));
    }
    world.settle();
    for _ in 0..5 {
        for numbers in numbers.chunks(900) {
            nack(&mut world, (b, RECEIVE), ssrc, numbers);
        }
        world.run_for(std::time::Duration::from_millis(100));
    }
    let stats = world.router.stats();
    assert!(stats.unanswered(Unanswered::OverBudget) > 1000, "{:?}", unanswered(&world));
    assert!(stats.resent_bytes < 400_000, "of 720,000 that were sent: {}", stats.resent_bytes);
}

#[test]
fn whose_packets_are_not_ones_own_cannot_be_asked_for() {
    let mut world = World::new(5);
    let [a, b, c] = world.call("room", ["a", "b", "c"]);
    world.packet(a, VIDEO, Picture::Key);
    world.settle();
    let sender = world.sender_of(b, (a, VIDEO));
    let ssrc = world.ssrc_of(b, sender);
    let last = world.received(b, sender).last().expect("it came").seq as u16;
    world.stop(b, sender).expect("stops");
    nack(&mut world, (b, RECEIVE), ssrc, &[last]);
    assert_eq!(unanswered(&world), [(Unanswered::Stopped, 1)]);
    // On a transport where nothing is sent under it, and under an SSRC that nobody has.
    nack(&mut world, (c, SEND), ssrc, &[last]);
    nack(&mut world, (b, RECEIVE), ssrc ^ 1, &[last]);
    assert_eq!((world.router.stats().nacked, world.router.stats().resent), (1, 0));
}

#[test]
fn audio_is_sent_again_to_who_asks_for_it() {
    let mut world = World::new(6);
    let [a, b] = world.call("room", ["a", "b"]);
    for _ in 0..5 {
        world.packet(a, AUDIO, Picture::Key);
    }
    world.settle();
    let sender = world.sender_of(b, (a, AUDIO));
    let ssrc = world.ssrc_of(b, sender);
    let last = world.received(b, sender).last().expect("it came").seq as u16;
    world.net.conditions.delay = std::time::Duration::from_millis(1);
    let repeated = world.link(b, RECEIVE).repeated;
    nack(&mut world, (b, RECEIVE), ssrc, &[last - 1]);
    world.run_for(std::time::Duration::from_millis(10));
    // Nothing is lost here: the very packet is there twice.
    assert_eq!(world.link(b, RECEIVE).repeated, repeated + 1);
    assert_eq!(world.router.stats().resent, 1);
}

#[test]
fn numbers_of_a_stream_that_was_replaced_bring_nothing_of_its_successor() {
    let (mut world, [a, b]) = World::pair(7);
    let mut source = world.new_source(Kind::Video, SEND);
    source.declares_ssrc = false;
    world.create_receiver(a, VIDEO, source).expect("a Receiver");
    world.watch_all(b, RECEIVE);
    world.settle();
    let sender = world.sender_of(b, (a, VIDEO));
    let ssrc = world.ssrc_of(b, sender);
    let first = world.source(a, VIDEO).seq;
    for restarted in [false, true] {
        if restarted {
            // The client's encoder begins anew, with the same numbers.
            let source = world.source(a, VIDEO);
            (source.ssrc, source.seq) = (source.ssrc ^ 1, first);
            world.run_for(std::time::Duration::from_secs(1));
        }
        for _ in 0..5 {
            world.packet(a, VIDEO, Picture::Key);
        }
    }
    world.settle();
    let got: Vec<u16> = world.received(b, sender).iter().map(|it| it.seq as u16).collect();
    assert_eq!(got.len(), 10);
    nack(&mut world, (b, RECEIVE), ssrc, &got);
    let resent: Vec<_> = world.received(b, sender).into_iter().filter(|it| it.resent).collect();
    assert_eq!(resent.iter().map(|it| it.label.counter).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    assert_eq!(unanswered(&world), [(Unanswered::Gone, 5)]);
}

#[test]
fn who_comes_back_from_a_pause_may_ask_for_what_was_before_it() {
    let (mut world, [a, b], _) = watched(8, 5);
    let sender = world.sender_of(b, (a, VIDEO));
    let ssrc = world.ssrc_of(b, sender);
    world.stop(b, sender).expect("stops");
    (0..7).for_each(|_| world.packet(a, VIDEO, Picture::Delta));
    world.play(b, sender).expect("plays");
    (0..5).for_each(|_| world.packet(a, VIDEO, Picture::Key));
    world.settle();
    let got: Vec<u16> = world.received(b, sender).iter().map(|it| it.seq as u16).collect();
    assert!(got.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "no gap: {got:?}");
    nack(&mut world, (b, RECEIVE), ssrc, &got);
    let resent: Vec<_> = world.received(b, sender).into_iter().filter(|it| it.resent).collect();
    let counters: Vec<_> = resent.iter().map(|it| it.label.counter).collect();
    assert_eq!(counters, [0, 1, 2, 3, 4, 12, 13, 14, 15, 16]);
}
