//! The tables of a run, for the terminal and for HTML alike.

use std::collections::BTreeMap;

use crate::measures::{Counters, Process, Run, Spread, Step};
use crate::report::grid::{Column, Row, Table};
use crate::report::number::{NONE, count, load, ms, number, optional, percent, si};

/// A column of a table with a row for each load: name, unit, and the cell.
type Measure = (&'static str, &'static str, fn(&Step) -> String);

const CARRIED: &[Measure] = &[
    ("rooms", "", |step| count(step.population.rooms as u64)),
    ("peers", "", |step| count(step.population.peers as u64)),
    ("streams", "", |step| count(step.population.streams as u64)),
    ("in", "packets/s", |step| si(step.sent_pps())),
    ("out", "packets/s", |step| si(step.received_pps())),
    ("out", "Mbit/s", |step| number(step.packets.received_bps / 1e6)),
    ("loss", "%", |step| percent(step.packets.loss)),
    ("limits", "", standing),
];

const TIMES: &[Measure] = &[
    ("added", "p50 ms", |step| quantile(&step.latency, |spread| spread.p50_us)),
    ("added", "p99 ms", |step| quantile(&step.latency, |spread| spread.p99_us)),
    ("added", "p99.9 ms", |step| quantile(&step.latency, |spread| spread.p999_us)),
    ("added", "p99.99 ms", |step| quantile(&step.latency, |spread| spread.p9999_us)),
    ("added", "max ms", |step| quantile(&step.latency, |spread| spread.max_us)),
    ("jitter", "p50 ms", |step| quantile(&step.jitter, |spread| spread.p50_us)),
    ("jitter", "p99 ms", |step| quantile(&step.jitter, |spread| spread.p99_us)),
];

const VIEWING: &[Measure] = &[
    ("first frame", "p50 ms", |step| quantile(&step.viewing.first_frame, |it| it.p50_us)),
    ("first frame", "p99 ms", |step| quantile(&step.viewing.first_frame, |it| it.p99_us)),
    ("join", "p50 ms", |step| quantile(&step.viewing.join, |spread| spread.p50_us)),
    ("join", "p99 ms", |step| quantile(&step.viewing.join, |spread| spread.p99_us)),
    ("joins", "", |step| count(step.population.joins as u64)),
    ("failed", "joins", |step| count(step.viewing.failed_joins)),
    ("never", "started", |step| count(step.viewing.never_started)),
    ("freezes", "", |step| count(step.viewing.freezes)),
    ("frozen", "streams", |step| count(step.viewing.frozen_streams)),
    ("longest", "pause ms", |step| ms(step.viewing.longest_freeze_us)),
];

const KEY_FRAMES: &[Measure] = &[
    ("sent", "/s a source", |step| number(step.key_frames.per_source_second)),
    ("sent", "", |step| count(step.key_frames.sent)),
    ("asked for", "by server", |step| count(step.key_frames.requested)),
    ("reasons", "of viewers", |step| count(step.key_frames.reasons)),
];

const COSTS: &[Measure] = &[
    ("CPU", "ns a packet", |step| process(step, |process| number(process.cpu_ns_per_packet))),
    ("cycles", "a packet", |step| process(step, |it| optional(it.cycles_per_packet, number))),
    ("cores", "busy", |step| process(step, |process| number(process.cores_busy))),
    ("of", "cores", |step| process(step, |process| count(process.cores as u64))),
    ("a core", "packets/s", |step| process(step, |process| si(process.packets_per_core))),
    ("a core", "Mbit/s", |step| process(step, |process| number(process.mbit_per_core))),
    ("RSS", "MiB", |step| process(step, |process| number(process.rss_bytes as f64 / MIB))),
    ("RSS", "KiB a peer", |step| process(step, |process| number(process.rss_per_peer / 1024.0))),
    ("train", "packets", |step| match step.packets.mean_train {
        mean if mean > 0.0 => number(mean),
        _ => NONE.to_owned(),
    }),
    ("late", "p99 ms", |step| quantile(&step.generator.late, |spread| spread.p99_us)),
];

const COUNTERS: &[Measure] = &[
    ("busiest", "shard %", |step| counter(step, |counters| optional(counters.busy, percent))),
    ("forward", "p50 ms", |step| counter(step, |it| optional(it.forward_us, |us| ms(us.0)))),
    ("forward", "p99 ms", |step| counter(step, |it| optional(it.forward_us, |us| ms(us.1)))),
    ("in trains", "%", |step| counter(step, |it| optional(it.train_share, percent))),
    ("train", "packets", |step| counter(step, |it| optional(it.mean_train, number))),
    ("taken", "packets", |step| counter(step, |it| optional(it.received, count))),
    ("forwarded", "packets", |step| counter(step, |it| optional(it.forwarded, count))),
    ("overflow", "packets", |step| counter(step, |it| optional(it.queue_overflow, count))),
    ("key frames", "asked", |step| counter(step, |it| optional(it.key_frame_requests, count))),
];

