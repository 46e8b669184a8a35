//! Streams that follow each other, or mix, under one Receiver; and numbers that come again.
//! Whatever a client does with its SSRCs, each viewer gets one stream in which no number has two
//! packets (`ledger` looks at every one), and nothing is forwarded twice.

use std::time::Duration;

use corinth::types::limit::SSRCS_MAX;
use corinth::types::{DropReason, Kind, Path, Timestamp};

use crate::link::Plan;
use crate::record::Said;
use crate::source::{Picture, Source};
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};

/// Somebody who sends one source of this kind without saying under which SSRC, somebody who watches
/// it, and the Sender's id.
fn scene(seed: u64, kind: Kind) -> (World, [Who; 2], u32) {
    let (mut world, [a, b]) = World::pair(seed);
    let receiver = if kind == Kind::Audio { AUDIO } else { VIDEO };
    let mut source = world.new_source(kind, SEND);
    source.declares_ssrc = false;
    world.create_receiver(a, receiver, source).expect("a Receiver");
    world.watch_all(b, RECEIVE);
    world.assert_media();
    world.forget_packets();
    let sender = world.sender_of(b, (a, receiver));
    (world, [a, b], sender)
}

/// The next packet of a source, whether the client has declared it or not.
fn sealed(world: &mut World, who: Who, source: &mut Source, picture: Picture) -> (Path, Vec<u8>) {
    let (seq, header_len, packet) = source.packet(world.now, picture);
    let link = world.link(who, source.transport);
    let sealed = link.seal_rtp(source.ssrc, seq, header_len, &packet).expect("it has keys");
    (path_from(link.address), sealed)
}

/// All of these come in one turn.
fn turn(world: &mut World, packets: Vec<(Path, Vec<u8>)>) {
    let now: Timestamp = world.now;
    for (path, mut packet) in packets {
        world.router.handle_datagram(now, path, &mut packet, &mut world.out);
    }
    world.end_turn();
    world.settle();
}

/// The same source under another SSRC: with the same numbers, other bytes.
fn double(world: &mut World, who: Who, receiver: u32) -> Source {
    let mut other = world.source(who, receiver).clone();
    other.ssrc = other.ssrc.wrapping_add(1 + world.rng.u32(..1 << 30));
    let _ = other.packet(world.now, Picture::Key);
    other.seq -= 1;
    other
}

#[test]
fn of_two_ssrcs_in_one_turn_the_later_one_goes_on() {
    for (kind, receiver) in [(Kind::Audio, AUDIO), (Kind::Video, VIDEO)] {
        let (mut world, [a, b], sender) = scene(1, kind);
        let mut first = world.source(a, receiver).clone();
        let mut second = double(&mut world, a, receiver);
        for _ in 0..20 {
            let packets = (0..3).flat_map(|_| {
                [&mut first, &mut second].map(|it| sealed(&mut world, a, it, Picture::Key))
            });
            let packets = packets.collect();
            turn(&mut world, packets);
        }
        let received = world.received(b, sender);
        // The first of the first, then all of its successor's: the rest is late.
        assert_eq!(received.len(), 61);
        let numbers = received.windows(2).filter(|pair| pair[1].seq != pair[0].seq + 1);
        assert_eq!(numbers.count(), 0, "without a gap");
    }
}

#[test]
fn what_is_late_of_a_stream_that_was_replaced_takes_no_number() {
    let (mut world, [a, b], sender) = scene(2, Kind::Audio);
    let mut first = world.source(a, AUDIO).clone();
    let late: Vec<_> = (0..5).map(|_| sealed(&mut world, a, &mut first, Picture::Key)).collect();
    let mut second = double(&mut world, a, AUDIO);
    second.seq -= 3;
    for _ in 0..10 {
        let packet = sealed(&mut world, a, &mut second, Picture::Key);
        turn(&mut world, vec![packet]);
    }
    for packet in late {
        turn(&mut world, vec![packet]);
        let packet = sealed(&mut world, a, &mut second, Picture::Key);
        turn(&mut world, vec![packet]);
    }
    let received = world.received(b, sender);
    let mut numbers: Vec<_> = received.iter().map(|packet| packet.seq).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), received.len());
}

