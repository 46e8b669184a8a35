//! What a server is to carry, in the words of whoever asks.
//!
//! A mix is one or more of these, between them `and` or a comma:
//!
//! | words | rooms |
//! | --- | --- |
//! | `40 rooms of 7`, `40x7` | 40, of 7 who all send and receive each other |
//! | `one webinar of 2000`, `1+2000` | one, of 1 who sends and 2000 who receive |
//! | `2x10+500` | two, of 10 who send and receive each other and 500 who only receive |
//!
//! Everybody sends video (Chromium's VP8, 720p, 2 Mbit/s) and audio, if nothing else is said:
//! `40x7:audio`, or `40 rooms of 7 with audio`. Options, after a `:` each or behind `with`:
//!
//! | option | what is sent |
//! | --- | --- |
//! | `audio`, `video` | that alone |
//! | `vp8`, `vp9`, `h264`, `av1` | the trace of that codec |
//! | `mbit=RATE` | video of that rate, made by numbers |
//! | `uplink=MBIT` | video behind an uplink, its packets spaced, instead of a frame at once |
//! | `ms=LENGTH` | audio with so much sound a packet, instead of 20 ms |

use std::fmt::{self, Display, Formatter};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Flow;
use crate::scenario::{Group, Scenario, Synthetic, VideoCodec};

/// Rooms of a demand at most, and peers of a room: more is a slip of the keyboard.
const COUNT_MAX: usize = 1_000_000;

/// Of video that is made by numbers, as browsers send.
const FRAMES_PER_SECOND: f64 = 30.0;

/// As [`FRAMES_PER_SECOND`].
const PACKET_BYTES: usize = 1150;

/// Rooms, and how many peers come and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Never empty.
    pub groups: Vec<Group>,
    /// Joins a second over all rooms, to each as it has peers; as many leave.
    pub joins_per_second: f64,
}

impl Demand {
    /// Reads mixes (the module's documentation has the words).
    ///
    /// # Errors
    /// There is none, or one is not understood; the message has the part that is not.
    pub fn parse(mixes: &[String], joins_per_second: f64) -> anyhow::Result<Self> {
        ensure!(
            (0.0..=1e6).contains(&joins_per_second),
            "{joins_per_second} joins a second: not from 0 to a million"
        );
        let mut groups: Vec<Group> = Vec::new();
        for mix in mixes {
            let words = mix.replace(',', " and ").to_lowercase();
            let words: Vec<&str> = words.split_whitespace().collect();
            for part in words.split(|word| *word == "and").filter(|part| !part.is_empty()) {
                let group = group(part).with_context(|| format!("{:?}", part.join(" ")))?;
                groups.push(Group { name: format!("{}-{}", group.name, groups.len()), ..group });
            }
        }
        ensure!(!groups.is_empty(), "no rooms; say for example 40x7, or 1+2000 for a webinar");
        Ok(Self { groups, joins_per_second })
    }

    /// What a scenario asks for at one load, which multiplies its joins as well.
    pub fn of(scenario: &Scenario, load: f64) -> Self {
        Self { groups: scenario.at(load), joins_per_second: scenario.churn.joins_per_second * load }
    }

    /// Its rates.
    ///
    /// # Errors
    /// A trace cannot be read.
    pub fn flow(&self) -> anyhow::Result<Flow> {
        let of = |group: &Group| Ok(Flow::of_room(group)? * group.rooms as f64);
        let flow: Flow = self.groups.iter().map(of).sum::<anyhow::Result<_>>()?;
        Ok(Flow { joins: self.joins_per_second, notices: self.notices(), ..flow })
    }

    /// Peers a second that hear of the joins and leaves: a room that has more of the peers has more
    /// of the joins.
    fn notices(&self) -> f64 {
        let size = |group: &Group| (group.senders + group.receivers) as f64;
        let over = |of: &dyn Fn(f64) -> f64| {
            self.groups.iter().map(|group| group.rooms as f64 * of(size(group))).sum::<f64>()
        };
        2.0 * self.joins_per_second * over(&|size| size * size) / over(&|size| size).max(1.0)
    }

