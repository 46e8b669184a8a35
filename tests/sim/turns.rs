//! What one turn brings goes out viewer by viewer, complete and in order; packets of a frame can be
//! evened.

use std::time::Duration;

use corinth::types::limit::{DATAGRAM_MAX, SRTP_TRAILER_MAX};
use corinth::types::{DropReason, Path};

use crate::record::{Recorder, Said};
use crate::source::Picture;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};

/// A packet of the source as it leaves the client, `len` bytes before the seal; with the padding
/// bit and that many bytes of padding among them where `padding` is not zero.
fn packet(world: &mut World, who: Who, receiver: u32, len: usize, padding: u8) -> (Path, Vec<u8>) {
    let now = world.now;
    let source = world.source(who, receiver);
    let ssrc = source.ssrc;
    let (seq, header_len, mut packet) = source.packet(now, Picture::Key);
    packet.resize(len, 0x77);
    if padding > 0 {
        packet[0] |= 0x20;
        packet[len - 1] = padding;
    }
    let link = world.link(who, SEND);
    let sealed = link.seal_rtp(ssrc, seq, header_len, &packet).expect("it has keys");
    (path_from(link.address), sealed)
}

/// One turn with these packets; what the Router sent, in its order.
fn turn(world: &mut World, packets: Vec<(Path, Vec<u8>)>) -> Vec<(Path, Vec<u8>)> {
    let (now, mut out) = (world.now, Recorder::new());
    for (path, mut packet) in packets {
        world.router.handle_datagram(now, path, &mut packet, &mut out);
    }
    world.router.forward(now, &mut out);
    let mut datagrams = Vec::new();
    for said in out.drain() {
        if let Said::Datagram(path, bytes) = said {
            world.note_sent(path, &bytes);
            datagrams.push((path, bytes));
        }
    }
    datagrams
}

/// The viewer's plain packets among what was sent: without its seal, padding and all.
fn opened(world: &mut World, viewer: Who, sent: &[(Path, Vec<u8>)]) -> Vec<Vec<u8>> {
    let link = world.link(viewer, RECEIVE);
    let to = path_from(link.address);
    let own = sent.iter().filter(|(path, _)| *path == to);
    let opened = own.map(|(_, packet)| {
        let mut packet = packet.clone();
        let (_, _, len) = link.open_rtp(&mut packet);
        packet.truncate(len);
        packet
    });
    opened.collect()
}

/// The lengths of the viewer's plain packets, in ascending order.
fn lengths(world: &mut World, viewer: Who, sent: &[(Path, Vec<u8>)]) -> Vec<usize> {
    let mut lengths: Vec<_> = opened(world, viewer, sent).iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths
}

#[test]
fn what_a_turn_has_goes_to_one_viewer_after_the_other() {
    let mut world = World::new(1);
    let [a, b, c] = world.call("room", ["a", "b", "c"]);
    let mut packets = Vec::new();
    for _ in 0..7 {
        packets.push(packet(&mut world, a, VIDEO, 1000, 0));
        packets.push(packet(&mut world, a, AUDIO, 100, 0));
    }
    let sent = turn(&mut world, packets);
    let to: Vec<_> = sent.chunk_by(|a, b| a.0 == b.0 && a.1.len() == b.1.len()).collect();
    let runs: Vec<_> = to.iter().map(|run| (run[0].1.len(), run.len())).collect();
    assert_eq!(runs, [(1016, 7), (1016, 7), (116, 7), (116, 7)], "as long as trains can be");
    for viewer in [b, c] {
        let link = path_from(world.link(viewer, RECEIVE).address);
        let (video, audio): (Vec<_>, Vec<_>) =
            sent.iter().filter(|(path, _)| *path == link).partition(|(_, p)| p.len() > 1000);
        for stream in [video, audio] {
            let seq = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
            let first = seq(&stream[0].1);
            let in_order = stream.iter().zip(first..).all(|((_, packet), n)| seq(packet) == n);
            assert!(in_order && stream.len() == 7);
        }
    }
}

