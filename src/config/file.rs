//! `corinth.toml`: read into [`Settings`], and where in it something is set, for whoever has to
//! mend it.

use std::fmt;
use std::ops::Range;

use toml::de::DeTable;

use super::settings::Settings;

/// The file with everything in it, commented, as it is by default.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Nearer than this, by Jaro and Winkler's measure, and one name was probably meant for the other.
const SIMILAR: f64 = 0.8;

/// A line of the file is no good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.reason)
    }
}

/// Reads the text of a file. Of several bad lines the first is named.
pub fn parse(text: &str) -> Result<Settings, BadLine> {
    let bad = |span: Option<Range<usize>>, reason| BadLine { line: line(text, span), reason };
    let table = DeTable::parse(text)
        .map_err(|error| bad(error.span(), error.message().replace('\n', ", ")))?;
    let names = Settings::names();
    let unknown = table.get_ref().keys().filter(|key| !names.iter().any(|n| n == key.get_ref()));
    if let Some(key) = unknown.min_by_key(|key| key.span().start) {
        return Err(bad(Some(key.span()), unknown_key(key.get_ref(), &names)));
    }
    let deserializer = toml::Deserializer::parse(text)
        .map_err(|error| bad(error.span(), error.message().to_owned()))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let reason = format!("{}: {}", error.path(), error.inner().message());
        bad(error.inner().span(), reason)
    })
}

/// The line, counted from 1, on which `name` is set.
pub fn line_of(text: &str, name: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let key = table.get_ref().keys().find(|key| *key.get_ref() == name)?;
    Some(line(text, Some(key.span())))
}

fn line(text: &str, span: Option<Range<usize>>) -> usize {
    let before = &text.as_bytes()[..span.map_or(0, |span| span.start.min(text.len()))];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn unknown_key(key: &str, names: &[String]) -> String {
    let similarity = |name: &&String| strsim::jaro_winkler(key, name);
    let nearest = names.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match nearest.filter(|name| similarity(name) > SIMILAR) {
        Some(name) => format!("there is no {key:?}; is {name:?} meant?"),
        None => format!("there is no {key:?}; `corinth config example` shows what there is"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named_with_its_reason() {
        for (text, line, reason) in [
            ("shards = 2\n\nport = 1\n", 3, "there is no \"port\""),
            ("shards = 2\nmedia_port = 1\n", 2, "is \"media-port\" meant?"),
            ("# a\nshards = \"two\"\n", 2, "shards: invalid type"),
            ("shards = 300\n", 1, "shards: invalid value"),
            ("http = \"localhost\"\n", 1, "http: invalid socket address"),
            ("media-address = [\n\"::1\",\n\"x\"]\n", 3, "media-address[1]: "),
            ("announce = [\"192.0.2.1\"]\n", 1, "announce[0]: LOCAL=PUBLIC is wanted"),
            ("io = \"fast\"\n", 1, "io: unknown variant `fast`"),
            ("log = \"info\"\nlog = \"warn\"\n", 2, "duplicate key"),
            ("log = \"info\n", 1, "invalid basic string"),
            ("[media]\nport = 1\n", 1, "there is no \"media\""),
        ] {
            let bad = parse(text).unwrap_err();
            assert_eq!(bad.line, line, "{text:?}: {bad}");
            assert!(bad.reason.contains(reason) && !bad.reason.contains('\n'), "{text:?}: {bad}");
        }
    }

    #[test]
    fn lines_of_settings_are_found() {
        let text = "shards = 2\n# log\nlog = \"info\"\n";
        assert_eq!((line_of(text, "log"), line_of(text, "io")), (Some(3), None));
    }
}
