//! Which scenarios to play to learn a machine's prices, and which to try them on.

use anyhow::ensure;

use super::Demand;
use crate::scenario::{Churn, Hostile, Limits, Scale, Scenario};

/// Packets a second that the counts below are made for; see [`Calibration::sized`].
const PACKETS_PER_SECOND: f64 = 500_000.0;

/// Of each window.
const SECONDS: f64 = 5.0;

/// Between the last join and the window.
const SETTLE_SECONDS: f64 = 1.0;

/// Under way at a time.
const JOINS_AT_ONCE: usize = 32;

/// Starting a server, connecting, ending it.
const START_SECONDS: f64 = 2.0;

/// Joins that a generator makes a second, about.
const JOIN_RATE: f64 = 100.0;

/// Scenarios to fit a model on and to hold against it, for one core of server and one of generator.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Far apart: small rooms and large audiences, video and audio, bursts and single packets, many
    /// peers that say little, joins in small rooms and in large ones.
    pub fit: Vec<Scenario>,
    /// Mixes of what none of these has alone: rooms of 4 beside a webinar with video, rooms of 7
    /// beside one with audio.
    pub held_out: Vec<Scenario>,
}

impl Calibration {
    /// For a server core that forwards about so many packets a second to an audience (500 000 on
    /// the machine of docs/internals/limit.md; a guess is good enough). At most a third of that
    /// is asked for, so that one core of generator follows.
    ///
    /// # Errors
    /// The guess is beyond all sense.
    pub fn sized(packets_per_second: f64) -> anyhow::Result<Self> {
        ensure!(
            (50_000.0..=20e6).contains(&packets_per_second),
            "{packets_per_second} packets/s of a core: not from 50 000 to 20 million"
        );
        let n = |count: usize| {
            let scaled = count as f64 * packets_per_second / PACKETS_PER_SECOND;
            (scaled.round() as usize).max(1)
        };
        let rooms = |name, mix, load: &[f64]| scenario(name, mix, Scale::Rooms, load);
        let hall = |name, mix, load: &[f64]| scenario(name, mix, Scale::Receivers, load);
        let fit = vec![
            rooms("rooms-of-3", format!("{}x3", n(50)), &[0.2, 1.0])?,
            rooms("rooms-of-10", format!("{}x10", n(7)), &[0.3, 1.0])?,
            rooms("audiences-of-100", format!("{}x1+100:video", n(8)), &[0.25, 1.0])?,
            hall("audience", format!("1+{}", n(600)), &[0.25, 1.0])?,
            hall("audience-of-audio", format!("10+{}:audio", n(300)), &[0.2, 1.0])?,
            hall("spaced", format!("2x1+{}:video:uplink=20", n(150)), &[1.0])?,
            hall("quiet", format!("1+{}:audio:ms=120", n(500)), &[1.0])?,
            joins(rooms("joins-in-rooms", format!("{}x3:audio", n(6)), &[0.5, 1.0])?),
            joins(hall("joins-in-audience", format!("1+{}:audio", n(250)), &[0.4, 1.0])?),
        ];
        let held_out = vec![
            rooms("rooms-of-4-and-webinar", format!("{}x4, 1+{}", n(15), n(250)), &[1.0])?,
            rooms("rooms-of-7-and-talk", format!("{}x7, 10+{}:audio", n(7), n(150)), &[1.0])?,
        ];
        Ok(Self { fit, held_out })
    }

    /// How long all of it takes, about.
    pub fn seconds(&self) -> f64 {
        let of = |scenario: &Scenario| {
            let steps = scenario.load.iter().map(|load| {
                let joins = scenario.peers_at(*load) as f64 / JOIN_RATE;
                scenario.seconds + scenario.settle_seconds + joins
            });
            START_SECONDS + steps.sum::<f64>()
        };
        self.fit.iter().chain(&self.held_out).map(of).sum()
    }
}

fn joins(scenario: Scenario) -> Scenario {
    let churn = Churn { joins_per_second: 40.0, stay_seconds: 1.5, ..Churn::default() };
    Scenario { churn, ..scenario }
}

fn scenario(name: &str, mix: String, scale: Scale, load: &[f64]) -> anyhow::Result<Scenario> {
    let mut groups = Demand::parse(&[mix], 0.0)?.groups;
    groups.iter_mut().for_each(|group| group.scale = scale);
    Ok(Scenario {
        name: name.to_owned(),
        about: "Calibration of the cost model".to_owned(),
        load: load.to_vec(),
        seconds: SECONDS,
        settle_seconds: SETTLE_SECONDS,
        joins_at_once: JOINS_AT_ONCE,
        probe_share: 0.02,
        seed: 0,
        groups,
        churn: Churn::default(),
        hostile: Hostile::default(),
        limits: Limits::default(),
    })
}