#[test]
fn a_turn_of_more_packets_than_it_keeps_loses_none() {
    let mut world = World::new(2);
    let [a, ..] = world.call("room", ["a", "b", "c"]);
    let packets: Vec<_> = (0..200).map(|_| packet(&mut world, a, VIDEO, 300, 0)).collect();
    assert_eq!(turn(&mut world, packets).len(), 400);
    assert_eq!(world.router.stats().rtp_forwarded, 400);
    assert_eq!(world.router.stats().drops_total(), 0);
}

#[test]
fn packets_one_byte_short_are_evened_by_padding_and_nothing_else_changes() {
    let mut world = World::evening(4);
    let [a, b, c] = world.call("room", ["a", "b", "c"]);
    // One frame: two are a byte short, one much shorter, one short and padded by its source.
    let lengths = [(1133, 0), (1133, 0), (1134, 0), (1134, 0), (900, 0), (1133, 9), (1134, 0)];
    let packets: Vec<_> =
        lengths.iter().map(|(len, pad)| packet(&mut world, a, VIDEO, *len, *pad)).collect();
    let sent = turn(&mut world, packets);
    for viewer in [b, c] {
        let plain = opened(&mut world, viewer, &sent);
        let got: Vec<_> = plain.iter().map(|packet| packet.len()).collect();
        assert_eq!(got, [1134, 1134, 1134, 1134, 900, 1134, 1134]);
        let padding: Vec<_> = plain
            .iter()
            .map(|packet| if packet[0] & 0x20 == 0 { 0 } else { packet[packet.len() - 1] })
            .collect();
        assert_eq!(padding, [1, 1, 0, 0, 0, 10, 0]);
        // What is not padding is as the source made it.
        let payload = plain.iter().zip(&padding).zip(lengths);
        assert!(payload.into_iter().all(|((packet, padding), (len, own))| {
            let end = packet.len() - usize::from(*padding);
            end == len - usize::from(own) && packet[34..end].iter().all(|byte| *byte == 0x77)
        }));
    }
    assert_eq!(world.router.stats().tx_padding_bytes, 2 * 3);
}

#[test]
fn frames_are_evened_each_for_itself_and_audio_never() {
    let mut world = World::evening(5);
    let [a, b, _] = world.call("room", ["a", "b", "c"]);
    let mut packets = vec![packet(&mut world, a, VIDEO, 500, 0)];
    packets.push(packet(&mut world, a, AUDIO, 100, 0));
    packets.push(packet(&mut world, a, AUDIO, 101, 0));
    world.run_for(Duration::from_millis(33));
    packets.push(packet(&mut world, a, VIDEO, 501, 0));
    let sent = turn(&mut world, packets);
    assert_eq!(lengths(&mut world, b, &sent), [100, 101, 500, 501]);
    assert_eq!(world.router.stats().tx_padding_bytes, 0);
}

#[test]
fn evened_packets_are_as_long_as_packets_can_be_and_no_longer() {
    let mut world = World::evening(6);
    let [a, b, _] = world.call("room", ["a", "b", "c"]);
    let longest = DATAGRAM_MAX - SRTP_TRAILER_MAX;
    let packets =
        [longest, longest - 1, longest + 1].map(|len| packet(&mut world, a, VIDEO, len, 0));
    let sent = turn(&mut world, packets.into());
    assert_eq!(lengths(&mut world, b, &sent), [longest, longest]);
    assert_eq!(world.drops(DropReason::TooLong), 1);
}

#[test]
fn without_being_told_nothing_is_evened() {
    let mut world = World::new(7);
    let [a, b, _] = world.call("room", ["a", "b", "c"]);
    let packets = [500, 501].map(|len| packet(&mut world, a, VIDEO, len, 0));
    let sent = turn(&mut world, packets.into());
    assert_eq!(lengths(&mut world, b, &sent), [500, 501]);
}
