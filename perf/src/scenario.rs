//! Scenarios: who is in which rooms, what they send, for how long, and what must hold. Profiles are
//! TOML files that come with the suite (`perf/scenarios`); every value can be set anew.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

/// Profiles that come with the suite: name and text.
pub const PROFILES: &[(&str, &str)] = &[
    ("canonical", include_str!("../scenarios/canonical.toml")),
    ("meetings", include_str!("../scenarios/meetings.toml")),
    ("meetings-4", include_str!("../scenarios/meetings-4.toml")),
    ("meetings-7", include_str!("../scenarios/meetings-7.toml")),
    ("meetings-20", include_str!("../scenarios/meetings-20.toml")),
    ("webinar", include_str!("../scenarios/webinar.toml")),
    ("webinar-audio", include_str!("../scenarios/webinar-audio.toml")),
    ("livekit-audio", include_str!("../scenarios/livekit-audio.toml")),
    ("livekit-meeting", include_str!("../scenarios/livekit-meeting.toml")),
    ("livekit-livestream", include_str!("../scenarios/livekit-livestream.toml")),
    ("compare", include_str!("../scenarios/compare.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("hostile", include_str!("../scenarios/hostile.toml")),
];

/// What is played, and what must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The profile's name.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// Loads, in the order in which they are played; each multiplies what its groups scale.
    #[serde(default = "one_load")]
    pub load: Vec<f64>,
    /// Length of the measured window of each load, seconds.
    pub seconds: f64,
    /// Time between the last join and the window, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: f64,
    /// Joins that are under way at a time while rooms fill.
    #[serde(default = "joins_at_once")]
    pub joins_at_once: usize,
    /// Share of peers that open and verify every packet. At least one of each group does.
    #[serde(default = "probe_share")]
    pub probe_share: f64,
    /// Of everything random.
    #[serde(default)]
    pub seed: u64,
    /// Rooms of the same kind.
    pub groups: Vec<Group>,
    /// Coming and going in the window.
    #[serde(default)]
    pub churn: Churn,
    /// What hostile networks and clients do in the window.
    #[serde(default)]
    pub hostile: Hostile,
    /// What must hold at a load for it to count as carried.
    #[serde(default)]
    pub limits: Limits,
}

/// Rooms of the same kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// In reports, and the start of the rooms' names.
    pub name: String,
    /// How many rooms.
    #[serde(default = "one")]
    pub rooms: usize,
    /// Peers of each room that send (and receive everybody else).
    pub senders: usize,
    /// Further peers of each room that only receive.
    #[serde(default)]
    pub receivers: usize,
    /// Whether senders receive each other, as in a meeting.
    #[serde(default = "yes")]
    pub senders_receive: bool,
    /// What the load multiplies.
    #[serde(default)]
    pub scale: Scale,
    /// What each sender sends.
    #[serde(default)]
    pub video: Option<Video>,
    /// Beside it, or alone.
    #[serde(default)]
    pub audio: Option<Audio>,
}

/// What the load multiplies in a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// The number of rooms.
    #[default]
    Rooms,
    /// The number of receivers of each room.
    Receivers,
    /// Nothing.
    Nothing,
}

/// Codecs whose packets the suite can play.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoCodec {
    /// VP8.
    #[default]
    Vp8,
    /// VP9.
    Vp9,
    /// H.264.
    H264,
    /// AV1.
    Av1,
}

/// A source of video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Codec, and with it the trace: Chromium's at 720p, 30 frames and 2 Mbit a second.
    #[serde(default)]
    pub codec: VideoCodec,
    /// A captured file (`time_us,size,marker,pt,seq,rtp_ts`) instead of the suite's trace.
    #[serde(default)]
    pub trace_file: Option<String>,
    /// The packets' spacing is that of an uplink of so many Mbit/s; 0: as they were captured, a
    /// frame at once.
    #[serde(default)]
    pub uplink_mbit: f64,
    /// Made by these numbers instead of a trace.
    #[serde(default)]
    pub synthetic: Option<Synthetic>,
    /// Size of a key frame; those of a browser at 2 Mbit/s are about four frames long.
    #[serde(default = "key_frame_bytes")]
    pub key_frame_bytes: usize,
}

