//! What a run has to show: its plots, each with a title that has the unit.

use crate::measures::{Run, Step};
use crate::report::number::{load, number, percent, short, si};
use crate::report::plot::{Axis, Limit, Mark, Plot, Series};

/// Curves of the distribution at most: as many as there are grades in the style sheet.
const CURVES: usize = 6;

/// A plot with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What it shows, with the unit of what grows upwards.
    pub title: String,
    /// How to read it; may be empty.
    pub note: String,
    /// SVG.
    pub svg: String,
}

/// A line of a plot against load: name, class, value.
type Line<'a> = (&'a str, &'a str, &'a dyn Fn(&Step) -> Option<f64>);

/// All for which something was measured.
pub fn all(run: &Run) -> Vec<Picture> {
    let pictures = [
        latency(run),
        distribution(run),
        cores(run),
        cost(run),
        loss(run),
        pauses(run),
        waiting(run),
        key_frames(run),
    ];
    pictures.into_iter().flatten().collect()
}

fn latency(run: &Run) -> Option<Picture> {
    let limits = &run.scenario.limits;
    let lines: [Line; 3] = [
        ("p50", "s0", &|step| some(step.latency.count, step.latency.p50_us / 1e3)),
        ("p99", "s1", &|step| some(step.latency.count, step.latency.p99_us / 1e3)),
        ("p99.9", "s2", &|step| some(step.latency.count, step.latency.p999_us / 1e3)),
    ];
    let limits = vec![
        limit("p99", limits.latency_p99_ms, "ms", "s1"),
        limit("p99.9", limits.latency_p999_ms, "ms", "s2"),
    ];
    against_load(run, "Added latency, ms", &lines, limits, Axis::log, "ms")
}

fn cores(run: &Run) -> Option<Picture> {
    let cores = run.steps.iter().filter_map(|step| step.process.as_ref());
    let cores = cores.map(|process| process.cores).max().unwrap_or(0);
    let line: Line = ("", "s0", &|step| step.process.as_ref().map(|process| process.cores_busy));
    let limits = if cores == 0 {
        vec![]
    } else {
        vec![Limit {
            at: cores as f64,
            name: format!("all its cores: {cores}"),
            class: "s0".to_owned(),
        }]
    };
    against_load(run, "Server's CPU, cores busy", &[line], limits, Axis::linear, "cores")
}

fn cost(run: &Run) -> Option<Picture> {
    let cost = |step: &Step| step.process.as_ref().map(|process| process.cpu_ns_per_packet);
    let title = "Server's CPU a packet forwarded, ns";
    against_load(run, title, &[("", "s0", &cost)], vec![], Axis::linear, "ns")
}

fn loss(run: &Run) -> Option<Picture> {
    let loss = |step: &Step| some(step.packets.expected, step.packets.loss * 100.0);
    let limits = vec![limit("", run.scenario.limits.loss * 100.0, "%", "s0")];
    against_load(run, "Loss, %", &[("", "s0", &loss)], limits, Axis::log_with_zero, "%")
}

fn pauses(run: &Run) -> Option<Picture> {
    let pause = |step: &Step| some(step.packets.received, step.viewing.longest_freeze_us / 1e3);
    let limits = vec![limit("", run.scenario.limits.freeze_ms, "ms", "s0")];
    let title = "Longest pause of a stream, ms";
    against_load(run, title, &[("", "s0", &pause)], limits, Axis::log_with_zero, "ms")
}

fn waiting(run: &Run) -> Option<Picture> {
    let lines: [Line; 2] = [
        ("frame", "s0", &|step| {
            let spread = &step.viewing.first_frame;
            some(spread.count, spread.p99_us / 1e3)
        }),
        ("join", "s1", &|step| some(step.viewing.join.count, step.viewing.join.p99_us / 1e3)),
    ];
    let limits = vec![limit("first frame", run.scenario.limits.first_frame_p99_ms, "ms", "s0")];
    let title = "Time to first frame and join time, p99, ms";
    against_load(run, title, &lines, limits, Axis::log, "ms")
}

fn key_frames(run: &Run) -> Option<Picture> {
    let rate = |step: &Step| Some(step.key_frames.per_source_second);
    let title = "Key frames asked for, /s a source of video";
    against_load(run, title, &[("", "s0", &rate)], vec![], Axis::linear, "/s")
}

