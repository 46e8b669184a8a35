//! What is lost on the way from a source is asked for, and comes to all viewers as if it had not
//! been; what is not lost is not asked for.

use std::time::Duration;

use corinth::types::DropReason;

use crate::netem::{Conditions, Way};
use crate::publisher::Publisher;
use crate::rtcp::Rtcp;
use crate::seeds;
use crate::source::Picture;
use crate::viewer::{Frame, Viewer};
use crate::world::World;
use crate::world::media::{RECEIVE, SEND, VIDEO};

const ROUND_TRIP: Duration = Duration::from_millis(50);
const SOON: Duration = Duration::from_millis(150);
const FRAMES: u32 = 60;
const PACKETS: u32 = 4;
const SEEDS: u64 = 200;

/// What came of a film.
#[derive(Debug, Default, Clone, Copy)]
struct Outcome {
    frames: usize,
    whole: usize,
    lost: u64,
    asked: u64,
    key_frames_asked: usize,
}

fn sum(outcomes: &[Outcome]) -> Outcome {
    outcomes.iter().fold(Outcome::default(), |sum, it| Outcome {
        frames: sum.frames + it.frames,
        whole: sum.whole + it.whole,
        lost: sum.lost + it.lost,
        asked: sum.asked + it.asked,
        key_frames_asked: sum.key_frames_asked + it.key_frames_asked,
    })
}

fn link() -> Conditions {
    Conditions::round_trip(ROUND_TRIP)
}

/// One who sends video over links like these, and one who watches it.
fn pair(seed: u64, rtx: bool) -> (World, Publisher, Viewer) {
    let (mut world, [a, b]) = World::pair(seed);
    let publisher = Publisher::new(&mut world, a, VIDEO, rtx);
    let sender = world.sender_of(b, (a, VIDEO));
    world.enable(b, sender, RECEIVE).expect("enables");
    world.settle();
    let viewer = Viewer::new(&world, b, sender, ROUND_TRIP);
    (world, publisher, viewer)
}

fn watch(world: &mut World, time: Duration, publisher: &mut Publisher, viewer: &mut Viewer) {
    const STEP: Duration = Duration::from_millis(5);
    for _ in 0..time.as_millis() / STEP.as_millis() {
        world.run_for(STEP);
        publisher.step(world);
        viewer.step(world);
    }
}

/// 20 frames a second.
fn film(
    world: &mut World,
    frames: u32,
    publisher: &mut Publisher,
    viewer: &mut Viewer,
) -> Vec<Frame> {
    let mut sent = Vec::new();
    for _ in 0..frames {
        let first = world.source(publisher.who, publisher.receiver).counter;
        for packet in 0..PACKETS {
            let starts = first + packet == 0;
            publisher.packet(world, if starts { Picture::Key } else { Picture::Delta });
        }
        sent.push(Frame { at: world.now, packets: first..first + PACKETS });
        watch(world, Duration::from_millis(50), publisher, viewer);
    }
    sent
}

fn play(seed: u64, rtx: bool, up: Conditions, down: Conditions) -> Outcome {
    let (mut world, mut publisher, mut viewer) = pair(seed, rtx);
    // What everything else is missed by.
    publisher.packet(&mut world, Picture::Key);
    world.settle();
    world.impair(publisher.who, SEND, Way::Up, up);
    world.impair(publisher.who, SEND, Way::Down, down);
    let asked = world.key_frame_requests(publisher.who, VIDEO).len();
    let lost_before = world.net.lost_up;
    let frames = film(&mut world, FRAMES, &mut publisher, &mut viewer);
    watch(&mut world, Duration::from_millis(500), &mut publisher, &mut viewer);
    let frames = &frames[..frames.len() - 1];
    Outcome {
        frames: frames.len(),
        whole: viewer.whole(frames, SOON),
        lost: world.net.lost_up - lost_before,
        asked: publisher.asked,
        key_frames_asked: world.key_frame_requests(publisher.who, VIDEO).len() - asked,
    }
}

