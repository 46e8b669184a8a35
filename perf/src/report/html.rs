//! A run as one HTML page that needs nothing else: figures, findings, plots, tables, what was
//! played and how it was measured, and the data itself.

use crate::measures::{Run, Step};
use crate::report::escape::escaped;
use crate::report::number::{load, plural, short};
use crate::report::page::{facts, findings, large, page, pictures, tables};
use crate::report::{figures, headline};
use crate::scenario::Scenario;

/// What was done.
const METHOD: &str = "The generator plays the clients: it signs in, does ICE, DTLS and SRTP as \
    browsers do, and sends packets with sizes and times that were captured from one, unless the \
    profile makes them up, on a schedule that does not wait for the server; what leaves late is \
    counted. Some peers open and verify every packet; the rest read headers. Added latency is from \
    a source's send to the stamp that the kernel gives the packet at a viewer, by one clock. A \
    load counts as carried if it and all lower ones held every limit.";

/// What that cannot say, with the server on this machine.
const HERE: &str = "Latency contains the kernel's own way through loopback, twice; network cards \
    and their interrupts are not in it. CPU is that of the server's whole process, by the packets \
    that viewers got. Generator and server share the machine's memory and caches and, on virtual \
    machines, whatever the neighbours leave: what differs by a few per cent between two runs is no \
    difference.";

/// What it cannot say of one elsewhere.
const ELSEWHERE: &str = "The server was not on this machine: latency and loss contain the network \
    between, and what it cost the server was not measured.";

/// The page.
pub fn render(run: &Run) -> String {
    let title = format!("{}: {}", headline::server(run), run.scenario.name);
    let body = [head(run, &title), sum(run), findings(&run.findings), evidence(run), played(run)];
    page(&title, &body.concat(), run)
}

fn head(run: &Run, title: &str) -> String {
    format!(
        "<header><h1>{}</h1>\n<p class=\"about\">{}</p>\n{}</header>\n",
        escaped(title),
        escaped(&run.scenario.about),
        facts(&[
            ("machine", &headline::machine(run)),
            ("server", &run.server.how),
            ("began", &run.began_at),
            ("command", &run.command),
            ("suite", &format!("corinth-perf {}", run.version)),
        ])
    )
}

fn sum(run: &Run) -> String {
    let mut out = format!("<p class=\"verdict\">{}</p>\n", escaped(&headline::verdict(run)));
    let beyond = headline::beyond(run);
    if !beyond.is_empty() {
        out += &format!("<p class=\"beyond\">{}</p>\n", escaped(&beyond));
    }
    out + &large(&headline::large_figures(run))
}

fn evidence(run: &Run) -> String {
    let mut out = pictures("Against load", &figures::all(run));
    let tables = tables(&crate::report::tables::all(run));
    if !tables.is_empty() {
        out += &format!("<h2>Figures</h2>\n{tables}");
    }
    let limit = |step: &Step| Some((load(step.load), step.generator.limit.clone()?));
    for (at, why) in run.steps.iter().filter_map(limit) {
        let why = escaped(&why);
        out += &format!("<p>Load {at}: not the server but the generator: {why}</p>\n");
    }
    if let Some(check) = headline::self_check(run) {
        out += &format!("<p class=\"aside\">{}</p>\n", escaped(&check));
    }
    out
}

fn played(run: &Run) -> String {
    let times = run.steps.len();
    let dwell = short(run.scenario.seconds, 1);
    let here = run.steps.iter().any(|step| step.process.is_some());
    let caveat = if here { HERE } else { ELSEWHERE };
    format!(
        "{}<section><h2>How it was measured</h2>\n<p>{METHOD}</p>\n\
         <p>{caveat} This run played {times} load{} of {dwell} s.</p></section>\n{}",
        scenario(&run.scenario),
        plural(times),
        raw("steps")
    )
}

/// What was played, in the form that plays it again.
pub fn scenario(scenario: &Scenario) -> String {
    let text = toml::to_string(scenario).unwrap_or_else(|error| error.to_string());
    format!(
        "<section><h2>What was played</h2>\n<p>All parameters, as a profile: a file with this text \
         plays it again.</p>\n<pre class=\"scenario\">{}</pre></section>\n",
        escaped(&text)
    )
}

/// Where the data is.
pub fn raw(part: &str) -> String {
    format!(
        "<section><h2>Raw data</h2>\n<p>This file holds everything above as JSON, in the element \
         <code>script id=\"data\"</code>. A browser's console reads it:</p>\n\
         <pre>JSON.parse(document.getElementById('data').textContent).{part}</pre>\n\
         <p>and so does a shell:</p>\n\
         <pre>sed -n '/id=\"data\"&gt;$/,/^&lt;\\/script&gt;$/p' report.html | sed '1d;$d'</pre>\
         </section>\n"
    )
}