/// Lines over what viewers got a second, in the order of loads: past the knee it may turn back.
fn against_load<F>(
    run: &Run,
    title: &str,
    lines: &[Line],
    limits: Vec<Limit>,
    axis: F,
    unit: &str,
) -> Option<Picture>
where
    F: Fn(&str, Vec<f64>) -> Axis,
{
    let steps = by_load(run);
    let series: Vec<Series> = lines
        .iter()
        .map(|(name, class, value)| {
            let point = |step: &&Step| {
                let value = value(step)?;
                let (load, x) = (load(step.load), step.received_pps());
                let said =
                    format!("load {load}, {} packets/s: {name} {} {unit}", si(x), number(value));
                Some((x, value, said))
            };
            Series {
                name: (*name).to_owned(),
                class: (*class).to_owned(),
                markers: true,
                line: true,
                points: steps.iter().filter_map(point).collect(),
            }
        })
        .collect();
    let values = series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
    let values = values.chain(limits.iter().map(|limit| limit.at)).collect();
    let plot = Plot {
        describe: format!("{title}, against packets a second to viewers"),
        x: Axis::linear("packets/s to viewers", steps.iter().map(|step| step.received_pps())),
        y: axis(title, values),
        series,
        limits,
        marks: marks(run),
    };
    let svg = plot.svg()?;
    Some(Picture { title: title.to_owned(), note: String::new(), svg })
}

fn distribution(run: &Run) -> Option<Picture> {
    let steps: Vec<&Step> =
        by_load(run).into_iter().filter(|step| !step.latency_curve.is_empty()).collect();
    let steps = spread_out(&steps);
    let curve = |(at, step): (usize, &&Step)| {
        // The last grades are the strongest: a single curve gets the very last.
        let grade = CURVES - steps.len() + at;
        let said = |(share, us): &(f64, f64)| {
            let text = format!(
                "load {}: {} % ≤ {} ms",
                load(step.load),
                percent(*share),
                number(us / 1e3)
            );
            (*share, us / 1e3, text)
        };
        let within = step.latency_curve.iter().filter(|(share, _)| *share < 0.999_995);
        Series {
            name: format!("load {}", load(step.load)),
            class: format!("q{grade}"),
            markers: false,
            line: true,
            points: within.map(said).collect(),
        }
    };
    let series: Vec<Series> = steps.iter().enumerate().map(curve).collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let shares: Vec<f64> = points().map(|point| point.0).collect();
    let values: Vec<f64> = points().map(|point| point.1).collect();
    let title = "Added latency by share of packets, ms";
    let plot = Plot {
        describe: format!("{title}: a curve for each load"),
        x: Axis::nines("% of packets", shares),
        y: Axis::log("ms", values),
        series,
        limits: vec![],
        marks: vec![],
    };
    let note = "How to read it: so many per cent of packets are not later than this.".to_owned();
    Some(Picture { title: title.to_owned(), note, svg: plot.svg()? })
}

/// At most [`CURVES`], evenly from the first to the last.
fn spread_out<'a>(steps: &[&'a Step]) -> Vec<&'a Step> {
    if steps.len() <= CURVES {
        return steps.to_vec();
    }
    (0..CURVES).map(|at| steps[at * (steps.len() - 1) / (CURVES - 1)]).collect()
}

fn by_load(run: &Run) -> Vec<&Step> {
    let mut steps: Vec<&Step> = run.steps.iter().collect();
    steps.sort_by(|a, b| a.load.total_cmp(&b.load));
    steps
}

fn marks(run: &Run) -> Vec<Mark> {
    let knee = run.knee();
    let mark = |step: &Step| {
        let main = knee.is_some_and(|knee| std::ptr::eq(knee, step));
        let at = load(step.load);
        let name = if main { format!("{at} (knee)") } else { at };
        Mark { at: step.received_pps(), name, main }
    };
    run.steps.iter().map(mark).collect()
}

fn limit(of: &str, at: f64, unit: &str, class: &str) -> Limit {
    let name = format!("{of} limit {} {unit}", short(at, 3));
    Limit { at, name: name.trim_start().to_owned(), class: class.to_owned() }
}

fn some(count: u64, value: f64) -> Option<f64> {
    (count > 0).then_some(value)
}
