//! What happens in rooms, for whoever watches from outside: the log, and webhooks.

use crate::protocol::{DtlsState, IceState};
use crate::types::{Kind, ReceiverId, TransportId};

/// Something that has happened in a room. What a peer has comes between its `PeerConnected` and its
/// `PeerLeft`; who joins does so between the room's `RoomStarted` and its `RoomEnded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomEvent<'a> {
    /// `roomId`.
    pub room: &'a str,
    /// `peerName` of whom it is about; `None` where it is the room itself.
    pub peer: Option<&'a str>,
    /// What it was.
    pub what: Happening,
}

/// What can happen. Ids are the client's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Somebody is about to join for the first time.
    RoomStarted,
    /// The last connection of a room that had started has gone.
    RoomEnded,
    /// A WebSocket was opened.
    PeerConnected,
    /// It has said `join`: others see it.
    PeerJoined,
    /// The peer is gone, and everything that it had.
    PeerLeft {
        /// Whether it had joined.
        joined: bool,
        /// What the client was told on closing its WebSocket, or what the driver says of its end.
        reason: &'static str,
    },
    /// A transport's checks or its handshake have come to this.
    TransportState {
        /// Which.
        transport: TransportId,
        /// Where its checks stand.
        ice: IceState,
        /// Where its handshake stands.
        dtls: DtlsState,
    },
    /// A transport's handshake has come to nothing; it is closed.
    HandshakeFailed {
        /// Which.
        transport: TransportId,
        /// What was wrong with it.
        why: &'static str,
    },
    /// A transport is gone.
    TransportClosed {
        /// Which.
        transport: TransportId,
    },
    /// A source is taken.
    ReceiverCreated {
        /// Which.
        receiver: ReceiverId,
        /// What it comes on.
        transport: TransportId,
        /// What it is.
        kind: Kind,
    },
    /// A source is taken no more.
    ReceiverClosed {
        /// Which.
        receiver: ReceiverId,
    },
}
