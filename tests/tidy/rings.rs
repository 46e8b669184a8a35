//! Which file imports which, and whether some import each other in a ring. A module's own file may
//! name what lies below it, and what lies below it may name the module: that is how Rust's modules
//! are, and no ring. What a module hands on (`pub use`) counts as the file that it comes from.

use std::collections::{BTreeMap, BTreeSet};

/// The files of one crate, by the path of their module: `["net", "rx"]`.
#[derive(Default)]
pub(crate) struct Crate {
    files: BTreeMap<Vec<String>, File>,
}

struct File {
    name: String,
    /// Paths of modules and items that it names, whole; the first segment is no longer `crate`.
    named: Vec<Vec<String>>,
    /// What it hands on, under which name.
    handed_on: Vec<(String, Vec<String>)>,
}

impl Crate {
    /// Takes in a file; `inside` is its path below the folder of the crate's root file.
    pub(crate) fn add(&mut self, name: &str, inside: &str, code: &str) {
        let path = inside.trim_end_matches(".rs").split('/').map(str::to_owned);
        let mut module: Vec<_> = path.collect();
        module.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
        let mut file = File { name: name.to_owned(), named: Vec::new(), handed_on: Vec::new() };
        for (public, path) in paths(code) {
            let Some(path) = absolute(&module, &path) else { continue };
            if public && let Some(last) = path.last() {
                file.handed_on.push((last.clone(), path.clone()));
            }
            file.named.push(path);
        }
        self.files.insert(module, file);
    }

    /// The names of the files of each ring.
    pub(crate) fn rings(&self) -> Vec<String> {
        let edges: BTreeMap<_, BTreeSet<_>> = self
            .files
            .iter()
            .map(|(module, file)| {
                let to = file.named.iter().filter_map(|path| self.file_of(path, 0));
                let foreign = |to: &&[String]| !to.starts_with(module) && !module.starts_with(to);
                (&module[..], to.filter(foreign).collect())
            })
            .collect();
        let mut rings = BTreeSet::new();
        for module in edges.keys() {
            let ring: Vec<_> = reached(&edges, module)
                .into_iter()
                .filter(|other| reached(&edges, other).contains(module))
                .map(|other| self.files[other].name.as_str())
                .collect();
            if !ring.is_empty() {
                rings.insert(format!("import each other: {}", ring.join(", ")));
            }
        }
        rings.into_iter().collect()
    }

    /// The file in which a path ends, through whatever hands it on.
    fn file_of(&self, path: &[String], depth: usize) -> Option<&[String]> {
        let len = (0..=path.len()).rev().find(|len| self.files.contains_key(&path[..*len]))?;
        let (module, file) = self.files.get_key_value(&path[..len])?;
        if let Some(item) = path.get(len)
            && depth < 8
            && let Some((_, from)) = file.handed_on.iter().find(|(name, _)| name == item)
            && from != path
        {
            return self.file_of(from, depth + 1);
        }
        Some(module)
    }
}

/// All that can be reached from a file, itself only by a way round.
fn reached<'a>(
    edges: &BTreeMap<&'a [String], BTreeSet<&'a [String]>>,
    from: &[String],
) -> BTreeSet<&'a [String]> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(next) = open.pop() {
        for to in edges.get(next).into_iter().flatten() {
            if found.insert(*to) {
                open.push(to);
            }
        }
    }
    found
}

/// A path as seen from the crate's root; `None`: it leads out of the crate.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            base.pop()?;
        }
        _ => {
            // `pub use rx::Rx` beside `mod rx`.
            base.extend(path.iter().cloned());
            return Some(base);
        }
    }
    rest = &rest[1..];
    while rest.first().is_some_and(|first| first == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend(rest.iter().filter(|name| *name != "self").cloned());
    Some(base)
}

/// Every path that is imported, or that begins with `crate` or `super`; and whether it is handed
/// on.
fn paths(code: &str) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    let statements = code.split_inclusive(['\n', ';']).collect::<Vec<_>>();
    let mut i = 0;
    while i < statements.len() {
        let trimmed = statements[i].trim_start();
        let public = trimmed.starts_with("pub");
        let import = trimmed
            .strip_prefix("use ")
            .or_else(|| trimmed.strip_prefix("pub use "))
            .or_else(|| trimmed.strip_prefix("pub(crate) use "))
            .or_else(|| trimmed.strip_prefix("pub(super) use "));
        if let Some(import) = import {
            let mut tree = import.to_owned();
            while !tree.contains(';') && i + 1 < statements.len() {
                i += 1;
                tree.push_str(statements[i]);
            }
            expand(&[], tree.split(';').next().unwrap_or_default(), &mut |path| {
                found.push((public, path));
            });
        } else {
            for root in ["crate::", "super::"] {
                found.extend(trimmed.match_indices(root).map(|(at, _)| {
                    let path = trimmed[at..].split("::").map(word).take_while(|it| !it.is_empty());
                    (false, path.collect())
                }));
            }
        }
        i += 1;
    }
    found
}

/// The paths of a tree of imports, as `a::{b, c::{d, e}}`.
fn expand(before: &[String], tree: &str, found: &mut impl FnMut(Vec<String>)) {
    let tree = tree.trim();
    if let Some(group) = tree.strip_prefix('{') {
        let group = group.trim_end().trim_end_matches('}');
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(before, &group[start..at], found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let first = word(tree);
    if first.is_empty() {
        return;
    }
    let path = [before, std::slice::from_ref(&first)].concat();
    match tree[first.len()..].strip_prefix("::") {
        Some(rest) => expand(&path, rest, found),
        None => found(path),
    }
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn rings_are_found_and_modules_are_none() {
    let mut one = Crate::default();
    one.add("lib", "lib.rs", "pub mod a;\npub mod b;\n");
    one.add("a", "a/mod.rs", "mod x;\nmod y;\npub use x::X;\nuse self::y::Y;\n");
    one.add("x", "a/x.rs", "use super::y::{self, Y};\n");
    one.add("y", "a/y.rs", "fn f(at: crate::b::B) {}\n");
    one.add("b", "b.rs", "use std::fmt;\n");
    assert!(one.rings().is_empty(), "{:?}", one.rings());
    one.add("b", "b.rs", "use crate::{\n    a::{X},\n};\n");
    assert_eq!(one.rings(), ["import each other: x, y, b"]);
    one.add("b", "b.rs", "use crate::a::y::Y;\n");
    assert_eq!(one.rings(), ["import each other: y, b"]);
}
