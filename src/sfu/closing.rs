//! Who closes whom, and who is told. docs/internals/closing.md draws it; the order here is the one
//! that PROTOCOL section 3 promises.

use super::Outbox;
use super::event::{Happening, RoomEvent};
use super::handshakes::transmit;
use super::outbox::CloseReason;
use super::router::Router;
use super::signaling::audience::not_free;
use crate::protocol::notification::{peer_left, room_closed};
use crate::protocol::{Announcement, AppData};
use crate::types::{PeerKey, ReceiverKey, SenderKey, TransportKey};

/// Whom the end of a Receiver is told to.
#[derive(Clone, Copy)]
enum Audience<'a> {
    /// `senderClosed` to everybody who knew the Sender.
    Told(Option<&'a AppData>),
    /// Nobody: `peerLeft` says it all.
    Silent,
}

impl Router {
    /// Ends a room: who asked for it hears `roomClosed`, everybody's connection is closed. Returns
    /// how many were in it; `None`: there is no such room.
    pub fn end_room(&mut self, room: &str, out: &mut impl Outbox) -> Option<usize> {
        let room = self.rooms.get_mut(*self.room_names.get(room)?)?;
        room.ending = true;
        let peers = room.peers.clone();
        // The last comer is found first.
        for key in peers.iter().rev() {
            if self.peers[*key].wants_room_closed {
                out.text(*key, room_closed(CloseReason::RoomClosed.code().1).into());
            }
            self.close_peer(*key, CloseReason::RoomClosed, None, out);
        }
        Some(peers.len())
    }

    /// Puts a peer out of its room, for good unless it gets in again; says whether it was there.
    pub fn kick(&mut self, room: &str, peer: &str, out: &mut impl Outbox) -> bool {
        let Some(key) = self.peer_named(room, peer) else { return false };
        self.close_peer(key, CloseReason::Kicked, None, out);
        true
    }

    pub(super) fn close_peer(
        &mut self,
        key: PeerKey,
        reason: CloseReason,
        app_data: Option<&AppData>,
        out: &mut impl Outbox,
    ) {
        out.close(key, reason);
        self.remove_peer(key, reason.code().1, app_data, out);
    }

    /// A peer is gone: its Receivers, transports and Senders with it. Others hear `peerLeft`.
    pub(super) fn remove_peer(
        &mut self,
        key: PeerKey,
        reason: &'static str,
        app_data: Option<&AppData>,
        out: &mut impl Outbox,
    ) {
        let Some(peer) = self.peers.get(key) else { return };
        let receivers: Vec<_> = peer.receivers.values().copied().collect();
        let transports: Vec<_> = peer.transports.values().copied().collect();
        for receiver in receivers {
            self.end_receiver(receiver, Audience::Silent, out);
        }
        for transport in transports {
            self.end_transport(transport, Audience::Silent, out);
        }
        let joined = self.peers[key].joined;
        self.tell(key, Happening::PeerLeft { joined, reason }, out);
        let Some(peer) = self.peers.remove(key) else { return };
        self.stats.peers -= 1;
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        room.app_data_held -= not_free(peer.app_data_held);
        room.remove(&peer.name, key);
        if room.peers.is_empty() {
            let (name, started) = (std::mem::take(&mut room.name), room.started);
            self.rooms.remove(peer.room);
            self.room_names.remove(&name);
            self.stats.rooms -= 1;
            if started {
                out.tell(&RoomEvent { room: &name, peer: None, what: Happening::RoomEnded });
            }
        } else if peer.joined && !room.ending {
            self.broadcast(peer.room, key, peer_left(&peer.name, app_data), out);
        }
    }

    /// A transport closes: its Receivers too, its Senders return to announced.
    pub(super) fn close_transport(
        &mut self,
        key: TransportKey,
        app_data: Option<&AppData>,
        out: &mut impl Outbox,
    ) {
        self.end_transport(key, Audience::Told(app_data), out);
    }

    /// A Receiver closes; whoever was told of its Sender hears `senderClosed`.
    pub(super) fn close_receiver(
        &mut self,
        key: ReceiverKey,
        app_data: Option<&AppData>,
        out: &mut impl Outbox,
    ) {
        self.end_receiver(key, Audience::Told(app_data), out);
    }

    fn end_transport(&mut self, key: TransportKey, audience: Audience<'_>, out: &mut impl Outbox) {
        let Some(association) = self.transports.get(key) else { return };
        let receivers: Vec<_> = association.receivers().collect();
        for receiver in receivers {
            self.end_receiver(receiver, audience, out);
        }
        let Some(mut association) = self.transports.remove(key) else { return };
        self.stats.transports -= 1;
        let closed = Happening::TransportClosed { transport: association.id };
        self.tell(association.peer, closed, out);
        association.transport.close();
        transmit(&mut association.transport, &mut self.stats, out);
        for credentials in association.transport.ice().credentials() {
            self.ufrags.remove(&credentials.ufrag);
        }
        for state in association.transport.ice().paths().all() {
            self.paths.remove(state.path, key);
        }
        for (receiver, sender) in association.senders.values() {
            self.disable_sender(*receiver, *sender);
        }
        if let Some(peer) = self.peers.get_mut(association.peer) {
            peer.transports.remove(&association.id);
        }
    }

    /// Back to announced: the client may enable it again on another transport.
    fn disable_sender(&mut self, receiver: ReceiverKey, sender: SenderKey) {
        let Some(receiver) = self.receivers.get_mut(receiver) else { return };
        let Some(sender) = receiver.senders.remove(sender) else { return };
        if let Some(peer) = self.peers.get_mut(sender.peer) {
            peer.subscriptions.set_enabled(sender.id, None);
        }
    }

    fn is_ending(&self, peer: PeerKey) -> bool {
        let room = self.peers.get(peer).and_then(|peer| self.rooms.get(peer.room));
        room.is_some_and(|room| room.ending)
    }

    fn end_receiver(&mut self, key: ReceiverKey, audience: Audience<'_>, out: &mut impl Outbox) {
        let Some(mut receiver) = self.receivers.remove(key) else { return };
        self.tell(receiver.peer, Happening::ReceiverClosed { receiver: receiver.id }, out);
        if let Some(association) = self.transports.get_mut(receiver.transport) {
            association.remove_source(key);
        }
        // Where everybody goes nobody needs to hear of it, or to forget anything.
        let ending = self.is_ending(receiver.peer);
        for (_, sender) in receiver.senders.drain() {
            if !ending {
                self.send_bye(sender.transport, receiver.tx_ssrc, out);
            }
            if let Some(association) = self.transports.get_mut(sender.transport) {
                association.senders.remove(&receiver.tx_ssrc);
            }
        }
        self.hold(receiver.peer, -(receiver.app_data as isize));
        let Some(owner) = self.peers.get_mut(receiver.peer) else { return };
        owner.receivers.remove(&receiver.id);
        let Some(room) = self.rooms.get_mut(owner.room) else { return };
        room.retract(&receiver.source);
        room.tx_ssrcs.remove(&receiver.tx_ssrc);
        if let Some(rtx) = &receiver.tx_rtx_ssrc {
            room.tx_ssrcs.remove(rtx);
        }
        let Audience::Told(app_data) = audience else { return };
        let announcement = Announcement::sender_closed(&owner.name, app_data);
        for (peer, id) in receiver.listeners.iter() {
            if self.peers.contains_key(*peer) {
                out.text(*peer, announcement.for_sender(*id));
            }
        }
    }
}