fn assert_whole(outcomes: &[Outcome], percent: f64) {
    let all = sum(outcomes);
    let whole = 100.0 * all.whole as f64 / all.frames as f64;
    assert!(all.lost > 0, "nothing was lost: {all:?}");
    assert!(whole >= percent, "{whole:.2} % are whole in time: {all:?}");
    let more = all.asked as f64 / all.lost as f64;
    assert!(more <= 1.15, "{more:.2} times what was lost is asked for: {all:?}");
}

#[test]
fn five_and_ten_percent() {
    for (loss, percent) in [(0.05, 99.0), (0.1, 97.0)] {
        let outcomes = seeds::each("loss_up::five_and_ten_percent", SEEDS, |seed| {
            play(seed, true, link().losing(loss), link())
        });
        assert_whole(&outcomes, percent);
        assert_eq!(sum(&outcomes).key_frames_asked, 0);
    }
}

#[test]
fn from_a_client_that_repeats_the_very_packets() {
    let name = "loss_up::from_a_client_that_repeats_the_very_packets";
    let outcomes = seeds::each(name, SEEDS, |seed| play(seed, false, link().losing(0.05), link()));
    assert_whole(&outcomes, 99.0);
}

#[test]
fn bursts_of_eight() {
    let bursts = link().losing(0.05).in_bursts_of(8.0);
    let outcomes =
        seeds::each("loss_up::bursts_of_eight", SEEDS, |seed| play(seed, true, bursts, link()));
    assert_whole(&outcomes, 96.0);
}

#[test]
fn a_third_of_what_is_asked_is_lost_too() {
    let name = "loss_up::a_third_of_what_is_asked_is_lost_too";
    let outcomes =
        seeds::each(name, SEEDS, |seed| play(seed, true, link().losing(0.05), link().losing(0.3)));
    assert_eq!(sum(&outcomes).key_frames_asked, 0);
    let all = sum(&outcomes);
    assert!(100 * all.whole > 94 * all.frames, "{all:?}");
}

#[test]
fn packets_in_another_order_are_not_asked_for() {
    let name = "loss_up::packets_in_another_order_are_not_asked_for";
    seeds::each(name, 20, |seed| {
        let (mut world, mut publisher, mut viewer) = pair(seed, true);
        publisher.packet(&mut world, Picture::Key);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..100 {
            let mut packets: Vec<_> =
                (0..6).map(|_| publisher.make(&mut world, Picture::Delta)).collect();
            rng.shuffle(&mut packets);
            for packet in &packets {
                publisher.send(&mut world, packet);
                world.run_for(Duration::from_micros(rng.u64(..1500)));
            }
            watch(&mut world, Duration::from_millis(20), &mut publisher, &mut viewer);
        }
        assert_eq!(publisher.asked, 0);
        assert_eq!(viewer.came.len(), 601);
    });
}

#[test]
fn what_comes_again_though_it_was_there_goes_to_nobody() {
    let (mut world, mut publisher, mut viewer) = pair(1, true);
    let rtx_ssrc = world.source(publisher.who, VIDEO).rtx_ssrc.expect("it has one");
    let first = publisher.make(&mut world, Picture::Key);
    publisher.send(&mut world, &first);
    let second = publisher.make(&mut world, Picture::Delta);
    for _ in 0..3 {
        for packet in [&first, &second] {
            publisher.repeat(&mut world, rtx_ssrc, packet);
        }
    }
    watch(&mut world, Duration::from_millis(20), &mut publisher, &mut viewer);
    let got = world.received(viewer.who, viewer.sender);
    let counters: Vec<_> = got.iter().map(|packet| packet.label.counter).collect();
    assert_eq!(counters, [0, 1]);
    assert_eq!((world.router.stats().recovered, world.drops(DropReason::Rtx)), (1, 5));
}

