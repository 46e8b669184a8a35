//! The house rules as a test: who may import whom, where the runtime and the clock may be named,
//! what every file looks like. The rules and their reasons are in docs/HACKING.md.

mod rings;

use std::fs;
use std::path::{Path, PathBuf};

/// For each module of `src/`, the modules that it may import. Downwards only; siblings never.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("wire", &["types"]),
    ("protocol", &["types"]),
    ("media", &["types", "wire", "protocol"]),
    ("bwe", &["types", "wire", "protocol"]),
    ("transport", &["types", "wire", "protocol"]),
    ("sfu", &["types", "wire", "protocol", "media", "bwe", "transport"]),
    ("net", &["types"]),
    ("signal", &["types", "protocol", "net"]),
    ("cluster", &["types", "protocol", "net"]),
    ("http", &["types", "protocol", "net"]),
    ("config", &["types"]),
    ("host", &["types", "net"]),
    (
        "shard",
        &["types", "wire", "protocol", "sfu", "net", "signal", "cluster", "http", "config", "host"],
    ),
    ("server", &["types", "sfu", "net", "http", "config", "host", "shard"]),
    ("doctor", &["types", "net", "config", "host"]),
];

/// Modules that may see everything below them: they put the program together.
const TOP: &[&str] = &["lib", "main", "cli"];

/// Modules that may name glommio; everything else runs without an executor.
const ASYNC: &[&str] = &["net", "signal", "cluster", "http", "host", "shard"];

/// The one file of `src/` that reads the clock.
const CLOCK: &str = "src/shard/clock.rs";

/// The one file of `src/` that makes packet indices.
const INDICES: &str = "src/transport/srtp/index.rs";

const LINE_MAX: usize = 100;

/// Marks of unfinished work. Written in halves, so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimpl", "emented!("),
];

#[test]
fn modules_import_downwards_only() {
    check("src", &["rs"], |file| {
        let module = file.module();
        if TOP.contains(&module) {
            return Vec::new();
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            return vec![format!("module {module} has no place in the table of layers")];
        };
        let foreign = |name: &String| name != module && !allowed.contains(&name.as_str());
        let found = imports(&file.code()).into_iter().filter(foreign);
        found.map(|name| format!("{module} may not import {name}")).collect()
    });
}

/// Tests stand above everything and may know each other.
#[test]
fn no_files_import_each_other_in_a_ring() {
    let mut found = Vec::new();
    for folder in ["src", "perf/src", "benches/limit"] {
        let mut one = rings::Crate::default();
        check(folder, &["rs"], |file| {
            let inside = file.path.strip_prefix(&format!("{folder}/")).expect("below it");
            if !file.is_test() {
                let code = file.code();
                let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                one.add(&file.path, inside, code);
            }
            Vec::new()
        });
        found.extend(one.rings());
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_runtime_is_named_only_where_the_kernel_is_spoken_to() {
    check("src", &["rs"], |file| {
        let allowed = ASYNC.contains(&file.module()) || TOP.contains(&file.module());
        file.lines_with(&["glommio"], allowed, "glommio here")
    });
}

#[test]
fn only_the_clock_reads_the_clock() {
    check("src", &["rs"], |file| {
        let allowed = file.path == CLOCK || file.is_test();
        file.lines_with(&["Instant::now", "SystemTime::now"], allowed, "reads the clock")
    });
}

/// What is sealed has an index that was handed out; tests and benches take any.
#[test]
fn the_server_seals_with_indices_that_were_handed_out() {
    check("src", &["rs"], |file| {
        let allowed = file.path == INDICES || file.is_test();
        file.lines_with(&["at_will"], allowed, "an index that nobody has handed out")
    });
}

#[test]
fn every_file_says_what_lives_there() {
    for folder in ["src", "tests", "benches", "perf"] {
        check(folder, &["rs"], |file| {
            if file.text.starts_with("//!") { vec![] } else { vec!["no //! at the top".into()] }
        });
    }
}

#[test]
fn lines_fit_and_nothing_is_left_undone() {
    for folder in ["src", "tests", "benches", "perf", "web", "scripts"] {
        check(folder, &["rs", "js", "mjs", "sh"], |file| {
            let long = file.text.lines().enumerate().filter(|(_, l)| l.chars().count() > LINE_MAX);
            let mut found: Vec<String> =
                long.map(|(i, _)| format!("line {} is over {LINE_MAX}", i + 1)).collect();
            for (i, line) in file.text.lines().enumerate() {
                let marks = UNFINISHED.iter().filter(|mark| line.contains(*mark));
                found.extend(marks.map(|mark| format!("line {}: {mark}", i + 1)));
            }
            found
        });
    }
}

#[test]
fn imports_are_read_in_every_form() {
    let code =
        "use crate::types::Pt;\nuse crate::{wire::{rtp, rtcp}, net};\nlet x = crate::sfu::Y;";
    assert_eq!(imports(code), ["types", "wire", "net", "sfu"]);
    let file =
        File { path: "src/media/x.rs".into(), text: "//! crate::sfu\na // crate::net".into() };
    assert!(imports(&file.code()).is_empty(), "comments may speak of anything");
    assert_eq!(file.module(), "media");
    assert!(!file.is_test());
}

/// A text file; `path` is relative to the package.
struct File {
    path: String,
    text: String,
}

impl File {
    /// The top-level module that the file belongs to: `media` of `src/media/nack.rs`.
    fn module(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Whether it holds nothing but tests. Those may read the clock: an `Instant`, which the DTLS
    /// library wants, cannot be made in any other way.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// The text without comments (and without what stands behind `//` in strings: good enough).
    fn code(&self) -> String {
        let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        self.text.lines().map(code).collect::<Vec<_>>().join("\n")
    }

    /// One complaint a line of code that contains one of `words`, unless `allowed`.
    fn lines_with(&self, words: &[&str], allowed: bool, complaint: &str) -> Vec<String> {
        let code = self.code();
        let bad = |line: &str| !allowed && words.iter().any(|word| line.contains(word));
        let found = code.lines().enumerate().filter(|(_, line)| bad(line));
        found.map(|(i, _)| format!("line {}: {complaint}", i + 1)).collect()
    }
}

/// First segments of all paths that start with `crate::`, groups in braces included.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, root) in code.match_indices("crate::") {
        let path = &code[at + root.len()..];
        match path.strip_prefix('{') {
            Some(group) => found.extend(members(group)),
            None => found.push(identifier(path)),
        }
    }
    found.retain(|name| name.starts_with(char::is_lowercase));
    found
}

/// First segments of a group of imports; `group` starts behind its opening brace.
fn members(group: &str) -> Vec<String> {
    let mut found = vec![identifier(group.trim_start())];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => found.push(identifier(group[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Asserts that `rule` finds nothing in any file below `folder` with one of these endings.
fn check(folder: &str, endings: &[&str], mut rule: impl FnMut(&File) -> Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut complaints = Vec::new();
    for path in files(&root.join(folder)) {
        if !path.extension().is_some_and(|end| endings.iter().any(|e| end == *e)) {
            continue;
        }
        let relative = path.strip_prefix(root).expect("found below root").display().to_string();
        let text = fs::read_to_string(&path).expect("source files are UTF-8");
        let file = File { path: relative, text };
        complaints.extend(rule(&file).into_iter().map(|what| format!("{}: {what}", file.path)));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// All files below `folder` that git would track; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match path.is_dir() {
            true if ["node_modules", "target", "out"].contains(&name) => {}
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}
