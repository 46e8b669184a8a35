//! One event of a room, as it is told.

use std::time::Duration;

use serde::Serialize;

/// An event. In JSON `{"type": "peerJoined", "at": 1764279492.123, "room": "r", "peer": "p"}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: NoticeKind,
    /// When, in seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// `roomId`.
    pub room: Box<str>,
    /// `peerName`, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Box<str>>,
    /// Why it has left, as on closing its WebSocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// What is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NoticeKind {
    /// The first peer has said `join`.
    RoomStarted,
    /// The last WebSocket is closed.
    RoomEnded,
    /// A peer has said `join`.
    PeerJoined,
    /// It is gone. Only of those that had joined.
    PeerLeft,
}

fn seconds<S: serde::Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(at.as_millis() as f64 / 1000.0)
}
