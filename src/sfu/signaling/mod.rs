//! What clients say: each message of PROTOCOL section 4, checked against the state, then done. A
//! refused request changes nothing, so every check stands before the first change.

pub(super) mod audience;
mod receivers;
mod senders;
mod stats;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Outbox;
use super::event::{Happening, RoomEvent};
use super::outbox::{CloseReason, Newcomer};
use super::peer::{Audience, Budget, Peer, Verdict};
use super::room::Room;
use super::router::Router;
use crate::protocol::notification::peer_left;
use crate::protocol::{
    Announcement, AppData, EnvelopeError, Error, Incoming, Join, JoinResponse, Message,
    Notification, Notify, Request, envelope, notification,
};
use crate::types::{
    DropReason, PeerKey, ReceiverId, ReceiverKey, Refusal, RoomKey, SenderId, Timestamp,
    TransportId, TransportKey,
};

/// What a handler returns: the response whole.
type Response = Result<Message, Error>;

impl Router {
    /// A WebSocket was opened (with valid names). Replaces an older connection of the same name at
    /// once.
    pub fn handle_open(
        &mut self,
        now: Timestamp,
        newcomer: &Newcomer<'_>,
        out: &mut impl Outbox,
    ) -> Result<PeerKey, Refusal> {
        let Newcomer { room, peer, rights } = *newcomer;
        let older = self.peer_named(room, peer);
        let room_key = match self.room_names.get(room) {
            Some(key) => *key,
            None => self.add_room(room),
        };
        let peers = self.rooms[room_key].peers.len();
        if older.is_none() && peers >= self.config.limits.peers_per_room {
            self.stats.refuse(Refusal::Peers);
            return Err(Refusal::Peers);
        }
        let budget = Budget::new(now, self.config.limits.requests_per_second);
        // The new connection is in the room before the old one leaves it, so that the room stays.
        let audience = Audience::new(now, peers);
        let key = self.peers.insert(Peer::new(room_key, peer, rights, budget, audience));
        self.rooms[room_key].add(peer, key);
        self.stats.peers += 1;
        self.tell(key, Happening::PeerConnected, out);
        if let Some(older) = older {
            self.close_peer(older, CloseReason::Replaced, None, out);
        }
        Ok(key)
    }

    /// Whether a connection under this name is there, which a further one would replace.
    pub fn has_peer(&self, room: &str, peer: &str) -> bool {
        self.peer_named(room, peer).is_some()
    }

    pub(in crate::sfu) fn peer_named(&self, room: &str, peer: &str) -> Option<PeerKey> {
        self.rooms[*self.room_names.get(room)?].names.get(peer).copied()
    }

    /// Tells who asked for it that all rooms end now. The driver closes the connections.
    pub fn announce_end(&self, reason: &str, out: &mut impl Outbox) {
        for (key, peer) in self.peers.iter().filter(|(_, peer)| peer.wants_room_closed) {
            debug_assert!(peer.joined, "it asked with join");
            out.text(key, notification::room_closed(reason).into());
        }
    }

    fn add_room(&mut self, name: &str) -> RoomKey {
        let key = self.rooms.insert(Room::new(name, self.rng.u32(..)));
        self.room_names.insert(name.into(), key);
        self.stats.rooms += 1;
        key
    }

    /// Something has happened to a peer.
    pub(in crate::sfu) fn tell(&self, peer: PeerKey, what: Happening, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get(peer) else { return };
        let Some(room) = self.rooms.get(peer.room) else { return };
        out.tell(&RoomEvent { room: &room.name, peer: Some(&peer.name), what });
    }

