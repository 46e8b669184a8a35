//! L3: the model. Rooms, peers, Receivers and Senders of one shard, and the [`Router`] that moves
//! packets and messages between them. Sans-IO: bytes, a path and a time come in; what is to be
//! sent goes to an [`Outbox`]. `shard` drives it under sockets, `tests/sim` under a virtual clock.
//!
//! Owned by the Router in slabs and named by keys: rooms, peers, transports (`association`) and
//! Receivers; a Receiver owns its enabled Senders. Bounds are in `types::limit`.

mod allowance;
mod association;
mod checks;
mod closing;
mod event;
mod feedback;
mod forward;
mod handshakes;
mod invariants;
mod outbox;
mod paths;
mod peer;
mod receiver;
mod recover;
mod report;
mod resend;
mod room;
mod router;
mod rtcp;
mod sender;
mod shake;
mod signaling;
mod timeouts;
mod timers;
mod turn;

pub use crate::transport::dtls::Identity;
pub use crate::transport::ice::shard_of_ufrag;
pub use event::{Happening, RoomEvent};
pub use outbox::{CloseReason, Newcomer, Outbox};
pub use report::REPORT_MAX;
pub use router::{Candidate, Router, RouterConfig};
