//! Names of things. A `…Key` is a generational slab key of one shard and never leaves it; an
//! `…Id` is a number of the signaling protocol and means something within one peer only.

use serde::{Deserialize, Serialize};

use super::whole::Whole;

slotmap::new_key_type! {
    /// A room on this shard.
    pub struct RoomKey;
    /// A peer, which is one WebSocket connection. Never reused, so what is addressed to a
    /// connection that is gone reaches nobody.
    pub struct PeerKey;
    /// A transport (ICE + DTLS association) on this shard.
    pub struct TransportKey;
    /// A Receiver: the server's end of one source that a client sends.
    pub struct ReceiverKey;
    /// An enabled Sender in the list of its Receiver.
    pub struct SenderKey;
}

/// Index of a shard, 0-based; one pinned thread each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);

macro_rules! protocol_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(from = "Whole<u32>")]
        pub struct $name(pub u32);

        impl From<Whole<u32>> for $name {
            fn from(Whole(id): Whole<u32>) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

protocol_id! {
    /// `transportId`: chosen by the client, unique within its peer.
    TransportId
}
protocol_id! {
    /// Id of a Receiver: chosen by the client, unique within its peer.
    ReceiverId
}
protocol_id! {
    /// Id of a Sender: the server's, counting up from 1 in each connection.
    SenderId
}
