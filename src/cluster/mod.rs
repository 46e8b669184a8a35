//! L4: which shard owns a room (DESIGN decision 3). Later: which machine.

mod directory;

pub use directory::{Directory, home};
