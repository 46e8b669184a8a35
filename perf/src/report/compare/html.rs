//! A comparison as one HTML page: ratios with their spread, every round's values side by side, and
//! the data itself.

use crate::report::compare::{Better, Comparison, Ratio, table};
use crate::report::escape::escaped;
use crate::report::figures::Picture;
use crate::report::headline::{self, Figure};
use crate::report::html::{raw, scenario};
use crate::report::number::number;
use crate::report::page::{facts, findings, large, page, pictures, tables};
use crate::report::plot::{Axis, Plot, Series, Spread, spreads};

/// Ratios shown as large figures at most.
const LARGE_MAX: usize = 6;

const METHOD: &str = "Both servers got the same packets from the same generator on the same cores, \
    in turns, so that what the machine does differently from hour to hour meets both. A ratio is \
    made of a round and the round of the other server that ran next to it; the spread is from the \
    lowest of these to the highest. A server counts as better only if it was so in every pair. CPU \
    is that of the server's whole process, by the packets that viewers got; added latency is from \
    a source's send to the stamp that the kernel gives the packet at a viewer.";

const CAVEAT: &str = "It is one machine, loopback, and each server as it was started here: the \
    command lines are above. Another configuration may do better.";

/// The page.
pub fn render(comparison: &Comparison) -> String {
    let Comparison { ours, theirs, .. } = comparison;
    let title = format!("{ours} beside {theirs}: {}", comparison.scenario.name);
    let body = [
        head(comparison, &title),
        format!("<p class=\"verdict\">{}</p>\n", escaped(&table::headline(comparison))),
        large(&figures(comparison)),
        left_out(comparison),
        findings(&comparison.findings),
        pictures("Ratios", ratios(comparison).as_slice()),
        pictures("Round by round", &rounds(comparison)),
        format!("<h2>Figures</h2>\n{}", tables(&table::all(comparison))),
        scenario(&comparison.scenario),
        format!(
            "<section><h2>How it was measured</h2>\n<p>{METHOD}</p>\n<p>{CAVEAT}</p></section>\n"
        ),
        raw("rows"),
    ];
    page(&title, &body.concat(), comparison)
}

fn head(comparison: &Comparison, title: &str) -> String {
    let of = |sfu: &str| {
        let round = comparison.rounds.iter().find(|round| round.sfu == sfu);
        round.map_or_else(String::new, |round| {
            format!("{}: {}", headline::server(&round.run), round.run.server.how)
        })
    };
    let machine = comparison.rounds.first().map(|round| headline::machine(&round.run));
    let machine = machine.unwrap_or_else(|| comparison.machine.cpu.clone());
    format!(
        "<header><h1>{}</h1>\n<p class=\"about\">{}</p>\n{}</header>\n",
        escaped(title),
        escaped(&comparison.scenario.about),
        facts(&[
            ("machine", &machine),
            ("began", &comparison.began_at),
            (&comparison.ours, &of(&comparison.ours)),
            (&comparison.theirs, &of(&comparison.theirs)),
            ("command", &comparison.command),
        ])
    )
}

fn figures(comparison: &Comparison) -> Vec<Figure> {
    let figure = |row: &Ratio| {
        Some(Figure {
            value: number(row.ratio_median?),
            unit: "×".to_owned(),
            what: format!(
                "{}, {} to {}",
                row.what,
                number(row.ratio_low?),
                number(row.ratio_high?)
            ),
        })
    };
    comparison.rows.iter().filter_map(figure).take(LARGE_MAX).collect()
}

fn left_out(comparison: &Comparison) -> String {
    let texts = table::left_out(comparison);
    let items = texts.iter().map(|text| format!("<li>{}</li>", escaped(text)));
    match texts.is_empty() {
        true => String::new(),
        false => format!(
            "<section><h2>Left out</h2>\n<ul>{}</ul></section>\n",
            items.collect::<String>()
        ),
    }
}

fn ratios(comparison: &Comparison) -> Option<Picture> {
    let Comparison { ours, theirs, .. } = comparison;
    let row = |row: &Ratio| {
        let values = [row.ratio_low?, row.ratio_median?, row.ratio_high?];
        let [low, median, high] = values.map(number);
        let better = match row.better() {
            Better::Ours => format!("{median}, {ours} is better"),
            Better::Theirs => format!("{median}, {theirs} is better"),
            Better::Neither => median.clone(),
        };
        let said = format!("{}: {median}, from {low} to {high}", row.what);
        // A ratio of 0 has no place on a logarithmic axis.
        (values[0] > 0.0).then(|| Spread { name: row.what.clone(), values, sum: better, said })
    };
    let rows: Vec<_> = comparison.rows.iter().filter_map(row).collect();
    let title = format!("{ours} over {theirs}, median and spread over pairs of rounds");
    let svg = spreads(&title, &format!("{ours} / {theirs}"), &rows)?;
    let note = format!("Left of 1, {ours} has less of it. A ratio of 0 is in the table alone.");
    Some(Picture { title, note, svg })
}

fn rounds(comparison: &Comparison) -> Vec<Picture> {
    let picture = |row: &Ratio| {
        let series = |name: &str, class: &str, value: fn(&(f64, f64)) -> f64| {
            let point = |(at, pair): (usize, &(f64, f64))| {
                let said = format!("{name}, pair {}: {} {}", at + 1, number(value(pair)), row.unit);
                ((at + 1) as f64, value(pair), said)
            };
            Series {
                name: name.to_owned(),
                class: class.to_owned(),
                markers: true,
                line: true,
                points: row.pairs.iter().enumerate().map(point).collect(),
            }
        };
        let title = match row.unit.is_empty() {
            true => row.what.clone(),
            false => format!("{}, {}", row.what, row.unit),
        };
        let plot = Plot {
            describe: format!("{title}, by pairs of rounds"),
            x: Axis::steps("pair of rounds", row.pairs.len()),
            y: Axis::linear(
                &row.unit,
                row.pairs.iter().flat_map(|(ours, theirs)| [*ours, *theirs]),
            ),
            series: vec![
                series(&comparison.ours, "s0", |pair| pair.0),
                series(&comparison.theirs, "s1", |pair| pair.1),
            ],
            limits: vec![],
            marks: vec![],
        };
        Some(Picture { title, note: String::new(), svg: plot.svg()? })
    };
    comparison.rows.iter().filter_map(picture).collect()
}
