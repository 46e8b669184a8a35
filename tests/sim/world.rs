//! One Router, its clients and the network between them, under one virtual clock and one seed.
//! The vocabulary of the scenarios is in [`verbs`].

pub(crate) mod media;
mod verbs;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use corinth::sfu::{Candidate, Router, RouterConfig};
use corinth::transport::dtls::{Dtls, Identity};
use corinth::types::limit::{DATAGRAM_MAX, HANDSHAKES_MAX};
use corinth::types::{DropReason, Path, ShardId, SocketId, Timestamp};
use serde_json::{Value, json};

use crate::client::Client;
use crate::ledger::Ledger;
use crate::link::Plan;
use crate::netem::{Conditions, Hop, Netem, Way};
use crate::record::{Recorder, Said};
use crate::source::Source;

/// More events than this at one moment are a loop without end.
const EVENTS_PER_MOMENT: u32 = 200_000;

/// The server's certificate and the clients', made once: it takes longer than a handshake.
static IDENTITIES: LazyLock<[Identity; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| Identity::generate_seeded(seed).expect("a certificate can be made"))
});

/// Lengths of certificates that clients can have, besides. What is read of one handshake message is
/// 16 KiB.
pub(crate) const LONG_CERTIFICATES: [usize; 5] = [1_400, 1_600, 13_000, 16_300, 16_400];

/// Those of clients who have long ones.
static LONG_IDENTITIES: LazyLock<[Identity; 5]> = LazyLock::new(|| LONG_CERTIFICATES.map(long));

/// One whose certificate has so many bytes.
fn long(len: usize) -> Identity {
    let key = rcgen::KeyPair::generate().expect("a key");
    let with = |filler: usize| {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.serial_number = Some(7.into());
        let filler = vec![4; filler];
        let filler = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], filler);
        parameters.custom_extensions.push(filler);
        parameters.self_signed(&key).expect("a certificate").der().to_vec()
    };
    // A signature has a byte more or less.
    let around = with(1_000).len() - 1_000;
    let certificate = with(len - around);
    assert!(certificate.len().abs_diff(len) < 10);
    let identity = Identity::seeded(certificate, key.serialize_der(), 3);
    identity.expect("a certificate can be used")
}

/// A client of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Who(usize);

/// The simulated world.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) router: Router,
    pub(crate) net: Netem,
    pub(crate) out: Recorder,
    pub(crate) rng: fastrand::Rng,
    /// Datagrams that the Router has sent.
    pub(crate) datagrams: u64,
    /// All that it has sealed.
    ledger: Ledger,
    epoch: Instant,
    identity: Identity,
    clients: Vec<Client>,
    /// Whose an address is: a client and the index of its link.
    owners: HashMap<SocketAddr, Vec<(Who, usize)>>,
    /// Bytes that have gone to an address.
    pub(crate) sent_to: HashMap<SocketAddr, usize>,
    addresses: u32,
    tags: u32,
}

impl Index<Who> for World {
    type Output = Client;

    fn index(&self, who: Who) -> &Client {
        &self.clients[who.0]
    }
}

impl IndexMut<Who> for World {
    fn index_mut(&mut self, who: Who) -> &mut Client {
        &mut self.clients[who.0]
    }
}

