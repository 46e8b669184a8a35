//! L1: signaling messages, from JSON text to checked values and back (PROTOCOL sections 2 to 8).
//!
//! Called by `sfu` (and by clients written in Rust); knows no socket, no room and no peer. What a
//! client says goes through two doors: [`envelope::parse`] tells requests from notifications, then
//! [`Request::parse`] or [`Notification::parse`] turns `data` into a value in which everything that
//! one message can get wrong has been checked already. What only the rest of the room can
//! contradict (an id in use, an SSRC taken) is left to `sfu`.
//!
//! The rules that all messages share: members have the types that PROTOCOL gives them and `null`
//! counts as absent, unknown members are ignored, objects are objects (never arrays in field
//! order), and an error names the member and shows the value. Texts that other clients will put
//! into their SDP are bounded and free of control characters.
//!
//! | file | what |
//! | --- | --- |
//! | [`envelope`] | protoo's four forms |
//! | [`error`] | error codes and reasons |
//! | [`request`], [`notification`] | from the client; to the client |
//! | [`message`] | what is on its way to a client |
//! | [`join`], [`stats`] | the answers to `join` and `getStats` |
//! | [`transport`] | ICE and DTLS dictionaries |
//! | [`rtp_parameters`] | what a source is; [`sender_parameters`] what becomes of it |
//! | [`capabilities`] | what the server offers, what a client can decode |
//! | [`format`](mod@format), [`fmtp`], [`extension`] | the words in which the last three talk |
//! | [`json`] | JSON that is handed on unread, and the path from a bad value to its name |

pub mod capabilities;
pub mod client_capabilities;
pub mod envelope;
pub mod error;
pub mod extension;
pub mod fmtp;
pub mod format;
pub mod join;
pub mod json;
pub mod message;
pub mod notification;
pub mod request;
pub mod rtp_parameters;
pub mod sender_parameters;
mod source_codecs;
pub mod stats;
pub mod transport;

pub use capabilities::server_capabilities;
pub use client_capabilities::ClientCapabilities;
pub use envelope::{EnvelopeError, Incoming};
pub use error::{Error, ErrorCode};
pub use extension::HeaderExtension;
pub use join::{Description, JoinResponse};
pub use json::{AppData, Json};
pub use message::Message;
pub use notification::Announcement;
pub use request::{
    CreateReceiver, CreateTransport, Direction, EnableSender, GetStats, Join, Notification, Notify,
    ReceiverCommand, Request, SenderCommand,
};
pub use rtp_parameters::{Encoding, SourceParameters};
pub use sender_parameters::SenderParameters;
pub use source_codecs::PtRole;
pub use stats::{ReceiverStats, RemoteStats, SenderStats, StatsReport, TransportStats};
pub use transport::{
    DtlsParameters, DtlsRole, DtlsState, Fingerprint, FingerprintAlgorithm, IceCandidate,
    IceParameters, IceState, TransportCreated, TransportRestarted,
};
