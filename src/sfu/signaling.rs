//! What clients say: each message of PROTOCOL section 4, checked against the state, then done. A
//! refused request changes nothing, so every check stands before the first change.

use std::collections::BTreeMap;

use super::Outbox;
use super::association::{Association, Made, newest};
use super::outbox::CloseReason;
use super::peer::{Peer, Subscription, Verdict};
use super::receiver::{Origin, Receiver};
use super::room::Room;
use super::router::Router;
use super::sender::Sender;
use crate::protocol::transport::{IceCandidateType, IceProtocol};
use crate::protocol::{
    Announcement, AppData, CreateReceiver, CreateTransport, Direction, DtlsParameters, DtlsRole,
    EnableSender, EnvelopeError, Error, IceCandidate, IceParameters, Incoming, Join, JoinResponse,
    Notification, Notify, PeerEntry, ReceiverCommand, Request, SenderCommand, SenderEntry,
    SourceParameters, TransportCreated, envelope, notification,
};
use crate::transport::Transport;
use crate::transport::ice::Credentials;
use crate::types::limit::{PEERS_PER_ROOM_MAX, RECEIVERS_PER_PEER_MAX, TRANSPORTS_PER_PEER_MAX};
use crate::types::{
    DropReason, Kind, PeerKey, ReceiverId, ReceiverKey, RoomKey, SenderId, SenderKey, Ssrc,
    Timestamp, TransportId, TransportKey,
};

/// What a handler returns: the `data` of the response, serialized into the whole frame.
type Response = Result<String, Error>;

impl Router {
    /// A WebSocket was opened for `peer` in `room` (both valid names). Replaces an older connection
    /// of the same name at once. `None`: the room is full (HTTP 429).
    pub fn handle_open(
        &mut self,
        now: Timestamp,
        room: &str,
        peer: &str,
        out: &mut impl Outbox,
    ) -> Option<PeerKey> {
        let room_key = match self.room_names.get(room) {
            Some(key) => *key,
            None => self.add_room(room),
        };
        let peers = &self.rooms[room_key].peers;
        let older = peers.iter().copied().find(|key| *self.peers[*key].name == *peer);
        if older.is_none() && peers.len() >= PEERS_PER_ROOM_MAX {
            return None;
        }
        // The new connection is in the room before the old one leaves it, so that the room stays.
        let key = self.peers.insert(Peer::new(room_key, peer, now, self.hasher.clone()));
        self.rooms[room_key].peers.push(key);
        self.stats.peers += 1;
        if let Some(older) = older {
            out.close(older, CloseReason::Replaced);
            self.remove_peer(older, None, out);
        }
        Some(key)
    }

    fn add_room(&mut self, name: &str) -> RoomKey {
        let key = self.rooms.insert(Room::new(name, self.rng.u32(..)));
        self.room_names.insert(name.into(), key);
        self.stats.rooms += 1;
        key
    }

