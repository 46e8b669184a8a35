//! What the router leaves out on purpose is no loss: neither to the source, whose packets have all
//! come, nor to viewers, who miss nothing of what was meant for them.

use std::time::Duration;

use corinth::types::limit::{DATAGRAM_MAX, SRTP_TRAILER_MAX};
use corinth::types::{DropReason, Kind};
use serde_json::json;

use crate::rtcp::Rtcp;
use crate::source::Picture;
use crate::world::media::{AUDIO, SEND};
use crate::world::{Who, World};

const PACE: Duration = Duration::from_millis(20);

/// The worst share of losses that a source was told of, in 256ths.
fn told_lost(world: &World, who: Who, ssrc: u32) -> u8 {
    let reports = world[who].links.iter().flat_map(|link| &link.rtcp);
    let blocks = reports.filter_map(|(_, report)| match report {
        Rtcp::ReceiverReport { blocks } => Some(blocks),
        _ => None,
    });
    blocks
        .flatten()
        .filter(|block| block.ssrc == ssrc)
        .map(|block| block.fraction_lost)
        .max()
        .expect("it was reported on")
}

/// Sends a packet of a source, changed before it is sealed.
fn send(world: &mut World, who: Who, receiver: u32, change: impl FnOnce(&mut Vec<u8>)) {
    let now = world.now;
    let source = world.source(who, receiver);
    let (ssrc, transport) = (source.ssrc, source.transport);
    let (seq, header_len, mut packet) = source.packet(now, Picture::Key);
    change(&mut packet);
    world.link(who, transport).send_rtp(ssrc, seq, header_len, &packet);
    world.flush();
}

/// Opus with DTMF beside it (RFC 4733), which was not declared; 40 of 100 packets are tones.
#[test]
fn tones_among_sound_are_no_loss() {
    let mut world = World::new(1);
    let [a, b] = world.call("room", ["a", "b"]);
    world.forget_packets();
    for i in 0..200 {
        let tone = (20..60).contains(&(i % 100));
        send(&mut world, a, AUDIO, |packet| {
            if tone {
                packet[1] = 0x80 | 101;
            }
        });
        world.run_for(PACE);
    }
    assert_eq!(world.drops(DropReason::PayloadType), 80);
    let ssrc = world.source(a, AUDIO).ssrc;
    assert_eq!(told_lost(&world, a, ssrc), 0);
    let sender = world.sender_of(b, (a, AUDIO));
    let received = world.received(b, sender);
    assert_eq!(received.len(), 120);
    assert!(received.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "no gap");
}

/// Retransmissions and padding under the source's own SSRC, and what is too long to be sealed.
#[test]
fn whatever_is_left_out_is_no_gap_and_what_is_lost_is_one() {
    let mut world = World::new(2);
    let [a, b] = world.call("room", ["a", "b"]);
    let source = world.new_source(Kind::Video, SEND);
    let mut parameters = source.rtp_parameters();
    let rtx = json!({"name": "rtx", "mimeType": "video/rtx", "clockRate": 90000,
        "payloadType": 121, "parameters": {"apt": 120}});
    parameters["codecs"].as_array_mut().expect("codecs").push(rtx);
    world.create_receiver_with(a, 9, source, parameters).expect("a Receiver");
    let sender = world.sender_of(b, (a, 9));
    world.enable(b, sender, crate::world::media::RECEIVE).expect("enables");
    let longest = DATAGRAM_MAX - SRTP_TRAILER_MAX;
    for i in 0..50 {
        match i % 5 {
            1 => send(&mut world, a, 9, |packet| packet[1] = 121),
            2 => send(&mut world, a, 9, |packet| packet.resize(longest + 1, 0)),
            3 => world.lose_packet(a, 9),
            _ => send(&mut world, a, 9, |_| {}),
        }
        world.run_for(PACE);
    }
    assert_eq!(world.drops(DropReason::Rtx) + world.drops(DropReason::TooLong), 20);
    let steps: Vec<_> =
        world.received(b, sender).windows(2).map(|pair| pair[1].seq - pair[0].seq).collect();
    assert_eq!(steps, [2, 1].repeat(10)[..19], "one of five was lost");
}
