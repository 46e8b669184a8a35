//! L6, beside `server`: `corinth doctor`. Whether this host is fit for the server, point by point,
//! and what to do where it is not. It changes nothing. What can be tried is tried: rings, trains,
//! ports, a datagram that may be tracked; the rest is read from `/proc` and `/sys`.
//!
//! - `kernel`: what the server fails without, or loses packets.
//! - `cores`: how many, how fast, how near to memory; `cards`: what the network cards do to them.
//! - `losses`: what was thrown away so far.
//! - `addresses`, `ports`, `conntrack`: where clients will find it.
//! - `proxy`: who may stand before it.
//! - `time`: the clock.

mod addresses;
mod cards;
mod conntrack;
mod cores;
mod kernel;
mod losses;
mod ports;
mod proxy;
#[cfg(test)]
mod testing;
mod time;

use std::fmt;
use std::fs;
use std::path::Path;

use crate::config::Config;
use crate::host;
use crate::net::{discipline, feature, interface_addresses};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, and could be better.
    Poor,
    /// It does not work like this.
    Bad,
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub grade: Grade,
    /// What was looked at, and what was found.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { grade: Grade::Good, what: what.into(), remedy: None }
    }

    fn poor(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Poor, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, what: what.into(), remedy: Some(remedy.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Good => "good",
            Grade::Poor => "poor",
            Grade::Bad => "BAD ",
        };
        write!(f, "{grade}  {}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n      -> {remedy}"),
            None => Ok(()),
        }
    }
}

/// Looks at everything that a server of this configuration needs of its host.
pub fn examine(config: &Config) -> Vec<Finding> {
    let (proc, sys): (&Path, &Path) = ("/proc".as_ref(), "/sys".as_ref());
    let cores = host::cores();
    let shards = config.shards.unwrap_or(cores.len().clamp(1, 255));
    let used: Vec<_> = cores.iter().copied().take(shards).collect();
    let listed = interface_addresses();
    let interfaces = listed.as_deref().unwrap_or_default();
    let cards = cards::of(sys, &config.media_addresses, interfaces);

    let mut found = kernel::examine(proc, shards, config.media_addresses.len());
    found.push(cores::processors(shards, cores.len()));
    found.extend(cores::governor(sys, &used));
    found.extend(cores::numa(sys, &cards, &used));
    for card in &cards {
        found.extend(cards::interrupts(sys, proc, card, &used));
        found.extend(cards::offload(card, feature(card, cards::OFFLOAD).ok().flatten()));
    }
    found.extend(cards::irqbalance(proc, &cards));
    found.extend(losses::examine(proc, sys, &cards));
    found.extend(time::synchronized(discipline().ok()));
    found.extend(time::source(sys));
    match &listed {
        Ok(interfaces) => {
            let flags = read(&proc.join("net/if_inet6"));
            found.extend(addresses::examine(&config.media_addresses, interfaces, &flags));
        }
        Err(error) => found.push(Finding::poor(
            format!("the interfaces of this host cannot be listed: {error}"),
            "run it where AF_NETLINK is allowed",
        )),
    }
    match config.media_ports(shards) {
        Ok(media) => {
            found.extend(ports::examine(proc, config, &media));
            found.extend(conntrack::examine(proc, &config.media_addresses, &media));
        }
        Err(error) => found.push(Finding::bad(error.to_string(), "a lower media-port")),
    }
    found.extend(proxy::examine(proc, config));
    found
}

/// Of what cannot be read nothing is known.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &Path) -> Option<u64> {
    read(path).trim().parse().ok()
}

/// What is in a folder, by name; nothing if there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Like `0-3,8`, of numbers in ascending order.
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_the_kernel_says_them() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[]), "");
        assert_eq!(host::cpu_list(&ranges(&[3, 4, 9])).unwrap(), [3, 4, 9]);
    }
}