    /// A text frame came from a client. Unknown peers are ignored.
    pub fn handle_text(&mut self, now: Timestamp, key: PeerKey, text: &str, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let verdict = peer.budget.take(now, self.config.limits.requests_per_second);
        if verdict == Verdict::Flood {
            return self.close_peer(key, CloseReason::Flood, None, out);
        }
        match envelope::parse(text) {
            Err(EnvelopeError::NotJson) => self.close_peer(key, CloseReason::NotJson, None, out),
            Err(EnvelopeError::NotAnEnvelope) => {
                self.close_peer(key, CloseReason::Envelope, None, out);
            }
            // The server asks nothing, so nothing is answered.
            Ok(Incoming::Response) => self.stats.drop(DropReason::SignalIgnored),
            Ok(Incoming::Request { id, .. }) if verdict == Verdict::Refused => {
                let error = self.too_many(Refusal::Requests, "requests a second");
                out.text(key, envelope::error(id, &error).into());
            }
            Ok(Incoming::Request { id, method, data }) => {
                let response = self
                    .check_joined(key, &method)
                    .and_then(|()| Request::parse(&method, data))
                    .and_then(|request| self.check_app_data(request.app_data()).map(|()| request))
                    .and_then(|request| self.handle_request(now, key, id, request, out));
                let error = |error| envelope::error(id, &error).into();
                out.text(key, response.unwrap_or_else(error));
            }
            Ok(Incoming::Notification { method, data }) => {
                let done = verdict == Verdict::Allowed
                    && Notification::parse(&method, data)
                        .and_then(|it| self.check_app_data(it.app_data()).map(|()| it))
                        .and_then(|it| self.handle_notification(now, key, it, out))
                        .is_ok();
                if !done {
                    self.stats.drop(DropReason::SignalIgnored);
                }
            }
        }
    }

    /// A WebSocket is gone, whoever closed it, for this reason. Unknown peers are ignored.
    pub fn handle_closed(&mut self, key: PeerKey, reason: &'static str, out: &mut impl Outbox) {
        self.remove_peer(key, reason, None, out);
    }

    /// `join` comes first and once; whatever else is wrong with a request comes after that.
    fn check_joined(&self, key: PeerKey, method: &str) -> Result<(), Error> {
        match (method == "join", self.peers[key].joined) {
            (true, true) => Err(Error::conflict("joined already")),
            (false, false) => Err(Error::forbidden("not joined")),
            _ => Ok(()),
        }
    }

    fn check_app_data(&mut self, app_data: Option<&AppData>) -> Result<(), Error> {
        let (most, bytes) = (self.config.limits.app_data, app_data.map_or(0, |data| data.len()));
        if bytes <= most {
            return Ok(());
        }
        Err(self.too_many(Refusal::AppData, &format!("appData: {bytes} bytes, at most {most}")))
    }

    /// A limit is reached, which is counted.
    fn too_many(&mut self, refusal: Refusal, what: &str) -> Error {
        self.stats.refuse(refusal);
        Error::too_many(what)
    }

    fn handle_request(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        id: u64,
        request: Request,
        out: &mut impl Outbox,
    ) -> Response {
        let done = match request {
            Request::Join(join) => return self.join(now, key, id, join, out),
            Request::CreateTransport(request) => {
                return self.create_transport(now, key, id, request);
            }
            Request::RestartTransport { id: transport } => {
                return self.restart_transport(key, id, transport);
            }
            Request::GetStats(request) => return self.get_stats(key, id, request),
            Request::CreateReceiver(request) => self.create_receiver(now, key, request, out),
            Request::PauseReceiver(command) => self.pause_receiver(now, key, &command, out),
            Request::ResumeReceiver(command) => self.resume_receiver(now, key, &command, out),
            Request::EnableSender(request) => self.enable_sender(now, key, &request, out),
            Request::PlaySender(command) => self.play_sender(now, key, &command, out),
            Request::StopSender(command) => self.stop_sender(key, &command),
            Request::RequestKeyFrame { id } => self.request_key_frame(now, key, id, out),
        };
        done.map(|()| envelope::success(id, &BTreeMap::<(), ()>::new()).into())
    }

    fn handle_notification(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        notification: Notification,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        if !self.peers[key].joined {
            return Err(Error::forbidden("not joined"));
        }
        match notification {
            Notification::Leave { app_data } => {
                let farewell = peer_left(&self.peers[key].name, app_data.as_ref());
                // Whoever has had too much told goes without another word.
                let may = self.charge(now, key, farewell.len()).is_ok();
                let app_data = app_data.as_ref().filter(|_| may);
                self.close_peer(key, CloseReason::Left, app_data, out);
            }
            Notification::UpdateTransport { id, dtls_parameters } => {
                let transport = self.transport_of(key, id)?;
                let association = &mut self.transports[transport];
                if !association.transport.set_remote(now, dtls_parameters) {
                    return Err(Error::conflict("another fingerprint was stated before"));
                }
                self.pump(now, transport, out);
            }
            Notification::CloseTransport { id, app_data } => {
                let transport = self.transport_of(key, id)?;
                let receivers = self.transports[transport].receivers().count();
                self.charge_closing(now, key, receivers, app_data.as_ref())?;
                self.close_transport(transport, app_data.as_ref(), out);
            }
            Notification::CloseReceiver { id, app_data } => {
                let receiver = self.receiver_of(key, id)?;
                self.charge_closing(now, key, 1, app_data.as_ref())?;
                self.close_receiver(receiver, app_data.as_ref(), out);
            }
        }
        Ok(())
    }

