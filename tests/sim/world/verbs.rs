//! What clients do, as the scenarios say it.

use std::time::Duration;

use corinth::sfu::Newcomer;
use corinth::types::{DropReason, Kind, Rights};
use serde_json::{Value, json};

use super::{Who, World};
use crate::client::{Client, Watched};
use crate::knowledge::Knowledge;
use crate::link::{Credentials, Link, Plan};
use crate::source::Source;

impl World {
    /// A WebSocket opens.
    pub(crate) fn connect(&mut self, room: &str, name: &str) -> Who {
        self.connect_with(room, name, Rights::PARTICIPANT)
    }

    /// The same by somebody with other rights than usual.
    pub(crate) fn connect_with(&mut self, room: &str, name: &str, rights: Rights) -> Who {
        let newcomer = Newcomer { room, peer: name, rights };
        let key = self.router.handle_open(self.now, &newcomer, &mut self.out);
        let key = key.expect("there is room for another peer");
        self.clients.push(Client::new(room, name, key));
        self.absorb();
        Who(self.clients.len() - 1)
    }

    /// A WebSocket is gone without a word.
    pub(crate) fn drop_connection(&mut self, who: Who) {
        self[who].forget_all();
        let key = self[who].key;
        self.router.handle_closed(key, "disconnected", &mut self.out);
        self.absorb();
    }

    pub(crate) fn join(&mut self, who: Who) {
        let notify: &[&str] = if self[who].wants_states { &["transportState"] } else { &[] };
        let data = json!({"appData": {"of": self[who].name}, "notify": notify});
        let response = self.request(who, "join", data).expect("joins");
        let name = &self[who].name;
        self[who].knowledge = Some(Knowledge::from_snapshot(name, &response));
    }

    /// Connects and joins, and wants to hear of its transports.
    pub(crate) fn member(&mut self, room: &str, name: &str) -> Who {
        let who = self.connect(room, name);
        self[who].wants_states = true;
        self.join(who);
        who
    }

    pub(crate) fn leave(&mut self, who: Who) {
        self.notify(who, "leave", json!({"appData": "bye"}));
        assert!(self[who].gone, "the server closes the connection of who leaves");
    }

    /// Makes a transport; its checks do not start yet.
    pub(crate) fn create_transport(&mut self, who: Who, id: u32, plan: &Plan) -> Result<(), u16> {
        let mut data = json!({"id": id, "options": {}});
        data["direction"] = json!(plan.direction);
        if !plan.answers {
            data["dtlsParameters"] = self.dtls_parameters(plan);
        }
        let created = self.request(who, "createTransport", data)?;
        let address = self.new_address();
        let (times, seed) = ((self.epoch, self.now), self.rng.u64(..));
        let identity = self.identity_of(plan);
        let link = Link::new((id, address), &created, *plan, identity, times, seed);
        self[who].links.push(link);
        self.own_address(address, who, id);
        Ok(())
    }

    /// What this client says about its certificate.
    pub(crate) fn dtls_parameters(&self, plan: &Plan) -> Value {
        let mut fingerprint = self.identity_of(plan).fingerprint();
        if plan.lies {
            fingerprint.value[0] ^= 1;
        }
        json!({"role": plan.states, "fingerprints": [fingerprint]})
    }

    pub(crate) fn update_transport(&mut self, who: Who, id: u32, plan: &Plan) {
        let data = json!({"id": id, "dtlsParameters": self.dtls_parameters(plan)});
        if let Some(link) = self[who].link_mut(id) {
            link.stated = true;
        }
        self.notify(who, "updateTransport", data);
    }

    /// Makes a transport and connects it.
    pub(crate) fn open(&mut self, who: Who, id: u32, plan: &Plan) {
        self.create_transport(who, id, plan).expect("a transport");
        if plan.answers {
            self.update_transport(who, id, plan);
        }
        self.start(who, id);
        let live = |world: &Self| world[who].link(id).is_some_and(Link::is_live);
        assert!(self.run_until(Duration::from_secs(30), live), "{} connects", self[who].name);
        self.run_for(Duration::ZERO);
    }

    /// Begins with checks.
    pub(crate) fn start(&mut self, who: Who, id: u32) {
        let now = self.now;
        self.link(who, id).start(now);
    }

    /// A check from the transport's own address or another, now.
    pub(crate) fn check(&mut self, who: Who, id: u32, nominate: bool) {
        let link = self.link(who, id);
        link.check(link.address, nominate, false);
        self.flush();
    }

    /// Gets new ICE credentials. Checks go on with the old ones until the link says otherwise.
    pub(crate) fn restart(&mut self, who: Who, id: u32) -> Result<(), u16> {
        let restarted = self.request(who, "restartTransport", json!({"id": id}))?;
        self.link(who, id).credentials.push(Credentials::read(&restarted));
        Ok(())
    }

    /// Whether the server answers a nominating check that is made with the transport's credentials
    /// of this number. It uses them from now on.
    pub(crate) fn is_answered(&mut self, who: Who, id: u32, credentials: usize) -> bool {
        let unknown = self.drops(DropReason::StunUnknownUfrag);
        let link = self.link(who, id);
        link.uses = credentials;
        let before = link.answers.len();
        self.check(who, id, true);
        self.settle();
        let answered = self.link(who, id).answers.len() > before;
        let unknown = self.drops(DropReason::StunUnknownUfrag) - unknown;
        assert_eq!(unknown, u64::from(!answered), "answered or dropped for this reason");
        answered
    }

