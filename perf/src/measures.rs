//! What a run measured, as it is written to JSON and read by reports, the capacity search and the
//! cost model. Times are in microseconds where a name ends in `_us`; shares are from 0 to 1; counts
//! are of the measured window alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;

/// A whole run of one profile against one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Of the suite that wrote this.
    pub version: String,
    /// When it began, UTC (RFC 3339).
    pub began_at: String,
    /// The command line, for whoever wants to do it again.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// The server under load.
    pub server: ServerInfo,
    /// What the generator can do alone on this machine; `None` where the check was left out.
    pub self_check: Option<SelfCheck>,
    /// What was played, with all parameters.
    pub scenario: Scenario,
    /// One for each load, in the order in which they ran.
    pub steps: Vec<Step>,
    /// What a reader has to know first: what failed, what was found, what limits the figures.
    pub findings: Vec<Finding>,
}

/// The machine that generator (and usually server) ran on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// As the processor calls itself.
    pub cpu: String,
    /// Logical processors that are online.
    pub cores: usize,
    /// Bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// Whether the processor says that it is a virtual machine's.
    pub virtual_machine: bool,
    /// Cores that the generator was tied to.
    pub generator_cores: Vec<usize>,
    /// Cores that the server was tied to; empty for one that was not started by the suite.
    pub server_cores: Vec<usize>,
}

/// Which server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// `corinth`, `janus`.
    pub sfu: String,
    /// As it says itself; empty if it says nothing.
    pub version: String,
    /// Its command line, or its URL.
    pub how: String,
}

/// What the generator can do alone, over loopback.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// Packets a second that one generator thread takes and accounts for.
    pub receive_pps: f64,
    /// The same packets, by a loop of `recvmmsg` that looks at nothing.
    pub bare_receive_pps: f64,
    /// Packets a second that one generator thread seals and sends.
    pub send_pps: f64,
    /// Bytes of each of these packets as a datagram.
    pub packet_bytes: usize,
    /// How many peers they were for.
    pub peers: usize,
}

/// Quantiles of one quantity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many values there were; all else is 0 if none.
    pub count: u64,
    /// Median.
    pub p50_us: f64,
    /// 99 of 100 are not above it.
    pub p99_us: f64,
    /// 999 of 1000.
    pub p999_us: f64,
    /// 9999 of 10 000.
    pub p9999_us: f64,
    /// The largest.
    pub max_us: f64,
}

/// One load, held for the scenario's dwell time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What the scenario's scaled counts were multiplied by.
    pub load: f64,
    /// How long was measured.
    pub seconds: f64,
    /// What was there meanwhile.
    pub population: Population,
    /// Packets and their losses.
    pub packets: Packets,
    /// From a source's send to the kernel's stamp at a receiver: what the server adds.
    pub latency: Spread,
    /// The latency's distribution, ascending: (share of packets, µs). For plots.
    pub latency_curve: Vec<(f64, f64)>,
    /// RFC 3550 §6.4.1 jitter that the server adds, over streams.
    pub jitter: Spread,
    /// What viewers saw.
    pub viewing: Viewing,
    /// Requests for key frames.
    pub key_frames: KeyFrames,
    /// The server's process; `None` where it is not on this machine.
    pub process: Option<Process>,
    /// The server's own counters; `None` if it has none that the suite can read.
    pub counters: Option<Counters>,
    /// The server's counters beside what the clients saw.
    pub agreement: Vec<Agreement>,
    /// The load generator.
    pub generator: Generator,
    /// The scenario's limits, each with its value. Empty where nothing was measured.
    pub verdicts: Vec<Verdict>,
}

/// Who took part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// Rooms.
    pub rooms: usize,
    /// Peers in them, at the end of the window.
    pub peers: usize,
    /// Sources that were sent.
    pub sources: usize,
    /// Streams that were received: a source counts once for each of its viewers.
    pub streams: usize,
    /// Peers that opened and verified every payload; the rest read headers.
    pub probes: usize,
    /// Peers that joined (again) in the window.
    pub joins: usize,
    /// ICE restarts in the window.
    pub restarts: usize,
}

/// Packets of media, and where those that are missing went. Every `lost_*` counts packets that
/// viewers did not get, except the first two, which count packets on their way to the server; one
/// of those is missing at every viewer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Packets {
    /// By sources, in the window.
    pub sent: u64,
    /// Payload of the datagrams of `sent`, in bits a second.
    pub sent_bps: f64,
    /// What viewers should have got of it.
    pub expected: u64,
    /// What they got, each packet once.
    pub received: u64,
    /// Payload of the datagrams of `received`, in bits a second.
    pub received_bps: f64,
    /// Received more than once.
    pub duplicates: u64,
    /// Behind a later one of its stream.
    pub reordered: u64,
    /// Not readable, not authentic, or with another payload than was sent (probes).
    pub corrupt: u64,
    /// Times that a stream's numbers went on otherwise than its packets before had said: latency
    /// and loss around them are not to be trusted.
    #[serde(default)]
    pub slips: u64,
    /// `expected - received` over `expected`, without what the generator lost itself.
    pub loss: f64,
    /// Refused by the generator's sending socket.
    pub lost_sender_socket: u64,
    /// Found the server's receive queue full.
    pub lost_server_queue: u64,
    /// By the server, for reasons that it counts.
    pub lost_server: BTreeMap<String, u64>,
    /// Found the generator's receive queue full.
    pub lost_receiver_socket: u64,
    /// Dropped by the generator, as the scenario wants (not part of `expected` when dropped by a
    /// viewer: its network lost them).
    pub lost_on_purpose: u64,
    /// What no counter explains: lost between the two, or by the server without a word.
    pub lost_unexplained: u64,
    /// Datagrams a message that came with one kernel stamp: the server's trains as viewers see
    /// them.
    pub mean_train: f64,
}

