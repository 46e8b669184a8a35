//! Thousands of random operations over three rooms, valid and not: each is answered as the model of
//! PROTOCOL section 4 says, what is refused changes nothing, and everybody's knowledge stays true.

mod model;

use std::time::Duration;

use corinth::sfu::CloseReason;
use corinth::types::Kind;
use serde_json::{Value, json};

use self::model::Codes;
use crate::client::Watched;
use crate::link::{Acts, Plan};
use crate::rtcp;
use crate::seeds;
use crate::source::Picture;
use crate::world::{Who, World, path_from};

const ROOMS: [&str; 3] = ["red", "green", "blue"];
const NAMES: [&str; 6] = ["ann", "bob", "cid", "dot", "eve", "fay"];
const SEEDS: u64 = 3;
const STEPS: usize = 6_000;

#[test]
fn random_operations_keep_everything_true() {
    seeds::each("random_ops", SEEDS, |seed| {
        let storm = Storm::new(seed).run();
        let stats = storm.world.router.stats();
        let busy = [stats.dtls_connected, stats.rtp_forwarded, stats.key_frame_requests];
        assert!(busy.iter().all(|count| *count > 20), "a storm, not a breeze: {busy:?}");
        let fates = storm.fates;
        assert!(fates.iter().all(|count| *count > 10), "every fate of credentials: {fates:?}");
    });
}

struct Storm {
    world: World,
    rng: fastrand::Rng,
    /// Checks with credentials that are over, are in force, and are a restart's.
    fates: [u32; 3],
}

