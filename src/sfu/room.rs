//! A room: who is connected, in the order in which they came.

use std::collections::{HashMap, HashSet};

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
    /// SSRCs that its clients have said they send under, and how many have.
    pub(super) rx_ssrcs: HashMap<Ssrc, u32>,
    /// Bytes of `appData` that a newcomer is told.
    pub(super) app_data_bytes: usize,
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
            rx_ssrcs: HashMap::new(),
            app_data_bytes: 0,
            started: false,
            ending: false,
            last_ssrc: first_ssrc,
        }
    }

    /// A client says that it sends under this SSRC.
    pub(super) fn add_rx_ssrc(&mut self, ssrc: Ssrc) {
        *self.rx_ssrcs.entry(ssrc).or_default() += 1;
    }

    /// It does not any more.
    pub(super) fn remove_rx_ssrc(&mut self, ssrc: Ssrc) {
        if let Some(count) = self.rx_ssrcs.get_mut(&ssrc) {
            *count -= 1;
            if *count == 0 {
                self.rx_ssrcs.remove(&ssrc);
            }
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