#[test]
fn losses_are_reported_though_they_were_mended() {
    let (mut world, mut publisher, mut viewer) = pair(2, true);
    publisher.packet(&mut world, Picture::Key);
    let mut lost = Vec::new();
    for i in 0..100 {
        let packet = publisher.make(&mut world, Picture::Delta);
        if i % 10 == 5 {
            lost.push(packet.0);
        } else {
            publisher.send(&mut world, &packet);
        }
        watch(&mut world, Duration::from_millis(10), &mut publisher, &mut viewer);
    }
    watch(&mut world, Duration::from_secs(2), &mut publisher, &mut viewer);
    assert_eq!(viewer.came.len(), 101);
    assert_eq!(world.router.stats().recovered, 10);
    let ssrc = world.source(publisher.who, VIDEO).ssrc;
    let reports = world[publisher.who].links.iter().flat_map(|link| &link.rtcp).rev();
    let block = reports.into_iter().find_map(|(_, report)| match report {
        Rtcp::ReceiverReport { blocks } => blocks.iter().find(|block| block.ssrc == ssrc).copied(),
        _ => None,
    });
    assert_eq!(block.expect("reports").lost, 10, "libwebrtc's estimator goes by this");
}

#[test]
fn after_three_seconds_of_nothing_what_was_lost_comes_and_no_key_frame_is_needed() {
    let (mut world, mut publisher, mut viewer) = pair(3, true);
    film(&mut world, 10, &mut publisher, &mut viewer);
    let before = world.key_frame_requests(publisher.who, VIDEO).len();
    world.impair(publisher.who, SEND, Way::Up, link().losing(1.0));
    film(&mut world, 60, &mut publisher, &mut viewer);
    world.impair(publisher.who, SEND, Way::Up, link());
    // 240 packets: when each of them was sent nobody knows, so all are asked for.
    film(&mut world, 40, &mut publisher, &mut viewer);
    assert!(world.router.stats().recovered >= 200);
    assert_eq!(world.key_frame_requests(publisher.who, VIDEO).len(), before);
}

#[test]
fn numbers_may_wrap_and_an_encoder_may_begin_anew() {
    let (mut world, mut publisher, mut viewer) = pair(4, true);
    world.source(publisher.who, VIDEO).seq = 65_536 - 20;
    publisher.packet(&mut world, Picture::Key);
    world.settle();
    world.impair(publisher.who, SEND, Way::Up, link().losing(0.2));
    let frames = film(&mut world, 40, &mut publisher, &mut viewer);
    world.impair(publisher.who, SEND, Way::Up, link());
    watch(&mut world, Duration::from_secs(1), &mut publisher, &mut viewer);
    assert_eq!(viewer.whole(&frames[..39], 4 * SOON), 39);
}

#[test]
fn a_source_beside_it_whose_network_is_good_is_asked_for_nothing() {
    let (mut world, mut publisher, mut viewer) = pair(5, true);
    let c = world.member("room", "c");
    world.open(c, SEND, &crate::link::Plan::SEND);
    let mut beside = Publisher::new(&mut world, c, VIDEO, true);
    world.watch_all(viewer.who, RECEIVE);
    publisher.packet(&mut world, Picture::Key);
    beside.packet(&mut world, Picture::Key);
    world.impair(publisher.who, SEND, Way::Up, link().losing(0.1));
    for _ in 0..200 {
        publisher.packet(&mut world, Picture::Delta);
        beside.packet(&mut world, Picture::Delta);
        watch(&mut world, Duration::from_millis(10), &mut publisher, &mut viewer);
        beside.step(&mut world);
    }
    assert!(publisher.asked > 10);
    assert_eq!(beside.asked, 0);
}

#[test]
fn who_does_not_offer_it_is_not_asked() {
    let (mut world, [a, b]) = World::pair(6);
    world.send(a, VIDEO, corinth::types::Kind::Video, SEND);
    world.watch_all(b, RECEIVE);
    world.packet(a, VIDEO, Picture::Key);
    world.lose_packet(a, VIDEO);
    (0..20).for_each(|_| world.packet(a, VIDEO, Picture::Delta));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.router.stats().asked, 0);
}
