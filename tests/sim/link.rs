//! A client's end of one transport: checks, a DTLS engine, SRTP, and what came in over it.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use corinth::protocol::DtlsParameters;
use corinth::transport::dtls::{Dtls, DtlsEvent, Identity, SrtpKeys};
use corinth::transport::srtp::{PacketIndex, RtpWindow};
use corinth::types::limit::DATAGRAM_MAX;
use corinth::types::{SeqNo, Ssrc, Timestamp};
use serde_json::Value;

use crate::rtcp::{self, Rtcp};
use crate::source::Label;
use crate::stun::{Answer, Check, read_answer};

/// How soon an unanswered check is repeated.
const CHECK_RETRY: Duration = Duration::from_millis(50);
/// How often a path is checked before media flows there, by libwebrtc.
const CHECK_INTERVAL_AT_FIRST: Duration = Duration::from_millis(480);
/// How often consent is renewed (RFC 7675 §5.1: every 5 s on average).
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Which side this client is in the DTLS handshake, whatever it stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acts {
    /// Sends its ClientHello as soon as a check was answered.
    Client,
    /// Waits for the server's.
    Server,
}

/// How a client makes a transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) direction: Option<&'static str>,
    /// The DTLS role that it states.
    pub(crate) states: Option<&'static str>,
    /// The one that it takes.
    pub(crate) acts: Acts,
    /// States its DTLS parameters in `updateTransport` only.
    pub(crate) answers: bool,
    /// States the fingerprint of a certificate that it does not have.
    pub(crate) lies: bool,
    /// Bytes of its certificate, of those that there are; 0: as short as they can be.
    pub(crate) certificate: usize,
}

impl Plan {
    /// As a client of the seed's time sends: it says `server`, and acts as client all the same.
    pub(crate) const SEND: Self = Self {
        direction: None,
        states: Some("server"),
        acts: Acts::Client,
        answers: false,
        lies: false,
        certificate: 0,
    };
    /// As a client of the seed's time receives: it answers.
    pub(crate) const RECEIVE: Self = Self {
        direction: None,
        states: Some("client"),
        acts: Acts::Client,
        answers: true,
        lies: false,
        certificate: 0,
    };
}

/// An RTP packet that arrived.
#[derive(Debug, Clone)]
pub(crate) struct RtpIn {
    pub(crate) at: Timestamp,
    /// The address that it came to.
    pub(crate) to: SocketAddr,
    pub(crate) ssrc: u32,
    pub(crate) pt: u8,
    /// Extended.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    /// Ids of the header extension's elements.
    pub(crate) extension_ids: Vec<u8>,
    pub(crate) label: Label,
    /// It came as a retransmission (RFC 4588); all else is said of the original.
    pub(crate) resent: bool,
}

/// The server's credentials, as checks use them.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// `server's fragment:this side's fragment`.
    pub(crate) username: String,
    pub(crate) password: String,
}

impl Credentials {
    /// From the answer to `createTransport` or `restartTransport`.
    pub(crate) fn read(answer: &Value) -> Self {
        let ice = &answer["iceParameters"];
        assert_eq!(ice["iceLite"], true);
        let text = |name: &str| ice[name].as_str().expect(name).to_owned();
        Self {
            username: format!("{}:simulator", text("usernameFragment")),
            password: text("password"),
        }
    }
}

