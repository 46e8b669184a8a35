//! What is measured: which packets arrive when, for how many receivers, and how.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::ensure;
use corinth_perf::scenario::VideoCodec;
use corinth_perf::trace::Trace;

use crate::host::Cores;
use crate::play::Due;
use crate::veth;

/// The uplink of **spaced**.
const UPLINK: u64 = 20_000_000;

/// Sources of **audio**, each with a packet every 20 ms.
const AUDIO_SOURCES: usize = 10;

/// How everything is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) length: Duration,
    pub(crate) rounds: usize,
    pub(crate) server_args: Vec<String>,
    pub(crate) cores: Cores,
    pub(crate) beyond: Option<u32>,
}

/// How packets arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Video as it was captured: each frame a burst.
    Burst,
    /// The same behind an uplink of 20 Mbit/s: half a millisecond between packets.
    Spaced,
    /// Ten sources of audio.
    Audio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) pattern: Pattern,
    pub(crate) receivers: usize,
}

impl Plan {
    pub(crate) fn address(&self) -> &'static str {
        if self.beyond.is_some() { veth::SERVER } else { "127.0.0.1" }
    }
}

impl Pattern {
    pub(crate) fn kind(self) -> &'static str {
        if self == Pattern::Audio { "audio" } else { "video" }
    }

    pub(crate) fn sources(self) -> usize {
        if self == Pattern::Audio { AUDIO_SOURCES } else { 1 }
    }

    /// What `sources` sources send in `length`, evenly out of step.
    pub(crate) fn schedule(self, sources: usize, length: Duration) -> anyhow::Result<Vec<Due>> {
        let trace = Trace::load(VideoCodec::Vp8)?;
        let (trace, period) = match self {
            Pattern::Burst => (trace.video(), Duration::from_micros(33_333)),
            Pattern::Spaced => {
                (trace.video().through_uplink(UPLINK), Duration::from_micros(33_333))
            }
            Pattern::Audio => (trace.audio(), Duration::from_millis(20)),
        };
        ensure!(length <= trace.duration(), "the trace has only {:?}", trace.duration());
        let first = trace.packets[0];
        let mut schedule: Vec<_> = (0..sources)
            .flat_map(|source| {
                let late = period * source as u32 / sources as u32;
                trace.packets.iter().map(move |packet| Due {
                    at: packet.at - first.at + late,
                    source,
                    size: packet.size,
                    marker: packet.marker,
                    rtp_time: packet.rtp_time,
                })
            })
            .filter(|due| due.at < length)
            .collect();
        schedule.sort_by_key(|due| due.at);
        Ok(schedule)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = match self.pattern {
            Pattern::Burst => "burst",
            Pattern::Spaced => "spaced",
            Pattern::Audio => "audio",
        };
        write!(f, "{pattern}:{}", self.receivers)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, receivers) =
            text.split_once(':').ok_or("PATTERN:RECEIVERS is wanted, as in burst:200")?;
        let pattern = match pattern {
            "burst" => Pattern::Burst,
            "spaced" => Pattern::Spaced,
            "audio" => Pattern::Audio,
            other => return Err(format!("{other:?} is none of burst, spaced, audio")),
        };
        let receivers = receivers.parse().map_err(|_| format!("{receivers:?} is no number"))?;
        if receivers == 0 {
            Err("at least one receiver".to_owned())
        } else {
            Ok(Self { pattern, receivers })
        }
    }
}