impl World {
    /// A world in which nobody is yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, false)
    }

    /// A world whose Router evens trains.
    pub(crate) fn evening(seed: u64) -> Self {
        Self::with(seed, true)
    }

    #[expect(clippy::disallowed_methods, reason = "an epoch for the engines; time is virtual")]
    fn with(seed: u64, even_trains: bool) -> Self {
        let epoch = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 40_000));
        let mut router_seed = [0; 32];
        router_seed[..8].copy_from_slice(&seed.to_le_bytes());
        let config = RouterConfig {
            shard: ShardId(0),
            candidates: vec![Candidate { socket: SocketId(0), address }],
            tcp_candidates: Vec::new(),
            identity: IDENTITIES[0].clone(),
            epoch,
            seed: router_seed,
            even_trains,
            history_bytes: 8 << 20,
            limits: corinth::types::Limits::DEFAULT,
        };
        Self {
            now: Timestamp::from_micros(1_000_000),
            router: Router::new(config),
            net: Netem::new(seed),
            out: Recorder::new(),
            rng: fastrand::Rng::with_seed(seed),
            datagrams: 0,
            ledger: Ledger::default(),
            epoch,
            identity: IDENTITIES[1].clone(),
            clients: Vec::new(),
            owners: HashMap::new(),
            sent_to: HashMap::new(),
            addresses: 0,
            tags: 0,
        }
    }

    /// Everybody who ever was.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.clients.len()).map(Who)
    }

    /// Lets `duration` pass, with all that happens in it.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.run_until_or(until, |_| false);
        self.now = until;
    }

    /// Lets time pass until `done`, but not longer than `limit`; whether it came to that.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + limit;
        self.run_until_or(until, done)
    }

    fn run_until_or(&mut self, until: Timestamp, done: impl Fn(&Self) -> bool) -> bool {
        let (mut moment, mut events) = (self.now, 0);
        loop {
            if done(self) {
                return true;
            }
            if !self.step(until) {
                return false;
            }
            events = if moment == self.now { events + 1 } else { 0 };
            moment = self.now;
            assert!(events < EVENTS_PER_MOMENT, "time stands still at {moment:?}");
        }
    }

    /// Lets everything happen that is due now, and looks whether it was right.
    pub(crate) fn settle(&mut self) {
        self.run_for(Duration::ZERO);
        for client in &mut self.clients {
            client.assert_byes();
        }
    }

    /// The next event, if there is one by `until`.
    fn step(&mut self, until: Timestamp) -> bool {
        let router = self.router.poll_deadline().map(|deadline| deadline.at);
        let links = self.clients.iter().flat_map(|client| &client.links);
        let clients = links.filter_map(|link| link.deadline()).min();
        let network = self.net.next();
        // What comes at one moment has come before anybody takes a step.
        if self.router.has_handshakes() && network.is_none_or(|at| at > self.now) {
            self.shake_hands();
            return true;
        }
        let next = [network, router, clients].into_iter().flatten().min();
        let Some(next) = next.filter(|at| *at <= until) else { return false };
        self.now = self.now.max(next);
        if network.is_some_and(|at| at <= self.now) {
            let (hop, mut bytes) = self.net.pop().expect("it was just there");
            match hop {
                Hop::ToServer(path) => {
                    self.router.handle_datagram(self.now, path, &mut bytes, &mut self.out);
                    self.end_turn();
                }
                Hop::ToClient(path) => self.arrive(path, &bytes),
            }
        } else if router.is_some_and(|at| at <= self.now) {
            self.router.handle_timeout(self.now, &mut self.out);
            self.absorb();
        } else {
            self.wake_clients();
        }
        true
    }

    fn wake_clients(&mut self) {
        for client in &mut self.clients {
            for link in &mut client.links {
                if link.deadline().is_some_and(|at| at <= self.now) {
                    link.handle_timeout(self.now);
                }
            }
        }
        self.flush();
    }

    /// What clients send by themselves, now that time has gone by: checks and what was asked of
    /// them.
    pub(crate) fn clients_say(&mut self) -> Vec<(Path, Vec<u8>)> {
        let links = self.clients.iter_mut().flat_map(|client| &mut client.links);
        let said = links.flat_map(|link| {
            if link.deadline().is_some_and(|at| at <= self.now) {
                link.handle_timeout(self.now);
            }
            link.drain()
        });
        said.map(|(from, datagram)| (path_from(from), datagram)).collect()
    }

    /// A datagram reaches the Router.
    pub(crate) fn datagram(&mut self, path: Path, bytes: &mut [u8]) {
        self.router.handle_datagram(self.now, path, bytes, &mut self.out);
        self.end_turn();
        self.shake_hands();
    }

    /// Takes all steps of handshakes that wait; how many those are.
    pub(crate) fn shake_hands(&mut self) -> usize {
        let mut steps = 0;
        while self.router.has_handshakes() {
            self.router.handle_handshake(self.now, &mut self.out);
            self.absorb();
            steps += 1;
            assert!(steps <= HANDSHAKES_MAX, "more than ever wait");
        }
        steps
    }

    /// What a turn received goes on.
    pub(crate) fn end_turn(&mut self) {
        self.router.forward(self.now, &mut self.out);
        self.absorb();
    }

    /// A text frame reaches the Router.
    pub(crate) fn text(&mut self, who: Who, text: &str) {
        let key = self[who].key;
        self.router.handle_text(self.now, key, text, &mut self.out);
        self.absorb();
    }

    /// A datagram reaches a client.
    fn arrive(&mut self, path: Path, bytes: &[u8]) {
        let remote = path.remote();
        let perfect = self.net.is_perfect();
        for (who, link) in self.owners_of(remote, bytes) {
            let mut bytes = bytes.to_vec();
            self.clients[who.0].receive(self.now, link, remote, &mut bytes, perfect);
        }
        self.flush();
    }

    /// What goes one way between the server and a client's transport is treated like this.
    pub(crate) fn impair(&mut self, who: Who, transport: u32, way: Way, conditions: Conditions) {
        let address = self.link(who, transport).address;
        self.net.impair(way, address, conditions);
    }

    /// Takes in what the Router said, each thing to whom it is said, and checks the Router.
    pub(crate) fn absorb(&mut self) {
        for said in self.out.drain() {
            match said {
                Said::Text(key, text) => self.by_key(key).hear(&text),
                Said::Close(key, reason) => {
                    let client = self.by_key(key);
                    client.closed = Some(reason);
                    client.forget_all();
                }
                Said::Datagram(path, bytes) => {
                    self.note_sent(path, &bytes);
                    self.net.send(self.now, Hop::ToClient(path), bytes);
                }
            }
        }
        self.flush();
        self.router.assert_consistent();
        self.out.observer.assert_agrees(self.router.stats());
    }

    /// The Router has sent a datagram.
    pub(crate) fn note_sent(&mut self, path: Path, bytes: &[u8]) {
        let owners = self.owners_of(path.remote(), bytes);
        assert!(!owners.is_empty(), "a datagram to nobody: {path:?}");
        // Reports to links that share an address could be any one's.
        if let [owner] = owners[..] {
            self.ledger.note(owner, bytes);
        }
        *self.sent_to.entry(path.remote()).or_default() += bytes.len();
        self.datagrams += 1;
    }

    /// Whose a datagram to an address may be; of several links there, the one that it fits.
    fn owners_of(&self, address: SocketAddr, bytes: &[u8]) -> Vec<(Who, usize)> {
        let all = self.owners.get(&address).cloned().unwrap_or_default();
        if all.len() < 2 {
            return all;
        }
        let fits = |(who, link): &(Who, usize)| self[*who].links[*link].expects(bytes);
        all.into_iter().filter(fits).collect()
    }

    fn by_key(&mut self, key: corinth::types::PeerKey) -> &mut Client {
        let mut clients = self.clients.iter_mut();
        let client = clients.find(|client| client.key == key && !client.gone);
        client.expect("said to somebody who is there")
    }

    /// Puts what clients send on its way.
    pub(crate) fn flush(&mut self) {
        for client in &mut self.clients {
            for link in &mut client.links {
                for (from, bytes) in link.drain() {
                    let path = path_from(from);
                    self.net.send(self.now, Hop::ToServer(path), bytes);
                }
            }
        }
    }

    /// How often the Router dropped something for this reason.
    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.router.stats().drops(reason)
    }

    /// What a client has said in its handshake.
    pub(crate) fn handshake_of(&mut self, who: Who, transport: u32) -> Vec<Vec<u8>> {
        self.link(who, transport).handshake.clone()
    }

    /// What begins a handshake, of a client that is nobody's.
    pub(crate) fn client_hello(&self) -> Vec<u8> {
        let mut dtls = Dtls::new(&self.identity, self.epoch, self.now);
        dtls.start_client(self.now);
        let mut hello = vec![0; DATAGRAM_MAX];
        let len = dtls.poll_transmit(&mut hello).expect("it begins");
        hello.truncate(len);
        hello
    }

    /// The certificate of a client that makes a transport so.
    fn identity_of(&self, plan: &Plan) -> &Identity {
        let long = LONG_CERTIFICATES.iter().position(|len| *len == plan.certificate);
        long.map_or(&self.identity, |which| &LONG_IDENTITIES[which])
    }

    /// An address that nobody has yet.
    pub(crate) fn new_address(&mut self) -> SocketAddr {
        self.addresses += 1;
        let host = Ipv4Addr::from(0xc612_0000 + self.addresses / 1000);
        SocketAddr::from((host, 10_000 + (self.addresses % 1000) as u16))
    }

    /// What comes to `address` goes to this client's transport.
    pub(crate) fn own_address(&mut self, address: SocketAddr, who: Who, transport: u32) {
        let mut links = self[who].links.iter();
        let link = links.rposition(|link| link.id == transport).expect("a transport it had");
        self.owners.insert(address, vec![(who, link)]);
    }

    /// What comes to `address` may be for this client's transport too.
    pub(crate) fn share_address(&mut self, address: SocketAddr, who: Who, transport: u32) {
        let mut links = self[who].links.iter();
        let link = links.rposition(|link| link.id == transport).expect("a transport it had");
        self.owners.entry(address).or_default().push((who, link));
    }

    /// Holds everybody's knowledge of a room against what a newcomer is told and against what is
    /// true.
    pub(crate) fn assert_truth(&mut self, room: &str) {
        let probe = self.connect(room, "probe");
        self.join(probe);
        let told = self[probe].knowledge().in_common();
        let members: Vec<Who> = self.members(room).filter(|who| *who != probe).collect();
        assert_eq!(told.len(), members.len(), "a newcomer is told of all who joined");
        for who in members {
            let client = &self[who];
            let (_, senders) = &told[&client.name];
            let truth = |source: &Source| (source.tag, source.kind, source.paused);
            let mut sources: Vec<_> = client.sources.values().map(truth).collect();
            let mut announced: Vec<_> = senders
                .values()
                .map(|view| {
                    let kind = serde_json::from_value(json!(view.kind)).expect("audio or video");
                    (view.tag(), kind, view.paused)
                })
                .collect();
            sources.sort_by_key(|(tag, ..)| *tag);
            announced.sort_by_key(|(tag, ..)| *tag);
            assert_eq!(announced, sources, "what {} sends is announced", client.name);
            let mut known = client.knowledge().in_common();
            known.remove("probe").expect("it was told of the newcomer");
            let mut others = told.clone();
            others.remove(&client.name);
            assert_eq!(known, others, "{} knows what a newcomer is told", client.name);
        }
        self.drop_connection(probe);
    }

    /// Who has joined a room and is there.
    pub(crate) fn members(&self, room: &str) -> impl Iterator<Item = Who> {
        self.everybody().filter(move |who| {
            let client = &self[*who];
            client.is_member() && client.room == room
        })
    }

    /// A request in the envelope.
    pub(crate) fn request(&mut self, who: Who, method: &str, data: Value) -> Result<Value, u16> {
        let id = self[who].next_request();
        let text = json!({"request": true, "id": id, "method": method, "data": data});
        self.text(who, &text.to_string());
        self[who].take_response().unwrap_or_else(|| panic!("no answer to {text}"))
    }

    /// A notification in the envelope.
    pub(crate) fn notify(&mut self, who: Who, method: &str, data: Value) {
        let text = json!({"notification": true, "method": method, "data": data});
        self.text(who, &text.to_string());
    }
}

/// The path that the server sees.
pub(crate) fn path_from(remote: SocketAddr) -> Path {
    Path::Udp { socket: SocketId(0), remote }
}
