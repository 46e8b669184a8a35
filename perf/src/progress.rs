//! What a person sees while a run goes on: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shown on standard error.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    /// A bar on a terminal; elsewhere lines, or nothing at all if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bar = match !quiet && std::io::stderr().is_terminal() {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        // The template is a constant that the library takes; another way to draw is no loss.
        if let Ok(style) = ProgressStyle::with_template("{msg:40} {wide_bar} {pos}/{len} {elapsed}")
        {
            bar.set_style(style);
        }
        Self { bar, quiet }
    }

    /// Something begins.
    pub fn says(&self, what: &str) {
        if self.bar.is_hidden() && !self.quiet {
            // Who does not read it is not disturbed.
            writeln!(std::io::stderr(), "{what}").ok();
        }
        self.bar.set_message(what.to_owned());
    }

    /// So many peers will join.
    pub fn joining(&self, peers: usize) {
        if peers > 0 {
            self.says(&format!("{peers} peers join"));
        }
        self.bar.set_length(peers as u64);
        self.bar.set_position(0);
    }

    /// One of them has.
    pub fn joined(&self) {
        self.bar.inc(1);
    }

    /// Waits for so long, and shows it.
    pub async fn wait(&self, what: &str, seconds: f64) {
        const TICK: f64 = 0.5;
        self.says(what);
        let ticks = (seconds / TICK).ceil().max(1.0);
        self.bar.set_length(ticks as u64);
        self.bar.set_position(0);
        let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        while tokio::time::Instant::now() < end {
            let tick = tokio::time::Instant::now() + Duration::from_secs_f64(TICK);
            tokio::time::sleep_until(end.min(tick)).await;
            self.bar.inc(1);
        }
    }

    /// Nothing is shown any more.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
