//! Who closes whom, and who is told. docs/internals/closing.md draws it; the order here is the one
//! that PROTOCOL section 3 promises.

use super::Outbox;
use super::event::{Happening, RoomEvent};
use super::router::{Router, transmit};
use crate::protocol::notification::peer_left;
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
        room.peers.retain(|other| *other != key);
        if room.peers.is_empty() {
            let name = std::mem::take(&mut room.name);
            self.rooms.remove(peer.room);
            self.room_names.remove(&name);
            self.stats.rooms -= 1;
            out.tell(&RoomEvent { room: &name, peer: None, what: Happening::RoomEnded });
        } else if peer.joined {
            self.broadcast(peer.room, key, &peer_left(&peer.name, app_data), out);
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
        for path in association.transport.ice().paths() {
            self.paths.remove(path);
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

    fn end_receiver(&mut self, key: ReceiverKey, audience: Audience<'_>, out: &mut impl Outbox) {
        let Some(mut receiver) = self.receivers.remove(key) else { return };
        self.tell(receiver.peer, Happening::ReceiverClosed { receiver: receiver.id }, out);
        if let Some(association) = self.transports.get_mut(receiver.transport) {
            association.remove_source(key);
        }
        for (_, sender) in receiver.senders.drain() {
            self.send_bye(sender.transport, receiver.tx_ssrc, out);
            if let Some(association) = self.transports.get_mut(sender.transport) {
                association.senders.remove(&receiver.tx_ssrc);
            }
        }
        let Some(owner) = self.peers.get_mut(receiver.peer) else { return };
        owner.receivers.remove(&receiver.id);
        let announcement = match audience {
            Audience::Told(app_data) => Some(Announcement::sender_closed(&owner.name, app_data)),
            Audience::Silent => None,
        };
        let Some(room) = self.rooms.get_mut(owner.room) else { return };
        room.tx_ssrcs.remove(&receiver.tx_ssrc);
        if let Some(rtx) = &receiver.tx_rtx_ssrc {
            room.tx_ssrcs.remove(rtx);
        }
        for other in &room.peers {
            let subscriptions = self.peers.get_mut(*other).map(|peer| &mut peer.subscriptions);
            let id = subscriptions.and_then(|subscriptions| subscriptions.remove(key));
            if let (Some(id), Some(announcement)) = (id, &announcement) {
                out.text(*other, announcement.for_sender(id));
            }
        }
    }
}
