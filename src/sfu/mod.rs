//! L3: the model. Rooms, peers, Receivers and Senders of one shard, and the [`Router`] that moves
//! packets and messages between them. Sans-IO: bytes, a path and a time come in; what is to be
//! sent goes to an [`Outbox`].

mod outbox;
mod router;

pub use outbox::{CloseReason, Outbox};
pub use router::{Candidate, Router, RouterConfig};
