//! L4: which shard owns a room (DESIGN decision 3), and how many connections and how
//! often a client's network may have and open.

mod addresses;
mod admission;
mod directory;
mod network;
mod rates;
mod visitors;

pub use addresses::Addresses;
pub use admission::Admission;
pub use directory::{Directory, home};
pub use network::Network;
pub use rates::{Rate, Rates};
pub use visitors::{Entered, Visitors};
