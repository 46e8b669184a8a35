//! A made-up run for tests: five loads with the knee at the fourth, as a machine would show it.

use std::collections::BTreeMap;

use crate::measures::{
    Agreement, Counters, Finding, Generator, KeyFrames, Machine, Packets, Population, Process, Run,
    SelfCheck, ServerInfo, Severity, Spread, Step, Verdict, Viewing,
};
use crate::report::compare::{Comparison, Round, ratios};
use crate::scenario::Scenario;

/// Loads of the run; the last is too much.
pub(super) const LOADS: [f64; 5] = [0.5, 1.0, 2.0, 3.0, 4.0];

/// A whole run.
pub(super) fn run() -> Run {
    let finding = |kind: &str, severity, text: &str, load| Finding {
        kind: kind.to_owned(),
        severity,
        text: text.to_owned(),
        load,
    };
    Run {
        version: "0.1.0".to_owned(),
        began_at: "2025-06-01T12:00:00Z".to_owned(),
        command: "corinth-perf run canonical --html report.html".to_owned(),
        machine: Machine {
            cpu: "AMD EPYC 7B13".to_owned(),
            cores: 2,
            memory_bytes: 24 << 30,
            kernel: "6.1.0-18-amd64".to_owned(),
            virtual_machine: true,
            generator_cores: vec![0],
            server_cores: vec![1],
        },
        server: ServerInfo {
            sfu: "corinth".to_owned(),
            version: "0.1.0".to_owned(),
            how: "corinth --listen 127.0.0.1:8080 --cores 1".to_owned(),
        },
        self_check: Some(SelfCheck {
            receive_pps: 412_000.0,
            bare_receive_pps: 480_000.0,
            send_pps: 350_000.0,
            packet_bytes: 1100,
            peers: 200,
        }),
        scenario: Scenario::load("canonical", &[]).unwrap(),
        steps: LOADS.iter().map(|load| step(*load)).collect(),
        findings: vec![
            finding("virtual-machine", Severity::Note, "The cores are a hypervisor's.", None),
            finding(
                "latency",
                Severity::Warning,
                "Added p99 is 9.8 ms, twice what the limit is and five times that of load 3.",
                Some(4.0),
            ),
            finding(
                "loss-unexplained",
                Severity::Fault,
                "1 204 packets are missing that no counter of the server speaks of.",
                Some(4.0),
            ),
        ],
    }
}

/// One load: beyond 3, latency, loss and freezes are above the limits.
pub(super) fn step(load: f64) -> Step {
    let over = load > 3.0;
    let scaled = |count: f64| (count * load) as usize;
    let seconds = 8.0;
    let loss = if over { 0.0214 } else { 0.000_02 * load };
    let pps = 62_400.0 * load;
    let expected = (pps * seconds) as u64;
    let missing = (expected as f64 * loss) as u64;
    let received = expected - missing;
    let base = 90.0 + 60.0 * load + if over { 4200.0 } else { 0.0 };
    let latency = Spread {
        count: received,
        p50_us: base,
        p99_us: base * 2.3,
        p999_us: base * 4.1,
        p9999_us: base * 7.7,
        max_us: base * 11.0,
    };
    let us = |count, p50_us: f64| Spread {
        count,
        p50_us,
        p99_us: p50_us * 3.0,
        p999_us: p50_us * 4.0,
        p9999_us: p50_us * 4.2,
        max_us: p50_us * 4.2,
    };
    let cost = 3900.0 - 250.0 * load.min(3.0);
    let cores_busy = pps * cost / 1e9;
    Step {
        load,
        seconds,
        population: Population {
            rooms: scaled(16.0) + 1,
            peers: scaled(264.0) + 1,
            sources: scaled(128.0) + 2,
            streams: scaled(784.0),
            probes: scaled(14.0) + 1,
            joins: 24,
            restarts: 0,
        },
        packets: packets(expected, received, load, seconds),
        latency_curve: curve(&latency),
        latency,
        jitter: us(scaled(784.0) as u64, 12.0 * load),
        viewing: Viewing {
            freezes: if over { 31 } else { 0 },
            longest_freeze_us: if over { 412_000.0 } else { 41_000.0 + 8_000.0 * load },
            frozen_streams: if over { 29 } else { 0 },
            first_frame: us(48, 61_000.0 + 22_000.0 * load),
            join: us(24, 28_000.0 + 15_000.0 * load),
            ..Viewing::default()
        },
        key_frames: KeyFrames {
            sent: 96,
            per_source_second: 0.04 + 0.02 * load,
            requested: 102,
            reasons: 110,
        },
        process: Some(Process {
            cores_waited: 0.01,
            cpu_us: cores_busy * seconds * 1e6,
            cores_busy,
            cores: 1,
            cpu_ns_per_packet: cost,
            packets_per_core: 1e9 / cost,
            mbit_per_core: 1e9 / cost * 8_800.0 / 1e6,
            cycles_per_packet: None,
            rss_bytes: (60 << 20) + (load * 9e6) as u64,
            rss_per_peer: 34_500.0,
        }),
        counters: Some(Counters {
            received: Some(expected / 11),
            forwarded: Some(received),
            queue_overflow: Some(if over { 212 } else { 0 }),
            drops: BTreeMap::new(),
            train_share: Some(0.71),
            mean_train: Some(3.1 + load),
            forward_us: Some((41.0, 390.0 * load)),
            key_frame_requests: Some(102),
            busy: Some((cores_busy / 1.02).min(1.0)),
        }),
        agreement: vec![
            Agreement {
                what: "packets forwarded".to_owned(),
                client: received,
                server: received + missing,
                agrees: !over,
            },
            Agreement {
                what: "key frames asked for".to_owned(),
                client: 102,
                server: 102,
                agrees: true,
            },
        ],
        generator: Generator {
            late: us(expected / 11, 8.0 * load),
            late_packets: if over { 3120 } else { 0 },
            busy: 0.21 * load,
            strays: 0,
            limit: None,
        },
        verdicts: verdicts(over, base, loss),
    }
}

