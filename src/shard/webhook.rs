//! The thread that tells the webhook what happens in rooms. Shards put notices into a bounded
//! channel and never wait: what finds no room there is lost, and counted. The thread waits as long
//! as the web server at the other end makes it wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::clock::{Clock, unix_time};
use crate::http::metrics::Webhook as Counts;
use crate::http::webhook::{Client, Failure, Notice, Queue, TRY_TIME, Target};

/// Notices that wait, half a megabyte; 80 parcels.
const NOTICES_MAX: usize = 8192;

/// Orders that wait. They are taken between two tries, and there is one a reload.
const ORDERS_MAX: usize = 16;

/// How long what is left may take when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the main thread wants.
#[derive(Debug)]
enum Order {
    /// Tell this one from now on, or nobody.
    Tell(Option<Target>),
    /// Tell what is left, and end.
    End,
}

/// A notice, or nothing: then there is an order.
type Call = Option<Notice>;

/// What the threads count together.
#[derive(Debug, Default)]
struct Counters {
    waiting: AtomicU64,
    delivered: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    fn end(&self, events: u64, how: &AtomicU64) {
        self.waiting.fetch_sub(events, Ordering::Relaxed);
        how.fetch_add(events, Ordering::Relaxed);
    }
}

/// A shard's end.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    calls: SyncSender<Call>,
    counters: Arc<Counters>,
}

impl Notices {
    /// Has somebody told of this. Never waits.
    pub(super) fn tell(&self, notice: Notice) {
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        if self.calls.try_send(Some(notice)).is_err() {
            self.counters.end(1, &self.counters.lost);
        }
    }

    /// What was counted so far.
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            waiting: read(&self.counters.waiting),
            delivered: read(&self.counters.delivered),
            lost: read(&self.counters.lost),
            failures: read(&self.counters.failures),
        }
    }
}

/// The main thread's end.
#[derive(Debug)]
pub(crate) struct Webhook {
    orders: SyncSender<Order>,
    calls: SyncSender<Call>,
    ended: Receiver<()>,
}

impl Webhook {
    /// Starts the thread, which tells `target`. `run` names this run of the server.
    pub(crate) fn start(run: String, target: Option<Target>) -> io::Result<(Self, Notices)> {
        let (orders, orders_taken) = sync_channel(ORDERS_MAX);
        let (calls, calls_taken) = sync_channel(NOTICES_MAX);
        let (end, ended) = sync_channel(1);
        let notices = Notices { calls: calls.clone(), counters: Arc::default() };
        let teller = Teller {
            orders: orders_taken,
            calls: calls_taken,
            counters: Arc::clone(&notices.counters),
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
        Ok((Self { orders, calls, ended }, notices))
    }

    /// Tells somebody else from now on, or nobody. Never waits.
    pub(crate) fn tell(&self, target: Option<Target>) {
        if self.order(Order::Tell(target)).is_err() {
            tracing::error!("the webhook stays as it was: it was changed too often at once");
        }
    }

    /// Has what is left told, within bounds.
    pub(crate) fn end(&self) {
        if self.order(Order::End).is_ok() {
            let _ = self.ended.recv_timeout(FAREWELL);
        }
    }

    fn order(&self, order: Order) -> Result<(), ()> {
        self.orders.try_send(order).map_err(|_| ())?;
        // With no room for it there are notices, and the thread is awake.
        let _ = self.calls.try_send(None);
        Ok(())
    }
}

/// What the thread has.
struct Teller {
    orders: Receiver<Order>,
    calls: Receiver<Call>,
    counters: Arc<Counters>,
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
    /// Until it is told to end, or there is nobody left who could.
    fn run(mut self) {
        loop {
            match self.next_order() {
                Some(Order::End) => return self.tell_the_rest(),
                Some(Order::Tell(target)) => {
                    self.target = target;
                    self.queue.hurry();
                }
                None if self.queue.parcel().is_some() => {
                    if self.queue.due(self.clock.now()).is_zero() {
                        self.attempt(TRY_TIME);
                    }
                }
                None => match self.calls.recv() {
                    Ok(Some(notice)) => self.fill(notice),
                    Ok(None) => {}
                    Err(_) => return,
                },
            }
        }
    }

    /// An order, if there is one before the parcel is due. With nobody left to give one, it ends.
    fn next_order(&self) -> Option<Order> {
        let wait = match self.queue.parcel() {
            Some(_) => self.queue.due(self.clock.now()),
            None => Duration::ZERO,
        };
        match self.orders.recv_timeout(wait) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Order::End),
        }
    }

    /// Makes a parcel of this one and what waits behind it.
    fn fill(&mut self, first: Notice) {
        let lost = self.counters.lost.load(Ordering::Relaxed);
        self.queue.lose(lost - std::mem::replace(&mut self.lost_seen, lost));
        let mut notices = std::iter::once(first).chain(self.calls.try_iter().flatten());
        self.queue.fill(self.clock.now(), || notices.next());
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
                self.counters.end(self.queue.delivered(), &self.counters.delivered);
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
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
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
        self.counters.end(events, &self.counters.lost);
    }

    /// What is left gets one try each, and all of them together so much time.
    fn tell_the_rest(mut self) {
        let until = self.clock.now() + FAREWELL;
        loop {
            if self.queue.parcel().is_none() {
                match self.calls.try_iter().flatten().next() {
                    Some(notice) => self.fill(notice),
                    None => break,
                }
            }
            let left = until.since(self.clock.now());
            if left.is_zero() || !self.attempt(left) {
                break;
            }
        }
        let events = self.counters.waiting.load(Ordering::Relaxed);
        if events > 0 && self.target.is_some() {
            tracing::error!(events, "the webhook could not be told everything");
        }
    }
}
