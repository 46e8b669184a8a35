//! L2: machines of one RTP stream each; time passed in, no I/O. Owned by `sfu`'s Receivers and
//! Senders. RFC 3550 (§5, §6.4, appendix A), PROTOCOL section 6.

pub mod arrivals;
pub mod history;
pub mod keyframe;
pub mod nack;
pub mod resend;
pub mod rewrite;
pub mod skipped;
pub mod stream_rx;
pub mod stream_tx;

pub use arrivals::Arrivals;
pub use history::{History, Kept, Places};
pub use keyframe::KeyFrameRequest;
pub use nack::Nacks;
pub use resend::Resends;
pub use rewrite::Rewrite;
pub use skipped::Skipped;
pub use stream_rx::{SourceClock, StreamRx};
pub use stream_tx::{RemoteReport, StreamTx};