/// The client's end of one transport.
pub(crate) struct Link {
    pub(crate) id: u32,
    /// Where it sends from now.
    pub(crate) address: SocketAddr,
    /// All that it was given, the latest restart's last.
    pub(crate) credentials: Vec<Credentials>,
    /// Which of them its checks are made with.
    pub(crate) uses: usize,
    /// Which of them the server has answered last.
    pub(crate) confirmed: usize,
    pub(crate) plan: Plan,
    dtls: Dtls,
    /// The server knows this side's fingerprint.
    pub(crate) stated: bool,
    pub(crate) keys: Option<Box<SrtpKeys>>,
    /// When DTLS was done on this side.
    pub(crate) connected_at: Option<Timestamp>,
    /// The server said close_notify, or DTLS failed.
    pub(crate) dtls_over: bool,
    /// The client closed it, or was told that the server did.
    pub(crate) closed: bool,
    /// Whether consent is renewed.
    pub(crate) keeps_consent: bool,
    check_at: Option<Timestamp>,
    ice_done: bool,
    windows: BTreeMap<u32, RtpWindow>,
    /// Of which stream an SSRC repeats packets.
    pub(crate) repeats: BTreeMap<u32, u32>,
    /// What it has said of its handshake.
    pub(crate) handshake: Vec<Vec<u8>>,
    /// Ids of the checks that it has sent.
    sent_checks: HashSet<[u8; 12]>,
    rng: fastrand::Rng,
    outgoing: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) rtp: Vec<RtpIn>,
    /// Authentic packets whose number had come before.
    pub(crate) repeated: u32,
    pub(crate) rtcp: Vec<(Timestamp, Rtcp)>,
}

impl Link {
    /// From the answer to `createTransport`. Nothing is sent before [`Link::start`].
    pub(crate) fn new(
        (id, address): (u32, SocketAddr),
        created: &Value,
        plan: Plan,
        identity: &Identity,
        (epoch, now): (Instant, Timestamp),
        seed: u64,
    ) -> Self {
        let server: DtlsParameters =
            serde_json::from_value(created["dtlsParameters"].clone()).expect("dtlsParameters");
        let mut dtls = Dtls::new(identity, epoch, now);
        dtls.expect(server.fingerprints);
        Self {
            id,
            address,
            credentials: vec![Credentials::read(created)],
            uses: 0,
            confirmed: 0,
            plan,
            dtls,
            stated: !plan.answers,
            keys: None,
            connected_at: None,
            dtls_over: false,
            closed: false,
            keeps_consent: true,
            check_at: None,
            ice_done: false,
            windows: BTreeMap::new(),
            repeats: BTreeMap::new(),
            handshake: Vec::new(),
            sent_checks: HashSet::new(),
            rng: fastrand::Rng::with_seed(seed),
            outgoing: Vec::new(),
            answers: Vec::new(),
            rtp: Vec::new(),
            repeated: 0,
            rtcp: Vec::new(),
        }
    }

    /// Begins with checks.
    pub(crate) fn start(&mut self, now: Timestamp) {
        self.check_at = Some(now);
    }

    /// Whether media can come and go.
    pub(crate) fn is_live(&self) -> bool {
        self.keys.is_some() && self.stated && !self.closed && !self.dtls_over
    }

    /// Sends one check from `from`, which the server need not know yet. Its id begins with the
    /// number of the credentials, for the answer will be signed with the same.
    pub(crate) fn check(&mut self, from: SocketAddr, nominate: bool, controlled: bool) {
        self.send_check(from, nominate, controlled, &[]);
    }

    /// The same with attributes that nobody has heard of.
    pub(crate) fn check_with(&mut self, from: SocketAddr, more: &[u16]) {
        self.send_check(from, false, false, more);
    }

    fn send_check(&mut self, from: SocketAddr, nominate: bool, controlled: bool, more: &[u16]) {
        let mut id = [0; 12];
        self.rng.fill(&mut id);
        id[0] = u8::try_from(self.uses).expect("so many restarts");
        self.sent_checks.insert(id);
        let Credentials { username, password } = &self.credentials[self.uses];
        let check = Check { id, username, password, nominate, controlled, more };
        self.outgoing.push((from, check.encode()));
    }

