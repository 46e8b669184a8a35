//! The table, and the last line.

use crate::plan::{Case, Pattern};

/// One case: medians of its rounds; losses are sums.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) case: Case,
    /// Nanoseconds of CPU a datagram.
    pub(crate) server: f64,
    pub(crate) singly: f64,
    pub(crate) trains: f64,
    pub(crate) singly_flat_out: f64,
    pub(crate) trains_flat_out: f64,
    pub(crate) seal: f64,
    /// The server over (a), and over (b) with a seal.
    pub(crate) to_singly: f64,
    pub(crate) to_trains: f64,
    pub(crate) to_trains_flat_out: f64,
    pub(crate) train: f64,
    pub(crate) ideal: f64,
    pub(crate) busy: f64,
    /// Seconds: p50 and p99.
    pub(crate) latency: [f64; 2],
    pub(crate) late: f64,
    pub(crate) expected: u64,
    pub(crate) lost: [u64; 4],
}

pub(crate) struct Report {
    rows: Vec<Row>,
}

/// The cases of the last line have so many receivers.
const RECEIVERS: usize = 200;

impl Report {
    pub(crate) fn new(medium: &str) -> Self {
        println!("\n{medium}: CPU ns for each datagram to a receiver; medians of the rounds");
        println!(
            "case         server  (a)    (b)    seal  /(a)   /((b)+seal)  flat out: (a)  (b)  \
             /((b)+seal)  train/ideal       busy  p50 µs  p99 µs  late µs  lost"
        );
        Self { rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        let [overflow, dropped, queues, lost] = row.lost;
        println!(
            "{:11}  {:6.0}  {:5.0}  {:5.0}  {:4.0}  {:5.2}  {:11.2}  {:13.0}  {:4.0}  {:10.2}  \
             {:5.2}/{:5.2}={:4.2}  {:4.0}%  {:6.0}  {:6.0}  {:7.0}  {lost} of {}{}",
            row.case.to_string(),
            row.server,
            row.singly,
            row.trains,
            row.seal,
            row.to_singly,
            row.to_trains,
            row.singly_flat_out,
            row.trains_flat_out,
            row.to_trains_flat_out,
            row.train,
            row.ideal,
            row.train / row.ideal,
            100.0 * row.busy,
            1e6 * row.latency[0],
            1e6 * row.latency[1],
            1e6 * row.late,
            row.expected,
            if lost + dropped > 0 {
                format!(" (on the way in {overflow}, server {dropped}, receivers {queues})")
            } else {
                String::new()
            },
        );
        self.rows.push(row);
    }

    /// What the columns mean.
    pub(crate) fn end(&self) {
        println!(
            "(a) a bare sender, one sendto each; (b) the same in the server's trains; both at the \
             times at which the server sent, and flat out"
        );
    }

    /// For scripts; `None` if a case is missing.
    pub(crate) fn last_line(&self) -> Option<String> {
        let ratio = |pattern| {
            let wanted = Case { pattern, receivers: RECEIVERS };
            self.rows.iter().find(|row| row.case == wanted).map(|row| row.to_trains)
        };
        let (burst, spaced) = (ratio(Pattern::Burst)?, ratio(Pattern::Spaced)?);
        let audio = ratio(Pattern::Audio)?;
        Some(format!("limit burst={burst:.2} spaced={spaced:.2} audio={audio:.2}"))
    }
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
