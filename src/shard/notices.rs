//! From what happens in rooms to whoever tells the webhook of it. Shards put notices into a bounded
//! channel and never wait. At its other end a thread does nothing but keep them in order, so many
//! and no more, and hands some out when they are asked for. The thread that asks, `server`'s
//! webhook, waits as long as the web server makes it wait, and what happens meanwhile must not be
//! lost by whoever comes first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::http::metrics::Webhook as Counts;
use crate::http::webhook::{EVENTS_MAX, Notice, Waiting};

/// Notices on their way to the thread, which never has anything else to do.
const CALLS_MAX: usize = 1024;

/// Notices that wait, a megabyte; 80 parcels.
const NOTICES_MAX: usize = 8192;

/// What the thread is told.
#[derive(Debug)]
enum Call {
    /// Something has happened.
    Keep(Notice),
    /// Somebody wants some of what waits.
    Ask(Wanted),
}

/// When somebody wants to have what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As soon as there is something.
    Soon,
    /// Now, also if it is nothing.
    Now,
}

/// What the threads count together.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    waiting: AtomicU64,
    delivered: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    /// So many were told.
    pub(crate) fn deliver(&self, events: u64) {
        self.waiting.fetch_sub(events, Ordering::Relaxed);
        self.delivered.fetch_add(events, Ordering::Relaxed);
    }

    /// So many will not be.
    pub(crate) fn lose(&self, events: u64) {
        self.waiting.fetch_sub(events, Ordering::Relaxed);
        self.lost.fetch_add(events, Ordering::Relaxed);
    }

    /// The web server has not taken something.
    pub(crate) fn fail(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            waiting: read(&self.waiting),
            delivered: read(&self.delivered),
            lost: read(&self.lost),
            failures: read(&self.failures),
        }
    }
}

/// The end of who has something to tell, or to ask.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    calls: SyncSender<Call>,
    counters: Arc<Counters>,
}

impl Notices {
    /// Starts the thread, which ends with the last of these. It hands out at most [`EVENTS_MAX`] at
    /// a time, by `hand`, to somebody who has asked and waits.
    pub(crate) fn start(hand: impl Fn(Vec<Notice>) + Send + 'static) -> io::Result<Self> {
        let (calls, taken) = sync_channel(CALLS_MAX);
        let counters = Arc::<Counters>::default();
        let keeper = Keeper {
            waiting: Waiting::new(NOTICES_MAX),
            counters: Arc::clone(&counters),
            asked: false,
        };
        thread::Builder::new()
            .name("notices".to_owned())
            .spawn(move || keeper.run(&taken, &hand))?;
        Ok(Self { calls, counters })
    }

    /// Has somebody told of this. Never waits.
    pub(crate) fn tell(&self, notice: Notice) {
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        if self.calls.try_send(Call::Keep(notice)).is_err() {
            self.counters.lose(1);
        }
    }

    /// Asks for some of what waits.
    pub(crate) fn ask(&self, wanted: Wanted) {
        // The thread lives as long as this.
        let _ = self.calls.send(Call::Ask(wanted));
    }

    /// What the threads count.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// What the thread has.
struct Keeper {
    waiting: Waiting,
    counters: Arc<Counters>,
    /// Somebody waits.
    asked: bool,
}

impl Keeper {
    fn run(mut self, calls: &Receiver<Call>, hand: &impl Fn(Vec<Notice>)) {
        while let Ok(call) = calls.recv() {
            let now = match call {
                Call::Keep(notice) => {
                    if !self.waiting.push(notice) {
                        self.counters.lose(1);
                    }
                    false
                }
                Call::Ask(wanted) => {
                    self.asked = true;
                    wanted == Wanted::Now
                }
            };
            if self.asked && (now || !self.waiting.is_empty()) {
                self.asked = false;
                hand(std::iter::from_fn(|| self.waiting.pop()).take(EVENTS_MAX).collect());
            }
        }
    }
}