    /// When to call [`Link::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        if self.closed || self.dtls_over {
            return None;
        }
        let check_at = self.check_at.filter(|_| self.keeps_consent || !self.ice_done);
        [check_at, self.dtls.poll_deadline()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if self.check_at.is_some_and(|at| at <= now) {
            let interval = match (self.ice_done, self.connected_at) {
                (false, _) => CHECK_RETRY,
                (true, None) => CHECK_INTERVAL_AT_FIRST,
                (true, Some(_)) => CHECK_INTERVAL,
            };
            self.check_at = Some(now + interval);
            self.check(self.address, true, false);
        }
        if self.dtls.poll_deadline().is_some_and(|at| at <= now) {
            self.dtls.handle_timeout(now);
            self.pump(now);
        }
    }

    /// A datagram came to the address `to`.
    pub(crate) fn handle_datagram(&mut self, now: Timestamp, to: SocketAddr, datagram: &mut [u8]) {
        match datagram[0] {
            0..=3 => self.handle_answer(now, to, datagram),
            20..=63 => {
                self.dtls.handle_datagram(now, datagram);
                self.pump(now);
            }
            128..=191 if (192..=223).contains(&datagram[1]) => self.handle_rtcp(now, datagram),
            128..=191 => self.handle_rtp(now, to, datagram),
            other => panic!("no packet of WebRTC begins with {other}"),
        }
    }

    fn handle_answer(&mut self, now: Timestamp, to: SocketAddr, datagram: &[u8]) {
        let used = usize::from(datagram[8]);
        let answer = read_answer(datagram, &self.credentials[used].password);
        self.answers.push(answer);
        self.confirmed = used;
        if let Answer::Success { mapped, .. } = answer {
            assert_eq!(mapped, to, "the address that the check came from");
            if !std::mem::replace(&mut self.ice_done, true) {
                self.check_at = Some(now + CHECK_INTERVAL_AT_FIRST);
                if self.plan.acts == Acts::Client {
                    self.dtls.start_client(now);
                    self.pump(now);
                }
            }
        }
    }

    fn handle_rtp(&mut self, now: Timestamp, to: SocketAddr, packet: &mut [u8]) {
        assert!(!self.closed, "media on a transport that is closed");
        assert_eq!(packet[0] & 0b1110_1111, 0x80, "version 2, no padding, no CSRC");
        let (header_len, seq, len) = self.open_rtp(packet);
        let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().expect("4 bytes"));
        let (ssrc, timestamp) = (word(8), word(4));
        let extension_ids = one_byte_ids(&packet[12..header_len]);
        let window = self.windows.entry(ssrc).or_default();
        if window.check(seq).is_err() {
            self.repeated += 1;
            return;
        }
        window.accept(seq);
        let payload = &packet[header_len..len];
        let (at, pt) = (now, packet[1] & 0x7f);
        let Some(original) = self.repeats.get(&ssrc).copied() else {
            let (seq, label, resent) = (seq.0, Label::read(payload), false);
            let packet = RtpIn { at, to, ssrc, pt, seq, timestamp, extension_ids, label, resent };
            return self.rtp.push(packet);
        };
        let (osn, payload) = payload.split_first_chunk().expect("it says what it repeats");
        let window = self.windows.entry(original).or_default();
        let (seq, label) = (window.estimate(u16::from_be_bytes(*osn)).0, Label::read(payload));
        let (ssrc, resent) = (original, true);
        let packet = RtpIn { at, to, ssrc, pt, seq, timestamp, extension_ids, label, resent };
        self.rtp.push(packet);
    }

    /// Opens a packet: the length of its header, its extended number, the length of all of it.
    pub(crate) fn open_rtp(&mut self, packet: &mut [u8]) -> (usize, SeqNo, usize) {
        let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().expect("4 bytes"));
        let (ssrc, wire_seq) = (word(8), word(0) as u16);
        let words = if packet[0] & 0x10 == 0 { 0 } else { 4 + 4 * usize::from(word(12) as u16) };
        let header_len = 12 + words;
        let seq = self.windows.entry(ssrc).or_default().estimate(wire_seq);
        let keys = self.keys.as_mut().expect("nothing is sent before there are keys");
        let len = keys.rx.open_rtp(packet, header_len, Ssrc(ssrc), seq).expect("authentic");
        (header_len, seq, len)
    }

    fn handle_rtcp(&mut self, now: Timestamp, packet: &mut [u8]) {
        assert!(!self.closed, "reports on a transport that is closed");
        let keys = self.keys.as_mut().expect("nothing is sent before there are keys");
        let Ok(len) = keys.rx.open_rtcp(packet) else { return };
        self.rtcp.extend(rtcp::read(&packet[..len]).into_iter().map(|packet| (now, packet)));
    }

    /// Whether a datagram can be meant for this link, where others have the same address.
    pub(crate) fn expects(&self, datagram: &[u8]) -> bool {
        match datagram[0] {
            0..=3 => self.sent_checks.contains(&datagram[8..20]),
            20..=63 => self.check_at.is_some() && self.connected_at.is_none(),
            _ if (192..=223).contains(&datagram[1]) => true,
            _ => {
                let word = |at: usize| {
                    u32::from_be_bytes(datagram[at..at + 4].try_into().expect("4 bytes"))
                };
                let words = if datagram[0] & 0x10 == 0 { 0 } else { 4 + 4 * word(12) as u16 };
                let seq = self.windows.get(&word(8)).map(|it| it.estimate(word(0) as u16));
                let seq = seq.unwrap_or(SeqNo(u64::from(word(0) as u16)));
                let (header_len, ssrc) = (12 + usize::from(words), Ssrc(word(8)));
                let open = |keys: &SrtpKeys| {
                    keys.rx.open_rtp(&mut datagram.to_vec(), header_len, ssrc, seq).is_ok()
                };
                self.keys.as_deref().is_some_and(open)
            }
        }
    }

    /// Seals an RTP packet and sends it.
    pub(crate) fn send_rtp(&mut self, ssrc: u32, seq: u64, header_len: usize, packet: &[u8]) {
        if let Some(sealed) = self.seal_rtp(ssrc, seq, header_len, packet) {
            self.outgoing.push((self.address, sealed));
        }
    }

    /// Seals an RTP packet, if there are keys.
    pub(crate) fn seal_rtp(
        &mut self,
        ssrc: u32,
        seq: u64,
        header_len: usize,
        packet: &[u8],
    ) -> Option<Vec<u8>> {
        let keys = self.keys.as_mut()?;
        let mut sealed = packet.to_vec();
        sealed.resize(DATAGRAM_MAX, 0);
        let index = PacketIndex::at_will(Ssrc(ssrc), SeqNo(seq));
        let len = keys.tx.seal_rtp(&mut sealed, header_len, packet.len(), index);
        sealed.truncate(len);
        Some(sealed)
    }

    /// Seals a compound packet and sends it.
    pub(crate) fn send_rtcp(&mut self, compound: &[u8]) {
        let Some(keys) = self.keys.as_mut() else { return };
        let mut sealed = compound.to_vec();
        sealed.resize(DATAGRAM_MAX, 0);
        let len = keys.tx.seal_rtcp(&mut sealed, compound.len()).expect("far from 2^31 packets");
        sealed.truncate(len);
        self.outgoing.push((self.address, sealed));
    }

    /// Says close_notify.
    pub(crate) fn close_dtls(&mut self, now: Timestamp) {
        self.dtls.close();
        self.pump(now);
    }

    /// What it wants to send, and from where.
    pub(crate) fn drain(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.outgoing)
    }

    fn pump(&mut self, now: Timestamp) {
        let mut slot = [0; DATAGRAM_MAX];
        while let Some(len) = self.dtls.poll_transmit(&mut slot) {
            self.handshake.push(slot[..len].to_vec());
            self.outgoing.push((self.address, slot[..len].to_vec()));
        }
        match self.dtls.poll_event() {
            None => {}
            Some(DtlsEvent::Connected(keys)) => {
                self.keys = Some(keys);
                self.connected_at = Some(now);
            }
            Some(DtlsEvent::Failed(_) | DtlsEvent::Closed) => self.dtls_over = true,
        }
    }
}

/// Ids of the elements of a one-byte block (RFC 8285 §4.2), its four-byte head included.
fn one_byte_ids(block: &[u8]) -> Vec<u8> {
    if block.is_empty() {
        return Vec::new();
    }
    assert_eq!(block[..2], [0xbe, 0xde], "one-byte form unless an element is too long for it");
    let (mut ids, mut at) = (Vec::new(), 4);
    while at < block.len() {
        if block[at] == 0 {
            at += 1;
        } else {
            ids.push(block[at] >> 4);
            at += 2 + usize::from(block[at] & 15);
        }
    }
    ids
}
