//! From what generator, process and server counted over a window to one [`Step`] of a run, and what
//! of it is held against the scenario's limits.

use std::time::Duration;

use crate::engine::tally::Tally;
use crate::load::Joins;
use crate::measures::{
    Agreement, Counters, Generator, KeyFrames, Packets, Population, Process, Step, Verdict, Viewing,
};
use crate::meter::Reading;
use crate::scenario::{Limits, Scenario};

/// Everything that is known of a window.
#[derive(Debug, Default)]
pub struct Window {
    /// What the scenario's counts were multiplied by.
    pub load: f64,
    /// How long it was.
    pub length: Duration,
    /// Who was there to stay.
    pub population: Population,
    /// What the media threads counted.
    pub tally: Tally,
    /// What the control side counted.
    pub joins: Joins,
    /// The server's process before and after.
    pub process: Option<[Reading; 2]>,
    /// Its cycles meanwhile.
    pub cycles: Option<u64>,
    /// Cores that it may use.
    pub server_cores: usize,
    /// Its resident memory before the first peer.
    pub rss_empty: u64,
    /// How far apart in time its counters were read and the window began or ended, in all.
    pub skew: Duration,
    /// Its own counters before and after.
    pub counters: Option<[Counters; 2]>,
    /// Datagrams that found the generator's receive queues full.
    pub overflow: u64,
}

/// How far two counts of the same may be apart: they are not read at the same moment.
const AGREES_WITHIN: f64 = 0.01;
const AGREES_WITHIN_PACKETS: u64 = 100;

/// A generator that is busier than that may have distorted what it measured.
const GENERATOR_BUSY: f64 = 0.95;
/// Or one that sends later than that, at the 99th percentile.
const GENERATOR_LATE_US: f64 = 2000.0;

impl Window {
    /// The step that it was.
    pub fn step(self, scenario: &Scenario) -> Step {
        let tally = &self.tally;
        let seconds = self.length.as_secs_f64();
        let counters = self.counters.as_ref().map(|[before, after]| after.since(before));
        let packets = self.packets(counters.as_ref(), seconds, scenario);
        let mut step = Step {
            load: self.load,
            seconds,
            population: Population {
                sources: tally.running,
                streams: tally.wanted,
                probes: tally.probes,
                joins: self.joins.joined,
                restarts: self.joins.restarts,
                ..self.population
            },
            latency: tally.latency.spread(),
            latency_curve: tally.latency.curve(),
            jitter: tally.jitter.spread(),
            viewing: self.viewing(),
            key_frames: KeyFrames {
                sent: tally.sources.key_frames,
                per_source_second: tally.sources.key_frames as f64
                    / seconds
                    / tally.running_video.max(1) as f64,
                requested: tally.sources.key_frame_requests,
                reasons: tally.key_frame_reasons,
            },
            process: self.process(&packets, seconds),
            agreement: counters.as_ref().map(|it| self.agreement(it, &packets)).unwrap_or_default(),
            generator: self.generator(),
            packets,
            counters,
            verdicts: Vec::new(),
        };
        step.verdicts = verdicts(&step, &scenario.limits);
        step
    }