/// Video made by numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synthetic {
    /// Mbit/s of datagrams' payload.
    pub mbit: f64,
    /// Frames a second.
    pub frames_per_second: f64,
    /// The longest datagram's payload, bytes.
    pub packet_bytes: usize,
}

/// A source of audio: Chromium's opus, or made by numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Milliseconds of sound a packet; 0: the suite's trace of opus.
    #[serde(default)]
    pub packet_ms: f64,
    /// Datagram's payload, bytes, where it is not the trace.
    #[serde(default = "audio_bytes")]
    pub packet_bytes: usize,
}

/// Coming and going.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Churn {
    /// Receivers that join a second, over all rooms; as many leave. They say how long joining and
    /// the first frame take under load.
    pub joins_per_second: f64,
    /// How long each stays, seconds.
    pub stay_seconds: f64,
    /// Whether those that come also send.
    pub senders: bool,
    /// ICE restarts a second, over all peers.
    pub restarts_per_second: f64,
}

/// What happens on bad networks and by bad clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hostile {
    /// Share of packets that are lost between sources and the server.
    pub uplink_loss: f64,
    /// Share of packets that are lost between the server and viewers.
    pub downlink_loss: f64,
    /// Datagrams a second that make no sense, from addresses that the server does not know, and
    /// from ones that it does.
    pub junk_per_second: f64,
    /// Handshakes a second that begin and are not gone on with.
    pub half_open_per_second: f64,
    /// Peers whose WebSocket is never read.
    pub slow_readers: usize,
    /// Requests for key frames a second by one viewer of each room.
    pub key_frame_requests_per_second: f64,
}

/// What must hold for a load to count as carried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Added latency, milliseconds.
    pub latency_p99_ms: f64,
    /// Added latency, milliseconds.
    pub latency_p999_ms: f64,
    /// Share of packets lost between the sources' sockets and the viewers' (without what the
    /// scenario drops itself).
    pub loss: f64,
    /// The longest pause of a stream, milliseconds.
    pub freeze_ms: f64,
    /// Time from asking for a stream to its first frame, milliseconds.
    pub first_frame_p99_ms: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            latency_p99_ms: 5.0,
            latency_p999_ms: 20.0,
            loss: 0.001,
            freeze_ms: 200.0,
            first_frame_p99_ms: 1000.0,
        }
    }
}

fn one_load() -> Vec<f64> {
    vec![1.0]
}

fn settle_seconds() -> f64 {
    2.0
}

fn joins_at_once() -> usize {
    16
}

