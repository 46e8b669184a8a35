//! The cost model: how many cores a mix of rooms needs, learned from runs of other mixes.
//!
//! [`Calibration`] says which scenarios to play; each [`Step`](crate::measures::Step) of their runs
//! becomes an [`Observation`]: what went through the server a second ([`Flow`]) and how many cores'
//! worth of CPU time that took. [`Model::fit`] finds the price of each [`Feature`] of a flow;
//! [`Model::answer`] adds the prices up for a [`Demand`] that a person typed.
//!
//! # What costs
//!
//! A shard sleeps until packets come, opens them, writes them for every viewer, sends, and sleeps.
//! So a second of its time goes to
//!
//! | feature | what it pays for |
//! | --- | --- |
//! | packet in | receive, open, find its viewers |
//! | wake-up, × idle | out of the kernel, poll, back into it |
//! | packet out | copy, seal, the kernel's work for each datagram |
//! | train, × idle | the kernel's work for each message of one or more datagrams to one viewer |
//! | peer | reports, ICE checks, keep-alive |
//! | shard | its timers |
//! | join | handshakes, signaling |
//! | notice | telling one other peer of the room about a join or a leave |
//!
//! Two of them are multiplied by the shard's idle share. A packet wakes a shard only if it sleeps:
//! of arrivals at random times, the idle share finds it asleep (as customers find a server with
//! one queue). And what is busy finds more packets waiting at a time, so that they share trains.
//! That is why a packet gets cheaper as a core fills. How many wake-ups and trains there would be
//! on a shard that does nothing else is counted on the sources' traces (see `flow.rs`), for turns
//! as long as the number of viewers makes them. Since CPU time is on both sides, predicting means
//! solving `cores = a + w (1 - cores / shards)`.
//!
//! This is the smallest set that explains the 14 measurements in `docs/internals/limit.md` (1 to
//! 16 sources, 50 to 500 receivers, three patterns of arrival; errors relative, *left out* when
//! predicted by a fit to the other 13):
//!
//! | features | fit: median, worst | left out: median, worst |
//! | --- | --- | --- |
//! | in, out, peer, shard | 9 %, 21 % | 14 %, 45 % |
//! | and trains | 2 %, 16 % | 4 %, 33 % |
//! | and wake-ups × idle | 3 %, 6 % | 4 %, 23 % |
//! | the same, trains × idle | 2 %, 8 % | 3 %, 16 % |
//!
//! # Limits
//!
//! Prices are those of the machine, kernel and network that the runs used. Over loopback the
//! server's CPU time includes the receivers' half of the kernel; a network card's driver costs
//! something else. Loss, retransmission and ICE restarts are not in the model.

mod answer;
mod calibration;
mod demand;
mod flow;
mod model;
mod nnls;
mod observation;

#[cfg(test)]
mod tests;

pub use answer::{Answer, TooLarge};
pub use calibration::Calibration;
pub use demand::Demand;
pub use flow::Flow;
pub use model::{Cost, Errors, Feature, HeldOut, Memory, Model};
pub use observation::Observation;
