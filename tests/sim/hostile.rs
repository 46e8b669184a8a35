//! What comes from nobody, or from somebody who means harm: it is counted, and nothing else.

use std::time::Duration;

use corinth::sfu::CloseReason;
use corinth::types::{DropReason, Kind, Path, ShardStats};
use serde_json::json;

use crate::link::{Plan, RtpIn};
use crate::source::Picture;
use crate::stun::Check;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};

/// More messages than anybody may send before it is closed.
const FLOOD: u32 = 5000;

/// What there is, which noise must not change.
fn things(stats: &ShardStats) -> [u64; 6] {
    let ShardStats { rooms, peers, transports, rtp_received, dtls_connected, .. } = *stats;
    [rooms, peers, transports, rtp_received, dtls_connected, stats.rtp_forwarded]
}

/// Hands datagrams to the Router; each must end in one drop and be answered with nothing.
fn assert_dropped(world: &mut World, path: Path, datagrams: impl Iterator<Item = Vec<u8>>) {
    let before = (things(world.router.stats()), world.router.stats().drops_total());
    let mut count = 0;
    for mut datagram in datagrams {
        world.router.handle_datagram(world.now, path, &mut datagram, &mut world.out);
        count += 1;
    }
    assert!(world.out.drain().is_empty(), "noise is not answered");
    world.router.assert_consistent();
    let stats = world.router.stats();
    assert_eq!((things(stats), stats.drops_total()), (before.0, before.1 + count));
}

/// A path that leads to a connected transport of A's, and one that leads nowhere.
fn scene(seed: u64) -> (World, [Who; 2], [Path; 2]) {
    let mut world = World::new(seed);
    let [a, b] = world.call("room", ["a", "b"]);
    world.assert_media();
    let paths = [world.link(a, SEND).address, world.new_address()].map(path_from);
    (world, [a, b], paths)
}

#[test]
fn a_million_datagrams_of_noise_are_counted_and_change_nothing() {
    let (mut world, _, [known, unknown]) = scene(1);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut noise = move |first: &[u8]| {
        let mut datagram = vec![0; rng.usize(1..60)];
        rng.fill(&mut datagram);
        datagram[0] = first[rng.usize(..first.len())];
        datagram
    };
    // STUN, DTLS, RTP and RTCP by their first byte, and what is none of them.
    let all = [0, 1, 2, 20, 22, 23, 63, 128, 144, 191, 4, 80, 255];
    assert_dropped(&mut world, unknown, (0..500_000).map(|_| noise(&all)));
    // DTLS noise on a known path is for the engine to judge: see `dtls_roles`.
    let media = [128, 144, 160, 191, 0, 1];
    assert_dropped(&mut world, known, (0..500_000).map(|_| noise(&media)));
    world.assert_media();
}

#[test]
fn checks_with_the_wrong_key_open_nothing() {
    let (mut world, [a, _], [_, unknown]) = scene(2);
    let username = world.link(a, SEND).credentials[0].username.clone();
    let forged = (0..1000u32).map(|i| {
        let mut id = [7; 12];
        id[..4].copy_from_slice(&i.to_be_bytes());
        let password = format!("guess{i}");
        let check = Check {
            id,
            username: &username,
            password: &password,
            nominate: true,
            controlled: false,
            more: &[],
        };
        check.encode()
    });
    assert_dropped(&mut world, unknown, forged);
    assert_eq!(world.drops(DropReason::StunBadIntegrity), 1000);
    world.assert_media();
}

#[test]
fn every_truncation_of_what_is_valid_is_dropped() {
    let (mut world, [a, _], [known, unknown]) = scene(3);
    let source = world.source(a, VIDEO);
    let ssrc = source.ssrc;
    let (seq, header_len, packet) = source.packet(corinth::types::Timestamp::START, Picture::Key);
    let link = world.link(a, SEND);
    let rtp = link.seal_rtp(ssrc, seq, header_len, &packet).expect("there are keys");
    link.send_rtcp(&crate::rtcp::bye(ssrc));
    link.check(link.address, true, false);
    let sent = link.drain();
    let [rtcp, check] = [0, 1].map(|index| sent[index].1.clone());
    // Too short for a header (what is shorter than two bytes is nothing), or for a trailer.
    let malformed =
        [DropReason::RtpMalformed, DropReason::RtcpMalformed, DropReason::StunMalformed];
    for (path, whole, reason) in
        [(known, rtp, malformed[0]), (known, rtcp, malformed[1]), (unknown, check, malformed[2])]
    {
        let before = malformed.map(|reason| world.drops(reason));
        let truncations = (0..whole.len()).map(|len| whole[..len].to_vec());
        assert_dropped(&mut world, path, truncations);
        for (other, before) in malformed.iter().zip(before) {
            assert_eq!(world.drops(*other) > before, *other == reason, "{other:?}, not {reason:?}");
        }
    }
    world.assert_media();
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let (mut world, [a, _], [known, _]) = scene(4);
    let source = world.source(a, AUDIO);
    let ssrc = source.ssrc;
    let (seq, header_len, packet) = source.packet(corinth::types::Timestamp::START, Picture::Key);
    let sealed = world.link(a, SEND).seal_rtp(ssrc, seq, header_len, &packet);
    let sealed = sealed.expect("there are keys");
    let flipped = (0..8 * sealed.len()).map(|bit| {
        let mut datagram = sealed.clone();
        datagram[bit / 8] ^= 1 << (bit % 8);
        datagram
    });
    assert_dropped(&mut world, known, flipped);
    world.assert_media();
}