const GENERATOR: &[Measure] = &[
    ("late", "p50 ms", |step| quantile(&step.generator.late, |spread| spread.p50_us)),
    ("late", "p99 ms", |step| quantile(&step.generator.late, |spread| spread.p99_us)),
    ("late", "max ms", |step| quantile(&step.generator.late, |spread| spread.max_us)),
    ("over 1 ms", "packets", |step| count(step.generator.late_packets)),
    ("busiest", "thread %", |step| percent(step.generator.busy)),
    ("strays", "datagrams", |step| count(step.generator.strays)),
    ("verifying", "peers", |step| count(step.population.probes as u64)),
];

const MIB: f64 = 1024.0 * 1024.0;

/// All that have something to say, in the order in which they are read.
pub fn all(run: &Run) -> Vec<Table> {
    let per_packet = "Per packet that a viewer got. RSS a peer: growth since before the first \
                      peer. Train: packets that viewers got with one kernel stamp. Late: how far \
                      behind its schedule the generator sent.";
    let tables = [
        by_load(run, "What was played, and whether it was carried", CARRIED)
            .map(|table| table.note(carried_note(run))),
        by_load(run, "Latency and jitter that the server adds", TIMES),
        by_load(run, "What viewers saw", VIEWING).map(|table| table.note(join_errors(run))),
        by_load(run, "Key frames", KEY_FRAMES),
        by_load(run, "What it cost", COSTS).map(|table| table.note(per_packet)),
        losses(run),
        by_load(run, "As the server counts itself", COUNTERS),
        agreement(run),
        failed(run),
        by_load(run, "The load generator", GENERATOR),
    ];
    tables.into_iter().flatten().collect()
}

fn by_load(run: &Run, title: &str, measures: &[Measure]) -> Option<Table> {
    let heads = measures.iter().map(|(name, unit, _)| Column::numbers(*name, *unit));
    let columns = [Column::numbers("load", "")].into_iter().chain(heads).collect();
    let knee = run.knee();
    let row = |step: &Step| {
        let marked = knee.is_some_and(|knee| std::ptr::eq(knee, step));
        let name = load(step.load);
        let name = if marked { format!("▸ {name}") } else { name };
        let cells = measures.iter().map(|(.., cell)| cell(step));
        Row { cells: [name].into_iter().chain(cells).collect(), marked }
    };
    Table::new(title, columns, run.steps.iter().map(row).collect()).measured()
}

fn carried_note(run: &Run) -> String {
    let rates = "In: what sources sent. Out: what viewers got, each packet once.";
    match run.knee() {
        Some(_) => format!("▸ the knee: up to this load all limits hold. {rates}"),
        None => rates.to_owned(),
    }
}

/// Why joins failed; empty if none did.
fn join_errors(run: &Run) -> String {
    let said = |step: &Step| {
        let errors = &step.viewing.join_errors;
        (!errors.is_empty()).then(|| format!("load {}: {}", load(step.load), errors.join("; ")))
    };
    let said: Vec<String> = run.steps.iter().filter_map(said).collect();
    if said.is_empty() { String::new() } else { format!("Joins failed at {}.", said.join(". At ")) }
}

