//! The answer to "how many cores for …?".

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::{self, Display, Formatter};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::demand::words;
use super::{Demand, Flow, Model};

/// Bytes on the wire beside a datagram's payload: Ethernet with preamble and gap 38, IPv4 20, UDP
/// 8.
const WIRE_BYTES: f64 = 66.0;

/// Cores of a machine at most; a demand that wants more is one for many machines.
const CORES_MAX: usize = 4096;

/// A room that is more than a core can carry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TooLarge {
    /// `1 room of 1 + 2000, video and audio`.
    pub room: String,
    /// Cores' worth that each such room takes.
    pub cores: f64,
}

/// What a demand takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked for.
    pub demand: Demand,
    /// Share that each core is to be busy at most.
    pub target: f64,
    /// Cores, if the work could be divided at will.
    pub cores: f64,
    /// Whole cores, rooms dealt out whole; those of [`Answer::too_large`] have one each.
    pub whole_cores: usize,
    /// Mean busy share of these.
    pub busy: f64,
    /// The model's error on mixes that it was not fitted on, a share.
    pub error: f64,
    /// On how many such mixes; 0: the error is that of observations left out in turn.
    pub held_out: usize,
    /// Rates.
    pub flow: Flow,
    /// From sources, with Ethernet, IP and UDP, Mbit/s.
    pub rx_mbit: f64,
    /// To viewers, likewise.
    pub tx_mbit: f64,
    /// Resident memory; `None` if no run knew it.
    pub memory_bytes: Option<f64>,
    /// Rooms that no core carries at the target: a room lives on one.
    pub too_large: Vec<TooLarge>,
    /// What else to know.
    pub notes: Vec<String>,
}

impl Model {
    /// What the demand takes of cores that are to be busy `target` (0 to 1) of the time at most.
    ///
    /// # Errors
    /// The target is no share, the machine would be beyond all sense, or a trace cannot be read.
    pub fn answer(&self, demand: &Demand, target: f64) -> anyhow::Result<Answer> {
        ensure!((0.05..=0.95).contains(&target), "a busy share of {target}: not from 0.05 to 0.95");
        let flow = demand.flow()?;
        let idle = 1.0 - target;
        let each = target - self.shard_cores();
        ensure!(each > 0.0, "a shard without peers is busier than {target} already");
        let cores = self.cores_at(&flow, idle) / each;
        ensure!(cores <= CORES_MAX as f64, "{cores:.0} cores: more than any machine has");

        let rooms = self.rooms(demand, idle)?;
        let large = |room: &&Rooms| room.cores > each;
        let too_large = rooms
            .iter()
            .filter(large)
            .map(|room| TooLarge { room: room.words.clone(), cores: room.cores });
        let too_large: Vec<_> = too_large.collect();
        let own: usize = rooms.iter().filter(large).map(|room| room.count).sum();
        let shared: Vec<_> = rooms.iter().filter(|room| !large(room)).collect();
        let whole_cores = (own + deal(&shared, each)).max(1);
        let wire = |bits: f64, packets: f64| (bits + 8.0 * WIRE_BYTES * packets) / 1e6;
        Ok(Answer {
            demand: demand.clone(),
            target,
            cores,
            whole_cores,
            busy: self.predict(&flow, whole_cores) / whole_cores as f64,
            error: self.stated_error(),
            held_out: self.held_out.len(),
            rx_mbit: wire(flow.rx_bits, flow.rx_packets),
            tx_mbit: wire(flow.tx_bits, flow.tx_packets),
            memory_bytes: self.memory.map(|memory| {
                memory.shard_bytes * whole_cores as f64 + memory.peer_bytes * flow.peers
            }),
            too_large,
            notes: self.notes(demand, &flow, target),
            flow,
        })
    }

    /// The demand's rooms with their share of the joins, the largest first.
    fn rooms(&self, demand: &Demand, idle: f64) -> anyhow::Result<Vec<Rooms>> {
        let peers: usize =
            demand.groups.iter().map(|group| group.rooms * (group.senders + group.receivers)).sum();
        let mut rooms = Vec::new();
        for group in &demand.groups {
            let flow = Flow::of_room(group)?;
            let joins = demand.joins_per_second * flow.peers / peers.max(1) as f64;
            let flow = Flow { joins, notices: 2.0 * joins * flow.peers, ..flow };
            let cores = self.cores_at(&flow, idle);
            rooms.push(Rooms { words: words(group, 1), count: group.rooms, cores });
        }
        rooms.sort_by(|a, b| b.cores.total_cmp(&a.cores));
        Ok(rooms)
    }

