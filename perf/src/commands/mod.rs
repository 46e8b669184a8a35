//! What the subcommands do: one file each, and here what they share.

mod calibrate;
mod capacity;
mod compare;
mod plan;
mod run;
mod small;

pub use calibrate::calibrate;
pub use capacity::capacity;
pub use compare::compare;
pub use plan::plan;
pub use run::run;
pub use small::{capture, check, profiles};

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::args::{Cores, Target};
use crate::measures::{Machine, SelfCheck};
use crate::progress::Progress;
use crate::rig::Place;
use crate::sfu::{Corinth, Launch};
use crate::{binary, host, selfcheck};

/// Says what is wrong, in one line.
pub fn complain(error: &anyhow::Error) {
    // Some libraries say it in several, with what they mean drawn beneath.
    let text = format!("{error:#}");
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    writeln!(std::io::stderr(), "corinth-perf: {}", lines.join(" ")).ok();
}

/// Writes to standard output. A reader that has gone is no reason to fail.
pub(crate) fn say(text: &str) {
    write!(std::io::stdout(), "{text}").ok();
    std::io::stdout().flush().ok();
}

/// A runtime for the control side, on the calling thread.
pub(crate) fn block_on<T>(
    cores: &[usize],
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    host::raise_file_limit();
    host::pin(cores)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(future)
}

/// Where generator and server run, and the addresses that were asked for.
///
/// # Errors
/// A core may not be used.
pub(crate) fn place(target: &Target) -> anyhow::Result<Place> {
    let mut place = division(&target.cores)?;
    if let Some(network) = target.addresses {
        (place.base, place.addresses) = (network.base, network.addresses);
    }
    Ok(place)
}

/// The cores that were asked for, or a fair division.
///
/// # Errors
/// A core may not be used.
pub(crate) fn division(cores: &Cores) -> anyhow::Result<Place> {
    let allowed = host::cores()?;
    let (first, second) = match allowed.len() {
        1 => (allowed.clone(), allowed.clone()),
        n => (allowed[..n / 2].to_vec(), allowed[n / 2..].to_vec()),
    };
    let server = cores.server_cores.as_ref().map_or(first, |list| list.0.clone());
    let generator = cores.generator_cores.as_ref().map_or(second, |list| list.0.clone());
    for core in server.iter().chain(&generator) {
        ensure!(allowed.contains(core), "core {core} may not be used; {allowed:?} may");
    }
    Ok(Place::loopback(generator, server))
}

pub(crate) fn machine(place: &Place, started: bool) -> Machine {
    Machine {
        generator_cores: place.generator_cores.clone(),
        server_cores: if started { place.server_cores.clone() } else { Vec::new() },
        ..host::machine()
    }
}

pub(crate) fn command_line() -> String {
    let words = std::env::args().skip(1);
    std::iter::once("corinth-perf".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Now, as RFC 3339 has it, to the second.
pub(crate) fn date() -> String {
    let now = time::OffsetDateTime::now_utc().replace_nanosecond(0);
    let text =
        now.ok().and_then(|now| now.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_default()
}

/// The server that is asked for.
///
/// # Errors
/// It is not there, or does not start.
pub(crate) async fn server(target: &Target, place: &Place) -> anyhow::Result<Corinth> {
    if let Some(url) = &target.url {
        return Ok(Corinth::at(url, target.pid).via(target.via));
    }
    let program = target.server.as_deref();
    let server = server_at(program, &target.server_args, place, "127.0.0.1").await?;
    Ok(server.via(target.via))
}

/// One of our own, on `address`.
///
/// # Errors
/// It is not there, or does not start.
pub(crate) async fn server_at(
    program: Option<&Path>,
    arguments: &str,
    place: &Place,
    address: &str,
) -> anyhow::Result<Corinth> {
    // While it is measured nobody answers pings in time.
    let mut all = vec!["--ping-interval".to_owned(), "3600".to_owned()];
    all.extend(arguments.split_whitespace().map(str::to_owned));
    let program = binary::corinth(program)?;
    let launch = Launch { program, arguments: all, cores: place.server_cores.clone() };
    Corinth::start(launch, address).await
}

/// On a thread of its own, so that the caller's is not tied to a core by it.
pub(crate) fn self_check(place: &Place, progress: &Progress) -> anyhow::Result<SelfCheck> {
    progress.says("what can the generator do alone?");
    let flood = place.server_cores.first().copied().unwrap_or(0);
    let own = place.generator_cores.first().copied().unwrap_or(0);
    let check = std::thread::spawn(move || {
        host::pin(&[own])?;
        selfcheck::run(flood)
    });
    check.join().ok().context("the self-check has failed")?
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_date_is_one() {
        let date = super::date();
        assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{date}");
    }
}