/// Where packets went, by load; `None` if every viewer got everything.
fn losses(run: &Run) -> Option<Table> {
    let lossy = |step: &&Step| places(step).iter().any(|(_, packets)| *packets > 0);
    let steps: Vec<&Step> = run.steps.iter().filter(lossy).collect();
    let by_step: Vec<BTreeMap<Place, u64>> =
        steps.iter().map(|step| places(step).into_iter().collect()).collect();
    let mut rows: BTreeMap<&Place, Row> = BTreeMap::new();
    for place in by_step.iter().flat_map(BTreeMap::keys) {
        let of = |packets: &BTreeMap<Place, u64>| packets.get(place).copied().unwrap_or(0);
        let cells = by_step.iter().map(|packets| count(of(packets)));
        if by_step.iter().any(|packets| of(packets) > 0) {
            let cells = [place.1.clone()].into_iter().chain(cells);
            rows.insert(place, Row::from(cells.collect::<Vec<_>>()));
        }
    }
    let total = |of: fn(&Step) -> u64, name: &str| {
        let cells = steps.iter().map(|step| count(of(step)));
        Row::from([name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>())
    };
    let totals = [
        total(|step| step.packets.expected, "viewers should have got"),
        total(|step| step.packets.received, "viewers got"),
    ];
    let head = |step: &&Step| Column::numbers("load", load(step.load));
    let columns = [Column::words("packets")].into_iter().chain(steps.iter().map(head)).collect();
    let rows = totals.into_iter().chain(rows.into_values()).collect();
    Table::new("Packets that did not arrive as they should, by place", columns, rows)
        .note(
            "What is lost on the way to the server (sender's socket, server's receive queue) is \
             one packet here and missing at each of its viewers.",
        )
        .measured()
}

/// Where on a packet's way, and the name for people.
type Place = (usize, String);

fn places(step: &Step) -> Vec<(Place, u64)> {
    let packets = &step.packets;
    let fixed = [
        (0, "lost: sender's socket", packets.lost_sender_socket),
        (1, "lost: server's receive queue", packets.lost_server_queue),
        (3, "lost: receiver's socket", packets.lost_receiver_socket),
        (4, "lost: nobody says where", packets.lost_unexplained),
        (5, "dropped on purpose", packets.lost_on_purpose),
        (6, "not readable or not authentic", packets.corrupt),
        (7, "received twice", packets.duplicates),
        (8, "received out of order", packets.reordered),
    ];
    let fixed = fixed.into_iter().map(|(at, name, packets)| ((at, name.to_owned()), packets));
    let server = packets.lost_server.iter();
    let server = server.map(|(reason, packets)| ((2, format!("lost: server, {reason}")), *packets));
    fixed.chain(server).collect()
}

fn agreement(run: &Run) -> Option<Table> {
    let mut whats: Vec<&str> = Vec::new();
    for agreement in run.steps.iter().flat_map(|step| &step.agreement) {
        if !whats.contains(&agreement.what.as_str()) {
            whats.push(&agreement.what);
        }
    }
    let of = |what| {
        let all = run.steps.iter().flat_map(|step| step.agreement.iter().map(move |it| (step, it)));
        all.filter(move |(_, agreement)| agreement.what == what)
    };
    let rows = whats.into_iter().flat_map(of).map(|(step, agreement)| {
        let (client, server) = (agreement.client as f64, agreement.server as f64);
        Row::from(vec![
            agreement.what.clone(),
            load(step.load),
            count(agreement.client),
            count(agreement.server),
            if agreement.client == agreement.server {
                "0".to_owned()
            } else {
                percent((server - client) / client)
            },
            if agreement.agrees { "yes" } else { "NO" }.to_owned(),
        ])
    });
    let columns = vec![
        Column::words("counted by both"),
        Column::numbers("load", ""),
        Column::numbers("clients", ""),
        Column::numbers("server", ""),
        Column::numbers("difference", "%"),
        Column::numbers("agree", ""),
    ];
    Table::new("The server's counters beside the clients'", columns, rows.collect()).measured()
}

fn failed(run: &Run) -> Option<Table> {
    let all = run.steps.iter().flat_map(|step| step.verdicts.iter().map(move |it| (step, it)));
    let rows = all.filter(|(_, verdict)| !verdict.ok).map(|(step, verdict)| {
        let (value, limit) = (verdict.value.clone(), verdict.limit.clone());
        Row::from(vec![verdict.what.clone(), load(step.load), value, limit, number(verdict.ratio)])
    });
    let columns = vec![
        Column::words("limit of"),
        Column::numbers("load", ""),
        Column::numbers("measured", ""),
        Column::numbers("limit", ""),
        Column::numbers("times", "the limit"),
    ];
    Table::new("Limits that did not hold", columns, rows.collect()).measured()
}

fn standing(step: &Step) -> String {
    let failed = step.verdicts.iter().filter(|verdict| !verdict.ok).count();
    match (step.verdicts.is_empty(), step.generator.limit.is_some()) {
        (true, _) => NONE.to_owned(),
        (false, true) => "generator".to_owned(),
        (false, false) if failed == 0 => "hold".to_owned(),
        (false, false) => format!("{failed} fail{}", if failed == 1 { "s" } else { "" }),
    }
}

fn quantile(spread: &Spread, of: fn(&Spread) -> f64) -> String {
    if spread.count == 0 { NONE.to_owned() } else { ms(of(spread)) }
}

fn process(step: &Step, cell: fn(&Process) -> String) -> String {
    step.process.as_ref().map_or_else(|| NONE.to_owned(), cell)
}

fn counter(step: &Step, cell: fn(&Counters) -> String) -> String {
    step.counters.as_ref().map_or_else(|| NONE.to_owned(), cell)
}