/// Two rounds of the made-up run against one that costs more; each round is a little different.
pub(super) fn comparison() -> Comparison {
    let rounds: Vec<Round> = (0..6).map(round).collect();
    let run = run();
    Comparison {
        began_at: run.began_at,
        command: "corinth-perf compare --against janus".to_owned(),
        machine: run.machine,
        scenario: run.scenario,
        ours: "corinth".to_owned(),
        theirs: "janus".to_owned(),
        rows: ratios(&rounds, "corinth", "janus"),
        rounds,
        skipped: vec!["mediasoup is not installed".to_owned()],
        findings: run.findings,
    }
}

fn round(at: usize) -> Round {
    let theirs = at % 2 == 1;
    let mut run = run();
    run.steps.truncate(1);
    let noise = [1.0, 1.04, 1.1, 0.95, 0.9, 1.2][at % 6];
    let factor = if theirs { 3.1 * noise } else { noise };
    for step in &mut run.steps {
        for us in [&mut step.latency.p50_us, &mut step.latency.p99_us, &mut step.latency.p999_us] {
            *us *= factor;
        }
        if let Some(process) = &mut step.process {
            process.cpu_ns_per_packet *= factor;
        }
        step.packets.loss = if theirs { 0.0003 } else { 0.0 };
    }
    let sfu = if theirs { "janus" } else { "corinth" }.to_owned();
    run.server = ServerInfo { sfu: sfu.clone(), ..run.server };
    Round { sfu, run }
}

fn packets(expected: u64, received: u64, load: f64, seconds: f64) -> Packets {
    let missing = expected - received;
    let explained = missing / 3;
    Packets {
        sent: expected / 11,
        sent_bps: expected as f64 / 11.0 * 8_800.0 / seconds,
        expected,
        received,
        received_bps: received as f64 * 8_800.0 / seconds,
        reordered: (load * 3.0) as u64,
        loss: missing as f64 / expected as f64,
        lost_server_queue: if load > 3.0 { 212 } else { 0 },
        lost_server: BTreeMap::from([("send_queue_full".to_owned(), explained)]),
        lost_unexplained: missing - explained,
        mean_train: 2.6 + load / 2.0,
        ..Packets::default()
    }
}

/// Straight between the quantiles on a nines scale and a logarithmic one.
fn curve(spread: &Spread) -> Vec<(f64, f64)> {
    let known = [
        (0.0, spread.p50_us * 0.4),
        (0.3, spread.p50_us),
        (2.0, spread.p99_us),
        (3.0, spread.p999_us),
        (4.0, spread.p9999_us),
        (5.0, spread.max_us),
    ];
    let between = |nines: f64| {
        let above = known.iter().position(|(at, _)| *at >= nines).unwrap_or(1).max(1);
        let ((from, low), (to, high)) = (known[above - 1], known[above]);
        low * (high / low).powf((nines - from) / (to - from))
    };
    let nines = (0..=50).map(|tenth| f64::from(tenth) / 10.0);
    nines.map(|nines| (1.0 - 10_f64.powf(-nines), between(nines))).collect()
}

fn verdicts(over: bool, base: f64, loss: f64) -> Vec<Verdict> {
    let verdict = |what: &str, value: String, limit: &str, ratio: f64| Verdict {
        what: what.to_owned(),
        value,
        limit: limit.to_owned(),
        ratio,
        ok: ratio <= 1.0,
    };
    let p99 = base * 2.3 / 1e3;
    vec![
        verdict("added latency p99", format!("{p99:.2} ms"), "5 ms", p99 / 5.0),
        verdict("loss", format!("{:.3} %", loss * 100.0), "0.1 %", loss / 0.001),
        verdict(
            "longest pause",
            if over { "412 ms" } else { "60 ms" }.to_owned(),
            "200 ms",
            if over { 2.06 } else { 0.3 },
        ),
    ]
}