#[test]
fn what_was_received_once_is_not_forwarded_again() {
    let (mut world, [a, _], [known, unknown]) = scene(5);
    let source = world.source(a, AUDIO);
    let ssrc = source.ssrc;
    let (seq, header_len, packet) = source.packet(corinth::types::Timestamp::START, Picture::Key);
    let sealed = world.link(a, SEND).seal_rtp(ssrc, seq, header_len, &packet);
    let sealed = sealed.expect("there are keys");
    world.datagram(known, &mut sealed.clone());
    world.settle();
    assert_dropped(&mut world, known, (0..10).map(|_| sealed.clone()));
    assert_eq!(world.drops(DropReason::SrtpReplay), 10);
    assert_dropped(&mut world, unknown, std::iter::once(sealed.clone()));
    // Closing the Receiver and declaring the same SSRC again does not open the door.
    let same = world.source(a, AUDIO).clone();
    world.close_receiver(a, AUDIO);
    world.create_receiver(a, AUDIO, same).expect("the SSRC is free again");
    assert_dropped(&mut world, known, std::iter::once(sealed));
}

#[test]
fn one_clients_packets_do_not_pass_on_anothers_path() {
    let (mut world, [a, b], _) = scene(6);
    let source = world.source(a, AUDIO);
    let ssrc = source.ssrc;
    let (seq, header_len, packet) = source.packet(corinth::types::Timestamp::START, Picture::Key);
    let sealed = world.link(a, SEND).seal_rtp(ssrc, seq, header_len, &packet);
    for id in [SEND, RECEIVE] {
        let path = path_from(world.link(b, id).address);
        assert_dropped(&mut world, path, sealed.clone().into_iter());
    }
}

/// A client that sends under the SSRC of a Sender, which it could know from the announcement.
#[test]
fn an_ssrc_is_used_in_one_direction_only() {
    let mut world = World::new(7);
    let [a, _] = world.call("room", ["a", "b"]);
    let c = world.member("room", "c");
    let both = Plan { direction: None, ..Plan::SEND };
    world.open(c, 5, &both);
    let theirs = world.sender_of(c, (a, VIDEO));
    let ssrc = world.ssrc_of(c, theirs);
    let mut own = world.new_source(Kind::Video, 5);
    let mut stolen = own.clone();
    stolen.ssrc = ssrc;
    assert_eq!(world.create_receiver(c, 1, stolen.clone()), Err(400), "declared");
    own.declares_ssrc = false;
    world.create_receiver(c, 1, own).expect("a Receiver");
    for enabled in [false, true] {
        let before = world.drops(DropReason::NoReceiver);
        // Undeclared, by a payload type that only this source has.
        let (seq, header_len, packet) = stolen.packet(world.now, Picture::Key);
        world.link(c, 5).send_rtp(ssrc, seq, header_len, &packet);
        world.flush();
        world.settle();
        assert_eq!(world.drops(DropReason::NoReceiver) - before, u64::from(enabled));
        if !enabled {
            world.enable(c, theirs, 5).expect("enables");
        }
    }
    world.assert_media();
}

#[test]
fn who_floods_is_refused_and_then_closed_and_nobody_else_notices() {
    let mut world = World::new(8);
    let [_, b] = world.call("room", ["a", "b"]);
    let c = world.member("room", "c");
    let mut refused = 0;
    for _ in 0..FLOOD {
        let id = world[c].next_request();
        let text = json!({"request": true, "id": id, "method": "playSender", "data": {"id": 99}});
        world.text(c, &text.to_string());
        if world[c].gone {
            break;
        }
        refused += u32::from(world[c].take_response() == Some(Err(429)));
    }
    assert_eq!(world[c].closed, Some(CloseReason::Flood));
    assert!(refused >= 1000, "it was warned: {refused}");
    assert!(!world[b].knowledge().peers.contains_key("c"));
    world.assert_truth("room");
    world.assert_media();
}