    fn packets(&self, counters: Option<&Counters>, seconds: f64, scenario: &Scenario) -> Packets {
        let Tally { sources, streams, .. } = &self.tally;
        let expected = self.tally.expected.saturating_sub(streams.lost_on_purpose);
        let lost = expected.saturating_sub(streams.received);
        // A packet that does not reach the server is missing at every viewer.
        let viewers = expected as f64 / sources.sent.max(1) as f64;
        let missing = |packets: u64| (packets as f64 * viewers).round() as u64;
        let queue = self
            .process
            .map_or(0, |[before, after]| after.queue_drops.saturating_sub(before.queue_drops));
        let queue = queue.max(counters.and_then(|it| it.queue_overflow).unwrap_or(0));
        let drops = counters.map(|it| it.drops.clone()).unwrap_or_default();
        let junk = scenario.hostile.junk_per_second > 0.0;
        let by_server: u64 = drops
            .iter()
            .map(|(reason, count)| match place(reason) {
                Place::TowardsViewer => *count,
                // With junk about nobody can tell whose packets these were.
                Place::FromSource if !junk => missing(*count),
                Place::FromSource | Place::Elsewhere => 0,
            })
            .sum();
        let before_server = missing(sources.unsent + queue);
        let ours = missing(sources.unsent) + self.overflow;
        let explained = before_server + by_server + self.overflow;
        Packets {
            sent: sources.sent,
            sent_bps: sources.bytes as f64 * 8.0 / seconds,
            expected,
            received: streams.received,
            received_bps: streams.bytes as f64 * 8.0 / seconds,
            duplicates: streams.duplicates,
            reordered: streams.reordered,
            corrupt: self.tally.corrupt,
            slips: self.tally.slips,
            loss: lost.saturating_sub(ours) as f64 / expected.max(1) as f64,
            lost_sender_socket: sources.unsent,
            lost_server_queue: queue,
            lost_server: drops,
            lost_receiver_socket: self.overflow,
            lost_on_purpose: sources.lost_on_purpose + streams.lost_on_purpose,
            lost_unexplained: lost.saturating_sub(explained),
            mean_train: self.tally.datagrams as f64 / self.tally.messages.max(1) as f64,
        }
    }

    fn viewing(&self) -> Viewing {
        let tally = &self.tally;
        let first_frame = match tally.first_frame.count() {
            0 => &tally.first_frame_before,
            _ => &tally.first_frame,
        };
        Viewing {
            never_started: tally.never_started,
            freezes: tally.streams.freezes,
            longest_freeze_us: tally.streams.longest as f64 / 1000.0,
            frozen_streams: tally.frozen,
            first_frame: first_frame.spread(),
            join: self.joins.times.spread(),
            failed_joins: self.joins.failed,
            join_errors: self.joins.errors.clone(),
        }
    }

    fn process(&self, packets: &Packets, seconds: f64) -> Option<Process> {
        let [before, after] = self.process?;
        let cpu = after.cpu.saturating_sub(before.cpu);
        let received = packets.received.max(1) as f64;
        let cpu_seconds = cpu.as_secs_f64().max(f64::MIN_POSITIVE);
        Some(Process {
            cpu_us: cpu.as_secs_f64() * 1e6,
            cores_busy: cpu_seconds / seconds,
            cores_waited: after.waited.saturating_sub(before.waited).as_secs_f64() / seconds,
            cores: self.server_cores,
            cpu_ns_per_packet: cpu_seconds * 1e9 / received,
            packets_per_core: packets.received as f64 / cpu_seconds,
            mbit_per_core: packets.received_bps * seconds / cpu_seconds / 1e6,
            cycles_per_packet: self.cycles.map(|cycles| cycles as f64 / received),
            rss_bytes: after.rss,
            rss_per_peer: after.rss.saturating_sub(self.rss_empty) as f64
                / self.population.peers.max(1) as f64,
        })
    }

