//! The model against what was measured, and against a simulated shard with prices that are known.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::flow::{Played, trains_of};
use super::*;
use crate::measures::{Generator, Machine, Packets, Population, Process, ServerInfo, Step};
use crate::scenario::{Group, Scenario};
use crate::trace::TracePacket;

/// The tables of docs/internals/limit.md: mix, CPU ns for each packet to a viewer. One shard.
const MEASURED: [(&str, f64); 14] = [
    ("1+50:video", 2236.0),
    ("1+200:video", 1522.0),
    ("1+500:video", 1352.0),
    ("1+50:video:uplink=20", 3266.0),
    ("1+200:video:uplink=20", 2072.0),
    ("1+500:video:uplink=20", 1553.0),
    ("10+50:audio", 2496.0),
    ("10+200:audio", 1751.0),
    ("10+500:audio", 1575.0),
    ("1+200:video", 1554.0),
    ("4+200:video", 1400.0),
    ("8+200:video", 1313.0),
    ("12+200:video", 1297.0),
    ("16+200:video", 1235.0),
];

fn demand(mix: &str) -> Demand {
    Demand::parse(&[mix.to_owned()], 0.0).unwrap()
}

fn measured() -> Vec<Observation> {
    let of = |(mix, ns): &(&str, f64)| {
        let mut demand = demand(mix);
        // In that bench nobody who sends receives.
        demand.groups.iter_mut().for_each(|group| group.senders_receive = false);
        let flow = demand.flow().unwrap();
        Observation {
            name: (*mix).to_owned(),
            largest_room: demand.largest_room(),
            shards: 1,
            cores_busy: ns * flow.tx_packets / 1e9,
            rss_bytes: 0,
            flow,
        }
    };
    MEASURED.iter().map(of).collect()
}

#[test]
fn the_documented_measurements_are_explained_and_each_is_predicted_by_the_others() {
    let model = Model::fit(&measured()).unwrap();
    assert!(model.fit_errors.worst < 0.10, "{model}");
    assert!(model.left_out_errors.median < 0.05, "{model}");
    assert!(model.left_out_errors.worst < 0.20, "{model}");
    assert!(model.costs.iter().all(|cost| cost.seconds.is_none_or(|seconds| seconds >= 0.0)));
    let text = model.to_string();
    assert!(text.contains("a join") && text.contains("in no run"), "{text}");
}

#[test]
fn what_the_observations_cannot_tell_is_said() {
    let few = Model::fit(&measured()[..4]).unwrap_err().to_string();
    assert!(few.contains("there are 4"), "{few}");
    assert!(Model::fit(&[]).is_err());
    let same: Vec<_> = (1..20)
        .map(|rooms| {
            let flow = demand("1x4").flow().unwrap() * f64::from(rooms);
            let observation = measured().remove(0);
            Observation { flow, cores_busy: 0.01 * f64::from(rooms), ..observation }
        })
        .collect();
    let alike = Model::fit(&same).unwrap_err().to_string();
    assert!(alike.contains("no price of its own") && alike.contains("a packet in"), "{alike}");
}

#[test]
fn mixes_that_it_was_not_fitted_on_are_predicted_on_a_simulated_shard() {
    let calibration = Calibration::sized(500_000.0).unwrap();
    let seen = |scenarios: &[Scenario], seed: u64| -> Vec<Observation> {
        scenarios.iter().flat_map(|scenario| simulate_all(scenario, seed)).collect()
    };
    let model = Model::fit(&seen(&calibration.fit, 1)).unwrap();
    let model = model.held_against(&seen(&calibration.held_out, 2));
    assert_eq!(model.held_out.len(), 2);
    assert!(model.stated_error() < 0.10, "{model}");
    assert!(model.costs.iter().all(|cost| cost.seconds.is_some()), "{model}");

    // As a file and back, it says the same.
    let read: Model = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    let flow = demand("9x5").flow().unwrap();
    assert!(near(read.predict(&flow, 1), model.predict(&flow, 1)));
    assert_eq!(read.held_out.len(), 2);
}

