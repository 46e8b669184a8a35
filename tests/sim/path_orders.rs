//! Every order of check, nomination, authentic packet, silence, forgery and repetition, of two
//! transports on the same three paths, drawn from seeds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::link::Plan;
use crate::rtcp::empty_report;
use crate::source::Picture;
use crate::world::media::{AUDIO, RECEIVE, SEND};
use crate::world::{Who, World, path_from};

const SEEDS: u64 = 60;
const STEPS: usize = 120;

/// What is known of an address from what came from it.
#[derive(Default)]
struct Address {
    came: usize,
    /// B has sent something authentic from there.
    proved: bool,
    /// The other transport's client has.
    proved_otherwise: bool,
}

struct Play {
    world: World,
    /// Sends, watches, and has a transport that is nobody's business.
    who: [Who; 3],
    audio: u32,
    addresses: BTreeMap<SocketAddr, Address>,
    recorded: Vec<Vec<u8>>,
    /// Where the latest packet of media went, and where B's latest authentic one came from.
    goes_to: Option<SocketAddr>,
    authentic_from: SocketAddr,
    moves: usize,
    /// As many moves as there may have been.
    moves_max: usize,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let [a, b] = world.call("room", ["a", "b"]);
        let other = world.member("elsewhere", "m");
        world.open(other, SEND, &Plan::SEND);
        let home = world.link(b, RECEIVE).address;
        let mut addresses = BTreeMap::new();
        addresses.insert(home, Address { proved: true, ..Address::default() });
        for _ in 0..2 {
            let address = world.new_address();
            world.own_address(address, b, RECEIVE);
            addresses.insert(address, Address::default());
        }
        for address in addresses.keys() {
            world.share_address(*address, other, SEND);
        }
        world.link(b, RECEIVE).keeps_consent = false;
        world.link(other, SEND).keeps_consent = false;
        let audio = world.sender_of(b, (a, AUDIO));
        Self {
            world,
            who: [a, b, other],
            audio,
            addresses,
            recorded: Vec::new(),
            goes_to: None,
            authentic_from: home,
            moves: 0,
            moves_max: 0,
        }
    }

    fn step(&mut self) {
        let [_, b, other] = self.who;
        let at = self.world.rng.usize(..self.addresses.len());
        let from = *self.addresses.keys().nth(at).expect("one of them");
        let nominate = self.world.rng.bool();
        match self.world.rng.u8(..16) {
            0..4 => self.check(b, RECEIVE, from, nominate),
            4..6 => self.check(other, SEND, from, nominate),
            6..9 => self.authentic(b, RECEIVE, from),
            9 => self.authentic(other, SEND, from),
            10 => self.forge(from),
            11 => self.repeat(from),
            12..15 => {
                let millis = self.world.rng.u64(..300);
                self.wait(Duration::from_millis(millis));
            }
            _ => {
                let seconds = self.world.rng.u64(..36);
                self.wait(Duration::from_secs(seconds));
            }
        }
        self.media();
        self.look();
    }

    /// Something comes from an address, whoever has sent it.
    fn arrive(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.addresses.get_mut(&from).expect("one of them").came += datagram.len();
        self.world.datagram(path_from(from), &mut datagram.to_vec());
    }

    fn check(&mut self, who: Who, transport: u32, from: SocketAddr, nominate: bool) {
        self.world.link(who, transport).check(from, nominate, false);
        for (_, check) in self.world.link(who, transport).drain() {
            self.arrive(from, &check);
            self.recorded.push(check);
        }
    }

    /// A report; it proves an address if a check has opened it before.
    fn authentic(&mut self, who: Who, transport: u32, from: SocketAddr) {
        let link = self.world.link(who, transport);
        link.send_rtcp(&empty_report(1));
        let dropped = self.world.router.stats().drops_total();
        for (_, report) in self.world.link(who, transport).drain() {
            self.arrive(from, &report);
        }
        if self.world.router.stats().drops_total() > dropped {
            return; // No check has opened it.
        }
        let address = self.addresses.get_mut(&from).expect("one of them");
        if who == self.who[1] {
            address.proved = true;
            self.moves_max += usize::from(from != self.authentic_from);
            self.authentic_from = from;
        } else {
            address.proved_otherwise = true;
        }
    }

    fn forge(&mut self, from: SocketAddr) {
        let mut forged = [0xe3; 80];
        forged[0] = 0x80;
        forged[1] = self.world.rng.choice([109, 200, 201, 206]).expect("one of them");
        self.arrive(from, &forged);
    }

    fn repeat(&mut self, from: SocketAddr) {
        let rng = &mut self.world.rng;
        if let Some(check) = rng.choice(&self.recorded).cloned() {
            self.arrive(from, &check);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.world.run_for(time);
        // Consent of the path in use may have run out, after 30 s at the earliest.
        self.moves_max += usize::from(time >= Duration::from_secs(1));
    }

    fn media(&mut self) {
        let [a, b, _] = self.who;
        let before = self.world.received(b, self.audio).len();
        self.world.packet(a, AUDIO, Picture::Key);
        self.world.settle();
        let received = self.world.received(b, self.audio);
        let Some(packet) = received.get(before) else { return };
        self.moves += usize::from(self.goes_to.is_some_and(|before| before != packet.to));
        self.goes_to = Some(packet.to);
        assert!(self.addresses[&packet.to].proved, "media to where only checks came from");
    }

    fn look(&self) {
        for (address, known) in &self.addresses {
            let sent = self.world.sent_to.get(address).copied().unwrap_or_default();
            let unproved = !known.proved && !known.proved_otherwise;
            assert!(!unproved || sent <= 3 * known.came, "{sent} bytes for {}", known.came);
        }
        assert!(self.moves <= self.moves_max, "{} moves of {}", self.moves, self.moves_max);
    }

    /// B stays at one of the addresses from now on; half the time it says so by a nomination.
    fn settle(&mut self) {
        let [_, b, other] = self.who;
        let at = self.world.rng.usize(..self.addresses.len());
        let home = *self.addresses.keys().nth(at).expect("one of them");
        let nominate = self.world.rng.bool();
        self.check(b, RECEIVE, home, nominate);
        self.moves = 0;
        for i in 0..20 {
            for from in self.addresses.keys().copied().collect::<Vec<_>>() {
                self.check(other, SEND, from, true);
                self.repeat(from);
                self.forge(from);
            }
            self.authentic(b, RECEIVE, home);
            self.world.run_for(Duration::from_millis(50));
            let before = self.world.received(b, self.audio).len();
            self.media();
            let arrived = self.world.received(b, self.audio).len() > before;
            if i > 4 {
                assert!(arrived && self.goes_to == Some(home), "after {i} reports");
            }
        }
        assert!(self.moves <= 1, "{} moves to where it stays", self.moves);
    }
}

#[test]
fn media_goes_to_the_client_whatever_comes_in_whichever_order() {
    for seed in 0..SEEDS {
        let mut play = Play::new(seed);
        for _ in 0..STEPS {
            play.step();
        }
        play.settle();
    }
}
