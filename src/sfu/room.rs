//! A room: who is connected, in the order in which they came.

use std::collections::HashSet;

use crate::types::{PeerKey, Ssrc};

/// 2^32 divided by the golden ratio, and odd: steps of it visit every number before one comes
/// again, and neighbours lie far apart.
const SSRC_STEP: u32 = 0x9e37_79b9;

/// One conference.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: Box<str>,
    /// Connections, joined or not, oldest first.
    pub(super) peers: Vec<PeerKey>,
    /// SSRCs of this room's Senders. Every peer may get every one, so none is given twice.
    pub(super) tx_ssrcs: HashSet<Ssrc>,
    /// Somebody has joined it.
    pub(super) started: bool,
    /// All its peers are about to be closed, so none is told of another's end.
    pub(super) ending: bool,
    last_ssrc: u32,
}

impl Room {
    /// `first_ssrc` is random, so that rooms do not look alike.
    pub(super) fn new(name: &str, first_ssrc: u32) -> Self {
        Self {
            name: name.into(),
            peers: Vec::new(),
            tx_ssrcs: HashSet::new(),
            started: false,
            ending: false,
            last_ssrc: first_ssrc,
        }
    }

    /// An SSRC that this room has not had before, not even for a Sender that has closed: a viewer's
    /// key outlives the Senders, and no packet index may be used twice under it with one SSRC.
    pub(super) fn draw_ssrc(&mut self) -> Ssrc {
        self.last_ssrc = self.last_ssrc.wrapping_add(SSRC_STEP);
        Ssrc(self.last_ssrc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ssrc_is_drawn_twice() {
        let mut room = Room::new("room", 7);
        // Of so many random numbers some 40 would be equal to an earlier one.
        let drawn: HashSet<_> = (0..600_000).map(|_| room.draw_ssrc()).collect();
        assert_eq!(drawn.len(), 600_000);
    }
}
