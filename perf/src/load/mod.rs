//! The control side of a load run: peers that sign in, connect, send and receive as the scenario
//! wants, those that come and go, and those that misbehave. Media itself is [`crate::engine`]'s.

pub mod connect;
mod crowd;
mod record;
mod rude;
mod stage;
mod visits;

pub use crowd::Crowd;
pub use record::{Joins, Record};
pub use rude::Rudeness;
pub use stage::{Member, Room, Stage};
pub use visits::Visits;