    /// Whether everybody may be told of the end of so many Receivers.
    fn charge_closing(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        receivers: usize,
        app_data: Option<&AppData>,
    ) -> Result<(), Error> {
        let each = Announcement::sender_closed(&self.peers[key].name, app_data).len();
        self.charge(now, key, receivers * each)
    }

    fn join(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        id: u64,
        join: Join,
        out: &mut impl Outbox,
    ) -> Response {
        let app_data = join.app_data.as_ref();
        let announcement = notification::new_peer(&self.peers[key].name, app_data);
        self.check_held(key, app_data)?;
        self.charge(now, key, announcement.len())?;
        self.hold(key, audience::size(app_data) as isize);
        let peer = &mut self.peers[key];
        peer.joined = true;
        peer.app_data = join.app_data;
        peer.capabilities = join.rtp_capabilities;
        peer.wants_transport_state = join.notify.contains(&Notify::TransportState);
        peer.wants_room_closed = join.notify.contains(&Notify::RoomClosed);
        let room = peer.room;
        let mut receivers = Vec::new();
        let others = self.rooms[room].peers.iter().map(|other| (*other, &self.peers[*other]));
        for (other, theirs) in others.filter(|(other, theirs)| *other != key && theirs.joined) {
            receivers.push((other, theirs.receivers.values().copied().collect::<Vec<_>>()));
        }
        let mut announced = Vec::new();
        for (other, keys) in receivers {
            let keys = keys.into_iter();
            let senders =
                keys.filter_map(|receiver| Some((self.announce(key, receiver)?, receiver)));
            let senders: Vec<_> = senders.collect();
            announced.push((other, senders));
        }
        let sources = announced.iter().map(|(_, senders)| senders.len()).sum();
        let mut response = JoinResponse::new(id, &self.capabilities, announced.len(), sources);
        for (other, senders) in &announced {
            let theirs = &self.peers[*other];
            let describe = |(id, key): &(_, ReceiverKey)| (*id, &self.receivers[*key].description);
            response.peer(&theirs.name, senders.iter().map(describe), theirs.app_data.as_ref());
        }
        self.broadcast(room, key, announcement, out);
        let room = &mut self.rooms[room];
        if !std::mem::replace(&mut room.started, true) {
            out.tell(&RoomEvent { room: &room.name, peer: None, what: Happening::RoomStarted });
        }
        self.tell(key, Happening::PeerJoined, out);
        Ok(response.finish())
    }

    /// Gives a peer a Sender of this Receiver, unless it cannot decode it or may not receive.
    fn announce(&mut self, key: PeerKey, receiver: ReceiverKey) -> Option<SenderId> {
        let source = &self.receivers.get(receiver)?.source;
        let peer = self.peers.get_mut(key)?;
        let decodes = peer.capabilities.as_ref().is_none_or(|known| known.can_decode(source));
        if !decodes || !peer.rights.receive {
            return None;
        }
        let id = peer.subscriptions.announce(receiver, |it| self.receivers.contains_key(it));
        let listeners = &mut self.receivers.get_mut(receiver)?.listeners;
        listeners.push((key, id), |(peer, _)| self.peers.contains_key(*peer));
        Some(id)
    }

    /// Says something to every joined peer of a room but one.
    pub(in crate::sfu) fn broadcast(
        &self,
        room: RoomKey,
        except: PeerKey,
        text: String,
        out: &mut impl Outbox,
    ) {
        let text: Arc<str> = text.into();
        for other in &self.rooms[room].peers {
            if *other != except && self.peers[*other].joined {
                out.text(*other, Message::from(&text));
            }
        }
    }

    fn transport_of(&self, key: PeerKey, id: TransportId) -> Result<TransportKey, Error> {
        let transport = self.peers[key].transports.get(&id);
        transport.copied().ok_or_else(|| Error::not_found(format!("no such transport: {id}")))
    }

    fn receiver_of(&self, key: PeerKey, id: ReceiverId) -> Result<ReceiverKey, Error> {
        let receiver = self.peers[key].receivers.get(&id);
        receiver.copied().ok_or_else(|| Error::not_found(format!("no such Receiver: {id}")))
    }
}
