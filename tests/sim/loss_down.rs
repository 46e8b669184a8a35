//! What is lost on the way to a viewer is sent again: pictures stay whole, and nobody else notices.

use std::time::Duration;

use corinth::types::{Kind, Unanswered};

use crate::link::Plan;
use crate::netem::{Conditions, Way};
use crate::seeds;
use crate::source::Picture;
use crate::viewer::{Frame, Viewer, film, watch};
use crate::world::media::{RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

const ROUND_TRIP: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(150);
const FRAMES: u32 = 60;
const SEEDS: u64 = 200;

/// What came of a film at one viewer.
#[derive(Debug, Default, Clone, Copy)]
struct Outcome {
    frames: usize,
    whole: usize,
    lost: u64,
    resent: u64,
}

fn sum(outcomes: &[Outcome]) -> Outcome {
    outcomes.iter().fold(Outcome::default(), |sum, it| Outcome {
        frames: sum.frames + it.frames,
        whole: sum.whole + it.whole,
        lost: sum.lost + it.lost,
        resent: sum.resent + it.resent,
    })
}

/// One who sends video, and one who watches it over a link like this each way.
fn pair(seed: u64, rtx: bool, down: Conditions, up: Conditions) -> (World, Who, Viewer) {
    let (mut world, [a, b]) = World::pair(seed);
    world.send(a, VIDEO, Kind::Video, SEND);
    let sender = world.sender_of(b, (a, VIDEO));
    world.enable_with(b, sender, RECEIVE, rtx).expect("enables");
    world.settle();
    world.impair(b, RECEIVE, Way::Down, down);
    world.impair(b, RECEIVE, Way::Up, up);
    let viewer = Viewer::new(&world, b, sender, ROUND_TRIP);
    (world, a, viewer)
}

fn play(seed: u64, rtx: bool, down: Conditions, up: Conditions) -> Outcome {
    let (mut world, a, viewer) = pair(seed, rtx, down, up);
    let mut viewers = [viewer];
    // The first packet is what the others are missed by; without it nothing is, which is another
    // trouble than these.
    world.packet(a, VIDEO, Picture::Key);
    let lost_before = world.net.lost_down;
    let frames = film(&mut world, (a, VIDEO), FRAMES, &mut viewers);
    watch(&mut world, Duration::from_millis(500), &mut viewers);
    let [viewer] = viewers;
    // What is lost at the very end is never missed.
    let frames = &frames[..frames.len() - 1];
    Outcome {
        frames: frames.len(),
        whole: viewer.whole(frames, SOON),
        lost: world.net.lost_down - lost_before,
        resent: world.router.stats().resent,
    }
}

fn link() -> Conditions {
    Conditions::round_trip(ROUND_TRIP)
}

/// Asserts how many frames are whole in time, in percent, and that little is sent again for that.
fn assert_whole(outcomes: &[Outcome], percent: f64) {
    let all = sum(outcomes);
    let whole = 100.0 * all.whole as f64 / all.frames as f64;
    assert!(all.lost > 0, "nothing was lost: {all:?}");
    assert!(whole >= percent, "{whole:.2} % are whole in time: {all:?}");
    let more = all.resent as f64 / all.lost as f64;
    assert!(more <= 1.15, "{more:.2} times what was lost is sent again: {all:?}");
}

#[test]
fn two_five_and_ten_percent() {
    for (loss, percent) in [(0.02, 99.5), (0.05, 99.0), (0.1, 97.0)] {
        let name = "loss_down::two_five_and_ten_percent";
        let outcomes =
            seeds::each(name, SEEDS, |seed| play(seed, true, link().losing(loss), link()));
        assert_whole(&outcomes, percent);
    }
}

#[test]
fn without_a_stream_for_it_the_very_bytes_are_sent_again() {
    let name = "loss_down::without_a_stream_for_it_the_very_bytes_are_sent_again";
    let outcomes = seeds::each(name, SEEDS, |seed| play(seed, false, link().losing(0.05), link()));
    assert_whole(&outcomes, 99.0);
}

#[test]
fn bursts_of_eight() {
    let bursts = link().losing(0.05).in_bursts_of(8.0);
    let outcomes =
        seeds::each("loss_down::bursts_of_eight", SEEDS, |seed| play(seed, true, bursts, link()));
    // The resends of a burst meet others: what is lost twice comes too late.
    assert_whole(&outcomes, 96.0);
}

#[test]
fn a_third_of_what_the_viewer_asks_is_lost_too() {
    let name = "loss_down::a_third_of_what_the_viewer_asks_is_lost_too";
    let outcomes =
        seeds::each(name, SEEDS, |seed| play(seed, true, link().losing(0.05), link().losing(0.3)));
    // What was asked for in vain is asked for again a round trip later.
    assert_whole(&outcomes, 95.0);
}

#[test]
fn packets_out_of_order_are_sent_again_once_at_most() {
    // libwebrtc's patience with them is its own; whoever asks at once gets what it asks for, once.
    let uneven = Conditions { jitter: Duration::from_millis(30), ..link() };
    let name = "loss_down::packets_out_of_order_are_sent_again_once_at_most";
    for outcome in seeds::each(name, 20, |seed| play(seed, true, uneven, link())) {
        assert_eq!(outcome.whole, outcome.frames);
        assert!(outcome.resent <= u64::from(FRAMES) * 4, "{outcome:?}");
    }
}

#[test]
fn after_three_seconds_of_nothing_the_latest_second_comes_and_no_more() {
    let name = "loss_down::after_three_seconds_of_nothing_the_latest_second_comes_and_no_more";
    seeds::each(name, 20, |seed| {
        let (mut world, a, viewer) = pair(seed, true, link(), link());
        let mut viewers = [viewer];
        film(&mut world, (a, VIDEO), 20, &mut viewers);
        let who = viewers[0].who;
        world.impair(who, RECEIVE, Way::Down, link().losing(1.0));
        let dark = film(&mut world, (a, VIDEO), 60, &mut viewers);
        world.impair(who, RECEIVE, Way::Down, link());
        let after = film(&mut world, (a, VIDEO), 20, &mut viewers);
        watch(&mut world, Duration::from_secs(1), &mut viewers);
        let [viewer] = viewers;
        assert_eq!(viewer.whole(&after, SOON), after.len());
        let ago = |frame: &Frame| after[0].at.since(frame.at);
        let late = Duration::from_millis(1900);
        // Of use is what is younger than a second and three round trips.
        let old: Vec<_> =
            dark.iter().filter(|it| ago(it) > SECOND + 5 * ROUND_TRIP).cloned().collect();
        let young: Vec<_> = dark.iter().filter(|it| ago(it) < SECOND).cloned().collect();
        assert_eq!(viewer.whole(&young, late), young.len());
        assert_eq!(viewer.whole(&old, 2 * late), 0);
        assert!(world.router.stats().unanswered(Unanswered::Gone) > 100);
    });
}

#[test]
fn numbers_and_timestamps_may_wrap() {
    let name = "loss_down::numbers_and_timestamps_may_wrap";
    let outcomes = seeds::each(name, 50, |seed| {
        let (mut world, a, viewer) = pair(seed, true, link().losing(0.05), link());
        let now = world.now;
        let source = world.source(a, VIDEO);
        source.seq = 65_536 - 100;
        // Wraps after three seconds, whatever it is at now.
        let until = u32::MAX - 3 * 90_000 / 2;
        source.timestamp_base = source.timestamp_base.wrapping_add(until - source.timestamp(now));
        let mut viewers = [viewer];
        world.packet(a, VIDEO, Picture::Key);
        let lost_before = world.net.lost_down;
        let frames = film(&mut world, (a, VIDEO), FRAMES, &mut viewers);
        watch(&mut world, Duration::from_millis(500), &mut viewers);
        let frames = &frames[..frames.len() - 1];
        Outcome {
            frames: frames.len(),
            whole: viewers[0].whole(frames, SOON),
            lost: world.net.lost_down - lost_before,
            resent: world.router.stats().resent,
        }
    });
    assert_whole(&outcomes, 99.0);
}

#[test]
fn a_viewer_who_gets_nothing_costs_the_others_nothing() {
    let name = "loss_down::a_viewer_who_gets_nothing_costs_the_others_nothing";
    seeds::each(name, 1, |seed| {
        let mut world = World::new(seed);
        let a = world.member("room", "a");
        world.open(a, SEND, &Plan::SEND);
        world.send(a, VIDEO, Kind::Video, SEND);
        let everybody: Vec<Who> = (0..51)
            .map(|i| {
                let who = world.member("room", &format!("viewer{i}"));
                world.open(who, RECEIVE, &Plan::RECEIVE);
                world.watch_all(who, RECEIVE);
                who
            })
            .collect();
        world.settle();
        world.packet(a, VIDEO, Picture::Key);
        world.settle();
        let viewer = |world: &World, who| {
            Viewer::new(world, who, world.sender_of(who, (a, VIDEO)), ROUND_TRIP)
        };
        let mut viewers: Vec<_> = everybody.iter().map(|who| viewer(&world, *who)).collect();
        world.net.conditions = link();
        world.impair(everybody[0], RECEIVE, Way::Down, link().losing(1.0));
        let asked = world.key_frame_requests(a, VIDEO).len();
        let frames = film(&mut world, (a, VIDEO), 40, &mut viewers);
        watch(&mut world, Duration::from_millis(200), &mut viewers);
        for viewer in &viewers[1..] {
            assert_eq!(viewer.whole(&frames, SOON), frames.len());
        }
        assert_eq!(viewers[0].whole(&frames, SOON), 0);
        assert_eq!(world.key_frame_requests(a, VIDEO).len(), asked);
    });
}