    fn notes(&self, demand: &Demand, flow: &Flow, target: f64) -> Vec<String> {
        let mut notes: Vec<_> = self
            .unpriced(flow)
            .iter()
            .map(|what| format!("no run had {what}: its cost is not in this"))
            .collect();
        let seen = self.observations.iter().map(|seen| seen.largest_room).max().unwrap_or(0);
        let largest = demand.largest_room();
        if largest > 2 * seen {
            notes.push(format!(
                "the largest room has {largest} peers, the largest one measured {seen}: how prices \
                 go on from there is a guess"
            ));
        }
        let busy = |seen: &super::Observation| seen.cores_busy / seen.shards as f64;
        let busiest = self.observations.iter().map(busy).fold(0.0, f64::max);
        if target > busiest + 0.2 {
            notes.push(format!(
                "the busiest run used {:.0} % of its cores, the target is {:.0} %",
                100.0 * busiest,
                100.0 * target
            ));
        }
        notes
    }
}

/// Rooms of one kind.
struct Rooms {
    words: String,
    count: usize,
    /// Of each.
    cores: f64,
}

/// The fewest cores that take whole rooms, `each` at most, when every room goes to the core that
/// has the least (the largest rooms first); `kinds` are sorted so, and each of them fits.
fn deal(kinds: &[&Rooms], each: f64) -> usize {
    let work: f64 = kinds.iter().map(|kind| kind.cores * kind.count as f64).sum();
    // No core takes two of these.
    let halves = kinds.iter().filter(|kind| kind.cores > each / 2.0);
    let halves: usize = halves.map(|kind| kind.count).sum();
    let least = halves.max((work / each).ceil() as usize);
    (least..).find(|cores| fits(kinds, each, *cores)).unwrap_or(least)
}

fn fits(kinds: &[&Rooms], each: f64, cores: usize) -> bool {
    // Loads in billionths of a core, since floats have no order.
    let mut loads: BinaryHeap<_> = (0..cores).map(|_| Reverse(0u64)).collect();
    let limit = (each * 1e9) as u64;
    let rooms = kinds.iter().flat_map(|kind| std::iter::repeat_n(kind.cores, kind.count));
    for room in rooms {
        let Some(Reverse(least)) = loads.pop() else { return false };
        let load = least + (room * 1e9) as u64;
        if load > limit {
            return false;
        }
        loads.push(Reverse(load));
    }
    true
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| 100.0 * share;
        let line =
            |f: &mut Formatter<'_>, name: &str, text: String| writeln!(f, "  {name:<10}{text}");
        writeln!(f, "{}\n", self.demand)?;
        let plural = if self.whole_cores == 1 { "core" } else { "cores" };
        line(
            f,
            "cores",
            format!(
                "{} {plural} (work for {:.2} at {:.0} % busy; together they are {:.0} % busy)",
                self.whole_cores,
                self.cores,
                percent(self.target),
                percent(self.busy)
            ),
        )?;
        let low = self.cores / (1.0 + self.error);
        let high = self.cores / (1.0 - self.error).max(0.01);
        let from = match self.held_out {
            0 => "on runs left out of the fit in turn".to_owned(),
            mixes => format!("on {mixes} mixes that the model was not fitted on"),
        };
        let error = percent(self.error);
        line(f, "error", format!("at most {error:.0} % {from}: {low:.2} to {high:.2} cores"))?;
        line(
            f,
            "packets",
            format!("{:.0}/s in, {:.0}/s out", self.flow.rx_packets, self.flow.tx_packets),
        )?;
        line(f, "network", format!("{:.0} Mbit/s in, {:.0} out", self.rx_mbit, self.tx_mbit))?;
        if let Some(bytes) = self.memory_bytes {
            line(f, "memory", format!("{:.0} MB for {} peers", bytes / 1e6, self.flow.peers))?;
        }
        for TooLarge { room, cores } in &self.too_large {
            writeln!(
                f,
                "\n  cannot be carried: {room}: takes {cores:.2} of a core, {:.0} % is the target, \
                 and a room lives on one core",
                percent(self.target)
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "\n  note: {note}"))
    }
}
