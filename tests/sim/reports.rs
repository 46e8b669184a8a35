//! Reports: what viewers are told of a source's clock and name, and sources of their losses.

use std::time::Duration;

use corinth::types::{DropReason, Kind, Timestamp};

use crate::rtcp::{self, Block, Rtcp};
use crate::source::{Picture, clock_rate, ntp, ntp_distance};
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

const SECOND: Duration = Duration::from_secs(1);

/// A sends audio and video for `seconds`; with its clock told at their beginning, where `tells`.
fn stream(world: &mut World, a: Who, seconds: u32, tells: bool) {
    if tells {
        world.source_report(a, AUDIO);
        world.run_for(Duration::from_millis(7));
        world.source_report(a, VIDEO);
    }
    for i in 0..seconds * 20 {
        world.packet(a, AUDIO, Picture::Key);
        if i % 2 == 0 && world[a].sources.contains_key(&VIDEO) {
            world.packet(a, VIDEO, Picture::Key);
        }
        world.run_for(SECOND / 20);
    }
}

/// The latest sender report that a viewer got of a Sender: NTP and RTP time.
fn latest_clock(world: &World, viewer: Who, sender: u32) -> Option<(u64, u32)> {
    let ours = world.ssrc_of(viewer, sender);
    let reports = world[viewer].links.iter().flat_map(|link| &link.rtcp).rev();
    reports.into_iter().find_map(|(_, report)| match report {
        Rtcp::SenderReport { ssrc, ntp, rtp_time, .. } if *ssrc == ours => Some((*ntp, *rtp_time)),
        _ => None,
    })
}

/// When the source says it captured what the viewer got last, and when it did.
fn capture_times(world: &World, viewer: Who, sender: u32) -> (u64, Timestamp) {
    let (told_ntp, told_rtp) = latest_clock(world, viewer, sender).expect("the clock was told");
    let view = world[viewer].knowledge().sender(sender).expect("announced");
    let kind = serde_json::from_value(view.kind.clone().into()).expect("audio or video");
    let last = world.received(viewer, sender).pop().expect("packets came");
    let ticks = i64::from(last.timestamp.wrapping_sub(told_rtp).cast_signed());
    let fraction = (i128::from(ticks) << 32) / i128::from(clock_rate(kind));
    (told_ntp.wrapping_add(fraction as u64), last.at)
}

fn assert_in_sync(world: &World, viewer: Who, sender: u32) {
    let (said, true_time) = capture_times(world, viewer, sender);
    let error = ntp_distance(said, ntp(true_time));
    assert!(error < Duration::from_millis(1), "Sender {sender} is off by {error:?}");
}

#[test]
fn audio_and_video_stay_on_the_sources_clock_whenever_they_were_enabled() {
    let mut world = World::new(1);
    let [a, _] = world.call("room", ["a", "b"]);
    let c = world.member("room", "c");
    world.open(c, RECEIVE, &crate::link::Plan::RECEIVE);
    let [audio, video] = [AUDIO, VIDEO].map(|id| world.sender_of(c, (a, id)));
    stream(&mut world, a, 1, true);
    world.enable(c, video, RECEIVE).expect("enables");
    stream(&mut world, a, 2, false);
    world.enable(c, audio, RECEIVE).expect("enables");
    stream(&mut world, a, 3, false);
    assert_in_sync(&world, c, audio);
    assert_in_sync(&world, c, video);

    world.stop(c, video).expect("stops");
    stream(&mut world, a, 2, true);
    world.play(c, video).expect("plays");
    world.forget_packets();
    stream(&mut world, a, 2, false);
    assert_in_sync(&world, c, audio);
    assert_in_sync(&world, c, video);
}

#[test]
fn nobody_is_told_a_clock_that_the_source_has_not_told() {
    let mut world = World::new(2);
    let [a, b] = world.call("room", ["a", "b"]);
    let [audio, video] = [AUDIO, VIDEO].map(|id| world.sender_of(b, (a, id)));
    stream(&mut world, a, 3, false);
    assert_eq!([audio, video].map(|id| latest_clock(&world, b, id)), [None, None]);
    world.source_report(a, AUDIO);
    stream(&mut world, a, 2, false);
    assert!(latest_clock(&world, b, audio).is_some());
    assert_eq!(latest_clock(&world, b, video), None);
}

#[test]
fn each_clock_comes_with_the_sources_name() {
    let mut world = World::new(3);
    let [a, b] = world.call("room", ["a", "b"]);
    stream(&mut world, a, 3, true);
    let of = |wanted: fn(&Rtcp) -> Option<u32>| {
        let reports = world[b].links.iter().flat_map(|link| &link.rtcp);
        reports.filter_map(|(at, report)| Some((*at, wanted(report)?))).collect::<Vec<_>>()
    };
    let clocks = of(|report| match report {
        Rtcp::SenderReport { ssrc, .. } => Some(*ssrc),
        _ => None,
    });
    // Whether it is the right name is the client's to judge.
    let names = of(|report| match report {
        Rtcp::Name { ssrc, .. } => Some(*ssrc),
        _ => None,
    });
    assert!(clocks.len() >= 4, "audio and video, once a second: {clocks:?}");
    assert_eq!(clocks, names);
}

