//! What is to be told and when: notices are packed into parcels, one parcel is on its way at a
//! time, and what is not taken is tried again, ever less often, until it is too old. Sans-IO.
//!
//! Order: [`Queue::fill`], then while there is a [`Queue::parcel`] wait until [`Queue::due`], try,
//! and say how it went ([`Queue::delivered`], [`Queue::failed`]).

use std::time::Duration;

use serde::Serialize;

use super::Notice;
use crate::types::Timestamp;

/// Events in one parcel.
pub const EVENTS_MAX: usize = 100;

/// How long a parcel is tried for.
pub const KEEP: Duration = Duration::from_secs(3600);

/// Until the second try; each further one waits twice as long as the one before it.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// But no longer than this.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What is sent in one request, the same at every try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// By which whoever gets it twice knows it.
    pub id: String,
    /// JSON.
    pub body: String,
    events: u64,
}

/// What became of a parcel that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It will be tried again after this time.
    Later(Duration),
    /// It is too old: so many events are lost.
    GivenUp(u64),
}

/// What is to be told.
#[derive(Debug)]
pub struct Queue {
    /// Names this run of the server.
    run: String,
    parcels: u64,
    parcel: Option<Parcel>,
    made_at: Timestamp,
    due: Timestamp,
    tries: u32,
    /// Events lost of which nobody knows yet, and how many of them the parcel tells of.
    lost: u64,
    lost_told: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    run: &'a str,
    lost: u64,
    events: &'a [Notice],
}

impl Queue {
    /// An empty one. `run` is another at each start of the server.
    pub fn new(run: String) -> Self {
        let never = Timestamp::START;
        Self {
            run,
            parcels: 0,
            parcel: None,
            made_at: never,
            due: never,
            tries: 0,
            lost: 0,
            lost_told: 0,
        }
    }

    /// Events were lost before they came here.
    pub fn lose(&mut self, events: u64) {
        self.lost += events;
    }

    /// Makes a parcel of what `next` has, unless one is on its way already.
    pub fn fill(&mut self, now: Timestamp, next: impl FnMut() -> Option<Notice>) {
        if self.parcel.is_some() {
            return;
        }
        let events: Vec<_> = std::iter::from_fn(next).take(EVENTS_MAX).collect();
        if events.is_empty() {
            return;
        }
        self.parcels += 1;
        (self.made_at, self.due, self.tries) = (now, now, 0);
        self.lost_told = self.lost;
        let body = Body { r#type: "events", run: &self.run, lost: self.lost, events: &events };
        self.parcel = Some(Parcel {
            id: format!("{}-{}", self.run, self.parcels),
            body: serde_json::to_string(&body).unwrap_or_default(),
            events: events.len() as u64,
        });
    }

    /// What is on its way.
    pub fn parcel(&self) -> Option<&Parcel> {
        self.parcel.as_ref()
    }

    /// How long until it is to be tried.
    pub fn due(&self, now: Timestamp) -> Duration {
        self.due.since(now)
    }

    /// There is reason to hope: the next try is now.
    pub fn hurry(&mut self) {
        self.due = Timestamp::START;
    }

    /// The parcel was taken: how many events that is.
    pub fn delivered(&mut self) -> u64 {
        self.lost -= std::mem::take(&mut self.lost_told);
        self.parcel.take().map_or(0, |parcel| parcel.events)
    }

    /// It was not. `chance` is from 0 to 1, and different on every host, so that they do not all
    /// come back at once to a server that has been away.
    pub fn failed(&mut self, now: Timestamp, chance: f64) -> Failure {
        if now.since(self.made_at) >= KEEP {
            return Failure::GivenUp(self.give_up());
        }
        let wait = RETRY_MAX.min(RETRY_MIN * 2u32.pow(self.tries.min(10)));
        let wait = wait.mul_f64(0.75 + chance / 2.0);
        self.tries += 1;
        self.due = now + wait;
        Failure::Later(wait)
    }

    /// The parcel will not be tried any more: how many events are lost by that.
    pub fn give_up(&mut self) -> u64 {
        self.lost_told = 0;
        let events = self.parcel.take().map_or(0, |parcel| parcel.events);
        self.lost += events;
        events
    }
}

#[cfg(test)]
mod tests;
