//! When sources are asked for key frames, and what a viewer's stream looks like around them.

use std::time::Duration;

use corinth::types::{Kind, Timestamp};
use serde_json::json;

use crate::link::{Plan, RtpIn};
use crate::rtcp;
use crate::source::Picture;
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

const STEP: Duration = Duration::from_millis(100);

/// A sends video, B watches it; nothing has been sent yet. B's Sender.
fn scene(seed: u64) -> (World, [Who; 2], u32) {
    let mut world = World::new(seed);
    let [a, b] = world.call("room", ["a", "b"]);
    let video = world.sender_of(b, (a, VIDEO));
    (world, [a, b], video)
}

fn ms(start: Timestamp, millis: u64) -> Timestamp {
    start + Duration::from_millis(millis)
}

/// Sends pictures in time, 100 ms apart.
fn pictures(world: &mut World, who: Who, pictures: &[Picture]) {
    for picture in pictures {
        world.packet(who, VIDEO, *picture);
        world.run_for(STEP);
    }
}

/// Sequence numbers relative to the first packet.
fn steps(packets: &[RtpIn]) -> Vec<u64> {
    packets.iter().map(|packet| packet.seq - packets[0].seq).collect()
}

/// What the source counted, relative to the first packet.
fn counters(packets: &[RtpIn]) -> Vec<u32> {
    packets.iter().map(|packet| packet.label.counter - packets[0].label.counter).collect()
}

#[test]
fn a_source_is_asked_at_once_and_every_half_second_until_the_key_frame() {
    let (mut world, [a, b], video) = scene(1);
    let start = world.now;
    world.run_for(Duration::from_millis(1200));
    let c = world.member("room", "c");
    world.open(c, RECEIVE, &Plan::RECEIVE);
    world.watch_all(c, RECEIVE);
    world.send_pli(b, video);
    world.request(b, "requestKeyFrame", json!({"id": video})).expect("it is enabled");
    world.run_for(Duration::from_millis(400));
    let asked: Vec<_> = [0, 500, 1000, 1500].map(|at| ms(start, at)).into();
    assert_eq!(world.key_frame_requests(a, VIDEO), asked, "many askers, one request");
    world.packet(a, VIDEO, Picture::Key);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.key_frame_requests(a, VIDEO), asked, "it came");
    world.send_pli(b, video);
    world.settle();
    assert_eq!(world.key_frame_requests(a, VIDEO).last(), Some(&world.now));
}

/// Whoever knows an SSRC, and those are no secrets, could have every source of the server send
/// nothing but key frames.
#[test]
fn a_key_frame_is_asked_for_only_on_the_transport_that_it_goes_to() {
    let (mut world, [a, b], video) = scene(12);
    world.assert_media();
    let c = world.member("elsewhere", "c");
    world.open(c, SEND, &Plan::SEND);
    let d = world.member("room", "d");
    world.open(d, RECEIVE, &Plan::RECEIVE);
    let (known, source) = (world.ssrc_of(b, video), world[a].sources[&VIDEO].ssrc);
    world.forget_packets();
    for (who, id) in [(c, SEND), (d, RECEIVE), (b, SEND), (a, SEND), (a, RECEIVE)] {
        for ssrc in [known, source] {
            world.link(who, id).send_rtcp(&rtcp::pli(1, ssrc));
            world.link(who, id).send_rtcp(&rtcp::fir(1, ssrc, 1));
        }
    }
    world.flush();
    world.run_for(Duration::from_secs(1));
    assert!(world.key_frame_requests(a, VIDEO).is_empty());
    world.link(b, RECEIVE).send_rtcp(&rtcp::fir(1, known, 1));
    world.flush();
    world.settle();
    assert_eq!(world.key_frame_requests(a, VIDEO), [world.now]);
}

/// Firefox asks for a key frame 3 s after it has stopped a Sender; then its own `playSender` would
/// have to wait out the interval.
#[test]
fn a_viewer_who_has_stopped_needs_no_key_frame_until_it_plays() {
    let (mut world, [a, b], video) = scene(11);
    pictures(&mut world, a, &[Picture::Key, Picture::Delta]);
    world.stop(b, video).expect("stops");
    world.run_for(Duration::from_secs(3));
    let before = world.key_frame_requests(a, VIDEO).len();
    world.send_pli(b, video);
    world.send_fir(b, video);
    world.request(b, "requestKeyFrame", json!({"id": video})).expect("it is enabled");
    world.run_for(STEP);
    assert_eq!(world.key_frame_requests(a, VIDEO).len(), before);
    world.play(b, video).expect("plays");
    world.settle();
    assert_eq!(world.key_frame_requests(a, VIDEO)[before..], [world.now], "at once");
}