fn probe_share() -> f64 {
    0.05
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn key_frame_bytes() -> usize {
    33_000
}

fn audio_bytes() -> usize {
    119
}

/// Peers of a run at most: what one generator's addresses and descriptors are for.
pub const PEERS_MAX: usize = 60_000;

impl Scenario {
    /// A profile by its name, or a file by its path; `sets` are `KEY=VALUE` with TOML values and
    /// dotted keys (`groups.0.rooms=20`, `seconds=4`), applied in order.
    ///
    /// # Errors
    /// There is no such profile or file, it does not parse, a key does not exist, or a value makes
    /// no sense; the message names it.
    pub fn load(name_or_path: &str, sets: &[String]) -> anyhow::Result<Self> {
        let text = match PROFILES.iter().find(|(name, _)| *name == name_or_path) {
            Some((_, text)) => (*text).to_owned(),
            None if Path::new(name_or_path).exists() => std::fs::read_to_string(name_or_path)
                .with_context(|| format!("cannot read {name_or_path}"))?,
            None => {
                let names: Vec<_> = PROFILES.iter().map(|(name, _)| *name).collect();
                bail!("{name_or_path:?} is neither a file nor one of {}", names.join(", "));
            }
        };
        Self::parse(&text, sets).with_context(|| name_or_path.to_owned())
    }

    /// As [`Scenario::load`], from the text itself.
    ///
    /// # Errors
    /// As there.
    pub fn parse(text: &str, sets: &[String]) -> anyhow::Result<Self> {
        let mut table: toml::Value = toml::Value::Table(text.parse()?);
        for set in sets {
            let (key, value) =
                set.split_once('=').with_context(|| format!("{set:?} is not KEY=VALUE"))?;
            assign(&mut table, key.trim(), value.trim()).with_context(|| set.clone())?;
        }
        let scenario: Self = table.try_into()?;
        scenario.check()?;
        Ok(scenario)
    }

    /// How large the groups are at one load.
    pub fn at(&self, load: f64) -> Vec<Group> {
        let scaled = |count: usize| ((count as f64 * load).round() as usize).max(1);
        let at = |group: &Group| match group.scale {
            Scale::Rooms => Group { rooms: scaled(group.rooms), ..group.clone() },
            Scale::Receivers => Group { receivers: scaled(group.receivers), ..group.clone() },
            Scale::Nothing => group.clone(),
        };
        self.groups.iter().map(at).collect()
    }

    /// Peers at one load, those that come and go apart.
    pub fn peers_at(&self, load: f64) -> usize {
        self.at(load).iter().map(|group| group.rooms * (group.senders + group.receivers)).sum()
    }

    fn check(&self) -> anyhow::Result<()> {
        let share = |name: &str, value: f64| {
            ensure!((0.0..=1.0).contains(&value), "{name} is {value}, not a share from 0 to 1");
            Ok(())
        };
        let positive = |name: &str, value: f64| {
            ensure!(value.is_finite() && value > 0.0, "{name} is {value}, not above 0");
            Ok(())
        };
        // Between two of them time has to be reckoned.
        let rate = |name: &str, value: f64| {
            let sense = value == 0.0 || (0.001..=1e6).contains(&value);
            ensure!(sense, "{name} is {value}, neither 0 nor from 0.001 to a million");
            Ok(())
        };
        let hour = |name: &str, value: f64| {
            ensure!((0.0..=3600.0).contains(&value), "{name} is {value}, not 0 to 3600");
            Ok(())
        };
        positive("seconds", self.seconds)?;
        hour("seconds", self.seconds)?;
        hour("settle_seconds", self.settle_seconds)?;
        ensure!(self.joins_at_once > 0, "joins_at_once is 0: nobody could join");
        share("probe_share", self.probe_share)?;
        ensure!(!self.load.is_empty(), "load is empty: nothing would be played");
        for load in &self.load {
            ensure!((1e-3..=1e6).contains(load), "load is {load}, not from 0.001 to a million");
        }
        ensure!(!self.groups.is_empty(), "there are no groups");
        for group in &self.groups {
            group.check().with_context(|| format!("group {:?}", group.name))?;
        }
        for load in &self.load {
            let peers = self.peers_at(*load);
            ensure!(peers <= PEERS_MAX, "{peers} peers at load {load}; {PEERS_MAX} at most");
        }
        let Churn { joins_per_second, stay_seconds, restarts_per_second, .. } = self.churn;
        rate("churn.joins_per_second", joins_per_second)?;
        hour("churn.stay_seconds", stay_seconds)?;
        rate("churn.restarts_per_second", restarts_per_second)?;
        share("hostile.uplink_loss", self.hostile.uplink_loss)?;
        share("hostile.downlink_loss", self.hostile.downlink_loss)?;
        rate("hostile.junk_per_second", self.hostile.junk_per_second)?;
        rate("hostile.half_open_per_second", self.hostile.half_open_per_second)?;
        let requests = self.hostile.key_frame_requests_per_second;
        rate("hostile.key_frame_requests_per_second", requests)?;
        positive("limits.latency_p99_ms", self.limits.latency_p99_ms)?;
        positive("limits.latency_p999_ms", self.limits.latency_p999_ms)?;
        share("limits.loss", self.limits.loss)?;
        positive("limits.freeze_ms", self.limits.freeze_ms)?;
        positive("limits.first_frame_p99_ms", self.limits.first_frame_p99_ms)
    }
}

impl Group {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.rooms > 0, "rooms is 0");
        ensure!(self.senders > 0, "senders is 0: nothing would be sent");
        ensure!(self.video.is_some() || self.audio.is_some(), "neither video nor audio is sent");
        let only = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        ensure!(only(&self.name), "a name is made of letters, digits and -");
        if let Some(video) = &self.video {
            let uplink = video.uplink_mbit;
            let sense = uplink == 0.0 || (0.1..=100_000.0).contains(&uplink);
            ensure!(sense, "uplink_mbit is {uplink}, neither 0 nor from 0.1 to 100000");
            ensure!(video.key_frame_bytes <= 1 << 20, "key_frame_bytes is above 1 MiB");
            if let Some(Synthetic { mbit, frames_per_second, packet_bytes }) = video.synthetic {
                ensure!(mbit > 0.0 && mbit <= 1000.0, "mbit is {mbit}");
                ensure!((0.1..=240.0).contains(&frames_per_second), "{frames_per_second} frames/s");
                ensure!((100..=1400).contains(&packet_bytes), "packet_bytes is {packet_bytes}");
            }
        }
        if let Some(Audio { packet_ms, packet_bytes }) = self.audio {
            ensure!(packet_ms == 0.0 || (2.5..=120.0).contains(&packet_ms), "{packet_ms} ms");
            ensure!((60..=1400).contains(&packet_bytes), "packet_bytes is {packet_bytes}");
        }
        Ok(())
    }
}

