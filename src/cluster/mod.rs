//! L4: which shard owns a room (DESIGN decision 3). Later: which machine.

mod admission;
mod directory;

pub use admission::Admission;
pub use directory::{Directory, home};
