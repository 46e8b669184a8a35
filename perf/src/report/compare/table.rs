//! A comparison in a terminal, and its tables.

use std::fmt::Write as _;

use crate::measures::Step;
use crate::report::compare::{Better, Comparison, Ratio, Round};
use crate::report::grid::{Column, Row, Table, wrapped};
use crate::report::headline;
use crate::report::number::{NO_BREAK, load, ms, number, optional, percent, plural, si};
use crate::report::table::findings;

/// The whole text, at most [`WIDTH`](crate::report::grid::WIDTH) columns wide, without colours.
pub fn render(comparison: &Comparison) -> String {
    let mut out = wrapped("", &headline(comparison));
    out += &wrapped("", &setting(comparison));
    for table in all(comparison) {
        let _ = write!(out, "\n{}", table.text());
    }
    let left_out = left_out(comparison);
    if !left_out.is_empty() {
        out += "\nLeft out\n";
        left_out.iter().for_each(|text| out += &wrapped("  ", text));
    }
    out += &findings(&comparison.findings);
    out.replace(NO_BREAK, " ")
}

/// The first quantity of both, with its ratio.
pub fn headline(comparison: &Comparison) -> String {
    let Comparison { ours, theirs, .. } = comparison;
    let Some(row) = comparison.rows.first() else {
        return format!("{ours} and {theirs} have no quantity that was measured of both.");
    };
    format!(
        "{}: {ours} {} {unit}, {theirs} {} {unit}; {ours} / {theirs} is {}.",
        row.what,
        number(row.ours_median),
        number(row.theirs_median),
        spread(row),
        unit = row.unit,
    )
}

/// Who ran how often, where, and what was played.
pub fn setting(comparison: &Comparison) -> String {
    let Comparison { ours, theirs, rounds, scenario, .. } = comparison;
    let of = |sfu: &str| rounds.iter().filter(|round| round.sfu == sfu).count();
    let named = |sfu: &str| {
        let round = rounds.iter().find(|round| round.sfu == sfu);
        let name = round.map_or_else(|| sfu.to_owned(), |round| headline::server(&round.run));
        format!("{name} ({} round{})", of(sfu), plural(of(sfu)))
    };
    let machine = rounds.first().map(|round| headline::machine(&round.run));
    let machine = machine.unwrap_or_else(|| comparison.machine.cpu.clone());
    format!(
        "{} and {} in turns on {machine}. Profile {}. {}",
        named(ours),
        named(theirs),
        scenario.name,
        comparison.began_at,
    )
}

/// All that have something to say.
pub fn all(comparison: &Comparison) -> Vec<Table> {
    [ratios(comparison), rounds(comparison)].into_iter().flatten().collect()
}

/// What was not compared, and rounds that say less than they seem to.
pub fn left_out(comparison: &Comparison) -> Vec<String> {
    let mut texts = comparison.skipped.clone();
    for (at, round) in comparison.rounds.iter().enumerate() {
        let limited = |step: &Step| {
            let why = step.generator.limit.as_ref()?;
            let (turn, at) = (at + 1, load(step.load));
            Some(format!("Turn {turn} ({}), load {at}: the generator's limit: {why}", round.sfu))
        };
        texts.extend(round.run.steps.iter().filter_map(limited));
    }
    texts
}

fn ratios(comparison: &Comparison) -> Option<Table> {
    let Comparison { ours, theirs, .. } = comparison;
    let row = |row: &Ratio| {
        Row::from(vec![
            row.what.clone(),
            row.unit.clone(),
            number(row.ours_median),
            number(row.theirs_median),
            optional(row.ratio_median, number),
            optional(row.ratio_low, number),
            optional(row.ratio_high, number),
            row.pairs.len().to_string(),
            match row.better() {
                Better::Ours => ours.clone(),
                Better::Theirs => theirs.clone(),
                Better::Neither => "neither".to_owned(),
            },
        ])
    };
    let columns = vec![
        Column::words("quantity"),
        Column::words("unit"),
        Column::numbers(ours, "median"),
        Column::numbers(theirs, "median"),
        Column::numbers("ratio", "median"),
        Column::numbers("ratio", "lowest"),
        Column::numbers("ratio", "highest"),
        Column::numbers("pairs", "of rounds"),
        Column::words("better in all"),
    ];
    let title = format!("{ours} over {theirs}");
    let rows = comparison.rows.iter().map(row).collect();
    Table::new(title, columns, rows)
        .note("Each ratio is of a round and the round of the other server that ran next to it.")
        .measured()
}

fn rounds(comparison: &Comparison) -> Option<Table> {
    let steps = |(at, round): (usize, &Round)| -> Vec<Row> {
        let row = |step: &Step| {
            let measured = step.latency.count > 0;
            let process = step.process.as_ref();
            let latency = |us: f64| optional(measured.then_some(us), ms);
            Row::from(vec![
                (at + 1).to_string(),
                round.sfu.clone(),
                load(step.load),
                si(step.received_pps()),
                number(step.packets.received_bps / 1e6),
                optional(process.map(|it| it.cpu_ns_per_packet), number),
                optional(process.map(|it| it.cores_busy), number),
                latency(step.latency.p50_us),
                latency(step.latency.p99_us),
                latency(step.latency.p999_us),
                percent(step.packets.loss),
            ])
        };
        round.run.steps.iter().map(row).collect()
    };
    let columns = vec![
        Column::numbers("turn", ""),
        Column::words("server"),
        Column::numbers("load", ""),
        Column::numbers("out", "packets/s"),
        Column::numbers("out", "Mbit/s"),
        Column::numbers("CPU", "ns a packet"),
        Column::numbers("cores", "busy"),
        Column::numbers("added", "p50 ms"),
        Column::numbers("added", "p99 ms"),
        Column::numbers("added", "p99.9 ms"),
        Column::numbers("loss", "%"),
    ];
    let rows = comparison.rounds.iter().enumerate().flat_map(steps).collect();
    Table::new("Every turn", columns, rows).measured()
}

fn spread(row: &Ratio) -> String {
    let rounds = row.pairs.len();
    match (row.ratio_median, row.ratio_low, row.ratio_high) {
        (Some(median), Some(low), Some(high)) if rounds > 1 => format!(
            "{} ({} to {} over {rounds} pairs of rounds)",
            number(median),
            number(low),
            number(high)
        ),
        (Some(median), ..) => format!("{} (one pair of rounds)", number(median)),
        _ => "not defined, by zero".to_owned(),
    }
}