/// Sets what `key` names, through tables by name and arrays by index. The last name of a table may
/// be new to it: whether it exists at all is the scenario's parser's to say.
fn assign(root: &mut toml::Value, key: &str, value: &str) -> anyhow::Result<()> {
    // What is no TOML value is taken as text, so that nobody has to quote through a shell.
    let parsed = format!("value = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut at = root;
    for part in key.split('.') {
        at = match at {
            toml::Value::Table(table) => {
                table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()))
            }
            toml::Value::Array(array) => {
                let len = array.len();
                part.parse::<usize>()
                    .ok()
                    .and_then(|index| array.get_mut(index))
                    .with_context(|| format!("{part:?} is no index of a list of {len}"))?
            }
            _ => bail!("{part:?} is within a plain value"),
        };
    }
    *at = parsed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_parses() {
        for (name, text) in PROFILES {
            let scenario = Scenario::parse(text, &[]).unwrap_or_else(|error| {
                panic!("{name}: {error:#}");
            });
            assert_eq!(scenario.name, *name);
        }
    }

    #[test]
    fn values_are_set_by_dotted_keys() {
        let sets = ["seconds=1.5", "groups.0.rooms = 7", "churn.joins_per_second=3", "name=x"];
        let sets: Vec<_> = sets.map(str::to_owned).into();
        let scenario = Scenario::load("meetings-4", &sets).unwrap();
        assert_eq!((scenario.seconds, scenario.groups[0].rooms), (1.5, 7));
        assert_eq!(scenario.churn.joins_per_second, 3.0);
        assert_eq!(scenario.name, "x");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refused = |set: &str| {
            let error = Scenario::load("meetings-4", &[set.to_owned()]).unwrap_err();
            format!("{error:#}")
        };
        assert!(refused("second=1").contains("second"), "{}", refused("second=1"));
        assert!(refused("seconds=0").contains("seconds is 0"));
        assert!(refused("groups.9.rooms=1").contains("list of 1"));
        assert!(refused("probe_share=2").contains("probe_share"));
        assert!(refused("churn.joins_per_second=1e-300").contains("churn.joins_per_second"));
        assert!(refused("groups.0.video.uplink_mbit=1e-9").contains("uplink_mbit"));
        assert!(refused("load=[1e-30]").contains("load"));
        assert!(refused("seconds").contains("KEY=VALUE"));
        assert!(format!("{:#}", Scenario::load("nothing", &[]).unwrap_err()).contains("canonical"));
    }

    #[test]
    fn a_load_scales_rooms_or_receivers_and_leaves_at_least_one() {
        let scenario = Scenario::load("webinar", &["groups.0.receivers=100".into()]).unwrap();
        assert_eq!(scenario.at(0.5)[0].receivers, 50);
        assert_eq!(scenario.at(0.5)[0].rooms, 1);
        assert_eq!(scenario.at(0.001)[0].receivers, 1);
        let meetings = Scenario::load("meetings-4", &["groups.0.rooms=10".into()]).unwrap();
        assert_eq!(meetings.at(1.5)[0].rooms, 15);
        assert_eq!(meetings.peers_at(1.5), 60);
    }
}
