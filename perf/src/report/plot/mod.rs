//! Plots as SVG for a page's body: lines with markers over two axes, limits, and spreads.
//!
//! Written by hand rather than by a library because a page's style decides colours (light, dark,
//! paper) and the size of letters (a phone's plots are small): shapes here have classes, and the
//! style sheet of [`page`](crate::report::page) the rest. Series differ in colour, dash and marker.

mod axis;

use std::fmt::Write as _;

use crate::report::escape::escaped;

pub use axis::Axis;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// Of letters, on a phone, where they are largest against the plot.
const LETTER: f64 = 7.4;
const LINE: f64 = 14.0;

/// What one picture shows.
#[derive(Debug, Clone)]
pub struct Plot {
    /// For those who cannot see it.
    pub describe: String,
    /// Below.
    pub x: Axis,
    /// At the left; its label is not drawn: it belongs into the figure's title.
    pub y: Axis,
    /// In the order of the styles that they get.
    pub series: Vec<Series>,
    /// Lines across that a series is to stay below.
    pub limits: Vec<Limit>,
    /// Loads: places on the x axis with a name above the plot.
    pub marks: Vec<Mark>,
}

/// Points that belong together.
#[derive(Debug, Clone)]
pub struct Series {
    /// At the end of the line.
    pub name: String,
    /// Of the style sheet: `s0` to `s3` for kinds, `q0` to `q5` for grades.
    pub class: String,
    /// Whether each point is shown: not for curves of many.
    pub markers: bool,
    /// Whether they are connected.
    pub line: bool,
    /// x, y, and what to say about the point.
    pub points: Vec<(f64, f64, String)>,
}

/// A line across.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Where.
    pub at: f64,
    /// Written above it.
    pub name: String,
    /// That of the series that it is for.
    pub class: String,
}

/// A name above the plot.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Where.
    pub at: f64,
    /// What.
    pub name: String,
    /// Whether a line goes down from it.
    pub main: bool,
}

impl Plot {
    /// The picture; `None` if there is no point to show.
    pub fn svg(&self) -> Option<String> {
        let series: Vec<Series> = self.series.iter().filter_map(shown).collect();
        if series.is_empty() {
            return None;
        }
        let names = series.iter().map(|series| series.name.chars().count());
        let right = 14.0 + LETTER * names.max().unwrap_or(0) as f64;
        let frame = Frame { right: WIDTH - right.max(22.0), x: &self.x, y: &self.y };
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(&self.describe)
        );
        frame.axes(&mut out);
        frame.marks(&mut out, &self.marks);
        frame.limits(&mut out, &self.limits);
        for one in &series {
            frame.series(&mut out, one);
        }
        frame.names(&mut out, &series);
        Some(out + "</svg>")
    }
}

/// Without points that are no numbers; `None` if none is left.
fn shown(series: &Series) -> Option<Series> {
    let finite = |(x, y, _): &&(f64, f64, String)| x.is_finite() && y.is_finite();
    let points: Vec<_> = series.points.iter().filter(finite).cloned().collect();
    (!points.is_empty()).then(|| Series { points, ..series.clone() })
}

/// The rectangle that values are drawn in.
struct Frame<'a> {
    right: f64,
    x: &'a Axis,
    y: &'a Axis,
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (self.right - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - BOTTOM - TOP)
    }

    fn axes(&self, out: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, self.right);
        for (at, name) in self.y.ticks() {
            let y = self.y(*at);
            let class = if name.is_empty() { "minor" } else { "grid" };
            line(out, class, (LEFT, y), (right, y));
            text(out, "tick end", (LEFT - 7.0, y + 4.0), name);
        }
        for (at, name) in self.x.ticks() {
            let x = self.x(*at);
            line(out, "axis", (x, bottom), (x, bottom + 4.0));
            text(out, "tick middle", (x, bottom + 18.0), name);
        }
        line(out, "axis", (LEFT, bottom), (right, bottom));
        text(out, "label end", (right, HEIGHT - 8.0), &self.x.label);
    }

    /// The main mark first: others give way where names would touch.
    fn marks(&self, out: &mut String, marks: &[Mark]) {
        let mut taken: Vec<(f64, f64)> = vec![(0.0, LEFT - 6.0)];
        if !marks.is_empty() {
            text(out, "tick end", (LEFT - 7.0, TOP - 14.0), "load");
        }
        let (main, rest): (Vec<_>, Vec<_>) = marks.iter().partition(|mark| mark.main);
        for mark in main.into_iter().chain(rest) {
            let x = self.x(mark.at);
            let half = LETTER * mark.name.chars().count() as f64 / 2.0 + 3.0;
            let middle = x.min(WIDTH - half);
            if taken.iter().any(|(from, to)| middle + half > *from && middle - half < *to) {
                continue;
            }
            taken.push((middle - half, middle + half));
            if mark.main {
                line(out, "knee", (x, TOP - 8.0), (x, HEIGHT - BOTTOM));
            }
            let class = if mark.main { "tick middle strong" } else { "tick middle" };
            text(out, class, (middle, TOP - 14.0), &mark.name);
        }
    }

    fn limits(&self, out: &mut String, limits: &[Limit]) {
        for limit in limits {
            let y = self.y(limit.at);
            let class = format!("limit {}", limit.class);
            line(out, &class, (LEFT, y), (self.right, y));
            let class = format!("{} name halo", limit.class);
            text(out, &class, (LEFT + 6.0, y - 5.0), &limit.name);
        }
    }

    fn series(&self, out: &mut String, series: &Series) {
        let class = escaped(&series.class);
        let place = |(x, y, _): &(f64, f64, String)| (self.x(*x), self.y(*y));
        if series.line && series.points.len() > 1 {
            let places = series.points.iter().map(place);
            let places: Vec<_> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = write!(out, "<polyline class=\"{class}\" points=\"{}\"/>", places.join(" "));
        }
        if series.markers || series.points.len() == 1 {
            for point in &series.points {
                let title = escaped(&point.2);
                marker(out, &class, place(point), &title);
            }
        }
    }

    /// At the last points, moved apart where they would lie over each other.
    fn names(&self, out: &mut String, series: &[Series]) {
        let last = |series: &Series| series.points.last().map(|(_, y, _)| self.y(*y));
        let mut places: Vec<(f64, f64, &Series)> = series
            .iter()
            .filter(|series| !series.name.is_empty())
            .filter_map(|series| {
                let x = self.x(series.points.last()?.0);
                Some((last(series)?, x, series))
            })
            .collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = TOP;
        for place in &mut places {
            place.0 = place.0.max(free);
            free = place.0 + LINE;
        }
        // Those that were pushed below the frame push back.
        let mut floor = HEIGHT - BOTTOM;
        for (y, x, series) in places.into_iter().rev() {
            let y = y.min(floor);
            floor = y - LINE;
            let class = format!("{} name halo", series.class);
            text(out, &class, (x + 8.0, y + 4.0), &series.name);
        }
    }
}

