//! Who listens to what the Router tells of its rooms, and believes nothing else: each event has to
//! follow from those before it, and at any time they must add up to what there is.

use std::collections::{BTreeMap, BTreeSet};

use corinth::sfu::{Happening, RoomEvent};
use corinth::types::{ReceiverId, ShardStats, TransportId};

/// A room and one of its peers.
type Peer = (String, String);

/// What is there, by what was told.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// With everybody in it. While one connection replaces another, a name is there twice.
    rooms: BTreeMap<String, BTreeMap<String, u64>>,
    started: BTreeSet<String>,
    joined: BTreeSet<Peer>,
    transports: BTreeSet<(Peer, TransportId)>,
    receivers: BTreeSet<(Peer, ReceiverId)>,
    /// What was told, as `room/peer: what`, since somebody last looked.
    pub(crate) told: Vec<String>,
}

impl Observer {
    pub(crate) fn note(&mut self, event: &RoomEvent<'_>) {
        let (room, peer) = (event.room.to_owned(), event.peer.unwrap_or_default().to_owned());
        self.told.push(format!("{room}/{peer}: {:?}", event.what));
        let who = (room.clone(), peer.clone());
        if event.peer.is_none() {
            let new = match event.what {
                Happening::RoomStarted => self.started.insert(room),
                _ => !self.rooms.contains_key(&room) && self.started.remove(&room),
            };
            return assert!(new, "{event:?}");
        }
        let peers = self.rooms.entry(room.clone()).or_default();
        let connections = peers.entry(peer).or_default();
        match event.what {
            Happening::PeerConnected => *connections += 1,
            _ => assert!(*connections > 0, "{event:?} of nobody"),
        }
        let is = |new: bool| assert!(new, "{event:?} is nothing new");
        match event.what {
            Happening::PeerConnected => {}
            Happening::RoomStarted | Happening::RoomEnded => panic!("{event:?} of a peer"),
            Happening::PeerJoined => is(self.started.contains(&room) && self.joined.insert(who)),
            Happening::PeerLeft { joined, .. } => {
                *connections -= 1;
                peers.retain(|_, connections| *connections > 0);
                if peers.is_empty() {
                    self.rooms.remove(&room);
                }
                assert_eq!(joined, self.joined.remove(&who), "{event:?}");
                assert!(self.transports.iter().all(|(owner, _)| *owner != who), "{event:?}");
                assert!(self.receivers.iter().all(|(owner, _)| *owner != who), "{event:?}");
            }
            Happening::HandshakeFailed { transport, .. } => {
                assert!(self.transports.contains(&(who, transport)), "{event:?}");
            }
            Happening::TransportState { transport, .. } => {
                self.transports.insert((who, transport));
            }
            // One whose state never changed was never told of.
            Happening::TransportClosed { transport } => {
                self.transports.remove(&(who, transport));
            }
            Happening::ReceiverCreated { receiver, .. } => {
                is(self.receivers.insert((who, receiver)));
            }
            Happening::ReceiverClosed { receiver } => {
                is(self.receivers.remove(&(who, receiver)));
            }
        }
    }

    /// What was told is what there is.
    pub(crate) fn assert_agrees(&self, stats: &ShardStats) {
        let peers: u64 = self.rooms.values().flat_map(BTreeMap::values).sum();
        assert_eq!((self.rooms.len() as u64, peers), (stats.rooms, stats.peers));
        assert!(self.transports.len() as u64 <= stats.transports, "{:?}", self.transports);
    }
}
