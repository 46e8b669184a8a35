//! Feedback over a transport: a client that counts its packets is told soon when each of them came,
//! and one that does not is told nothing.

use std::time::Duration;

use corinth::types::{Kind, Timestamp};
use serde_json::{Value, json};

use crate::rtcp::Rtcp;
use crate::source::Picture;
use crate::world::media::{AUDIO, SEND};
use crate::world::{Who, World};

const URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// The client's id of it.
const ID: u8 = 3;

/// Somebody who sends audio whose packets are counted, or not.
fn scene(seed: u64, counts: bool) -> (World, Who) {
    let (mut world, [a, _]) = World::pair(seed);
    let source = world.new_source(Kind::Audio, SEND);
    let mut parameters: Value = source.rtp_parameters();
    if counts {
        let extensions = parameters["headerExtensions"].as_array_mut().expect("a list");
        extensions.push(json!({"uri": URI, "id": ID}));
    }
    world.create_receiver_with(a, AUDIO, source, parameters).expect("a Receiver");
    (world, a)
}

/// Sends a packet that has this number among all of the transport.
fn send(world: &mut World, who: Who, number: u16) {
    let now = world.now;
    let source = world.source(who, AUDIO);
    let ssrc = source.ssrc;
    let (seq, header_len, packet) = source.packet(now, Picture::Key);
    // A block of its own in the place of the source's: one element of two bytes.
    let mut counted = packet[..12].to_vec();
    let [high, low] = number.to_be_bytes();
    counted.extend([0xbe, 0xde, 0, 1, ID << 4 | 1, high, low, 0]);
    let len = counted.len();
    counted.extend(&packet[header_len..]);
    world.link(who, SEND).send_rtp(ssrc, seq, len, &counted);
    world.flush();
}

/// One packet of feedback: when it came, and the numbers with their times.
type Told = (Timestamp, Vec<(u16, Option<u64>)>);

/// All that was said of when packets came.
fn told(world: &World, who: Who) -> Vec<Told> {
    let reports = world[who].links.iter().flat_map(|link| &link.rtcp);
    let feedback = reports.filter_map(|(at, report)| match report {
        Rtcp::TransportCc { packets } => Some((*at, packets.clone())),
        _ => None,
    });
    feedback.collect()
}

#[test]
fn each_packet_is_told_of_once_and_soon() {
    let (mut world, a) = scene(1, true);
    let mut sent = Vec::new();
    let mut rng = fastrand::Rng::with_seed(1);
    for i in 0..2000u16 {
        let number = 65_000u16.wrapping_add(i);
        if rng.f64() > 0.1 {
            send(&mut world, a, number);
            sent.push((number, world.now));
        }
        let gap = if i % 500 == 0 { 2_000 } else { rng.u64(1..40) };
        world.run_for(Duration::from_millis(gap));
    }
    world.run_for(Duration::from_millis(300));
    let told = told(&world, a);
    let came: Vec<_> = told
        .iter()
        .flat_map(|(at, packets)| packets.iter().map(move |(number, time)| (*at, *number, *time)))
        .filter_map(|(at, number, time)| Some((at, number, time?)))
        .collect();
    assert_eq!(came.len(), sent.len(), "each once");
    for ((at, number, time), (expected, sent_at)) in came.iter().zip(&sent) {
        assert_eq!(number, expected);
        assert!(at.since(*sent_at) <= Duration::from_millis(250), "{:?}", at.since(*sent_at));
        assert!(time.abs_diff(sent_at.as_micros()) < 250, "{time} for {sent_at:?}");
    }
    // 20 times a second at most, of 50 packets a second.
    assert!(told.len() < 1000, "{} for {} packets", told.len(), sent.len());
}

#[test]
fn many_packets_cost_few_of_feedback() {
    let (mut world, a) = scene(2, true);
    for i in 0..3000u16 {
        send(&mut world, a, i);
        // 15 000 a second.
        world.run_for(Duration::from_micros(66));
    }
    world.run_for(Duration::from_millis(100));
    let told = told(&world, a);
    let packets: usize = told.iter().map(|(_, packets)| packets.len()).sum();
    assert_eq!(packets, 3000);
    assert!(told.len() < 20, "{}", told.len());
}

#[test]
fn who_does_not_count_is_told_nothing() {
    let (mut world, a) = scene(3, false);
    for i in 0..50 {
        send(&mut world, a, i);
        world.run_for(Duration::from_millis(20));
    }
    assert!(told(&world, a).is_empty());
    assert_eq!(world.router.stats().feedback_sent, 0);
}

#[test]
fn numbers_of_all_sorts_do_no_harm() {
    let (mut world, a) = scene(4, true);
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..3000 {
        send(&mut world, a, rng.u16(..));
        world.run_for(Duration::from_millis(rng.u64(..5)));
    }
    world.run_for(Duration::from_secs(1));
    let told = told(&world, a);
    // What lies apart by more than can be told at once takes a packet of its own.
    assert!(!told.is_empty() && told.len() < 33 * 300, "{}", told.len());
}
