//! A room: who is connected, in the order in which they came.

use std::collections::HashSet;

use crate::types::{PeerKey, Ssrc};

/// One conference.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: Box<str>,
    /// Connections, joined or not, oldest first.
    pub(super) peers: Vec<PeerKey>,
    /// SSRCs of this room's Senders. Every peer may get every one, so none is given twice.
    pub(super) tx_ssrcs: HashSet<Ssrc>,
}

impl Room {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), peers: Vec::new(), tx_ssrcs: HashSet::new() }
    }
}
