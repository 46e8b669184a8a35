//! Reports: what was measured, for people. A terminal's text ([`table`]), one HTML page ([`html`])
//! and JSON, all three of a [`Run`](crate::measures::Run) and of a [`compare::Comparison`].
//!
//! The command line calls it with finished data; nothing here measures or decides. From the bottom:
//! - [`number`]: how figures are written.
//! - [`grid`]: a table as data, and as text.
//! - [`tables`], [`headline`]: what a run has to say, as tables and sentences.
//! - [`plot`], [`figures`]: what it has to show, as SVG.
//! - [`page`]: what every HTML page is made of.
//!
//! Limits: text is at most [`grid::WIDTH`] columns wide; a page needs nothing from outside and no
//! script.

pub mod compare;
mod escape;
pub mod figures;
pub mod grid;
pub mod headline;
pub mod html;
pub mod number;
pub mod page;
pub mod plot;
pub mod table;
pub mod tables;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a [`Run`](crate::measures::Run), or whatever else is data, as JSON that people can read.
///
/// # Errors
/// The file cannot be written; the message has its path.
pub fn write_json<T: Serialize>(value: &T, path: &Path) -> anyhow::Result<()> {
    let named = || format!("cannot write {}", path.display());
    let mut text = serde_json::to_string_pretty(value).with_context(named)?;
    text.push('\n');
    fs::write(path, text).with_context(named)
}

/// Reads what [`write_json`] wrote.
///
/// # Errors
/// The file cannot be read, or holds something else; the message has its path, and the line.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let named = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(path).with_context(named)?;
    serde_json::from_str(&text).with_context(named)
}
