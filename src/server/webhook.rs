//! The thread that tells the webhook what happens in rooms. It waits as long as the web server at
//! the other end makes it wait; what happens meanwhile waits in `shard::Notices`.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::http::webhook::{Client, Failure, Notice, Queue, TRY_TIME, Target};
use crate::shard::{Clock, Notices, Wanted, unix_time};

/// Words that wait. They are taken between two tries, and there is one a reload.
const WORDS_MAX: usize = 16;

/// How long what is left may take when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the thread hears.
#[derive(Debug)]
enum Word {
    /// Tell this one from now on, or nobody.
    Tell(Option<Target>),
    /// Tell what is left, and end.
    End,
    /// This has happened.
    Events(Vec<Notice>),
}

/// The main thread's end.
#[derive(Debug)]
pub(super) struct Webhook {
    words: SyncSender<Word>,
    ended: Receiver<()>,
}

impl Webhook {
    /// Starts the thread, which tells `target`. `run` names this run of the server.
    pub(super) fn start(run: String, target: Option<Target>) -> io::Result<(Self, Notices)> {
        let (words, heard) = sync_channel(WORDS_MAX);
        let (end, ended) = sync_channel(1);
        let teller = words.clone();
        // Whoever has asked hears it soon; whoever has ended needs nothing.
        let notices = Notices::start(move |events| drop(teller.send(Word::Events(events))))?;
        let teller = Teller {
            words: heard,
            notices: notices.clone(),
            asked: false,
            events: VecDeque::new(),
            lost_seen: 0,
            target,
            queue: Queue::new(run),
            client: Client::default(),
            clock: Clock::start(),
            failing: false,
        };
        thread::Builder::new().name("webhook".to_owned()).spawn(move || {
            teller.run();
            let _ = end.send(());
        })?;
        Ok((Self { words, ended }, notices))
    }

    /// Tells somebody else from now on, or nobody. Never waits.
    pub(super) fn tell(&self, target: Option<Target>) {
        if self.words.try_send(Word::Tell(target)).is_err() {
            tracing::error!("the webhook stays as it was: it was changed too often at once");
        }
    }

    /// Has what is left told, within bounds.
    pub(super) fn end(&self) {
        if self.words.try_send(Word::End).is_ok() {
            let _ = self.ended.recv_timeout(FAREWELL);
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.words.try_send(Word::End);
    }
}

/// What the thread has.
struct Teller {
    words: Receiver<Word>,
    notices: Notices,
    /// For events that have not come.
    asked: bool,
    /// That have come and are in no parcel.
    events: VecDeque<Notice>,
    /// Of the lost ones, those that the queue knows of.
    lost_seen: u64,
    target: Option<Target>,
    queue: Queue,
    client: Client,
    clock: Clock,
    /// The last try was a failure, and that has been logged.
    failing: bool,
}

impl Teller {
    /// Until it is told to end.
    fn run(mut self) {
        loop {
            self.fill();
            if self.queue.parcel().is_none() && !self.asked {
                self.asked = true;
                self.notices.ask(Wanted::Soon);
            }
            match self.next_word() {
                Some(Word::End) => return self.tell_the_rest(),
                Some(Word::Tell(target)) => {
                    self.target = target;
                    self.queue.hurry();
                }
                Some(Word::Events(events)) => self.take(events),
                None => drop(self.attempt(TRY_TIME)),
            }
        }
    }

    /// The next word, if there is one before the parcel is due.
    fn next_word(&self) -> Option<Word> {
        let ended = Some(Word::End);
        if self.queue.parcel().is_none() {
            return self.words.recv().map_or(ended, Some);
        }
        match self.words.recv_timeout(self.queue.due(self.clock.now())) {
            Ok(word) => Some(word),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => ended,
        }
    }

    fn take(&mut self, events: Vec<Notice>) {
        self.asked = false;
        self.events.extend(events);
    }

    /// Makes a parcel, if there is none and something to put into it.
    fn fill(&mut self) {
        if self.queue.parcel().is_none() && !self.events.is_empty() {
            let lost = self.notices.counters().counts().lost;
            self.queue.lose(lost - std::mem::replace(&mut self.lost_seen, lost));
            self.queue.fill(self.clock.now(), || self.events.pop_front());
        }
    }

    /// Whether the parcel was taken.
    fn attempt(&mut self, time: Duration) -> bool {
        let Some(parcel) = self.queue.parcel() else { return false };
        let Some(target) = &self.target else {
            // Since these were put here, the webhook was switched off.
            self.give_up();
            return false;
        };
        match self.client.post(target, parcel, unix_time(), time) {
            Ok(()) => {
                let events = self.queue.delivered();
                self.notices.counters().deliver(events);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the webhook is heard again");
                }
                true
            }
            Err(reason) => {
                self.fail(&reason);
                false
            }
        }
    }

    fn fail(&mut self, reason: &str) {
        self.notices.counters().fail();
        match self.queue.failed(self.clock.now(), fastrand::f64()) {
            // Once is enough: that it goes on is a metric.
            Failure::Later(_) if self.failing => {}
            Failure::Later(_) => {
                tracing::warn!("the webhook is not heard: {reason}; it is tried again");
            }
            Failure::GivenUp(events) => {
                tracing::error!(events, "the webhook is not heard: {reason}; these are lost");
                self.note_lost(events);
            }
        }
        self.failing = true;
    }

    fn give_up(&mut self) {
        let events = self.queue.give_up();
        self.note_lost(events);
    }

    /// The queue has told of these itself.
    fn note_lost(&mut self, events: u64) {
        self.lost_seen += events;
        self.notices.counters().lose(events);
    }

    /// What is left gets one try each, and all of them together so much time.
    fn tell_the_rest(mut self) {
        let until = self.clock.now() + FAREWELL;
        loop {
            self.fill();
            let left = until.since(self.clock.now());
            if self.queue.parcel().is_none() {
                self.notices.ask(Wanted::Now);
                match self.words.recv_timeout(left) {
                    Ok(Word::Events(events)) if events.is_empty() => break,
                    Ok(Word::Events(events)) => self.take(events),
                    Ok(_) => {}
                    Err(_) => break,
                }
            } else if left.is_zero() || !self.attempt(left) {
                break;
            }
        }
        let events = self.notices.counters().counts().waiting;
        if events > 0 && self.target.is_some() {
            tracing::error!(events, "the webhook could not be told everything");
        }
    }
}
