//! L4: which shard owns a room (DESIGN decision 3), and how many connections a client address has.

mod addresses;
mod admission;
mod directory;

pub use addresses::Addresses;
pub use admission::Admission;
pub use directory::{Directory, home};