/// Any order of packets of three SSRCs, in turns of any size, between pauses and stops.
#[test]
fn no_order_of_streams_and_pauses_seals_a_number_twice() {
    for seed in 0..100 {
        let kind = if seed % 2 == 0 { Kind::Audio } else { Kind::Video };
        let (mut world, [a, b], sender) = scene(seed, kind);
        let receiver = world[a].sources.keys().copied().next().expect("one");
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut sources = vec![world.source(a, receiver).clone()];
        sources.extend([(); 2].map(|()| double(&mut world, a, receiver)));
        let mut held: Vec<(Path, Vec<u8>)> = Vec::new();
        for _ in 0..60 {
            for _ in 0..rng.usize(..8) {
                let source = &mut sources[rng.usize(..3)];
                let picture = if rng.bool() { Picture::Key } else { Picture::Delta };
                held.push(sealed(&mut world, a, source, picture));
                source.seq += [0, 0, 0, 1, 5, 300][rng.usize(..6)];
            }
            rng.shuffle(&mut held);
            let now = held.split_off(rng.usize(..=held.len()));
            turn(&mut world, now);
            world.run_for(Duration::from_millis(rng.u64(..1000)));
            match rng.u8(..10) {
                0 => world.pause(a, receiver).expect("pauses"),
                1 | 2 => world.resume(a, receiver).expect("resumes"),
                3 => world.stop(b, sender).expect("stops"),
                4 | 5 => world.play(b, sender).expect("plays"),
                _ => {}
            }
        }
        assert!(!world.received(b, sender).is_empty());
    }
}

/// Numbers go on over a stop even where they have rolled over: the viewer counts the roll-overs,
/// and opens nothing that starts again.
#[test]
fn a_new_segment_goes_on_where_the_last_one_ended() {
    let (mut world, [a, b], sender) = scene(3, Kind::Audio);
    for _ in 0..6 {
        world.packet(a, AUDIO, Picture::Key);
        world.settle();
        world.source(a, AUDIO).seq += 20_000;
    }
    let before = world.received(b, sender).last().expect("it came").seq;
    assert!(before > 1 << 16);
    world.stop(b, sender).expect("stops");
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    world.play(b, sender).expect("plays");
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    assert_eq!(world.received(b, sender).last().expect("it came").seq, before + 1);
}

/// What was received under a key stays received, whatever the SSRC was in between: matched by its
/// payload type, taken by a Sender of ours, silent beside hundreds of others.
#[test]
fn a_number_that_was_received_is_not_received_again_however_many_ssrcs_come() {
    let mut world = World::new(4);
    let [_, b] = world.call("room", ["a", "b"]);
    let [m, n] = ["m", "n"].map(|name| world.member("room", name));
    for who in [m, n] {
        world.open(who, SEND, &Plan::SEND);
    }
    world.send(m, AUDIO, Kind::Audio, SEND);
    world.send(n, AUDIO, Kind::Audio, SEND);
    world.watch_all(b, RECEIVE);
    let theirs = world.sender_of(m, (n, AUDIO));
    let mut stolen = world.source(m, AUDIO).clone();
    stolen.ssrc = world.ssrc_of(m, theirs);
    let again = stolen.clone();
    let packet = sealed(&mut world, m, &mut stolen, Picture::Key);
    turn(&mut world, vec![packet.clone()]);

    world.enable(m, theirs, SEND).expect("enables");
    others(&mut world, m, 2 * SSRCS_MAX);
    world.close_receiver(n, AUDIO);
    world.forget_packets();
    world.settle();
    let mut changed = again;
    let replays = world.drops(DropReason::SrtpReplay);
    let other = sealed(&mut world, m, &mut changed, Picture::Delta);
    assert_ne!(other.1, packet.1);
    turn(&mut world, vec![other, packet]);
    assert_eq!(world.drops(DropReason::SrtpReplay), replays + 2);
    let own = world.sender_of(b, (m, AUDIO));
    assert!(world.received(b, own).is_empty());
}

