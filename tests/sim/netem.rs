//! The network between the clients and the Router: seeded delay, loss, duplication and reordering.
//! As made, it is perfect: everything arrives once, in order and at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use corinth::types::{Path, Timestamp};

/// What the network does to datagrams, both ways alike.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conditions {
    pub(crate) delay: Duration,
    /// Added to the delay, evenly spread: more than the spacing of packets reorders them.
    pub(crate) jitter: Duration,
    /// Share of datagrams that are lost.
    pub(crate) loss: f64,
    /// Share of datagrams that arrive twice.
    pub(crate) duplicate: f64,
}

/// Which end a datagram goes to; the path is named as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    ToServer(Path),
    ToClient(Path),
}

#[derive(Debug)]
struct Flight {
    at: Timestamp,
    /// Keeps the order of what arrives at one moment.
    number: u64,
    hop: Hop,
    bytes: Vec<u8>,
}

/// Datagrams under way.
#[derive(Debug)]
pub(crate) struct Netem {
    pub(crate) conditions: Conditions,
    rng: fastrand::Rng,
    flights: BinaryHeap<Reverse<Flight>>,
    sent: u64,
}

impl Netem {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::default(),
            rng: fastrand::Rng::with_seed(seed),
            flights: BinaryHeap::new(),
            sent: 0,
        }
    }

    pub(crate) fn send(&mut self, now: Timestamp, hop: Hop, bytes: Vec<u8>) {
        let Conditions { loss, duplicate, .. } = self.conditions;
        if self.rng.f64() < loss {
            return;
        }
        if self.rng.f64() < duplicate {
            self.launch(now, hop, bytes.clone());
        }
        self.launch(now, hop, bytes);
    }

    fn launch(&mut self, now: Timestamp, hop: Hop, bytes: Vec<u8>) {
        let Conditions { delay, jitter, .. } = self.conditions;
        let at = now + delay + jitter.mul_f64(self.rng.f64());
        self.sent += 1;
        self.flights.push(Reverse(Flight { at, number: self.sent, hop, bytes }));
    }

    /// When the next datagram arrives.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.flights.peek().map(|Reverse(flight)| flight.at)
    }

    /// The next datagram to arrive.
    pub(crate) fn pop(&mut self) -> Option<(Hop, Vec<u8>)> {
        self.flights.pop().map(|Reverse(flight)| (flight.hop, flight.bytes))
    }
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Flight {}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