    /// Peers of the largest room.
    pub fn largest_room(&self) -> usize {
        self.groups.iter().map(|group| group.senders + group.receivers).max().unwrap_or(0)
    }
}

impl Display for Demand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.groups.iter().map(|group| words(group, group.rooms)).collect();
        write!(f, "{}", groups.join("; "))?;
        if self.joins_per_second > 0.0 {
            write!(f, "; {} joins a second", self.joins_per_second)?;
        }
        Ok(())
    }
}

/// `rooms` of the group's rooms, for people.
pub(super) fn words(group: &Group, rooms: usize) -> String {
    let rooms = if rooms == 1 { "1 room".to_owned() } else { format!("{rooms} rooms") };
    let size = match group.receivers {
        0 => group.senders.to_string(),
        receivers => format!("{} + {receivers}", group.senders),
    };
    let media = match (&group.video, &group.audio) {
        (Some(_), Some(_)) => "video and audio",
        (Some(_), None) => "video",
        _ => "audio",
    };
    format!("{rooms} of {size}, {media}")
}

/// One part of a mix, short or in words.
fn group(words: &[&str]) -> anyhow::Result<Group> {
    let (mut group, options) = match words {
        [short] => {
            let mut parts = short.split(':');
            (rooms(parts.next().unwrap_or_default())?, parts.collect::<Vec<_>>())
        }
        [count, kind, "of", size, options @ ..] => {
            let group = rooms(&match *kind {
                "room" | "rooms" | "meeting" | "meetings" => format!("{}x{size}", number(count)?),
                "webinar" | "webinars" => format!("{}x1+{size}", number(count)?),
                other => bail!("{other:?} is neither rooms nor webinars"),
            })?;
            match options {
                [] => (group, Vec::new()),
                ["with", options @ ..] if !options.is_empty() => (group, options.to_vec()),
                _ => bail!("behind the size may come \"with\" and options, nothing else"),
            }
        }
        _ => bail!("neither like 40x7 or 1+2000 nor like \"40 rooms of 7\""),
    };
    for option in options {
        set(&mut group, option)?;
    }
    group.name = match group.receivers {
        0 => format!("{}x{}", group.rooms, group.senders),
        receivers => format!("{}x{}-{receivers}", group.rooms, group.senders),
    };
    Ok(group)
}

/// `[ROOMSx]SENDERS[+RECEIVERS]`, video and audio.
fn rooms(text: &str) -> anyhow::Result<Group> {
    let (rooms, size) = text.split_once('x').unwrap_or(("1", text));
    let (senders, receivers) = size.split_once('+').unwrap_or((size, "0"));
    let [rooms, senders, receivers] = [number(rooms)?, number(senders)?, number(receivers)?];
    // Through the scenarios' own format, so that what is sent is what profiles send by default.
    let group: Group = toml::from_str(&format!(
        "name = \"\"\nrooms = {rooms}\nsenders = {senders}\nreceivers = {receivers}\n\
         video = {{}}\naudio = {{}}"
    ))?;
    ensure!(group.rooms > 0, "no rooms");
    ensure!(group.senders > 0, "nobody sends");
    Ok(group)
}

fn number(text: &str) -> anyhow::Result<usize> {
    let number = match text {
        "a" | "an" | "one" => 1,
        digits => digits.parse().with_context(|| format!("{digits:?} is no number"))?,
    };
    ensure!(number <= COUNT_MAX, "{number} is above {COUNT_MAX}");
    Ok(number)
}

