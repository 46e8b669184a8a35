//! What a person reads in a terminal when a run is over: first what the machine carries, then
//! everything that says so.

use std::fmt::Write as _;

use crate::measures::{Finding, Run, Severity, Step};
use crate::report::grid::wrapped;
use crate::report::number::{NO_BREAK, load};
use crate::report::{headline, tables};

/// The whole text, at most [`WIDTH`](crate::report::grid::WIDTH) columns wide, without colours.
pub fn render(run: &Run) -> String {
    let mut out = wrapped("", &headline::carries(run));
    let beyond = headline::beyond(run);
    if !beyond.is_empty() {
        out += &wrapped("", &beyond);
    }
    out += &wrapped("", &headline::setting(run));
    let tally = headline::tally(&run.findings);
    if !tally.is_empty() {
        out += &wrapped("", &format!("{tally}: see the findings below."));
    }
    for table in tables::all(run) {
        let _ = write!(out, "\n{}", table.text());
    }
    out += &findings(&run.findings);
    out += &generator(run);
    out.replace(NO_BREAK, " ")
}

/// Findings, faults first; empty if there are none.
pub fn findings(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in headline::by_severity(findings) {
        let severity = match finding.severity {
            Severity::Fault => "  FAULT    ",
            Severity::Warning => "  warning  ",
            Severity::Note => "  note     ",
        };
        let at = finding.load.map(|at| format!(", load {}", load(at))).unwrap_or_default();
        out += &wrapped(severity, &format!("{}{at}: {}", finding.kind, finding.text));
    }
    if out.is_empty() { out } else { format!("\nFindings\n{out}") }
}

/// Where the generator was the limit, and what it can do alone.
fn generator(run: &Run) -> String {
    let limit = |step: &Step| Some((load(step.load), step.generator.limit.clone()?));
    let mut out = String::new();
    for (load, why) in run.steps.iter().filter_map(limit) {
        out += &wrapped("  ", &format!("Load {load}: not the server but the generator: {why}"));
    }
    if let Some(check) = headline::self_check(run) {
        out += &wrapped("  ", &check);
    }
    if out.is_empty() { out } else { format!("\nWhat the generator limits\n{out}") }
}
