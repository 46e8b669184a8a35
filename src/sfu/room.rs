//! A room: who is connected, in the order in which they came.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::protocol::SourceParameters;
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
    /// The same by their names; where one replaces another, the newer.
    pub(super) names: HashMap<Box<str>, PeerKey>,
    /// SSRCs of this room's Senders. Every peer may get every one, so none is given twice.
    pub(super) tx_ssrcs: HashSet<Ssrc>,
    /// SSRCs that its clients have said they send under, and how many of their sources do.
    rx_ssrcs: HashMap<Ssrc, u32>,
    /// Bytes of `appData` that its peers are described by, beyond what each has anyway.
    pub(super) app_data_held: usize,
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
            names: HashMap::new(),
            tx_ssrcs: HashSet::new(),
            rx_ssrcs: HashMap::new(),
            app_data_held: 0,
            started: false,
            ending: false,
            last_ssrc: first_ssrc,
        }
    }

    /// Takes in who has connected.
    pub(super) fn add(&mut self, name: &str, peer: PeerKey) {
        self.peers.push(peer);
        self.names.insert(name.into(), peer);
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, name: &str, peer: PeerKey) {
        if let Some(index) = self.peers.iter().rposition(|other| *other == peer) {
            self.peers.remove(index);
        }
        if self.names.get(name) == Some(&peer) {
            self.names.remove(name);
        }
    }

    /// An SSRC that this room has not had before, not even for a Sender that has closed: a viewer's
    /// key outlives the Senders, and no packet index may be used twice under it with one SSRC. Nor
    /// has a client said that it sends under it, `source` included, which is about to be declared.
    pub(super) fn draw_ssrc(&mut self, source: &SourceParameters) -> Ssrc {
        loop {
            let ssrc = self.next_ssrc();
            let sent = source.ssrcs().any(|it| it == ssrc) || self.rx_ssrcs.contains_key(&ssrc);
            if !sent && !self.tx_ssrcs.contains(&ssrc) {
                return ssrc;
            }
        }
    }

    fn next_ssrc(&mut self) -> Ssrc {
        self.last_ssrc = self.last_ssrc.wrapping_add(SSRC_STEP);
        Ssrc(self.last_ssrc)
    }

    /// A client sends these.
    pub(super) fn declare(&mut self, source: &SourceParameters) {
        for ssrc in source.ssrcs() {
            *self.rx_ssrcs.entry(ssrc).or_default() += 1;
        }
    }

    /// It does not any more.
    pub(super) fn retract(&mut self, source: &SourceParameters) {
        for ssrc in source.ssrcs() {
            if let Entry::Occupied(mut sources) = self.rx_ssrcs.entry(ssrc) {
                *sources.get_mut() -= 1;
                if *sources.get() == 0 {
                    sources.remove();
                }
            }
        }
    }

    /// SSRCs that clients have said they send under, and how many of their sources do.
    pub(super) fn declared(&self) -> &HashMap<Ssrc, u32> {
        &self.rx_ssrcs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ssrc_is_drawn_twice() {
        let mut room = Room::new("room", 7);
        // Of so many random numbers some 40 would be equal to an earlier one.
        let drawn: HashSet<_> = (0..600_000).map(|_| room.next_ssrc()).collect();
        assert_eq!(drawn.len(), 600_000);
    }
}