fn set(group: &mut Group, option: &str) -> anyhow::Result<()> {
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    let mbit = || {
        let rate = value.parse().ok().filter(|mbit| (0.01..=1000.0).contains(mbit));
        rate.with_context(|| format!("{option:?}: {value:?} is not from 0.01 to 1000 Mbit/s"))
    };
    if key == "ms" {
        let Some(audio) = &mut group.audio else { bail!("{option:?} is about audio, not there") };
        let length = value.parse().ok().filter(|ms| (2.5..=120.0).contains(ms));
        audio.packet_ms =
            length.with_context(|| format!("{option:?}: {value:?} is not from 2.5 to 120 ms"))?;
        return Ok(());
    }
    match (key, &mut group.video) {
        ("audio", _) if group.audio.is_some() => group.video = None,
        ("video", Some(_)) => group.audio = None,
        ("audio" | "video", _) => bail!("video alone and audio alone: nothing is left"),
        ("vp8" | "vp9" | "h264" | "av1" | "mbit" | "uplink", None) => {
            bail!("{option:?} is about video, and there is none")
        }
        ("vp8", Some(video)) => video.codec = VideoCodec::Vp8,
        ("vp9", Some(video)) => video.codec = VideoCodec::Vp9,
        ("h264", Some(video)) => video.codec = VideoCodec::H264,
        ("av1", Some(video)) => video.codec = VideoCodec::Av1,
        ("uplink", Some(video)) => video.uplink_mbit = mbit()?,
        ("mbit", Some(video)) => {
            video.synthetic = Some(Synthetic {
                mbit: mbit()?,
                frames_per_second: FRAMES_PER_SECOND,
                packet_bytes: PACKET_BYTES,
            });
        }
        _ => bail!("{option:?} is none of audio, video, vp8, vp9, h264, av1, mbit=, uplink=, ms="),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mixes: &[&str]) -> anyhow::Result<Demand> {
        let mixes: Vec<_> = mixes.iter().map(|mix| (*mix).to_owned()).collect();
        Demand::parse(&mixes, 0.0)
    }

    #[test]
    fn a_question_in_words_is_the_same_as_in_short() {
        let words = parse(&["40 rooms of 7 and one webinar of 2000"]).unwrap();
        assert_eq!(words, parse(&["40x7", "1+2000"]).unwrap());
        assert_eq!(words, parse(&["40x7, 1x1+2000"]).unwrap());
        assert_eq!(
            words.to_string(),
            "40 rooms of 7, video and audio; 1 room of 1 + 2000, video and audio"
        );
        assert_eq!(words.largest_room(), 2001);
    }

    #[test]
    fn options_say_what_is_sent() {
        let demand = parse(&["2x10+500:audio", "3 rooms of 4 with av1 uplink=20 video"]).unwrap();
        let [talk, meeting] = &demand.groups[..] else { panic!("{demand}") };
        assert_eq!((talk.rooms, talk.senders, talk.receivers), (2, 10, 500));
        assert!(talk.video.is_none() && talk.audio.is_some());
        let video = meeting.video.as_ref().unwrap();
        assert_eq!((video.codec, video.uplink_mbit), (VideoCodec::Av1, 20.0));
        assert!(meeting.audio.is_none());
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let refused = |mix: &str| format!("{:#}", parse(&[mix]).unwrap_err());
        for (mix, why) in [
            ("", "no rooms"),
            ("40y7", "\"40y7\" is no number"),
            ("0x7", "no rooms"),
            ("3x0+5", "nobody sends"),
            ("9999999x7", "above 1000000"),
            ("4x4:sound", "none of audio"),
            ("4x4:audio:video", "nothing is left"),
            ("4x4:audio:vp9", "is about video"),
            ("4x4:mbit=fast", "Mbit/s"),
            ("4x4:ms=500", "from 2.5 to 120 ms"),
            ("4x4:video:ms=60", "about audio"),
            ("40 bananas of 7", "neither rooms nor webinars"),
            ("40 rooms of 7 please", "\"with\""),
            ("forty rooms of 7", "\"forty\" is no number"),
        ] {
            assert!(refused(mix).contains(why), "{mix:?}: {}", refused(mix));
        }
        assert!(Demand::parse(&["1x4".into()], -1.0).is_err());
    }

    #[test]
    fn joins_are_heard_of_by_the_whole_room() {
        let one = Demand::parse(&["1+99".into()], 3.0).unwrap().flow().unwrap();
        assert_eq!((one.joins, one.notices), (3.0, 600.0));
        let many = Demand::parse(&["100x4".into()], 3.0).unwrap().flow().unwrap();
        assert_eq!(many.notices, 24.0);
    }
}