impl Storm {
    fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        Self { world: World::new(seed), rng, fates: [0; 3] }
    }

    fn run(mut self) -> Self {
        for step in 0..STEPS {
            self.operate();
            self.world.settle();
            if step % 50 == 0 {
                ROOMS.iter().for_each(|room| self.world.assert_truth(room));
                self.world.assert_media();
            }
            self.pass_time();
        }
        self
    }

    /// Long enough that nobody floods; now and then longer than any deadline.
    fn pass_time(&mut self) {
        let ms = match self.rng.u32(..1000) {
            0 => 31_000,
            1..10 => self.rng.u64(..3000),
            _ => self.rng.u64(..10),
        };
        self.world.run_for(Duration::from_millis(ms));
    }

    fn operate(&mut self) {
        let Some(who) = self.somebody() else { return self.connect() };
        match self.rng.u32(..100) {
            0..2 => self.connect(),
            2..12 => self.join(who),
            12..13 => self.go(who),
            13..14 => self.put_out(who),
            14..22 => self.create_transport(who),
            22..32 => self.start_transport(who),
            32..34 => self.close_transport(who),
            34..44 => self.create_receiver(who),
            44..46 => self.close_receiver(who),
            46..53 => self.pause_or_resume(who),
            53..68 => self.enable(who),
            68..75 => self.play_or_stop(who),
            75..76 => self.request_key_frame(who),
            76..77 => self.send_nack(who),
            77..78 => self.get_stats(who),
            78..81 => self.restart_transport(who),
            81..84 => self.check(),
            84..92 => self.send_media(who),
            92..95 => self.send_junk(who),
            _ => self.talk_nonsense(who),
        }
    }

    fn somebody(&mut self) -> Option<Who> {
        let there: Vec<Who> = self.world.everybody().filter(|who| !self.world[*who].gone).collect();
        self.rng.choice(there)
    }

    /// A small id, of which some are in use.
    fn id(&mut self) -> u32 {
        self.rng.u32(..5)
    }

    fn connect(&mut self) {
        let room = ROOMS[self.rng.usize(..ROOMS.len())];
        let name = NAMES[self.rng.usize(..NAMES.len())];
        let mut others = self.world.everybody();
        let older = others.find(|who| {
            let client = &self.world[*who];
            !client.gone && client.room == room && client.name == name
        });
        let newer = self.world.connect(room, name);
        self.world[newer].wants_states = true;
        if let Some(older) = older {
            assert_eq!(self.world[older].closed, Some(CloseReason::Replaced));
        }
    }

    fn join(&mut self, who: Who) {
        if self.world[who].knowledge.is_none() {
            return self.world.join(who);
        }
        let _ = self.ask(who, "join", json!({}), Codes::of(&[(true, 409)]));
    }

    /// Somebody goes, less often than others come.
    fn go(&mut self, who: Who) {
        match (self.rng.bool(), self.world[who].is_member()) {
            _ if self.rng.u32(..4) > 0 => {}
            (true, true) => self.world.leave(who),
            (true, false) => self.world.notify(who, "leave", json!({})),
            (false, _) => self.world.drop_connection(who),
        }
    }

    /// A request with its answer as the model foresees it; `None` where it was refused, and then
    /// nothing has changed and nobody has heard anything.
    fn ask(&mut self, who: Who, method: &str, data: Value, mut codes: Codes) -> Option<Value> {
        codes.add(self.world[who].knowledge.is_none(), 403);
        let before = self.surface();
        let response = self.world.request(who, method, data.clone());
        codes.assert_answer(&response, format_args!("{method} {data}"));
        if response.is_err() {
            assert_eq!(self.surface(), before, "what is refused changes nothing");
        }
        response.ok()
    }

    /// All that shows of the Router: what there is, and how much it has said.
    fn surface(&self) -> [u64; 6] {
        let stats = self.world.router.stats();
        let heard = self.world.everybody().map(|who| self.world[who].heard as u64).sum();
        let requested = stats.key_frame_requests;
        [stats.rooms, stats.peers, stats.transports, requested, heard, self.world.datagrams]
    }

    /// Now and then with everybody else who is there.
    fn put_out(&mut self, who: Who) {
        let (room, name) = (self.world[who].room.clone(), self.world[who].name.clone());
        let reason = match self.rng.u32(..100) {
            20.. => return,
            0 => {
                assert!(self.world.router.end_room(&room, &mut self.world.out).is_some());
                CloseReason::RoomClosed
            }
            _ => {
                assert!(self.world.router.kick(&room, &name, &mut self.world.out));
                CloseReason::Kicked
            }
        };
        self.world.absorb();
        assert_eq!(self.world[who].closed, Some(reason));
    }

    fn create_transport(&mut self, who: Who) {
        let id = self.id();
        let direction = [None, None, Some("send"), Some("recv")][self.rng.usize(..4)];
        let (states, acts) = match self.rng.u32(..5) {
            0 => (Some("server"), Acts::Server),
            1 => (None, Acts::Client),
            2 => (Some("auto"), Acts::Client),
            3 => (Some("client"), Acts::Client),
            _ => (Some("server"), Acts::Client),
        };
        let plan = Plan {
            direction,
            states,
            acts,
            answers: self.rng.bool(),
            lies: self.rng.u32(..20) == 0,
            certificate: 0,
        };
        let codes = self.model(who).create_transport(id);
        if !codes.is_empty() {
            let data = json!({"id": id, "options": {}, "direction": direction});
            let _ = self.ask(who, "createTransport", data, codes);
            return;
        }
        self.world.create_transport(who, id, &plan).expect("nothing speaks against it");
    }

    /// Checks begin; who answers states his fingerprint, before or after.
    fn start_transport(&mut self, who: Who) {
        let open = self.world[who].links.iter().filter(|link| !link.closed && !link.is_live());
        let ids: Vec<_> = open.map(|link| (link.id, link.plan)).collect();
        let Some((id, plan)) = self.rng.choice(ids) else {
            let id = self.id();
            return self.world.update_transport(who, id, &Plan::SEND);
        };
        if self.rng.u32(..4) > 0 {
            self.world.start(who, id);
        }
        if plan.answers && self.rng.u32(..4) > 0 {
            self.world.update_transport(who, id, &plan);
        }
    }

    fn close_transport(&mut self, who: Who) {
        let id = self.id();
        let link = self.world[who].link(id);
        if link.is_some_and(|link| link.is_live()) && self.rng.bool() {
            let now = self.world.now;
            self.world.link(who, id).close_dtls(now);
            return self.world.flush();
        }
        self.world.close_transport(who, id);
    }

    fn restart_transport(&mut self, who: Who) {
        let id = self.id();
        let codes = self.model(who).transport(id);
        if codes.is_empty() {
            return self.world.restart(who, id).expect("nothing speaks against it");
        }
        let _ = self.ask(who, "restartTransport", json!({"id": id}), codes);
    }

    /// A check with credentials that a transport has now or had once. In force are those of the
    /// latest restart, and until they are used the ones that were used last.
    fn check(&mut self) {
        let links = self.world.everybody().flat_map(|who| {
            let live = self.world[who].links.iter().filter(|link| link.is_live());
            let restarted = live.filter(|link| link.credentials.len() > 1);
            restarted.map(move |link| (who, link.id, link.credentials.len() - 1, link.confirmed))
        });
        let links: Vec<_> = links.collect();
        let Some((who, id, newest, confirmed)) = self.rng.choice(links) else { return };
        let used = self.rng.usize(..=newest);
        let fate = match used {
            _ if used == confirmed => 1,
            _ if used == newest => 2,
            _ => 0,
        };
        self.fates[fate] += 1;
        assert_eq!(self.world.is_answered(who, id, used), fate > 0, "{used} of {newest}");
        if fate == 0 {
            self.world.link(who, id).uses = confirmed;
        }
    }

    fn create_receiver(&mut self, who: Who) {
        let (id, transport) = (self.id(), self.id());
        let kind = if self.rng.bool() { Kind::Audio } else { Kind::Video };
        let mut source = self.world.new_source(kind, transport);
        source.paused = self.rng.u32(..4) == 0;
        let mut others = self.world[who].sources.values();
        if let Some(other) = others.find(|other| other.transport == transport)
            && self.rng.u32(..4) == 0
        {
            source.ssrc = other.ssrc;
        }
        let codes = self.model(who).create_receiver(id, &source);
        if codes.is_empty() {
            return self.world.create_receiver(who, id, source).expect("nothing speaks against it");
        }
        let parameters = source.rtp_parameters();
        let data = json!({"id": id, "kind": kind, "transportId": transport, "paused": false,
            "rtpParameters": parameters});
        let _ = self.ask(who, "createReceiver", data, codes);
    }

    fn close_receiver(&mut self, who: Who) {
        let id = self.id();
        self.world.close_receiver(who, id);
    }

    fn pause_or_resume(&mut self, who: Who) {
        let id = self.id();
        let codes = self.model(who).receiver(id);
        match (codes.is_empty(), self.rng.bool()) {
            (true, true) => self.world.pause(who, id).expect("nothing speaks against it"),
            (true, false) => self.world.resume(who, id).expect("nothing speaks against it"),
            (false, pauses) => {
                let method = if pauses { "pauseReceiver" } else { "resumeReceiver" };
                let _ = self.ask(who, method, json!({"id": id}), codes);
            }
        }
    }

    /// A Sender's id: mostly one that is known, sometimes one that is gone or never was.
    fn sender_id(&mut self, who: Who) -> u32 {
        let knowledge = self.world[who].knowledge.as_ref();
        let known: Vec<u32> =
            knowledge.map(|k| k.senders().into_keys().collect()).unwrap_or_default();
        match self.rng.u32(..8) {
            0 => self.rng.u32(..40),
            _ => self.rng.choice(known).unwrap_or(0),
        }
    }

    fn enable(&mut self, who: Who) {
        let id = self.sender_id(who);
        let named = if self.rng.bool() { Some(self.id()) } else { None };
        let (codes, transport) = self.model(who).enable(id, named);
        let data = json!({"id": id, "transportId": named, "rtpSettings": {"useRtx": false}});
        if self.ask(who, "enableSender", data, codes).is_some() {
            let transport = transport.expect("the model knows which");
            self.world[who].watched.insert(id, Watched { transport, playing: true });
        }
    }

    fn play_or_stop(&mut self, who: Who) {
        let (id, on) = (self.sender_id(who), self.rng.bool());
        let codes = self.model(who).enabled(id);
        let method = if on { "playSender" } else { "stopSender" };
        if self.ask(who, method, json!({"id": id}), codes).is_some() {
            self.world[who].watched.get_mut(&id).expect("the model knows it").playing = on;
        }
    }

    fn request_key_frame(&mut self, who: Who) {
        let id = self.sender_id(who);
        let codes = self.model(who).enabled(id);
        let _ = self.ask(who, "requestKeyFrame", json!({"id": id}), codes);
    }

    /// Of a Sender that it watches: some of what it got, and some of what it did not.
    fn send_nack(&mut self, who: Who) {
        let watched: Vec<_> =
            self.world[who].watched.iter().map(|(id, it)| (*id, it.transport)).collect();
        let Some((id, transport)) = self.rng.choice(watched) else { return };
        let got = self.world.received(who, id).last().map_or(0, |packet| packet.seq as u16);
        let first = got.wrapping_sub(self.rng.u16(..20));
        let lost: Vec<u16> = (0..20).map(|ahead| first.wrapping_add(ahead)).collect();
        let ssrc = self.world.ssrc_of(who, id);
        // What is not lost comes twice.
        let (delay, now) = (self.world.net.conditions.delay, Duration::from_micros(1));
        self.world.net.conditions.delay = now;
        self.world.link(who, transport).send_rtcp(&rtcp::nack(1, ssrc, &lost));
        self.world.flush();
        self.world.run_for(2 * now);
        self.world.net.conditions.delay = delay;
    }

    /// Of one thing of each sort, which may not be there, or of all.
    fn get_stats(&mut self, who: Who) {
        if self.rng.bool() {
            let codes = Codes::of(&[(self.world[who].knowledge.is_none(), 403)]);
            let _ = self.ask(who, "getStats", json!({}), codes);
            return;
        }
        let (id, sender) = (self.id(), self.sender_id(who));
        let model = self.model(who);
        let mut codes = model.transport(id);
        codes.extend(model.receiver(id));
        codes.extend(model.enabled(sender));
        let data = json!({"transportId": id, "receiverId": id, "senderId": sender});
        let _ = self.ask(who, "getStats", data, codes);
    }

    fn send_media(&mut self, who: Who) {
        let client = &self.world[who];
        let sources = client
            .sources
            .iter()
            .filter(|(_, source)| client.link(source.transport).is_some_and(|link| link.is_live()));
        let ids: Vec<u32> = sources.map(|(id, _)| *id).collect();
        let Some(id) = self.rng.choice(ids) else { return };
        let picture = if self.rng.bool() { Picture::Key } else { Picture::Delta };
        match self.rng.u32(..4) {
            0 => self.world.source_report(who, id),
            1 => self.world.lose_packet(who, id),
            _ => (0..8).for_each(|_| self.world.packet(who, id, picture)),
        }
    }

    /// Noise from an address that somebody has, or from one that nobody has.
    fn send_junk(&mut self, who: Who) {
        let links = &self.world[who].links;
        let known = links.last().map(|link| link.address).filter(|_| self.rng.bool());
        let address = known.unwrap_or_else(|| "203.0.113.9:9".parse().expect("an address"));
        let mut junk = vec![0; self.rng.usize(..200)];
        self.rng.fill(&mut junk);
        // Records that DTLS would have to judge by their content come in `dtls_roles`.
        if junk.first().is_some_and(|first| (20..64).contains(first)) {
            junk[0] = 128;
        }
        let before = self.surface();
        let drops = self.world.router.stats().drops_total();
        self.world.datagram(path_from(address), &mut junk);
        assert_eq!(self.surface(), before, "noise changes nothing");
        assert_eq!(self.world.router.stats().drops_total(), drops + 1, "and is counted once");
    }

    /// Messages that mean nothing, or nothing here.
    fn talk_nonsense(&mut self, who: Who) {
        let before = self.surface();
        let fatal = match self.rng.u32(..300) {
            0 => Some(("{not json", CloseReason::NotJson)),
            1 => Some((r#"{"hello":1}"#, CloseReason::Envelope)),
            _ => None,
        };
        if let Some((text, reason)) = fatal {
            self.world.text(who, text);
            assert_eq!(self.world[who].closed, Some(reason));
            return;
        }
        let ignored = self.world.router.stats().drops_total();
        match self.rng.u32(..3) {
            0 => {
                let method = ["frobnicate", "leave", ""][self.rng.usize(..3)];
                let refused = self.world.request(who, method, json!({"id": 1}));
                assert!(matches!(refused, Err(400 | 403 | 404)), "{method}: {refused:?}");
                assert_eq!(self.world.router.stats().drops_total(), ignored, "it was answered");
            }
            1 => {
                let method = ["frobnicate", "join", "createTransport"][self.rng.usize(..3)];
                self.world.notify(who, method, json!({"id": 1, "options": {}}));
                assert_eq!(self.world.router.stats().drops_total(), ignored + 1, "{method}");
            }
            _ => {
                let method = model::REQUESTS[self.rng.usize(..model::REQUESTS.len())];
                let data = [json!(null), json!(7), json!({"id": "x"}), json!({"id": -1})];
                let data = data[self.rng.usize(..data.len())].clone();
                let refused = self.world.request(who, method, data);
                assert!(matches!(refused, Err(400 | 403)), "{method}: {refused:?}");
            }
        }
        assert_eq!(self.surface(), before, "nonsense changes nothing");
    }

    fn model(&self, who: Who) -> model::Model<'_> {
        model::Model(&self.world[who])
    }
}
