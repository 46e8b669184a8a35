//! What every HTML page is made of. One file: style inside, no script, nothing from outside; a
//! policy in its head forbids both to whatever might slip in with the data.

use std::fmt::Write as _;

use serde::Serialize;

use crate::measures::{Finding, Severity};
use crate::report::escape::escaped;
use crate::report::figures::Picture;
use crate::report::grid::Table;
use crate::report::headline::{Figure, by_severity};
use crate::report::number::load;

const STYLE: &str = include_str!("page.css");

/// A page: title and body, with the data behind it. `body` is HTML.
pub fn page(title: &str, body: &str, data: &impl Serialize) -> String {
    // The data is no HTML, but a parser looks for the end of the element in it.
    let json = serde_json::to_string(data).unwrap_or_else(|error| format!("\"{error}\""));
    let json = json.replace('<', "\\u003c");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script type=\"application/json\" id=\"data\">\n{json}\n</script>\n</body>\n</html>\n",
        escaped(title)
    )
}

/// Names and what they stand for, a line each; empty ones are left out.
pub fn facts(facts: &[(&str, &str)]) -> String {
    let some = facts.iter().filter(|(_, text)| !text.is_empty());
    let rows = some.map(|(name, text)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(text))
    });
    format!("<dl class=\"facts\">{}</dl>\n", rows.collect::<String>())
}

/// Figures to see from afar.
pub fn large(figures: &[Figure]) -> String {
    let tiles = figures.iter().map(|Figure { value, unit, what }| {
        format!(
            "<li><b>{}</b> <i>{}</i><span>{}</span></li>",
            escaped(value),
            escaped(unit),
            escaped(what)
        )
    });
    format!("<ul class=\"large\">{}</ul>\n", tiles.collect::<String>())
}

/// Findings, faults first, under their heading; empty if there are none.
pub fn findings(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut out = "<section><h2>Findings</h2>\n<ul class=\"findings\">\n".to_owned();
    for finding in by_severity(findings) {
        let class = match finding.severity {
            Severity::Fault => "fault",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let at = finding.load.map(|at| format!(", load {}", load(at))).unwrap_or_default();
        let _ = writeln!(
            out,
            "<li class=\"{class}\"><b>{class}</b><span><i>{}{}</i> {}</span></li>",
            escaped(&finding.kind),
            escaped(&at),
            escaped(&finding.text)
        );
    }
    out + "</ul></section>\n"
}

/// Plots beside each other where there is room.
pub fn pictures(title: &str, pictures: &[Picture]) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let figures = pictures.iter().map(|Picture { title, note, svg }| {
        let note = match note.is_empty() {
            true => String::new(),
            false => format!("<p class=\"aside\">{}</p>", escaped(note)),
        };
        let title = escaped(title);
        format!("<figure><figcaption>{title}</figcaption>{svg}{note}</figure>\n")
    });
    let figures: String = figures.collect();
    let title = escaped(title);
    format!("<section><h2>{title}</h2>\n<div class=\"plots\">\n{figures}</div></section>\n")
}

/// Tables, each in a box that scrolls alone.
pub fn tables(tables: &[Table]) -> String {
    tables.iter().map(table).collect()
}

fn table(table: &Table) -> String {
    let mut out = format!(
        "<section><h3>{}</h3>\n<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>",
        escaped(&table.title)
    );
    let class = |at: usize| if table.columns[at].words { " class=\"words\"" } else { "" };
    for (at, column) in table.columns.iter().enumerate() {
        let unit = match column.unit.is_empty() {
            true => String::new(),
            false => format!("<small>{}</small>", escaped(&column.unit)),
        };
        let class = class(at);
        let _ = write!(out, "<th scope=\"col\"{class}>{}{unit}</th>", escaped(&column.name));
    }
    out += "</tr></thead>\n<tbody>\n";
    for row in &table.rows {
        out += if row.marked { "<tr class=\"marked\">" } else { "<tr>" };
        for (at, cell) in row.cells.iter().enumerate() {
            let (class, cell) = (class(at), escaped(cell));
            let _ = match at {
                0 => write!(out, "<th scope=\"row\"{class}>{cell}</th>"),
                _ => write!(out, "<td{class}>{cell}</td>"),
            };
        }
        out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
    if !table.note.is_empty() {
        let _ = writeln!(out, "<p class=\"aside\">{}</p>", escaped(&table.note));
    }
    out + "</section>\n"
}
