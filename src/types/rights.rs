//! What a participant may do.

/// Given by a token, or all but `admin` where none is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Send audio.
    pub audio: bool,
    /// Send video.
    pub video: bool,
    /// Receive what others send.
    pub receive: bool,
    /// See the room, end it, put peers out.
    pub admin: bool,
}

impl Rights {
    /// A participant like any other.
    pub const PARTICIPANT: Rights =
        Rights { audio: true, video: true, receive: true, admin: false };

    /// None at all.
    pub const NONE: Rights = Rights { audio: false, video: false, receive: false, admin: false };
}
