//! The network between the clients and the Router: seeded delay, loss, bursts of loss, duplication,
//! reordering and narrow links. As made, it is perfect: everything arrives once, in order and at
//! once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use corinth::types::{Path, Timestamp};

/// What a way through the network does to datagrams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Conditions {
    pub(crate) delay: Duration,
    /// Added to the delay, evenly spread: more than the spacing of packets reorders them.
    pub(crate) jitter: Duration,
    /// Share of datagrams that are lost.
    pub(crate) loss: f64,
    /// How many are lost in a row, on average (Gilbert's model); below 1: each by itself.
    pub(crate) burst: f64,
    /// Share of datagrams that arrive twice.
    pub(crate) duplicate: f64,
    /// Bits in a second; what waits for longer than [`QUEUE`] is lost. 0: no bound.
    pub(crate) rate: u64,
}

/// How long a narrow link's queue is.
pub(crate) const QUEUE: Duration = Duration::from_millis(300);

/// Which end a datagram goes to; the path is named as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    ToServer(Path),
    ToClient(Path),
}

/// Which way datagrams go between the server and a client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Up,
    Down,
}

/// One way between the server and one address, where it has conditions of its own.
#[derive(Debug)]
struct Link {
    conditions: Conditions,
    /// Within a burst of losses.
    losing: bool,
    /// When what is in the queue has gone.
    free_at: Timestamp,
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
    /// Of every way that has none of its own.
    pub(crate) conditions: Conditions,
    links: BTreeMap<(Way, SocketAddr), Link>,
    rng: fastrand::Rng,
    flights: BinaryHeap<Reverse<Flight>>,
    sent: u64,
    /// Media and its retransmissions that were lost on the way to clients, and on the way up.
    pub(crate) lost_down: u64,
    pub(crate) lost_up: u64,
}

impl Conditions {
    pub(crate) const PERFECT: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        burst: 0.0,
        duplicate: 0.0,
        rate: 0,
    };

    /// Half of this round trip each way.
    pub(crate) fn round_trip(rtt: Duration) -> Self {
        Self { delay: rtt / 2, ..Self::PERFECT }
    }

    /// The same, losing this share.
    pub(crate) fn losing(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// The same, losing so many in a row on average.
    pub(crate) fn in_bursts_of(self, burst: f64) -> Self {
        Self { burst, ..self }
    }
}

impl Link {
    fn new(conditions: Conditions) -> Self {
        Self { conditions, losing: false, free_at: Timestamp::START }
    }

    /// Whether the next datagram is lost.
    fn loses(&mut self, rng: &mut fastrand::Rng) -> bool {
        let Conditions { loss, burst, .. } = self.conditions;
        if burst < 1.0 || loss >= 1.0 {
            return rng.f64() < loss;
        }
        let turns = if self.losing { 1.0 / burst } else { loss / (burst * (1.0 - loss)) };
        self.losing ^= rng.f64() < turns;
        self.losing
    }

    /// When a datagram of this length has left the link's queue; `None`: the queue is full.
    fn queue(&mut self, now: Timestamp, len: usize) -> Option<Timestamp> {
        if self.conditions.rate == 0 {
            return Some(now);
        }
        let starts = self.free_at.max(now);
        if starts.since(now) > QUEUE {
            return None;
        }
        self.free_at =
            starts + Duration::from_micros(8_000_000 * len as u64 / self.conditions.rate);
        Some(self.free_at)
    }
}

impl Netem {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            conditions: Conditions::PERFECT,
            links: BTreeMap::new(),
            rng: fastrand::Rng::with_seed(seed),
            flights: BinaryHeap::new(),
            sent: 0,
            lost_down: 0,
            lost_up: 0,
        }
    }

    /// From now on this way between the server and an address is like this.
    pub(crate) fn impair(&mut self, way: Way, address: SocketAddr, conditions: Conditions) {
        self.links.insert((way, address), Link::new(conditions));
    }

    /// Whether everything arrives once, in order and at once.
    pub(crate) fn is_perfect(&self) -> bool {
        let mut own = self.links.values().map(|link| link.conditions);
        self.conditions == Conditions::PERFECT && own.all(|it| it == Conditions::PERFECT)
    }

    pub(crate) fn send(&mut self, now: Timestamp, hop: Hop, bytes: Vec<u8>) {
        let way = match hop {
            Hop::ToServer(path) => (Way::Up, path.remote()),
            Hop::ToClient(path) => (Way::Down, path.remote()),
        };
        let mut shared = Link::new(self.conditions);
        let link = self.links.get_mut(&way).unwrap_or(&mut shared);
        let lost = link.loses(&mut self.rng);
        let leaves = if lost { None } else { link.queue(now, bytes.len()) };
        let Some(leaves) = leaves else {
            let is_media = (128..=191).contains(&bytes[0]) && !(192..=223).contains(&bytes[1]);
            let count = if way.0 == Way::Up { &mut self.lost_up } else { &mut self.lost_down };
            *count += u64::from(is_media);
            return;
        };
        let conditions = link.conditions;
        if self.rng.f64() < conditions.duplicate {
            self.launch(leaves, &conditions, hop, bytes.clone());
        }
        self.launch(leaves, &conditions, hop, bytes);
    }

    fn launch(&mut self, leaves: Timestamp, conditions: &Conditions, hop: Hop, bytes: Vec<u8>) {
        let at = leaves + conditions.delay + conditions.jitter.mul_f64(self.rng.f64());
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

#[test]
fn loses_its_share_in_bursts_of_the_length_that_was_asked_for() {
    let conditions = Conditions::PERFECT.losing(0.1).in_bursts_of(8.0);
    let (mut link, mut rng) = (Link::new(conditions), fastrand::Rng::with_seed(1));
    let lost: Vec<bool> = (0..100_000).map(|_| link.loses(&mut rng)).collect();
    let bursts: Vec<usize> =
        lost.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect();
    let all: usize = bursts.iter().sum();
    assert!((9_000..11_000).contains(&all), "{all} of 100,000");
    let mean = all as f64 / bursts.len() as f64;
    assert!((7.0..9.0).contains(&mean), "{mean} in a row");
}

#[test]
fn a_narrow_link_delays_until_its_queue_is_full() {
    let mut link = Link::new(Conditions { rate: 800_000, ..Conditions::PERFECT });
    let now = Timestamp::START;
    let left: Vec<_> = (0..40).map_while(|_| link.queue(now, 1000)).collect();
    assert_eq!(left.len(), 31, "10 ms each, 300 ms of queue");
    assert_eq!(left[4].since(now), Duration::from_millis(50));
    assert!(link.queue(now + Duration::from_millis(50), 1000).is_some(), "there is room again");
}