    /// A text frame came from a client. Unknown peers are ignored.
    pub fn handle_text(&mut self, now: Timestamp, key: PeerKey, text: &str, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let verdict = peer.budget.take(now);
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
                let error = Error::too_many("requests a second");
                out.text(key, envelope::error(id, &error));
            }
            Ok(Incoming::Request { id, method, data }) => {
                let response = self
                    .check_joined(key, &method)
                    .and_then(|()| Request::parse(&method, data))
                    .and_then(|request| self.handle_request(now, key, id, request, out));
                out.text(key, response.unwrap_or_else(|error| envelope::error(id, &error)));
            }
            Ok(Incoming::Notification { method, data }) => {
                let done = verdict == Verdict::Allowed
                    && Notification::parse(&method, data)
                        .and_then(|it| self.handle_notification(now, key, it, out))
                        .is_ok();
                if !done {
                    self.stats.drop(DropReason::SignalIgnored);
                }
            }
        }
    }

    /// A WebSocket is gone, whoever closed it. Unknown peers are ignored.
    pub fn handle_closed(&mut self, key: PeerKey, out: &mut impl Outbox) {
        self.remove_peer(key, None, out);
    }

    fn close_peer(
        &mut self,
        key: PeerKey,
        reason: CloseReason,
        app_data: Option<&AppData>,
        out: &mut impl Outbox,
    ) {
        out.close(key, reason);
        self.remove_peer(key, app_data, out);
    }

    /// `join` comes first and once; whatever else is wrong with a request comes after that.
    fn check_joined(&self, key: PeerKey, method: &str) -> Result<(), Error> {
        match (method == "join", self.peers[key].joined) {
            (true, true) => Err(Error::conflict("joined already")),
            (false, false) => Err(Error::forbidden("not joined")),
            _ => Ok(()),
        }
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
            Request::Join(join) => return self.join(key, id, join, out),
            Request::CreateTransport(request) => {
                return self.create_transport(now, key, id, request);
            }
            Request::CreateReceiver(request) => self.create_receiver(key, request, out),
            Request::PauseReceiver(command) => self.pause_receiver(key, &command, out),
            Request::ResumeReceiver(command) => self.resume_receiver(now, key, &command, out),
            Request::EnableSender(request) => self.enable_sender(now, key, &request, out),
            Request::PlaySender(command) => self.play_sender(now, key, &command, out),
            Request::StopSender(command) => self.stop_sender(key, &command),
            Request::RequestKeyFrame { id } => self.request_key_frame(now, key, id, out),
        };
        done.map(|()| envelope::success(id, &BTreeMap::<(), ()>::new()))
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
                self.close_peer(key, CloseReason::Left, app_data.as_ref(), out);
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
                self.close_transport(transport, app_data.as_ref(), out);
            }
            Notification::CloseReceiver { id, app_data } => {
                let receiver = self.receiver_of(key, id)?;
                self.close_receiver(receiver, app_data.as_ref(), out);
            }
        }
        Ok(())
    }

    fn join(&mut self, key: PeerKey, id: u64, join: Join, out: &mut impl Outbox) -> Response {
        let peer = &mut self.peers[key];
        peer.joined = true;
        peer.app_data = join.app_data;
        peer.capabilities = join.rtp_capabilities;
        peer.wants_transport_state = join.notify.contains(&Notify::TransportState);
        let room = peer.room;
        let announcement = notification::new_peer(&peer.name, peer.app_data.as_ref());
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
        let peers = announced.iter().map(|(other, senders)| {
            let theirs = &self.peers[*other];
            let senders = senders.iter().map(|(id, receiver)| self.sender_entry(*id, *receiver));
            PeerEntry {
                name: &theirs.name,
                senders: senders.collect(),
                app_data: theirs.app_data.as_ref(),
            }
        });
        let response =
            JoinResponse { rtp_capabilities: &self.capabilities, peers: peers.collect() };
        let response = envelope::success(id, &response);
        self.broadcast(room, key, &announcement, out);
        Ok(response)
    }

    fn sender_entry(&self, id: SenderId, receiver: ReceiverKey) -> SenderEntry<'_> {
        let receiver = &self.receivers[receiver];
        SenderEntry {
            id,
            kind: receiver.kind,
            rtp_parameters: &receiver.announced,
            paused: receiver.paused,
            app_data: receiver.app_data.as_ref(),
        }
    }

    /// Gives a peer a Sender of this Receiver, unless it cannot decode it.
    fn announce(&mut self, key: PeerKey, receiver: ReceiverKey) -> Option<SenderId> {
        let source = &self.receivers.get(receiver)?.source;
        let peer = self.peers.get_mut(key)?;
        let decodes = peer.capabilities.as_ref().is_none_or(|known| known.can_decode(source));
        decodes.then(|| peer.subscriptions.announce(receiver))
    }

    fn create_transport(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        id: u64,
        request: CreateTransport,
    ) -> Response {
        let peer = &self.peers[key];
        if peer.transports.contains_key(&request.id) {
            return Err(Error::conflict(format!("transport id in use: {}", request.id)));
        }
        if peer.transports.len() >= TRANSPORTS_PER_PEER_MAX {
            return Err(Error::too_many("transports a peer"));
        }
        let credentials = Credentials::generate(self.config.shard, &mut self.secrets);
        let (identity, epoch) = (&self.config.identity, self.config.epoch);
        let mut transport = Transport::new(credentials.clone(), identity, epoch, now);
        self.transports_made += 1;
        let made = Made {
            id: request.id,
            peer: key,
            direction: request.direction,
            client_answers: request.dtls_parameters.is_none(),
            serial: self.transports_made,
            rtcp_ssrc: Ssrc(self.rng.u32(1..)),
        };
        if let Some(parameters) = request.dtls_parameters {
            transport.set_remote(now, parameters);
        }
        let candidates = if request.udp { self.ice_candidates() } else { Vec::new() };
        let response = TransportCreated {
            ice_parameters: IceParameters {
                username_fragment: credentials.ufrag_str().into(),
                password: credentials.password.clone(),
                ice_lite: true,
            },
            ice_candidates: candidates,
            dtls_parameters: DtlsParameters {
                role: Some(DtlsRole::Auto),
                fingerprints: vec![self.config.identity.fingerprint()],
            },
        };
        let association = Association::new(made, transport, self.hasher.clone());
        let transport = self.transports.insert(association);
        self.ufrags.insert(credentials.ufrag, transport);
        self.peers[key].transports.insert(request.id, transport);
        self.stats.transports += 1;
        Ok(envelope::success(id, &response))
    }

    /// RFC 8445 §5.1.2.1: type preference 126 (host), local preference by order, component 1.
    fn ice_candidates(&self) -> Vec<IceCandidate> {
        let candidates = (0u32..).zip(&self.config.candidates);
        let candidate = candidates.map(|(index, candidate)| {
            let priority = (126 << 24) | ((65_535 - index) << 8) | 255;
            IceCandidate {
                foundation: format!("udp{}", index + 1),
                ip: candidate.address.ip(),
                port: candidate.address.port(),
                priority,
                protocol: IceProtocol::Udp,
                candidate_type: IceCandidateType::Host,
                tcp_type: None,
            }
        });
        candidate.collect()
    }

    fn create_receiver(
        &mut self,
        key: PeerKey,
        request: CreateReceiver,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let peer = &self.peers[key];
        let transport = self.transport_of(key, request.transport_id)?;
        if peer.receivers.contains_key(&request.id) {
            return Err(Error::conflict(format!("Receiver id in use: {}", request.id)));
        }
        if peer.receivers.len() >= RECEIVERS_PER_PEER_MAX {
            return Err(Error::too_many("Receivers a peer"));
        }
        let association = &self.transports[transport];
        if association.direction == Some(Direction::Recv) {
            return Err(Error::conflict("wrong direction: the transport only receives"));
        }
        association.check_source(&request.source)?;
        let room_key = peer.room;
        let declared = request.source.encodings.iter().flat_map(|e| [e.ssrc, e.rtx_ssrc]).flatten();
        for ssrc in declared {
            if self.rooms[room_key].tx_ssrcs.contains(&ssrc) {
                let reason = "rtpParameters.encodings[].ssrc: taken by a Sender";
                return Err(Error::bad_request(format!("{reason}: {ssrc}")));
            }
        }
        let tx_ssrc = self.fresh_ssrc(room_key);
        // Every video codec has rtx in the server's table, whatever the source brings.
        let has_rtx = request.source.kind == Kind::Video;
        let tx_rtx_ssrc = has_rtx.then(|| self.fresh_ssrc(room_key));
        let cname = self.cname(key, &request.source);
        let origin = Origin {
            id: request.id,
            peer: key,
            transport,
            paused: request.paused,
            app_data: request.app_data,
        };
        let receiver = Receiver::new(origin, request.source, tx_ssrc, tx_rtx_ssrc, cname);
        let receiver_key = self.receivers.insert(receiver);
        let source = &self.receivers[receiver_key].source;
        self.transports[transport].add_source(receiver_key, source);
        self.peers[key].receivers.insert(request.id, receiver_key);
        self.announce_to_room(room_key, key, receiver_key, out);
        Ok(())
    }

    fn announce_to_room(
        &mut self,
        room: RoomKey,
        from: PeerKey,
        key: ReceiverKey,
        out: &mut impl Outbox,
    ) {
        let receiver = &self.receivers[key];
        let announcement = Announcement::new_sender(
            receiver.kind,
            &self.peers[from].name,
            &receiver.announced,
            receiver.paused,
            receiver.app_data.as_ref(),
        );
        for index in 0..self.rooms[room].peers.len() {
            let other = self.rooms[room].peers[index];
            if other != from
                && self.peers[other].joined
                && let Some(id) = self.announce(other, key)
            {
                out.text(other, announcement.for_sender(id));
            }
        }
    }

    /// An SSRC that no Sender of the room has and no client of it sends under.
    fn fresh_ssrc(&mut self, room: RoomKey) -> Ssrc {
        loop {
            let ssrc = self.rooms[room].draw_ssrc();
            let mut peers = self.rooms[room].peers.iter().map(|key| &self.peers[*key]);
            let received = peers.any(|peer| {
                peer.transports.values().any(|transport| self.transports[*transport].receives(ssrc))
            });
            if !received && self.rooms[room].tx_ssrcs.insert(ssrc) {
                return ssrc;
            }
        }
    }

    /// The source's own canonical name; a client that states none gets one per peer, so that its
    /// sources are still played in sync.
    fn cname(&self, key: PeerKey, source: &SourceParameters) -> Box<str> {
        match &source.cname {
            Some(cname) => cname.as_str().into(),
            None => format!("peer-{:x}", slotmap::Key::data(&key).as_ffi()).into(),
        }
    }

    fn pause_receiver(
        &mut self,
        key: PeerKey,
        command: &ReceiverCommand,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let receiver = self.receiver_of(key, command.id)?;
        if self.receivers[receiver].pause() {
            let name = &self.peers[key].name;
            let announcement = Announcement::sender_paused(name, command.app_data.as_ref());
            self.tell_subscribers(receiver, &announcement, out);
        }
        Ok(())
    }

    fn resume_receiver(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        command: &ReceiverCommand,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let receiver = self.receiver_of(key, command.id)?;
        if self.receivers[receiver].resume(now) {
            let name = &self.peers[key].name;
            let announcement = Announcement::sender_resumed(name, command.app_data.as_ref());
            self.tell_subscribers(receiver, &announcement, out);
            self.poll_key_frame(now, receiver, out);
        }
        Ok(())
    }

    fn enable_sender(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        request: &EnableSender,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let subscription = self.subscription_of(key, request.id)?;
        if subscription.enabled.is_some() {
            return Err(Error::conflict(format!("Sender enabled already: {}", request.id)));
        }
        let transport = self.transport_to_send_on(key, request.transport_id)?;
        let receiver = &mut self.receivers[subscription.receiver];
        let (kind, ssrc) = (receiver.kind, receiver.tx_ssrc);
        let sender = Sender::new(key, request.id, transport, kind, ssrc, &mut self.rng);
        let sender = receiver.senders.insert(sender);
        let association = &mut self.transports[transport];
        association.add_sender(ssrc, subscription.receiver, sender);
        self.peers[key].subscriptions.set_enabled(request.id, Some(sender));
        self.ask_key_frame(now, subscription.receiver, out);
        Ok(())
    }

    /// PROTOCOL section 4, `enableSender`: the transport that was named, or the likeliest one.
    fn transport_to_send_on(
        &self,
        key: PeerKey,
        named: Option<TransportId>,
    ) -> Result<TransportKey, Error> {
        if let Some(id) = named {
            let transport = self.transport_of(key, id)?;
            if self.transports[transport].direction == Some(Direction::Send) {
                return Err(Error::conflict("wrong direction: the transport only sends"));
            }
            return Ok(transport);
        }
        let newest_where = |rule: fn(&Association) -> bool| {
            let transports = self.peers[key].transports.values();
            let transports = transports.map(|key| (*key, &self.transports[*key]));
            let mut open = transports.filter(|(_, it)| it.direction != Some(Direction::Send));
            newest(open.by_ref().filter(|(_, it)| rule(it)))
        };
        newest_where(|it| it.direction == Some(Direction::Recv))
            .or_else(|| newest_where(|it| it.client_answers))
            .or_else(|| newest_where(|it| it.receivers().next().is_none()))
            .ok_or_else(|| Error::conflict("no transport to send on"))
    }

    fn play_sender(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        command: &SenderCommand,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let (receiver, sender) = self.enabled_sender_of(key, command.id)?;
        if self.receivers[receiver].senders[sender].play() {
            self.ask_key_frame(now, receiver, out);
        }
        Ok(())
    }

    fn stop_sender(&mut self, key: PeerKey, command: &SenderCommand) -> Result<(), Error> {
        let (receiver, sender) = self.enabled_sender_of(key, command.id)?;
        self.receivers[receiver].senders[sender].stop();
        Ok(())
    }

    fn request_key_frame(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        id: SenderId,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let (receiver, _) = self.enabled_sender_of(key, id)?;
        self.ask_key_frame(now, receiver, out);
        Ok(())
    }

    fn tell_subscribers(
        &self,
        receiver: ReceiverKey,
        announcement: &Announcement,
        out: &mut impl Outbox,
    ) {
        let room = self.peers[self.receivers[receiver].peer].room;
        for other in &self.rooms[room].peers {
            if let Some(id) = self.peers[*other].subscriptions.id_of(receiver) {
                out.text(*other, announcement.for_sender(id));
            }
        }
    }

    /// Says something to every joined peer of a room but one.
    pub(super) fn broadcast(
        &self,
        room: RoomKey,
        except: PeerKey,
        text: &str,
        out: &mut impl Outbox,
    ) {
        for other in &self.rooms[room].peers {
            if *other != except && self.peers[*other].joined {
                out.text(*other, text.to_owned());
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

    fn subscription_of(&self, key: PeerKey, id: SenderId) -> Result<Subscription, Error> {
        let subscription = self.peers[key].subscriptions.get(id);
        subscription.ok_or_else(|| Error::not_found(format!("no such Sender: {id}")))
    }

    fn enabled_sender_of(
        &self,
        key: PeerKey,
        id: SenderId,
    ) -> Result<(ReceiverKey, SenderKey), Error> {
        let subscription = self.subscription_of(key, id)?;
        let enabled = subscription.enabled;
        let sender = enabled.ok_or_else(|| Error::conflict(format!("Sender not enabled: {id}")))?;
        Ok((subscription.receiver, sender))
    }
}