    fn agreement(&self, counters: &Counters, packets: &Packets) -> Vec<Agreement> {
        let compare = |what: &str, client: u64, server: Option<u64>| {
            let server = server?;
            let apart = client.abs_diff(server);
            let skew = self.skew.as_secs_f64() / self.length.as_secs_f64();
            let most = (client as f64 * (AGREES_WITHIN + skew)) as u64 + AGREES_WITHIN_PACKETS;
            Some(Agreement { what: what.to_owned(), client, server, agrees: apart <= most })
        };
        let reached = packets
            .sent
            .saturating_sub(packets.lost_sender_socket)
            .saturating_sub(packets.lost_server_queue);
        let came =
            packets.received + packets.lost_receiver_socket + self.tally.streams.lost_on_purpose;
        [
            compare("packets from sources", reached, counters.received),
            compare("packets to viewers", came, counters.forwarded),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn generator(&self) -> Generator {
        let late = self.tally.late.spread();
        let busy = self.tally.busy;
        let overflow = self.overflow;
        let given_up = self.tally.sources.given_up;
        let limit = if given_up > 0 {
            Some(format!("it was so late that it did not send {given_up} packets"))
        } else if overflow > self.tally.expected / 10_000 {
            Some(format!("its receive queue was full: {overflow} packets lost there"))
        } else if late.p99_us > GENERATOR_LATE_US {
            Some(format!("it sent late: p99 {:.1} ms behind the schedule", late.p99_us / 1000.0))
        } else if busy > GENERATOR_BUSY {
            Some(format!("its thread was {:.0} % busy", busy * 100.0))
        } else {
            None
        };
        let (late_packets, strays) = (self.tally.late_packets, self.tally.strays);
        Generator { late, late_packets, busy, strays, limit }
    }
}

/// On which way a server's drop was.
enum Place {
    FromSource,
    TowardsViewer,
    Elsewhere,
}

/// By corinth's names; what is unknown explains nothing.
fn place(reason: &str) -> Place {
    match reason {
        "late" | "too_long" | "egress_full" | "send_blocked" | "send_refused" => {
            Place::TowardsViewer
        }
        "truncated" | "no_path" | "no_keys" | "rtp_malformed" | "srtp_bad_tag" | "no_receiver"
        | "payload_type" | "other_encoding" => Place::FromSource,
        _ => Place::Elsewhere,
    }
}

impl Counters {
    /// What was counted since `before`. Shares and times stay as they are.
    pub fn since(&self, before: &Self) -> Self {
        let less =
            |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then.unwrap_or(0)));
        let mut drops = self.drops.clone();
        for (reason, count) in &before.drops {
            if let Some(now) = drops.get_mut(reason) {
                *now = now.saturating_sub(*count);
            }
        }
        drops.retain(|_, count| *count > 0);
        Self {
            received: less(self.received, before.received),
            forwarded: less(self.forwarded, before.forwarded),
            queue_overflow: less(self.queue_overflow, before.queue_overflow),
            key_frame_requests: less(self.key_frame_requests, before.key_frame_requests),
            drops,
            ..self.clone()
        }
    }
}

/// Each limit with what was measured.
fn verdicts(step: &Step, limits: &Limits) -> Vec<Verdict> {
    if step.packets.expected == 0 {
        return vec![none_may("packets expected by viewers", 0, false)];
    }
    let ms = |what: &str, us: f64, limit: f64| Verdict {
        what: what.to_owned(),
        value: format!("{:.2} ms", us / 1000.0),
        limit: format!("{limit} ms"),
        ratio: us / 1000.0 / limit,
        ok: us / 1000.0 <= limit,
    };
    let viewing = &step.viewing;
    let loss = step.packets.loss;
    let mut all = vec![
        ms("added latency p99", step.latency.p99_us, limits.latency_p99_ms),
        ms("added latency p99.9", step.latency.p999_us, limits.latency_p999_ms),
        Verdict {
            what: "loss".to_owned(),
            value: format!("{:.3} %", loss * 100.0),
            limit: format!("{:.3} %", limits.loss * 100.0),
            ratio: over(loss, limits.loss),
            ok: loss <= limits.loss,
        },
        ms("longest freeze", viewing.longest_freeze_us, limits.freeze_ms),
    ];
    if viewing.first_frame.count > 0 {
        let p99 = viewing.first_frame.p99_us;
        all.push(ms("time to first frame p99", p99, limits.first_frame_p99_ms));
    }
    all.push(none_may("streams that never started", viewing.never_started, true));
    all.push(none_may("joins that failed", viewing.failed_joins, true));
    all.push(none_may("corrupt packets", step.packets.corrupt, true));
    all
}

/// Value over limit; a limit of 0 is missed by any value, and figures stay such that JSON has them.
fn over(value: f64, limit: f64) -> f64 {
    if limit > 0.0 { value / limit } else { value * 1e9 }
}

/// Something of which there may be none.
fn none_may(what: &str, count: u64, ok_if_none: bool) -> Verdict {
    Verdict {
        what: what.to_owned(),
        value: count.to_string(),
        limit: if ok_if_none { "0".to_owned() } else { "1 or more".to_owned() },
        ratio: if count == 0 { 0.0 } else { 1.0 + count as f64 },
        ok: ok_if_none && count == 0,
    }
}
