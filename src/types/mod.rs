//! L0: the words of the domain. No logic, no I/O; everything above imports from here.

pub mod codec;
pub mod drop;
mod histogram;
pub mod id;
pub mod limit;
pub mod load;
pub mod path;
pub mod refusal;
pub mod rights;
pub mod rtp;
pub mod stats;
pub mod time;
pub mod unanswered;
mod whole;

pub use codec::{Codec, Kind};
pub use drop::DropReason;
pub use histogram::Histogram;
pub use id::{
    PeerKey, ReceiverId, ReceiverKey, RoomKey, SenderId, SenderKey, ShardId, TransportId,
    TransportKey,
};
pub use limit::Limits;
pub use load::{Load, Pressure};
pub use path::{ConnectionId, IoKind, Path, SocketId};
pub use refusal::Refusal;
pub use rights::Rights;
pub use rtp::{Mid, Pt, Rid, SeqNo, Ssrc};
pub use stats::ShardStats;
pub use time::{Deadline, Reason, Timestamp};
pub use unanswered::Unanswered;
pub use whole::{Whole, whole_of};
