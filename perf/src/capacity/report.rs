//! A capacity for people.

use std::fmt::Write as _;

use super::Capacity;

/// A line with the answer, and a table of the measurements.
pub fn render(capacity: &Capacity) -> String {
    let Capacity { load, low, high, confidence, .. } = capacity;
    let percent = 100.0 * confidence;
    let mut text = match (&capacity.limited_by, high) {
        (Some(limit), _) if *load > 0.0 => {
            format!("load {load:.2} or more ({limit}); with {percent:.0} % not below {low:.2}\n")
        }
        (Some(limit), _) => format!("nothing was learned about the server: {limit}\n"),
        (None, Some(high)) if *load > 0.0 => {
            format!("load {load:.2}; with {percent:.0} % between {low:.2} and {high:.2}\n")
        }
        (None, Some(high)) => {
            format!("no load holds the limits; with {percent:.0} % not {high:.2}\n")
        }
        (None, None) => "nothing was measured\n".to_owned(),
    };
    if let Some(broke) = &capacity.broke {
        text += &format!("what breaks first: {broke}\n");
    }
    if !capacity.finished && high.is_some() {
        text += "stopped before its end: the interval is wider than it would have been\n";
    }
    text += "\n  #      load  limits\n";
    for (at, tried) in capacity.steps.iter().enumerate() {
        let outcome = match (&tried.outcome.broke, &tried.outcome.generator_limit) {
            (_, Some(limit)) => format!("not counted: {limit}"),
            (None, _) if tried.outcome.passed => "hold".to_owned(),
            (None, _) => "broken".to_owned(),
            (Some(broke), _) => broke.clone(),
        };
        let warm_up = if at == 0 { " (warm-up, not counted)" } else { "" };
        // Writing to a String cannot fail.
        writeln!(text, "{:>3}  {:>8.3}  {outcome}{warm_up}", at + 1, tried.load).ok();
    }
    text
}