#[test]
fn a_calibration_is_short_and_within_what_a_generator_core_does() {
    let calibration = Calibration::sized(500_000.0).unwrap();
    assert!(calibration.seconds() < 240.0, "{} s", calibration.seconds());
    let steps: usize = calibration.fit.iter().map(|scenario| scenario.load.len()).sum();
    assert!(steps > Feature::ALL.len(), "{steps}");
    for scenario in calibration.fit.iter().chain(&calibration.held_out) {
        for load in &scenario.load {
            let flow = Demand::of(scenario, *load).flow().unwrap();
            let generator = flow.tx_packets / 300e3 + flow.rx_packets / 150e3;
            assert!(generator < 0.8, "{}: {generator:.2}", scenario.name);
        }
    }
    assert!(Calibration::sized(1e9).is_err());
}

#[test]
fn an_answer_deals_out_whole_rooms_and_names_those_that_no_core_carries() {
    let model = Model::fit(&measured()).unwrap().on(&Machine::default(), &ServerInfo::default());
    let answer = |mix: &str| model.answer(&demand(mix), 0.7).unwrap();

    let small = answer("40 rooms of 7");
    assert!(small.too_large.is_empty());
    assert!(small.whole_cores as f64 >= small.cores && small.busy <= 0.7, "{small}");
    assert!((small.flow.peers, small.held_out) == (280.0, 0));
    assert!(small.to_string().contains("left out of the fit"), "{small}");

    // 0.4 of a core each: two do not go on one core, though half of the second is free.
    let halves = answer("3 webinars of 1000");
    assert_eq!(halves.whole_cores, 3, "{halves}");
    assert!(halves.cores < 2.5, "{halves}");

    let large = answer("40 rooms of 7 and one webinar of 5000");
    assert_eq!(large.too_large.len(), 1);
    assert!(large.to_string().contains("cannot be carried: 1 room of 1 + 5000"), "{large}");
    assert!(large.to_string().contains("a guess"), "ten times as large as any measured: {large}");
    assert_eq!(large.whole_cores, small.whole_cores + 1, "{large}");

    let joined = Demand { joins_per_second: 5.0, ..demand("40x7") };
    assert!(model.answer(&joined, 0.7).unwrap().to_string().contains("no run had a join"));
    assert!(model.answer(&demand("40x7"), 1.5).is_err());
    assert!(model.answer(&demand("100000x100"), 0.7).is_err());
}

#[test]
fn steps_that_say_nothing_about_costs_are_refused_with_the_reason() {
    let scenario = Calibration::sized(500_000.0).unwrap().fit.remove(0);
    let flow = Demand::of(&scenario, 1.0).flow().unwrap();
    let step = Step {
        load: 1.0,
        seconds: 5.0,
        population: Population { peers: 150, ..Population::default() },
        packets: Packets {
            sent: (5.1 * flow.rx_packets) as u64,
            received: (5.1 * flow.tx_packets) as u64,
            ..Packets::default()
        },
        process: Some(Process { cores_busy: 0.5, cores: 1, ..Process::default() }),
        ..Step::default()
    };
    let seen = Observation::from_step(&step, &scenario).unwrap();
    let ratio = seen.flow.wakes / flow.wakes;
    assert!((ratio - 1.02).abs() < 0.001, "as much as was measured: {ratio}");
    assert_eq!(seen.name, "rooms-of-3 at 1");

    let refused = |change: &dyn Fn(&mut Step)| {
        let mut step = step.clone();
        change(&mut step);
        format!("{:#}", Observation::from_step(&step, &scenario).unwrap_err())
    };
    let limit = Some("late".to_owned());
    assert!(refused(&|step| step.process = None).contains("not on this machine"));
    assert!(refused(&|step| step.packets.loss = 0.02).contains("lost"));
    assert!(refused(&|step| step.population.restarts = 1).contains("restarts"));
    assert!(refused(&|step| step.packets.received /= 2).contains("received"));
    assert!(
        refused(&|step| step.generator = Generator { limit: limit.clone(), ..Default::default() })
            .contains("generator")
    );
}

/// Prices of the simulated shard, µs.
const TRUE_WAKE: f64 = 24.0;
const TRUE_TURN: f64 = 4.0;
const TRUE_RX: f64 = 3.5;
const TRUE_TRAIN: f64 = 0.8;
const TRUE_TX: f64 = 0.7;
const TRUE_JOIN: f64 = 900.0;
const TRUE_NOTICE: f64 = 5.0;
const TRUE_PEER_A_SECOND: f64 = 60.0;
const TRUE_SHARD_A_SECOND: f64 = 4000.0;

/// Reports and timers, seconds.
const GRID: f64 = 0.05;

const SIMULATED_SECONDS: f64 = 4.0;