#[test]
fn a_source_is_told_what_was_lost_and_when_its_clock_came() {
    let mut world = World::new(4);
    let [a, _] = world.call("room", ["a", "b"]);
    world.source_report(a, VIDEO);
    let told_at = world.now;
    // Reports come once a second: see one, then lose one of four, then see the next.
    let ssrc = world[a].sources[&VIDEO].ssrc;
    let blocks = |world: &World| -> Vec<(Timestamp, Block)> {
        let reports = world[a].links.iter().flat_map(|link| &link.rtcp);
        let blocks = reports.filter_map(|(at, report)| match report {
            Rtcp::ReceiverReport { blocks } => Some(blocks.iter().map(|block| (*at, *block))),
            _ => None,
        });
        blocks.flatten().filter(|(_, block)| block.ssrc == ssrc).collect()
    };
    world.packet(a, VIDEO, Picture::Key);
    assert!(world.run_until(2 * SECOND, |world| !blocks(world).is_empty()));
    world.run_for(Duration::ZERO);
    assert_eq!((blocks(&world)[0].1.fraction_lost, blocks(&world)[0].1.lost), (0, 0));
    for _ in 0..10 {
        world.lose_packet(a, VIDEO);
        (0..3).for_each(|_| world.packet(a, VIDEO, Picture::Delta));
    }
    assert!(world.run_until(2 * SECOND, |world| blocks(world).len() == 2));
    let (at, block) = blocks(&world)[1];
    assert_eq!((block.fraction_lost, block.lost), (64, 10), "10 of 40");
    assert_eq!(u64::from(block.highest_seq), world[a].sources[&VIDEO].seq - 1);
    assert_eq!(block.last_sr, (ntp(told_at) >> 16) as u32);
    let delay = (u128::from(block.delay_since_last_sr) * 1_000_000) >> 16;
    assert!(at.since(told_at).as_micros().abs_diff(delay) < 100, "in 65536ths of a second");
}

#[test]
fn a_sources_own_goodbye_closes_nothing() {
    let mut world = World::new(5);
    let [a, _] = world.call("room", ["a", "b"]);
    let ssrc = world[a].sources[&VIDEO].ssrc;
    world.link(a, SEND).send_rtcp(&rtcp::bye(ssrc));
    world.flush();
    world.settle();
    world.assert_truth("room");
    world.assert_media();
}

/// Bytes behind the last packet, half a packet, another version: what stands before them was said.
#[test]
fn what_stands_before_a_fault_in_a_compound_counts_and_the_fault_is_counted() {
    let mut world = World::new(6);
    let [a, b] = world.call("room", ["a", "b"]);
    world.assert_media();
    let [audio, video] = [AUDIO, VIDEO].map(|id| world.sender_of(b, (a, id)));
    let asked = world.ssrc_of(b, video);
    let faults: [&[u8]; 3] = [&[0], &[0x80, 201, 0, 9, 0, 0, 0, 1], &[0x41, 206, 0, 0]];
    for (number, fault) in (1..).zip(faults) {
        world.run_for(SECOND);
        world.forget_packets();
        let (now, source) = (world.now, world.source(a, AUDIO));
        let clock = rtcp::sender_report(source.ssrc, ntp(now), source.timestamp(now));
        world.link(a, SEND).send_rtcp(&[&clock, fault].concat());
        // What follows a fault cannot be told from it.
        let requests = [&rtcp::pli(1, asked), fault, &rtcp::pli(1, 1)].concat();
        world.link(b, RECEIVE).send_rtcp(&requests);
        world.flush();
        world.settle();
        assert_eq!(world.drops(DropReason::RtcpMalformed), 2 * number, "one a compound");
        assert_eq!(world.key_frame_requests(a, VIDEO), [world.now]);
        stream(&mut world, a, 2, false);
        assert_in_sync(&world, b, audio);
    }
}

/// A client that tells another's clock, by the other's SSRC or by that of a Sender, is not heard.
#[test]
fn a_clock_is_told_by_its_own_source_alone() {
    let mut world = World::new(7);
    let [a, b] = world.call("room", ["a", "b"]);
    let c = world.member("elsewhere", "c");
    world.open(c, SEND, &crate::link::Plan::SEND);
    let audio = world.sender_of(b, (a, AUDIO));
    stream(&mut world, a, 2, true);
    let wrong = ntp(world.now) + (1 << 40);
    let ssrcs = [world[a].sources[&AUDIO].ssrc, world.ssrc_of(b, audio)];
    for (who, id) in [(c, SEND), (b, SEND), (b, RECEIVE), (a, RECEIVE)] {
        for ssrc in ssrcs {
            world.link(who, id).send_rtcp(&rtcp::sender_report(ssrc, wrong, 77));
        }
    }
    world.flush();
    stream(&mut world, a, 2, false);
    assert_in_sync(&world, b, audio);
}

/// A source that declares no SSRC may change it. What is told under the old one after that is the
/// clock of a stream that is over.
#[test]
fn the_clock_of_a_stream_that_was_replaced_is_not_its_successors() {
    let (mut world, [a, b]) = World::pair(8);
    let mut source = world.new_source(Kind::Audio, SEND);
    source.declares_ssrc = false;
    world.create_receiver(a, AUDIO, source.clone()).expect("a Receiver");
    world.watch_all(b, RECEIVE);
    let audio = world.sender_of(b, (a, AUDIO));
    world.source_report(a, AUDIO);
    stream(&mut world, a, 2, false);
    let over = source.ssrc;
    world.source(a, AUDIO).ssrc = over + 1;
    world.source(a, AUDIO).timestamp_base = source.timestamp_base.wrapping_add(1 << 31);
    world.packet(a, AUDIO, Picture::Key);
    world.source_report(a, AUDIO);
    world.settle();
    let late = rtcp::sender_report(over, ntp(world.now), source.timestamp(world.now));
    world.link(a, SEND).send_rtcp(&late);
    world.flush();
    stream(&mut world, a, 2, false);
    assert_in_sync(&world, b, audio);
}
