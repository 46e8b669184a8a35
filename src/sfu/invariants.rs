//! What must hold between any two calls of a Router, for simulators and fuzzers to check.

use std::collections::{HashMap, HashSet};

use super::router::Router;
use super::signaling::audience::{not_free, size};
use crate::types::limit::PATHS_MAX;

impl Router {
    /// Panics, naming what is wrong, if the parts of the model contradict each other. Costs time in
    /// proportion to everything there is.
    pub fn assert_consistent(&self) {
        self.assert_rooms();
        self.assert_transports();
        self.assert_receivers();
        self.assert_subscriptions();
        assert!(self.turn.is_empty(), "a turn ends with Router::forward");
        assert_eq!(self.stats.rooms as usize, self.rooms.len());
        assert_eq!(self.stats.peers as usize, self.peers.len());
        assert_eq!(self.stats.transports as usize, self.transports.len());
    }

    fn assert_rooms(&self) {
        assert_eq!(self.room_names.len(), self.rooms.len());
        let members: usize = self.rooms.values().map(|room| room.peers.len()).sum();
        assert_eq!(members, self.peers.len(), "each peer is in one room");
        for (key, room) in &self.rooms {
            assert_eq!(self.room_names.get(&room.name), Some(&key));
            assert!(!room.peers.is_empty(), "an empty room is gone");
            let mut names: Vec<_> = room.peers.iter().map(|p| &self.peers[*p].name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), room.peers.len(), "one connection a name");
            assert!(room.peers.iter().all(|peer| self.peers[*peer].room == key));
            assert_eq!(room.names.len(), room.peers.len());
            assert!(room.names.iter().all(|(name, peer)| self.peers[*peer].name == *name));
            let members = room.peers.iter().map(|peer| &self.peers[*peer]);
            let held = members.map(|peer| not_free(peer.app_data_held));
            assert_eq!(held.sum::<usize>(), room.app_data_held);
            let mut declared = HashMap::new();
            let own = self.receivers.values().filter(|it| self.peers[it.peer].room == key);
            own.flat_map(|receiver| receiver.source.ssrcs())
                .for_each(|ssrc| *declared.entry(ssrc).or_default() += 1);
            assert_eq!(room.declared(), &declared, "what clients of the room send under");
        }
    }

    fn assert_transports(&self) {
        let (mut ufrags, mut paths) = (0, 0);
        let led_to: HashSet<_> = self.paths.iter().collect();
        for (key, association) in &self.transports {
            let owner = &self.peers[association.peer];
            assert_eq!(owner.transports.get(&association.id), Some(&key));
            let ice = association.transport.ice();
            for credentials in ice.credentials() {
                assert_eq!(self.ufrags.get(&credentials.ufrag), Some(&key));
                ufrags += 1;
            }
            assert!(ice.paths().all().len() <= PATHS_MAX);
            let leads_here = |path| led_to.contains(&(path, key));
            assert!(ice.paths().all().iter().all(|state| leads_here(state.path)));
            paths += ice.paths().all().len();
            for receiver in association.receivers() {
                assert_eq!(self.receivers[receiver].transport, key);
            }
            for (ssrc, (receiver, sender)) in &association.senders {
                let receiver = &self.receivers[*receiver];
                assert_eq!(receiver.tx_ssrc, *ssrc);
                assert_eq!(receiver.senders[*sender].transport, key);
                assert!(!association.receives(*ssrc), "one direction an SSRC");
            }
        }
        assert_eq!(ufrags, self.ufrags.len(), "fragments that are over are gone");
        assert_eq!(paths, led_to.len(), "each path leads to the transports that know it");
        let listed: usize = self.peers.values().map(|peer| peer.transports.len()).sum();
        assert_eq!(listed, self.transports.len());
    }

    fn assert_receivers(&self) {
        let listed: usize = self.peers.values().map(|peer| peer.receivers.len()).sum();
        assert_eq!(listed, self.receivers.len());
        for (key, receiver) in &self.receivers {
            let owner = &self.peers[receiver.peer];
            assert_eq!(owner.receivers.get(&receiver.id), Some(&key));
            let association = &self.transports[receiver.transport];
            assert_eq!(association.peer, receiver.peer);
            assert!(association.receivers().any(|it| it == key));
            let room = &self.rooms[owner.room];
            assert!(room.tx_ssrcs.contains(&receiver.tx_ssrc));
            for (sender_key, sender) in &receiver.senders {
                assert_ne!(sender.peer, receiver.peer, "nobody gets what he sends");
                let subscription = self.peers[sender.peer].subscriptions.get(sender.id);
                let subscription = subscription.expect("an enabled Sender was announced");
                assert_eq!(subscription.enabled, Some(sender_key));
                assert_eq!(subscription.receiver, key);
                let association = &self.transports[sender.transport];
                assert_eq!(association.peer, sender.peer);
                assert_eq!(association.senders.get(&receiver.tx_ssrc), Some(&(key, sender_key)));
            }
        }
        let ssrcs = self.receivers.values().map(|r| 1 + usize::from(r.tx_rtx_ssrc.is_some()));
        let reserved: usize = self.rooms.values().map(|room| room.tx_ssrcs.len()).sum();
        assert_eq!(ssrcs.sum::<usize>(), reserved, "SSRCs are given back");
    }

    fn assert_subscriptions(&self) {
        for (key, peer) in &self.peers {
            if !peer.joined {
                assert_eq!(peer.subscriptions.iter().count(), 0);
                assert!(peer.transports.is_empty() && peer.receivers.is_empty());
            }
            let own = peer.receivers.values().map(|receiver| self.receivers[*receiver].app_data);
            assert_eq!(own.sum::<usize>() + size(peer.app_data.as_ref()), peer.app_data_held);
            for subscription in peer.subscriptions.iter() {
                // That of a Receiver that is gone waits to be let go.
                let Some(receiver) = self.receivers.get(subscription.receiver) else { continue };
                assert_ne!(receiver.peer, key);
                assert_eq!(self.peers[receiver.peer].room, peer.room);
                let mut listeners = receiver.listeners.iter();
                assert!(listeners.any(|it| *it == (key, subscription.id)), "it hears of it");
                if let Some(sender) = subscription.enabled {
                    assert!(receiver.senders.contains_key(sender));
                }
            }
        }
        for (key, receiver) in &self.receivers {
            let mut heard = HashSet::new();
            for (peer, id) in receiver.listeners.iter() {
                let Some(peer) = self.peers.get(*peer) else { continue };
                assert_eq!(peer.subscriptions.get(*id).map(|it| it.receiver), Some(key));
                assert!(heard.insert(&peer.name), "once each");
            }
        }
    }
}