/// What comes to the shard.
struct Event {
    at: f64,
    /// Work of its own, µs.
    work: f64,
    /// Source, size, viewers of a packet.
    packet: Option<(usize, usize, usize)>,
}

fn simulate_all(scenario: &Scenario, seed: u64) -> Vec<Observation> {
    let step = |load: &f64| {
        let demand = Demand::of(scenario, *load);
        let mut rng = StdRng::seed_from_u64(seed ^ load.to_bits());
        let flow = demand.flow().unwrap();
        // One in a hundred, as from one run to the next.
        let noise = 1.0 + rng.random_range(-0.015..0.015);
        Observation {
            name: format!("{} at {load}", scenario.name),
            flow,
            largest_room: demand.largest_room(),
            shards: 1,
            cores_busy: noise * simulate(&demand, &flow, &mut rng),
            rss_bytes: (30e6 + 70e3 * flow.peers) as u64,
        }
    };
    scenario.load.iter().map(step).collect()
}

/// The busy share of a shard that serves the demand: every packet at its time, turn by turn.
fn simulate(demand: &Demand, flow: &Flow, rng: &mut StdRng) -> f64 {
    let mut events = Vec::new();
    let mut sources = 0;
    for group in &demand.groups {
        play(group, &mut sources, &mut events, rng);
    }
    let event = |at, work| Event { at, work, packet: None };
    for tick in 0..(SIMULATED_SECONDS / GRID) as usize {
        let work = GRID * (TRUE_SHARD_A_SECOND + TRUE_PEER_A_SECOND * flow.peers);
        events.push(event(tick as f64 * GRID, work));
    }
    for _ in 0..(SIMULATED_SECONDS * flow.joins) as usize {
        let work = TRUE_JOIN + TRUE_NOTICE * flow.notices / flow.joins;
        events.push(event(rng.random_range(0.0..SIMULATED_SECONDS), work));
    }
    events.sort_by(|a, b| a.at.total_cmp(&b.at));
    serve(&events) / SIMULATED_SECONDS
}

/// The packets of the group's senders, each from anywhere in its traces on.
fn play(group: &Group, sources: &mut usize, events: &mut Vec<Event>, rng: &mut StdRng) {
    let viewers = group.receivers + if group.senders_receive { group.senders - 1 } else { 0 };
    let video = group.video.as_ref().map(|video| Played::video(video).unwrap());
    let audio = group.audio.as_ref().map(|audio| Played::audio(audio).unwrap());
    for played in [video, audio].into_iter().flatten() {
        for _ in 0..group.rooms * group.senders {
            let mut start = -rng.random_range(0.0..played.period);
            while start < SIMULATED_SECONDS {
                let at = |packet: &TracePacket| start + packet.at.as_secs_f64();
                let before = played.trace.packets.partition_point(|packet| at(packet) < 0.0);
                let packets = played.trace.packets[before..].iter();
                events.extend(packets.take_while(|p| at(p) < SIMULATED_SECONDS).map(|packet| {
                    Event {
                        at: at(packet),
                        work: 0.0,
                        packet: Some((*sources, packet.size, viewers)),
                    }
                }));
                start += played.period;
            }
            *sources += 1;
        }
    }
}

/// Seconds of work.
fn serve(events: &[Event]) -> f64 {
    let (mut next, mut now, mut busy) = (0, 0.0, 0.0);
    while next < events.len() {
        let mut work = TRUE_TURN;
        if events[next].at > now {
            now = events[next].at;
            work += TRUE_WAKE;
        }
        let come = events[next..].iter().take_while(|event| event.at <= now + TRUE_WAKE / 1e6);
        let count = come.take(64).count();
        let turn = &events[next..next + count];
        next += count;
        work += turn.iter().map(|event| event.work).sum::<f64>();
        let mut packets: Vec<_> = turn.iter().filter_map(|event| event.packet).collect();
        packets.sort_by_key(|(source, ..)| *source);
        for of_one in packets.chunk_by(|a, b| a.0 == b.0) {
            let trains = trains_of(of_one.iter().map(|(_, size, _)| *size)) as f64;
            let sent = TRUE_TRAIN * trains + TRUE_TX * of_one.len() as f64;
            work += TRUE_RX * of_one.len() as f64 + sent * of_one[0].2 as f64;
        }
        now += work / 1e6;
        busy += work / 1e6;
    }
    busy
}
