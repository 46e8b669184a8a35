//! What media threads count in a window, and how the counts of several become one.

use hdrhistogram::Histogram;

use super::source::SourceCounts;
use super::stream::{StreamCounts, StreamRx};
use crate::measures::Spread;

/// Nanoseconds, one in a hundred exact, up to a minute.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

impl Times {
    const MAX: u64 = 60_000_000_000;

    /// Empty.
    ///
    /// # Panics
    /// Never: the bounds are constants that the library takes.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(100, Self::MAX, 2).expect("constant bounds that it takes"))
    }

    /// Counts one.
    pub fn note(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Takes in what another has.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).unwrap_or_default();
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The quantiles that are reported.
    pub fn spread(&self) -> Spread {
        if self.count() == 0 {
            return Spread::default();
        }
        let us = |share: f64| self.0.value_at_quantile(share) as f64 / 1000.0;
        Spread {
            count: self.count(),
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            p9999_us: us(0.9999),
            max_us: self.0.max() as f64 / 1000.0,
        }
    }

    /// For a plot: shares, as close as makes sense at each, with their values in microseconds.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        if self.count() == 0 {
            return Vec::new();
        }
        let mut shares: Vec<f64> = (0..18).map(|i| f64::from(i) * 0.05).collect();
        for nines in 1..=5_i32 {
            shares.extend((0..9).map(|i| 1.0 - 0.1_f64.powi(nines) * (1.0 - f64::from(i) * 0.1)));
        }
        // More nines than packets say nothing.
        shares.retain(|share| (1.0 - share) * self.count() as f64 >= 1.0);
        shares.push(1.0);
        let value = |share: f64| (share, self.0.value_at_quantile(share) as f64 / 1000.0);
        shares.into_iter().map(value).collect()
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

/// What one thread, or all together, counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// By sources.
    pub sources: SourceCounts,
    /// Sources that run.
    pub running: usize,
    /// Of them, video.
    pub running_video: usize,
    /// By streams.
    pub streams: StreamCounts,
    /// What should have come to them.
    pub expected: u64,
    /// Streams that are wanted now.
    pub wanted: usize,
    /// Of them, such as never began.
    pub never_started: u64,
    /// Streams that froze.
    pub frozen: u64,
    /// What the server adds.
    pub latency: Times,
    /// RFC 3550 jitter that it adds, one value a stream.
    pub jitter: Times,
    /// To first frames that were shown in the window.
    pub first_frame: Times,
    /// To those before.
    pub first_frame_before: Times,
    /// Behind the schedule.
    pub late: Times,
    /// Of them more than 1 ms.
    pub late_packets: u64,
    /// Packets that probes could not open, or that were not what was sent.
    pub corrupt: u64,
    /// Streams whose numbers went another way than their first packet said.
    pub slips: u64,
    /// Datagrams for nobody.
    pub strays: u64,
    /// Key frames that viewers here gave reason for: streams that began, requests of their own.
    pub key_frame_reasons: u64,
    /// RTP datagrams, and how many messages of the server they came in, by the kernel's stamps.
    pub datagrams: u64,
    /// See `datagrams`.
    pub messages: u64,
    /// Share of the time since the window began that the busiest thread was running.
    pub busy: f64,
    /// Links that open every packet.
    pub probes: usize,
}

impl Tally {
    /// Takes in a stream that is over or looked at: `expected` is what should have come.
    pub fn add_stream(&mut self, stream: &StreamRx, counts: StreamCounts, expected: u64) {
        self.streams.add(counts);
        self.frozen += u64::from(counts.freezes > 0);
        self.expected += expected.max(counts.received + counts.lost_on_purpose);
        if let Some(jitter) = stream.jitter() {
            self.jitter.note(jitter as u64);
        }
    }

    /// Takes in another thread's.
    pub fn add(&mut self, other: &Self) {
        self.sources.add(other.sources);
        self.running += other.running;
        self.running_video += other.running_video;
        self.streams.add(other.streams);
        self.expected += other.expected;
        self.wanted += other.wanted;
        self.never_started += other.never_started;
        self.frozen += other.frozen;
        self.latency.add(&other.latency);
        self.jitter.add(&other.jitter);
        self.first_frame.add(&other.first_frame);
        self.first_frame_before.add(&other.first_frame_before);
        self.late.add(&other.late);
        self.late_packets += other.late_packets;
        self.corrupt += other.corrupt;
        self.slips += other.slips;
        self.strays += other.strays;
        self.key_frame_reasons += other.key_frame_reasons;
        self.datagrams += other.datagrams;
        self.messages += other.messages;
        self.busy = self.busy.max(other.busy);
        self.probes += other.probes;
    }
}