    pub(crate) fn close_transport(&mut self, who: Who, id: u32) {
        // The client keeps its notes until the Router has let go: BYEs must not come for what
        // it closed itself.
        self[who].forget_link(id);
        self.notify(who, "closeTransport", json!({"id": id, "appData": {"why": 1}}));
    }

    /// A source that no Receiver takes yet.
    pub(crate) fn new_source(&mut self, kind: Kind, transport: u32) -> Source {
        self.tags += 1;
        Source::new(kind, transport, self.tags, &mut self.rng)
    }

    /// `createReceiver` for a source.
    pub(crate) fn create_receiver(&mut self, who: Who, id: u32, source: Source) -> Result<(), u16> {
        let parameters = source.rtp_parameters();
        self.create_receiver_with(who, id, source, parameters)
    }

    /// The same with parameters of its own.
    pub(crate) fn create_receiver_with(
        &mut self,
        who: Who,
        id: u32,
        source: Source,
        parameters: Value,
    ) -> Result<(), u16> {
        let data = json!({
            "id": id, "kind": source.kind, "transportId": source.transport,
            "rtpParameters": parameters, "paused": source.paused,
            "appData": {"tag": source.tag},
        });
        self.request(who, "createReceiver", data)?;
        self[who].sources.insert(id, source);
        Ok(())
    }

    /// Sends a new source.
    pub(crate) fn send(&mut self, who: Who, id: u32, kind: Kind, transport: u32) {
        let source = self.new_source(kind, transport);
        self.create_receiver(who, id, source).expect("a Receiver");
    }

    pub(crate) fn close_receiver(&mut self, who: Who, id: u32) {
        self[who].sources.remove(&id);
        self.notify(who, "closeReceiver", json!({"id": id}));
    }

    pub(crate) fn pause(&mut self, who: Who, id: u32) -> Result<(), u16> {
        self.request(who, "pauseReceiver", json!({"id": id}))?;
        self.source(who, id).paused = true;
        Ok(())
    }

    pub(crate) fn resume(&mut self, who: Who, id: u32) -> Result<(), u16> {
        // The Router asks for a key frame while it answers.
        let before = self[who].sources.get_mut(&id).map(|source| &mut source.paused);
        let before = before.map(|paused| std::mem::replace(paused, false));
        let resumed = self.request(who, "resumeReceiver", json!({"id": id}));
        if let (Err(_), Some(before)) = (&resumed, before) {
            self.source(who, id).paused = before;
        }
        resumed.map(|_| ())
    }

    /// Enables a Sender on a transport.
    pub(crate) fn enable(&mut self, who: Who, id: u32, transport: u32) -> Result<(), u16> {
        self.enable_with(who, id, transport, true)
    }

    /// The same, with retransmissions in a stream of their own or without.
    pub(crate) fn enable_with(
        &mut self,
        who: Who,
        id: u32,
        transport: u32,
        rtx: bool,
    ) -> Result<(), u16> {
        let data = json!({"id": id, "transportId": transport, "rtpSettings": {"useRtx": rtx}});
        self.request(who, "enableSender", data)?;
        self[who].watched.insert(id, Watched { transport, playing: true });
        let view = self[who].knowledge().sender(id).expect("announced");
        if let (Some(repeats), ssrc) = (view.rtx_ssrc(), view.ssrc()) {
            self.link(who, transport).repeats.insert(repeats, ssrc);
        }
        Ok(())
    }

    /// Enables everything that it knows of and has not enabled yet.
    pub(crate) fn watch_all(&mut self, who: Who, transport: u32) {
        let mut ids: Vec<u32> = self[who].knowledge().senders().into_keys().collect();
        ids.retain(|id| !self[who].watched.contains_key(id));
        for id in ids {
            self.enable(who, id, transport).expect("enables");
        }
    }

    pub(crate) fn play(&mut self, who: Who, id: u32) -> Result<(), u16> {
        self.set_playing(who, id, "playSender", true)
    }

    pub(crate) fn stop(&mut self, who: Who, id: u32) -> Result<(), u16> {
        self.set_playing(who, id, "stopSender", false)
    }

    fn set_playing(&mut self, who: Who, id: u32, method: &str, on: bool) -> Result<(), u16> {
        self.request(who, method, json!({"id": id}))?;
        let watched = self[who].watched.get_mut(&id);
        watched.expect("only an enabled Sender plays and stops").playing = on;
        Ok(())
    }

    /// The Sender under which a client knows another's source.
    pub(crate) fn sender_of(&self, viewer: Who, (sender, receiver): (Who, u32)) -> u32 {
        let tag = self[sender].sources[&receiver].tag;
        let senders = self[viewer].knowledge().senders();
        let found = senders.into_iter().find(|(_, view)| view.tag() == tag);
        found.expect("it was announced").0
    }

    /// An open transport of a client.
    pub(crate) fn link(&mut self, who: Who, id: u32) -> &mut Link {
        self[who].link_mut(id).expect("an open transport")
    }

    /// A source of a client.
    pub(crate) fn source(&mut self, who: Who, receiver: u32) -> &mut Source {
        self[who].sources.get_mut(&receiver).expect("a Receiver that is open")
    }
}
