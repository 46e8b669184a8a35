//! What a run has to say in words: what failed, where packets went, what the server does that it
//! should not, and where the figures are not the server's. Each kind has a name that stays, so that
//! scripts and tests can look for it.

use std::collections::BTreeMap;

use crate::measures::{Finding, Packets, Run, Severity, Step};
use crate::scenario::Scenario;

/// Key frames for each reason that viewers gave, above which a server is said to ask for too many:
/// a sound one asks once for all viewers that come together, and again only if a request is lost.
const KEY_FRAMES_PER_REASON: f64 = 1.5;
/// Fewer a source and second than that are no storm whatever the reasons.
const KEY_FRAMES_PER_SECOND: f64 = 0.5;

/// A server whose cores are less busy than that has no reason to let packets wait.
const IDLE: f64 = 0.5;

/// A server that has to wait for its cores more than that share of the time is not alone on them.
const CONTENDED: f64 = 0.1;

/// Packets of a frame that a viewer's packet may have to wait for, all to all viewers.
const PACKETS_PER_FRAME: f64 = 10.0;

/// What a kernel may take to wake a server up, and what a turn may take besides, µs.
const WAKE_UP: f64 = 1500.0;

/// All of a run, the gravest first; each kind once, at the lowest load that shows it.
pub fn all(run: &Run) -> Vec<Finding> {
    let mut by_kind = BTreeMap::<String, Finding>::new();
    let mut steps: Vec<_> = run.steps.iter().collect();
    steps.sort_by(|a, b| a.load.total_cmp(&b.load));
    for step in steps {
        for finding in of_step(step, &run.scenario) {
            by_kind.entry(finding.kind.clone()).or_insert(finding);
        }
    }
    let mut findings: Vec<_> = by_kind.into_values().collect();
    findings.extend(of_run(run));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Of one step.
pub fn of_step(step: &Step, scenario: &Scenario) -> Vec<Finding> {
    let mut found = Found { load: step.load, findings: Vec::new() };
    losses(step, scenario, &mut found);
    times(step, scenario, &mut found);
    viewing(step, scenario, &mut found);
    key_frames(step, scenario, &mut found);
    // While queues are full, what one side has counted the other has not seen yet.
    let calm = step.packets.lost_server_queue == 0 && step.generator.limit.is_none();
    for agreement in step.agreement.iter().filter(|agreement| calm && !agreement.agrees) {
        let text = format!(
            "{}: the clients count {}, the server {}",
            agreement.what, agreement.client, agreement.server
        );
        found.add("counters-disagree", Severity::Fault, text);
    }
    if let Some(limit) = &step.generator.limit {
        let text = format!("the load generator is the limit here, not the server: {limit}");
        found.add("generator", Severity::Warning, text);
    }
    found.findings
}

struct Found {
    load: f64,
    findings: Vec<Finding>,
}

impl Found {
    fn add(&mut self, kind: &str, severity: Severity, text: String) {
        let load = Some(self.load);
        self.findings.push(Finding { kind: kind.to_owned(), severity, text, load });
    }
}

fn losses(step: &Step, scenario: &Scenario, found: &mut Found) {
    let packets = &step.packets;
    if packets.loss > scenario.limits.loss {
        let (kind, place) = main_place(packets);
        let text = format!(
            "{} of packets did not reach their viewers ({} of {}); most {place}",
            percent(packets.loss),
            packets.expected.saturating_sub(packets.received),
            packets.expected,
        );
        found.add(kind, Severity::Fault, text);
    }
    if packets.corrupt > 0 {
        let text =
            format!("{} packets could not be opened, or were not what was sent", packets.corrupt);
        found.add("corrupt", Severity::Fault, text);
    }
    if packets.slips > packets.received / 100_000 {
        let text = format!(
            "the server renumbered streams {} times within: latency and loss are unsure there",
            packets.slips
        );
        found.add("slips", Severity::Warning, text);
    }
    if packets.duplicates > packets.received / 1000 && scenario.hostile.downlink_loss == 0.0 {
        let text = format!("{} packets came twice", packets.duplicates);
        found.add("duplicates", Severity::Warning, text);
    }
}

/// Where most of what is missing went, and what that is called.
fn main_place(packets: &Packets) -> (&'static str, String) {
    let fan_out = packets.expected as f64 / packets.sent.max(1) as f64;
    let queue = (packets.lost_server_queue as f64 * fan_out) as u64;
    let unexplained = packets.lost_unexplained;
    let missing = packets.expected.saturating_sub(packets.received);
    let counted = missing.saturating_sub(queue + unexplained + packets.lost_receiver_socket);
    if queue >= unexplained && queue >= counted {
        let text = format!(
            "found the server's receive queue full ({} on the way in)",
            packets.lost_server_queue
        );
        return ("loss-server-queue", text);
    }
    if unexplained >= counted {
        return (
            "loss-unexplained",
            format!(
                "after the server's counters or between the two: {unexplained} that no counter \
                 explains"
            ),
        );
    }
    let mut reasons: Vec<_> = packets.lost_server.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let reasons: Vec<_> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
    ("loss-server", format!("were dropped by the server: {}", reasons.join(", ")))
}

fn times(step: &Step, scenario: &Scenario, found: &mut Found) {
    let limits = &scenario.limits;
    let latency = &step.latency;
    if latency.p99_us > limits.latency_p99_ms * 1000.0
        || latency.p999_us > limits.latency_p999_ms * 1000.0
    {
        let text = format!(
            "the server adds {} (p50), {} (p99), {} (p99.9); limits {} ms (p99), {} ms (p99.9)",
            ms(latency.p50_us),
            ms(latency.p99_us),
            ms(latency.p999_us),
            limits.latency_p99_ms,
            limits.latency_p999_ms,
        );
        found.add("latency", Severity::Fault, text);
    }
    if let Some(process) = &step.process {
        let busy = process.cores_busy / process.cores.max(1) as f64;
        let fan_out = step.packets.expected as f64 / step.packets.sent.max(1) as f64;
        let work = process.cpu_ns_per_packet / 1000.0 * fan_out * PACKETS_PER_FRAME;
        let waited = process.cores_waited / process.cores.max(1) as f64;
        if waited > CONTENDED {
            let text = format!(
                "the server's threads were ready to run and had no core {:.0} % of the time: \
                 something else uses its cores, and latency and losses are not the server's",
                waited * 100.0,
            );
            found.add("contended", Severity::Warning, text);
        }
        if busy < IDLE && waited < CONTENDED && latency.p50_us > WAKE_UP + work {
            let text = format!(
                "half of the packets wait {} or more though the server's cores are only {:.0} % \
                 busy: something sleeps, in the server or before or behind it",
                ms(latency.p50_us),
                busy * 100.0,
            );
            found.add("latency-idle", Severity::Fault, text);
        }
    }
}

fn viewing(step: &Step, scenario: &Scenario, found: &mut Found) {
    let viewing = &step.viewing;
    if viewing.longest_freeze_us > scenario.limits.freeze_ms * 1000.0 {
        let text = format!(
            "{} streams froze, {} times in all, the longest for {}",
            viewing.frozen_streams,
            viewing.freezes,
            ms(viewing.longest_freeze_us),
        );
        // Whoever loses packets on purpose, without having them sent again, freezes.
        let wanted = scenario.hostile.downlink_loss + scenario.hostile.uplink_loss > 0.0;
        let severity = if wanted { Severity::Note } else { Severity::Fault };
        found.add("freeze", severity, text);
    }
    if viewing.first_frame.p99_us > scenario.limits.first_frame_p99_ms * 1000.0 {
        let text = format!("time to first frame: p99 {}", ms(viewing.first_frame.p99_us));
        found.add("first-frame", Severity::Fault, text);
    }
    if viewing.never_started > 0 {
        let text = format!("{} streams never began", viewing.never_started);
        found.add("never-started", Severity::Fault, text);
    }
    if viewing.failed_joins > 0 {
        let text =
            format!("{} joins failed: {}", viewing.failed_joins, viewing.join_errors.join("; "));
        found.add("join", Severity::Fault, text);
    }
}

fn key_frames(step: &Step, scenario: &Scenario, found: &mut Found) {
    let key_frames = &step.key_frames;
    // Beside one a source, for what began before the window.
    let reasonable =
        KEY_FRAMES_PER_REASON * key_frames.reasons as f64 + step.population.sources as f64;
    if key_frames.per_source_second > KEY_FRAMES_PER_SECOND && key_frames.sent as f64 > reasonable {
        let text = format!(
            "{:.1} key frames a source and second were asked for ({} in all, {} requests), but \
             viewers gave only {} reasons",
            key_frames.per_source_second, key_frames.sent, key_frames.requested, key_frames.reasons,
        );
        let wanted = scenario.hostile.key_frame_requests_per_second > 0.0;
        // Not the server's own doing then, but it lets one viewer do it to all.
        let severity = if wanted { Severity::Warning } else { Severity::Fault };
        found.add("key-frame-storm", severity, text);
    }
}

fn of_run(run: &Run) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |kind: &str, severity, text: String| {
        findings.push(Finding { kind: kind.to_owned(), severity, text, load: None });
    };
    let processes = || run.steps.iter().filter_map(|step| step.process.as_ref());
    if processes().next().is_none() && !run.steps.is_empty() {
        let text = "the server's process is not on this machine: no figures of its CPU and memory";
        note("no-process", Severity::Note, text.to_owned());
    } else if processes().all(|process| process.cycles_per_packet.is_none()) {
        let text = "this machine counts no processor cycles (perf_event_open): CPU time only";
        note("no-cycles", Severity::Note, text.to_owned());
    }
    if run.machine.virtual_machine {
        let text = "a virtual machine: read ratios rather than absolute figures";
        note("virtual-machine", Severity::Note, text.to_owned());
    }
    let shared = |core: &usize| run.machine.server_cores.contains(core);
    if run.machine.generator_cores.iter().any(shared) {
        let text = "server and load generator share a core: each figure is too high";
        note("shared-core", Severity::Warning, text.to_owned());
    }
    findings
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn ms(us: f64) -> String {
    format!("{:.2} ms", us / 1000.0)
}