/// Whoever has recorded a call cannot play it again into it after the speaker has muted and
/// unmuted, under a new SSRC each time, for hundreds of times.
#[test]
fn nothing_recorded_is_heard_again_after_hundreds_of_ssrcs() {
    let (mut world, [a, b], _) = scene(5, Kind::Audio);
    let mut recorded = Vec::new();
    for _ in 0..450 {
        world.close_receiver(a, AUDIO);
        let mut source = world.new_source(Kind::Audio, SEND);
        world.create_receiver(a, AUDIO, source.clone()).expect("a Receiver");
        let packet = sealed(&mut world, a, &mut source, Picture::Key);
        recorded.push(packet.clone());
        turn(&mut world, vec![packet]);
        world.run_for(Duration::from_millis(20));
    }
    world.watch_all(b, RECEIVE);
    world.forget_packets();
    let count = recorded.len() as u64;
    let before = world.drops(DropReason::SrtpReplay);
    turn(&mut world, recorded);
    assert_eq!(world.drops(DropReason::SrtpReplay), before + count);
    let sender = world.sender_of(b, (a, AUDIO));
    assert!(world.received(b, sender).is_empty());
}

/// Whose packets go on is followed however many others come, and who was pushed out goes on where
/// he was, roll-overs included, once he is somebody's.
#[test]
fn a_full_table_costs_whoever_is_silent_and_never_a_newcomer() {
    let (mut world, [a, b], sender) = scene(6, Kind::Audio);
    let mut guest = world.new_source(Kind::Video, SEND);
    for _ in 0..6 {
        let packet = sealed(&mut world, a, &mut guest, Picture::Key);
        turn(&mut world, vec![packet]);
        guest.seq += 20_000;
    }
    others(&mut world, a, 3 * SSRCS_MAX);
    world.forget_packets();
    world.packet(a, AUDIO, Picture::Key);
    world.settle();
    assert_eq!(world.received(b, sender).len(), 1);
    world.create_receiver(a, VIDEO, guest).expect("a Receiver");
    world.watch_all(b, RECEIVE);
    world.packet(a, VIDEO, Picture::Key);
    world.settle();
    let sender = world.sender_of(b, (a, VIDEO));
    assert_eq!(world.received(b, sender).len(), 1);
    assert_eq!(world.drops(DropReason::SrtpBadTag), 0);
}

/// A viewer whose reports have come under hundreds of SSRCs is still heard.
#[test]
fn a_key_frame_can_be_asked_for_after_hundreds_of_ssrcs() {
    let (mut world, [a, b], sender) = scene(7, Kind::Video);
    for ssrc in 0..2 * SSRCS_MAX as u32 {
        world.link(b, RECEIVE).send_rtcp(&crate::rtcp::pli(10_000 + ssrc, 1));
    }
    world.flush();
    world.run_for(Duration::from_secs(1));
    world.send_pli(b, sender);
    world.settle();
    assert_eq!(world.key_frame_requests(a, VIDEO).len(), 1);
}

/// One packet each of so many SSRCs that nobody declared and no payload type leads to.
fn others(world: &mut World, who: Who, count: usize) {
    for _ in 0..count {
        let mut source = world.new_source(Kind::Video, SEND);
        let packet = sealed(world, who, &mut source, Picture::Key);
        turn(world, vec![packet]);
        world.run_for(Duration::from_millis(1));
    }
    let texts = world.out.drain().into_iter().filter(|it| matches!(it, Said::Text(..)));
    assert_eq!(texts.count(), 0);
}