/// What says nothing to the sender says nothing to the others either, and is counted.
#[test]
fn notifications_beyond_the_budget_are_ignored_and_a_flood_of_them_is_closed() {
    let mut world = World::new(10);
    let [a, b] = world.call("room", ["a", "b"]);
    let refused = (0..FLOOD).any(|_| world.request(a, "playSender", json!({"id": 99})) == Err(429));
    assert!(refused, "the budget is used up");
    let before = world.drops(DropReason::SignalIgnored);
    for (method, id) in [("closeReceiver", AUDIO), ("closeTransport", SEND), ("leave", 0)] {
        world.notify(a, method, json!({"id": id}));
    }
    assert_eq!(world.drops(DropReason::SignalIgnored), before + 3);
    world.assert_truth("room");
    let ignored = (0..FLOOD).find(|_| {
        world.notify(a, "closeReceiver", json!({"id": VIDEO}));
        world[a].gone
    });
    assert!(ignored.is_some_and(|ignored| ignored >= 1000), "{ignored:?}");
    assert_eq!(world[a].closed, Some(CloseReason::Flood));
    assert!(!world[b].knowledge().peers.contains_key("a"));
    world.assert_truth("room");
}

/// Who knows a room's SSRCs can tell the next ones, and says that it sends under those.
#[test]
fn no_sender_gets_an_ssrc_that_a_client_sends_under() {
    let mut world = World::new(11);
    let [a, b] = world.call("room", ["a", "b"]);
    let c = world.member("room", "c");
    world.open(c, SEND, &Plan::SEND);
    let drawn = |world: &mut World, who: Who, id: u32| {
        world.send(who, id, Kind::Audio, SEND);
        let sender = world.sender_of(b, (who, id));
        world.ssrc_of(b, sender)
    };
    let [first, second] = [3, 4].map(|id| drawn(&mut world, a, id));
    let step = second.wrapping_sub(first);
    let coming = |number: u32| second.wrapping_add(step.wrapping_mul(number));
    // The one that its own Sender would get, and the one after that.
    for (id, ssrc) in [(1, coming(1)), (2, coming(3))] {
        let mut source = world.new_source(Kind::Audio, SEND);
        source.ssrc = ssrc;
        world.create_receiver(c, id, source).expect("nobody has it");
    }
    let own = [1, 2].map(|id| world.ssrc_of(b, world.sender_of(b, (c, id))));
    assert_eq!(own, [coming(2), coming(4)]);
    assert_eq!(drawn(&mut world, a, 5), coming(5));
    // The one after its own Sender's, which is another client's next.
    let mut source = world.new_source(Kind::Audio, SEND);
    source.ssrc = coming(7);
    world.create_receiver(c, 3, source).expect("nobody has it");
    assert_eq!(drawn(&mut world, a, 6), coming(8));
    // Free again when nobody does; but it has had its turn.
    world.close_receiver(c, 3);
    world.settle();
}

#[test]
fn a_bad_network_costs_packets_and_nothing_else() {
    let (mut world, [a, b], _) = scene(9);
    world.net.conditions = crate::netem::Conditions {
        delay: Duration::from_millis(30),
        jitter: Duration::from_millis(60),
        loss: 0.1,
        duplicate: 0.1,
        ..crate::netem::Conditions::PERFECT
    };
    let audio = world.sender_of(b, (a, AUDIO));
    world.forget_packets();
    let first = world[a].sources[&AUDIO].seq;
    for _ in 0..1000 {
        world.packet(a, AUDIO, Picture::Key);
        world.run_for(Duration::from_millis(20));
    }
    world.run_for(Duration::from_secs(1));
    let received = world.received(b, audio);
    let share = received.len() as f64 / 1000.0;
    assert!((0.75..0.9).contains(&share), "two links lose a tenth each: {share}");
    assert_eq!(world[a].sources[&AUDIO].seq, first + 1000);
    let offset = |packet: &RtpIn| packet.seq.wrapping_sub(u64::from(packet.label.counter));
    let offsets: Vec<u64> = received.iter().map(offset).collect();
    assert!(offsets.iter().all(|it| *it == offsets[0]), "each number is its packet's own");
}