/// An H264 picture without its parameters may be all that a source ever sends, or what came while
/// they were lost: the viewer gets it, and the source is asked on.
#[test]
fn a_picture_without_its_parameters_starts_a_viewer_and_does_not_end_the_asking() {
    let (mut world, [a, b], _) = scene(12);
    let source = world.new_source(Kind::Video, SEND);
    let mut parameters = source.rtp_parameters();
    parameters["codecs"] = json!([{"name": "H264", "mimeType": "video/H264", "clockRate": 90000,
        "payloadType": 120, "parameters": {"packetization-mode": 1,
        "profile-level-id": "42e01f", "level-asymmetry-allowed": 1}}]);
    world.create_receiver_with(a, 9, source, parameters).expect("a Receiver");
    let sender = world.sender_of(b, (a, 9));
    world.enable(b, sender, RECEIVE).expect("enables");
    world.settle();
    // Unit types: the picture, another, the parameters.
    for unit in [0x65, 0x65, 0x67] {
        let now = world.now;
        let source = world.source(a, 9);
        let ssrc = source.ssrc;
        let (seq, header_len, mut packet) = source.packet(now, Picture::Key);
        packet[header_len] = unit;
        packet[header_len + 1] = 0x80;
        world.link(a, SEND).send_rtp(ssrc, seq, header_len, &packet);
        world.flush();
        world.run_for(6 * STEP);
    }
    let asked = world.key_frame_requests(a, 9).len();
    assert_eq!(asked, 3, "at first, after 0.5 s, and after 1 s");
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.key_frame_requests(a, 9).len(), asked, "the parameters have come");
    assert_eq!(world.received(b, sender).len(), 3);
}

#[test]
fn nobody_is_asked_about_audio() {
    let (mut world, [a, b], _) = scene(2);
    let audio = world.sender_of(b, (a, AUDIO));
    world.request(b, "requestKeyFrame", json!({"id": audio})).expect("it is enabled");
    world.send_pli(b, audio);
    world.run_for(Duration::from_secs(2));
    assert!(world.key_frame_requests(a, AUDIO).is_empty());
}

#[test]
fn after_three_seconds_without_a_key_frame_the_viewer_gets_what_there_is() {
    let (mut world, [a, b], video) = scene(3);
    let start = world.now;
    pictures(&mut world, a, &[Picture::Delta; 40]);
    let received = world.received(b, video);
    assert_eq!(received[0].at, ms(start, 3000));
    assert_eq!(received.len(), 10, "3.0 to 3.9 s");
    world.run_for(Duration::from_secs(10));
    let asked = world.key_frame_requests(a, VIDEO);
    assert!((7..=13).contains(&asked.len()), "nobody is asked for ever: {asked:?}");
    assert!(asked.windows(2).all(|two| two[1].since(two[0]) == 5 * STEP), "{asked:?}");
}

/// Three seconds of a stream without key frames, that is: a pause does not count.
#[test]
fn a_pause_does_not_use_up_the_wait_for_a_key_frame() {
    use Picture::{Delta, Key};
    let (mut world, [a, b], video) = scene(10);
    pictures(&mut world, a, &[Delta; 5]);
    world.pause(a, VIDEO).expect("pauses");
    world.run_for(Duration::from_secs(10));
    world.resume(a, VIDEO).expect("resumes");
    pictures(&mut world, a, &[Delta, Delta, Key, Delta]);
    assert_eq!(counters(&world.received(b, video)), [0, 1], "from the key frame on");
    assert_eq!(world.received(b, video)[0].label.picture, Key);
}

#[test]
fn a_pause_is_no_gap_and_ends_at_a_key_frame() {
    use Picture::{Delta, Key};
    let (mut world, [a, b], video) = scene(4);
    pictures(&mut world, a, &[Key, Delta]);
    world.pause(a, VIDEO).expect("pauses");
    pictures(&mut world, a, &[Delta, Delta, Delta, Key]);
    world.resume(a, VIDEO).expect("resumes");
    world.settle();
    assert_eq!(world.key_frame_requests(a, VIDEO).last(), Some(&world.now));
    pictures(&mut world, a, &[Delta, Key, Delta]);
    let received = world.received(b, video);
    assert_eq!(steps(&received), [0, 1, 2, 3]);
    assert_eq!(counters(&received), [0, 1, 7, 8]);
    assert_clock_kept(&received);
}

