//! The capacity-planning suite against the real server: that it measures what is there, and that it
//! finds and names what is wrong. A check that cannot fail is no check. Which faults: a relay that
//! sleeps 3 ms a turn, one that drops 1 % of media, a viewer that keeps asking for key frames.

#![allow(clippy::disallowed_methods, reason = "no shard: a relay with a thread of its own")]

mod faulty;

use std::sync::Arc;

use corinth_perf::findings;
use corinth_perf::host;
use corinth_perf::measures::{Finding, Step};
use corinth_perf::peer::{Peer, TransportOptions};
use corinth_perf::progress::Progress;
use corinth_perf::rig::{Place, Rig};
use corinth_perf::scenario::Scenario;
use corinth_perf::sfu::{Corinth, Launch};
use faulty::{Fault, Relay};

/// Two rooms of three: small enough for a debug build.
const ROOMS: &str = r#"
name = "test"
about = "two rooms of three"
seconds = 4.0
settle_seconds = 1.0

[[groups]]
name = "three"
rooms = 2
senders = 3
video = {}
audio = {}

[churn]
joins_per_second = 1.0
stay_seconds = 1.0
"#;

/// What measures wants the machine for itself.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Plays the scenario, with values set anew, to a server behind what does `fault`.
async fn play(sets: &[&str], fault: Option<Fault>) -> anyhow::Result<(Step, Vec<Finding>)> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
    let scenario = Scenario::parse(ROOMS, &sets)?;
    let cores = host::cores()?;
    let place = Place::loopback(vec![cores[cores.len() - 1]], vec![cores[0]]);
    let launch = Launch {
        program: env!("CARGO_BIN_EXE_corinth").into(),
        cores: place.server_cores.clone(),
        ..Launch::default()
    };
    let mut server = Corinth::start(launch, "127.0.0.1").await?;
    let mut relay = None;
    if let Some(fault) = fault {
        let peer = Peer::join(server.url(), "where", "media").await?;
        let offer = peer.offer_transport(TransportOptions::new(1)).await?;
        let started = Relay::start(offer.remote.address, fault)?;
        server = server.via(Some(started.address()));
        relay = Some(started);
    }
    let mut rig = Rig::new(Arc::new(server), &place, &scenario, Progress::new(true))?;
    let step = rig.step(1.0).await?;
    // Whoever only visited is gone when a step is over.
    assert_eq!(rig.present(), step.population.peers);
    rig.end().await;
    drop(relay);
    let found = findings::of_step(&step, &scenario);
    Ok((step, found))
}

fn has(found: &[Finding], kind: &str) -> bool {
    found.iter().any(|finding| finding.kind == kind)
}

/// What a healthy server must not be accused of, however slow the machine.
const FAULTS: [&str; 5] =
    ["loss-unexplained", "latency-idle", "key-frame-storm", "counters-disagree", "corrupt"];

#[tokio::test]
async fn a_healthy_server_is_measured_whole() -> anyhow::Result<()> {
    let (step, found) = play(&[], None).await?;
    let packets = &step.packets;
    assert_eq!((step.population.rooms, step.population.peers), (2, 6));
    assert_eq!((step.population.sources, step.population.probes), (12, 2));
    // 278 packets a second from each of six, for two others and a visitor now and then.
    assert!((1500.0..1800.0).contains(&step.sent_pps()), "{} sent/s", step.sent_pps());
    assert!(packets.expected > 2 * packets.sent, "{packets:?}");
    assert_eq!((packets.received, packets.corrupt), (packets.expected, 0), "{packets:?}");
    assert!(step.latency.count > 0 && step.latency.p50_us > 10.0, "{:?}", step.latency);
    assert!(step.latency.p50_us < 50_000.0, "{:?}", step.latency);
    assert!(step.population.joins >= 3 && step.viewing.join.count >= 3, "{:?}", step.viewing);
    assert!(step.viewing.first_frame.count >= 3, "{:?}", step.viewing);
    let process = step.process.as_ref().expect("the server is on this machine");
    assert!(process.cpu_us > 0.0 && process.rss_bytes > 1 << 20, "{process:?}");
    assert_eq!(step.agreement.len(), 2);
    assert!(FAULTS.iter().all(|kind| !has(&found, kind)), "{found:#?}");
    Ok(())
}

#[tokio::test]
async fn three_milliseconds_of_sleep_a_turn_are_found() -> anyhow::Result<()> {
    let (step, found) = play(&[], Some(Fault::SleepMillis(3))).await?;
    assert!(step.latency.p50_us > 3000.0, "{:?}", step.latency);
    assert!(has(&found, "latency") && has(&found, "latency-idle"), "{found:#?}");
    assert!(!has(&found, "loss-unexplained"), "{found:#?}");
    Ok(())
}

#[tokio::test]
async fn one_percent_of_loss_is_found_and_placed() -> anyhow::Result<()> {
    let (step, found) = play(&[], Some(Fault::DropShare(0.01))).await?;
    assert!((0.005..0.02).contains(&step.packets.loss), "{:?}", step.packets);
    let explained = step.packets.expected - step.packets.received - step.packets.lost_unexplained;
    assert!(explained < step.packets.lost_unexplained / 4, "{:?}", step.packets);
    assert!(has(&found, "loss-unexplained"), "{found:#?}");
    Ok(())
}

#[tokio::test]
async fn a_storm_of_key_frames_is_found() -> anyhow::Result<()> {
    let (step, found) = play(&["hostile.key_frame_requests_per_second=20"], None).await?;
    assert!(step.key_frames.per_source_second > 1.0, "{:?}", step.key_frames);
    assert!(has(&found, "key-frame-storm"), "{found:#?}");
    Ok(())
}
