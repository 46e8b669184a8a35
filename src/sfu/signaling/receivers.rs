//! What clients send, as they say it: transports, and Receivers on them.

use std::net::SocketAddr;

use super::Response;
use crate::protocol::transport::{IceCandidateType, IceProtocol, IceTcpType};
use crate::protocol::{
    Announcement, CreateReceiver, CreateTransport, Direction, DtlsParameters, DtlsRole, Error,
    IceCandidate, IceParameters, ReceiverCommand, SourceParameters, TransportCreated,
    TransportRestarted, envelope,
};
use crate::sfu::Outbox;
use crate::sfu::association::{Association, Made};
use crate::sfu::event::Happening;
use crate::sfu::receiver::{Origin, Receiver};
use crate::sfu::router::Router;
use crate::transport::Transport;
use crate::transport::ice::Credentials;
use crate::types::{Kind, PeerKey, ReceiverKey, Refusal, RoomKey, Ssrc, Timestamp, TransportId};

impl Router {
    pub(super) fn create_transport(
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
        if peer.transports.len() >= self.config.limits.transports_per_peer {
            return Err(self.too_many(Refusal::Transports, "transports a peer"));
        }
        let candidates = self.ice_candidates(request.udp, request.tcp);
        if candidates.is_empty() {
            let reason = match (request.udp, request.tcp) {
                (false, false) => "options: neither udp nor tcp leaves no candidate",
                (true, _) => "options: the server has no candidate of UDP",
                (false, true) => "options: the server has no candidate of TCP",
            };
            return Err(Error::conflict(reason));
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
        let response = TransportCreated {
            ice_parameters: ice_parameters(&credentials),
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
        Ok(envelope::success(id, &response).into())
    }

    /// New credentials beside those that its checks are made with; nothing else changes.
    pub(super) fn restart_transport(
        &mut self,
        key: PeerKey,
        id: u64,
        transport: TransportId,
    ) -> Response {
        let transport = self.transport_of(key, transport)?;
        let credentials = Credentials::generate(self.config.shard, &mut self.secrets);
        let response = TransportRestarted { ice_parameters: ice_parameters(&credentials) };
        self.ufrags.insert(credentials.ufrag, transport);
        if let Some(over) = self.transports[transport].transport.ice_mut().restart(credentials) {
            self.ufrags.remove(&over);
        }
        Ok(envelope::success(id, &response).into())
    }

    /// What a client may send to. RFC 8445 §5.1.2.1: UDP has type preference 126 (host), local
    /// preference by order, component 1. TCP is for where that fails (RFC 6544 §4.2): its type
    /// preference is 90, its local preference direction 4 (passive) over the order.
    fn ice_candidates(&self, udp: bool, tcp: bool) -> Vec<IceCandidate> {
        let candidate = |index: u32, protocol: IceProtocol, address: SocketAddr| {
            let (name, kind, local, tcp_type) = match protocol {
                IceProtocol::Udp => ("udp", 126, 65_535 - index, None),
                IceProtocol::Tcp => {
                    ("tcp", 90, (4 << 13) + 8191 - index, Some(IceTcpType::Passive))
                }
            };
            IceCandidate {
                foundation: format!("{name}{}", index + 1),
                ip: address.ip(),
                port: address.port(),
                priority: (kind << 24) | (local << 8) | 255,
                protocol,
                candidate_type: IceCandidateType::Host,
                tcp_type,
            }
        };
        let of_udp = (0..).zip(self.config.candidates.iter().filter(|_| udp));
        let of_tcp = (0..).zip(self.config.tcp_candidates.iter().filter(|_| tcp));
        let of_udp = of_udp.map(|(i, it)| candidate(i, IceProtocol::Udp, it.address));
        let of_tcp = of_tcp.map(|(i, address)| candidate(i, IceProtocol::Tcp, *address));
        of_udp.chain(of_tcp).collect()
    }

    pub(super) fn create_receiver(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        request: CreateReceiver,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let peer = &self.peers[key];
        let (may_send, what) = match request.source.kind {
            Kind::Audio => (peer.rights.audio, "audio"),
            Kind::Video => (peer.rights.video, "video"),
        };
        if !may_send {
            self.stats.refuse(Refusal::Rights);
            return Err(Error::forbidden(format!("the token does not allow to send {what}")));
        }
        let transport = self.transport_of(key, request.transport_id)?;
        if peer.receivers.contains_key(&request.id) {
            return Err(Error::conflict(format!("Receiver id in use: {}", request.id)));
        }
        if peer.receivers.len() >= self.config.limits.receivers_per_peer {
            return Err(self.too_many(Refusal::Receivers, "Receivers a peer"));
        }
        let association = &self.transports[transport];
        if association.direction == Some(Direction::Recv) {
            return Err(Error::conflict("wrong direction: the transport only receives"));
        }
        association.check_source(&request.source)?;
        let room_key = peer.room;
        let room = &mut self.rooms[room_key];
        for ssrc in request.source.ssrcs() {
            if room.tx_ssrcs.contains(&ssrc) {
                let reason = "rtpParameters.encodings[].ssrc: taken by a Sender";
                return Err(Error::bad_request(format!("{reason}: {ssrc}")));
            }
        }
        let tx_ssrc = room.draw_ssrc(&request.source);
        // Every video codec has rtx in the server's table, whatever the source brings.
        let has_rtx = request.source.kind == Kind::Video;
        let tx_rtx_ssrc = has_rtx.then(|| room.draw_ssrc(&request.source));
        let cname = self.cname(key, &request.source);
        let origin = Origin {
            id: request.id,
            peer: key,
            transport,
            paused: request.paused,
            app_data: request.app_data.as_ref(),
        };
        let receiver = Receiver::new(origin, request.source, tx_ssrc, tx_rtx_ssrc, cname);
        let announcement = Announcement::new_sender(&self.peers[key].name, &receiver.description);
        self.check_held(key, request.app_data.as_ref())?;
        self.charge(now, key, announcement.len())?;
        self.hold(key, receiver.app_data as isize);
        let room = &mut self.rooms[room_key];
        room.tx_ssrcs.extend([Some(tx_ssrc), tx_rtx_ssrc].into_iter().flatten());
        room.declare(&receiver.source);
        let receiver_key = self.receivers.insert(receiver);
        let source = &self.receivers[receiver_key].source;
        self.transports[transport].add_source(now, receiver_key, source);
        self.peers[key].receivers.insert(request.id, receiver_key);
        let (transport, kind) = (request.transport_id, source.kind);
        let created = Happening::ReceiverCreated { receiver: request.id, transport, kind };
        self.tell(key, created, out);
        self.announce_to_room(room_key, key, receiver_key, &announcement, out);
        Ok(())
    }

    fn announce_to_room(
        &mut self,
        room: RoomKey,
        from: PeerKey,
        key: ReceiverKey,
        announcement: &Announcement,
        out: &mut impl Outbox,
    ) {
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

    /// The source's own canonical name; a client that states none gets one per peer, so that its
    /// sources are still played in sync.
    fn cname(&self, key: PeerKey, source: &SourceParameters) -> Box<str> {
        match &source.cname {
            Some(cname) => cname.as_str().into(),
            None => format!("peer-{:x}", slotmap::Key::data(&key).as_ffi()).into(),
        }
    }

    pub(super) fn pause_receiver(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        command: &ReceiverCommand,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let receiver = self.receiver_of(key, command.id)?;
        if !self.receivers[receiver].paused {
            let name = &self.peers[key].name;
            let announcement = Announcement::sender_paused(name, command.app_data.as_ref());
            self.charge(now, key, announcement.len())?;
            self.receivers[receiver].pause();
            self.tell_listeners(receiver, &announcement, out);
        }
        Ok(())
    }

    pub(super) fn resume_receiver(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        command: &ReceiverCommand,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let receiver = self.receiver_of(key, command.id)?;
        if self.receivers[receiver].paused {
            let name = &self.peers[key].name;
            let announcement = Announcement::sender_resumed(name, command.app_data.as_ref());
            self.charge(now, key, announcement.len())?;
            self.receivers[receiver].resume(now);
            self.tell_listeners(receiver, &announcement, out);
            self.poll_key_frame(now, receiver, out);
        }
        Ok(())
    }

    fn tell_listeners(
        &self,
        receiver: ReceiverKey,
        announcement: &Announcement,
        out: &mut impl Outbox,
    ) {
        for (peer, id) in self.receivers[receiver].listeners.iter() {
            if self.peers.contains_key(*peer) {
                out.text(*peer, announcement.for_sender(*id));
            }
        }
    }
}

fn ice_parameters(credentials: &Credentials) -> IceParameters {
    IceParameters {
        username_fragment: credentials.ufrag_str().into(),
        password: credentials.password.clone(),
        ice_lite: true,
    }
}