/// What viewers saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Viewing {
    /// Streams that were asked for and never began.
    pub never_started: u64,
    /// Pauses between decodable frames (or packets of audio) above the limit.
    pub freezes: u64,
    /// The longest pause.
    pub longest_freeze_us: f64,
    /// Streams that froze.
    pub frozen_streams: u64,
    /// From asking for a stream to its first whole key frame, for streams that began in the window
    /// (or, if none did, before it).
    pub first_frame: Spread,
    /// From the connection's first byte to connected media, for peers that joined in the window
    /// (or, if none did, before it).
    pub join: Spread,
    /// Joins that failed.
    pub failed_joins: u64,
    /// Why, the most frequent first.
    pub join_errors: Vec<String>,
}

/// Key frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyFrames {
    /// Sent by sources because they were asked.
    pub sent: u64,
    /// A second and video source.
    pub per_source_second: f64,
    /// Requests by the server (PLI, FIR) that reached sources.
    pub requested: u64,
    /// Reasons that the generator gave: streams begun, and requests by its own viewers.
    pub reasons: u64,
}

/// The server's process over the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// CPU time, all threads.
    pub cpu_us: f64,
    /// Cores' worth of it: 1.5 is one and a half.
    pub cores_busy: f64,
    /// Cores that it may use.
    pub cores: usize,
    /// Cores' worth of time in which its threads were ready to run and others had their core.
    #[serde(default)]
    pub cores_waited: f64,
    /// Nanoseconds of CPU for each packet that a viewer got.
    pub cpu_ns_per_packet: f64,
    /// Packets to viewers a second of CPU.
    pub packets_per_core: f64,
    /// Megabits a second to viewers that one core would carry at this cost.
    pub mbit_per_core: f64,
    /// Processor cycles for each packet that a viewer got; `None` where the machine counts none.
    pub cycles_per_packet: Option<f64>,
    /// Resident memory at the end of the window, bytes.
    pub rss_bytes: u64,
    /// Growth since before the first peer, by peers, bytes.
    pub rss_per_peer: f64,
}

/// What the server counts itself, over the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// RTP packets of sources that it took.
    pub received: Option<u64>,
    /// RTP packets that it sent to viewers.
    pub forwarded: Option<u64>,
    /// Datagrams that found its receive queue full.
    pub queue_overflow: Option<u64>,
    /// Drops by reason.
    pub drops: BTreeMap<String, u64>,
    /// Share of its datagrams that left in trains.
    pub train_share: Option<f64>,
    /// Datagrams a message to the kernel.
    pub mean_train: Option<f64>,
    /// From receive to send as it measures itself, µs: p50 and p99, since its start.
    pub forward_us: Option<(f64, f64)>,
    /// Requests for key frames that it sent.
    pub key_frame_requests: Option<u64>,
    /// Busy share of its busiest shard.
    pub busy: Option<f64>,
}

/// One thing that both sides count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// What.
    pub what: String,
    /// As the clients count it.
    pub client: u64,
    /// As the server counts it.
    pub server: u64,
    /// Whether they are as near as they must be.
    pub agrees: bool,
}

/// How the generator itself did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// How late packets left, behind the schedule.
    pub late: Spread,
    /// Packets that left more than 1 ms late.
    pub late_packets: u64,
    /// CPU of its busiest media thread, share of a core.
    pub busy: f64,
    /// Datagrams of no stream, or from strangers.
    pub strays: u64,
    /// Why the figures of this step are the generator's limit and not the server's.
    pub limit: Option<String>,
}

/// A limit of the scenario and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `added latency p99`, `loss`, …
    pub what: String,
    /// Value with its unit, for people.
    pub value: String,
    /// Limit with its unit, for people.
    pub limit: String,
    /// The value over the limit: 1 is just met.
    pub ratio: f64,
    /// Whether the limit holds.
    pub ok: bool,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To know.
    Note,
    /// Figures are to be read with care.
    Warning,
    /// Something does not do what it should.
    Fault,
}

/// Something that the run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name of its kind: `latency`, `loss-unexplained`, `key-frame-storm`, `generator`, …
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// A sentence with the figures.
    pub text: String,
    /// The load at which it was (first) seen.
    pub load: Option<f64>,
}

impl Step {
    /// Whether every limit of the scenario holds, and it was the server that was measured.
    pub fn passes(&self) -> bool {
        !self.verdicts.is_empty() && self.verdicts.iter().all(|verdict| verdict.ok)
    }

    /// Packets a second that viewers got.
    pub fn received_pps(&self) -> f64 {
        self.packets.received as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Packets a second that sources sent.
    pub fn sent_pps(&self) -> f64 {
        self.packets.sent as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

impl Run {
    /// The last load, from the lowest up, at which this and all lower ones held every limit.
    pub fn knee(&self) -> Option<&Step> {
        let mut steps: Vec<_> = self.steps.iter().collect();
        steps.sort_by(|a, b| a.load.total_cmp(&b.load));
        steps.into_iter().take_while(|step| step.passes()).last()
    }
}