#[test]
fn stop_and_play_are_no_gap_and_end_at_a_key_frame() {
    use Picture::{Delta, Key};
    let (mut world, [a, b], video) = scene(5);
    pictures(&mut world, a, &[Key, Delta]);
    world.stop(b, video).expect("stops");
    pictures(&mut world, a, &[Delta, Delta, Delta, Key]);
    world.play(b, video).expect("plays");
    world.settle();
    assert_eq!(world.key_frame_requests(a, VIDEO).last(), Some(&world.now));
    pictures(&mut world, a, &[Delta, Key, Delta]);
    let received = world.received(b, video);
    assert_eq!(steps(&received), [0, 1, 2, 3]);
    assert_eq!(counters(&received), [0, 1, 7, 8]);
    assert_clock_kept(&received);
}

/// The timestamps' offset is constant: frames are as far apart as the source made them.
fn assert_clock_kept(received: &[RtpIn]) {
    let first = &received[0];
    for packet in received {
        let ticks = 9_000 * (packet.label.counter - first.label.counter);
        assert_eq!(packet.timestamp.wrapping_sub(first.timestamp), ticks);
    }
}

#[test]
fn audio_goes_on_with_the_next_packet() {
    let (mut world, [a, b], _) = scene(6);
    let audio = world.sender_of(b, (a, AUDIO));
    let say = |world: &mut World| {
        world.packet(a, AUDIO, Picture::Delta);
        world.run_for(STEP);
    };
    say(&mut world);
    world.stop(b, audio).expect("stops");
    say(&mut world);
    world.play(b, audio).expect("plays");
    say(&mut world);
    world.pause(a, AUDIO).expect("pauses");
    say(&mut world);
    world.resume(a, AUDIO).expect("resumes");
    say(&mut world);
    let received = world.received(b, audio);
    assert_eq!((steps(&received), counters(&received)), (vec![0, 1, 2], vec![0, 2, 4]));
}

#[test]
fn what_the_network_lost_stays_a_gap_over_the_roll_over_too() {
    let (mut world, [a, b], video) = scene(7);
    world.source(a, VIDEO).seq = 65_534;
    world.packet(a, VIDEO, Picture::Key);
    for _ in 0..3 {
        world.lose_packet(a, VIDEO);
        world.packet(a, VIDEO, Picture::Delta);
    }
    world.settle();
    let received = world.received(b, video);
    assert_eq!(steps(&received), [0, 2, 4, 6]);
    assert!(received[0].seq < 1 << 15, "far from a roll-over of its own");
}

/// As after a restart of its encoder: the Receiver is the same, all its numbers are new.
#[test]
fn a_source_that_goes_on_under_another_ssrc_is_one_stream_to_its_viewers() {
    use Picture::{Delta, Key};
    let mut world = World::new(9);
    let [a, b] = ["a", "b"].map(|name| world.member("room", name));
    world.open(a, SEND, &Plan::SEND);
    world.open(b, RECEIVE, &Plan::RECEIVE);
    let mut source = world.new_source(Kind::Video, SEND);
    source.declares_ssrc = false;
    world.create_receiver(a, VIDEO, source).expect("a Receiver");
    world.watch_all(b, RECEIVE);
    let video = world.sender_of(b, (a, VIDEO));
    pictures(&mut world, a, &[Key, Delta, Delta, Delta, Delta, Delta]);
    let source = world.source(a, VIDEO);
    (source.ssrc, source.seq) = (source.ssrc ^ 0xffff, 60_000);
    source.timestamp_base = source.timestamp_base.wrapping_add(0x1234_5678);
    pictures(&mut world, a, &[Delta, Key, Delta]);
    let received = world.received(b, video);
    assert_eq!(steps(&received), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(counters(&received), [0, 1, 2, 3, 4, 5, 7, 8]);
    let elapsed = received[6].timestamp.wrapping_sub(received[5].timestamp);
    assert!(elapsed.abs_diff(2 * 9_000) <= 9, "two pictures later: {elapsed}");
    let asked = world.key_frame_requests(a, VIDEO);
    assert_eq!(asked, [received[5].at + STEP], "under its new SSRC, at its first packet");
}

#[test]
fn a_source_that_could_not_be_asked_is_asked_as_soon_as_it_can_be() {
    let (mut world, [a, b], _) = scene(8);
    world.create_transport(a, 3, &Plan::SEND).expect("a transport");
    world.send(a, 3, Kind::Video, 3);
    let late = world.sender_of(b, (a, 3));
    world.enable(b, late, RECEIVE).expect("enables");
    world.run_for(STEP);
    world.start(a, 3);
    world.settle();
    world.packet(a, 3, Picture::Delta);
    world.settle();
    assert_eq!(world.key_frame_requests(a, 3), [world.now], "its first packet was no key frame");
    assert!(world.link(a, SEND).is_live());
}
