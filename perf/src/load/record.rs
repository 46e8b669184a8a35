//! What the control side counts: joins and their times, and why some failed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::tally::Times;

/// Reasons that are reported.
const REASONS: usize = 5;

/// Shared by everything that joins.
#[derive(Debug, Default)]
pub struct Record(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_window: bool,
    joins: Joins,
    before: Times,
    failures: HashMap<String, u64>,
}

/// What was counted in a window.
#[derive(Debug, Clone, Default)]
pub struct Joins {
    /// How long they took.
    pub times: Times,
    /// How many succeeded.
    pub joined: usize,
    /// How many did not.
    pub failed: u64,
    /// Why, the most frequent first.
    pub errors: Vec<String>,
    /// ICE restarts.
    pub restarts: usize,
}

impl Record {
    /// A peer joined; it took so many nanoseconds.
    pub fn joined(&self, nanos: u64) {
        let mut state = self.lock();
        if state.in_window {
            state.joins.times.note(nanos);
            state.joins.joined += 1;
        } else {
            state.before.note(nanos);
        }
    }

    /// A peer could not join, or not do what it wanted to.
    pub fn failed(&self, error: &anyhow::Error) {
        let mut state = self.lock();
        state.joins.failed += 1;
        *state.failures.entry(format!("{error:#}")).or_default() += 1;
    }

    /// ICE was restarted.
    pub fn restarted(&self) {
        self.lock().joins.restarts += 1;
    }

    /// Counts anew, except for failures before: whoever could not join for this window is its
    /// failure.
    pub fn begin_window(&self) {
        let mut state = self.lock();
        let failed = state.joins.failed;
        state.joins = Joins { failed, ..Joins::default() };
        state.in_window = true;
    }

    /// What was counted. Times are those of before if nobody joined in the window.
    pub fn end_window(&self) -> Joins {
        let mut state = self.lock();
        state.in_window = false;
        let mut joins = std::mem::take(&mut state.joins);
        if joins.times.count() == 0 {
            joins.times = state.before.clone();
        }
        let mut failures: Vec<_> = std::mem::take(&mut state.failures).into_iter().collect();
        failures.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let line = |(error, count): (String, u64)| format!("{count} × {error}");
        joins.errors = failures.into_iter().take(REASONS).map(line).collect();
        joins
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