/// A ratio over several rounds.
#[derive(Debug, Clone)]
pub struct Spread {
    /// Of what, at the left above it.
    pub name: String,
    /// The lowest, the one in the middle, the highest.
    pub values: [f64; 3],
    /// What it comes to, at the right above it.
    pub sum: String,
    /// What to say about it.
    pub said: String,
}

/// Ratios one below the other, on one logarithmic axis with a line at 1; `None` if there are none.
pub fn spreads(describe: &str, label: &str, rows: &[Spread]) -> Option<String> {
    const ROW: f64 = 34.0;
    const SIDE: f64 = 24.0;
    if rows.is_empty() {
        return None;
    }
    let values = rows.iter().flat_map(|row| row.values);
    let axis = Axis::log(label, values.chain([0.5, 2.0]));
    let height = 8.0 + ROW * rows.len() as f64 + BOTTOM;
    let bottom = height - BOTTOM;
    let x = |value: f64| SIDE + axis.share(value) * (WIDTH - 2.0 * SIDE);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escaped(describe)
    );
    for (at, name) in axis.ticks() {
        let class = match (name.is_empty(), *at == 1.0) {
            (_, true) => "knee",
            (true, _) => "minor",
            _ => "grid",
        };
        line(&mut out, class, (x(*at), 2.0), (x(*at), bottom));
        text(&mut out, "tick middle", (x(*at), bottom + 16.0), name);
    }
    for (at, Spread { name, values: [low, middle, high], sum, said }) in rows.iter().enumerate() {
        let y = 8.0 + ROW * at as f64 + 24.0;
        text(&mut out, "label halo", (2.0, y - 11.0), name);
        text(&mut out, "label strong end halo", (WIDTH - 2.0, y - 11.0), sum);
        let ends = [x(*low), x(*high)];
        line(&mut out, "spread s0", (ends[0], y), (ends[1], y));
        ends.iter().for_each(|x| line(&mut out, "spread s0", (*x, y - 4.0), (*x, y + 4.0)));
        marker(&mut out, "s0", (x(*middle), y), &escaped(said));
    }
    text(&mut out, "label end", (WIDTH - 2.0, height - 8.0), &axis.label);
    Some(out + "</svg>")
}

fn line(out: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = write!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(out: &mut String, class: &str, (x, y): (f64, f64), text: &str) {
    if !text.is_empty() {
        let text = escaped(text);
        let _ = write!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }
}

/// A shape of its own for each kind; `title` is escaped.
fn marker(out: &mut String, class: &str, (x, y): (f64, f64), title: &str) {
    let path = match class {
        "s1" => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        "s2" => format!("M{x:.1} {:.1}l5 9h-10z", y - 5.5),
        "s3" => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
        _ => format!("M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", x - 4.5),
    };
    let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"><title>{title}</title></path>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_lines_neither_lie_over_each_other_nor_leave_the_frame() {
        for low in [0.0, 5.9] {
            let series = |at: usize| Series {
                name: format!("line {at}"),
                class: "s0".to_owned(),
                markers: true,
                line: true,
                points: vec![(1.0, low + at as f64 / 100.0, String::new())],
            };
            let plot = Plot {
                describe: String::new(),
                x: Axis::linear("x", [1.0]),
                y: Axis::linear("y", [6.0]),
                series: (0..6).map(series).collect(),
                limits: vec![],
                marks: vec![],
            };
            let svg = plot.svg().unwrap();
            let places = svg.split("name halo").skip(1).map(|text| {
                let y = text.split("y=\"").nth(1).unwrap().split('"').next().unwrap();
                y.parse::<f64>().unwrap()
            });
            let mut places: Vec<f64> = places.collect();
            places.sort_by(f64::total_cmp);
            assert_eq!(places.len(), 6);
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LINE - 0.11), "{places:?}");
            assert!(places[0] >= TOP && places[5] <= HEIGHT - BOTTOM + 4.1, "{places:?}");
        }
    }

    #[test]
    fn a_plot_without_a_point_is_no_plot() {
        let plot = Plot {
            describe: String::new(),
            x: Axis::linear("x", []),
            y: Axis::log("y", []),
            series: vec![Series {
                name: String::new(),
                class: "s0".to_owned(),
                markers: true,
                line: true,
                points: vec![(f64::NAN, 1.0, String::new())],
            }],
            limits: vec![],
            marks: vec![],
        };
        assert_eq!(plot.svg(), None);
        assert_eq!(spreads("", "", &[]), None);
    }
}
