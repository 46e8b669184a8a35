//! DTLS as this project needs it: a narrow type around the engine (dimpl, DTLS 1.2), so that
//! another engine can take its place. Nobody gets SRTP keys out of it before the certificate of the
//! peer matched a fingerprint that signaling gave ([`SrtpKeys`] cannot be made elsewhere).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::DtlsCertificate;
use dimpl::crypto::cert_named_group;

mod attempt;
mod records;

use attempt::{Answer, Attempt, Polled};
use records::{CLIENT_HELLO, HANDSHAKE, Message, client_random, fragments, records};

use super::srtp::{SrtpProfile, SrtpRx, SrtpTx};
use crate::protocol::{Fingerprint, FingerprintAlgorithm};
use crate::types::Timestamp;

/// First retransmission of a flight; it doubles from there. The path is known to work (ICE has
/// checked it), so a lost flight is worth resending after about one long round trip.
const FLIGHT_RTO: Duration = Duration::from_millis(100);
/// 100 ms doubled eight times: the last one 25.6 s after the flight was first sent.
const FLIGHT_RETRIES: usize = 8;
/// Handshakes that one association keeps beside each other, some 20 KiB each, until one is done: so
/// many hellos may be forged while a client's answer is under way.
const ATTEMPTS_MAX: usize = 8;

/// The server's certificate, key and engine settings, shared by all transports of all shards.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
}

/// The certificate could not be made, or the engine refused its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityError(String);

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no DTLS certificate: {}", self.0)
    }
}

impl std::error::Error for IdentityError {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint()).finish()
    }
}

impl Identity {
    /// A new self-signed P-256 certificate.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::new(generated()?, None)
    }

    /// The same with the engine's timers and nonces drawn from `seed`: for simulation. Keys and
    /// signatures stay random, sizes and timing do not.
    pub fn generate_seeded(seed: u64) -> Result<Self, IdentityError> {
        Self::new(generated()?, Some(seed))
    }

    /// The same with a certificate that was made elsewhere, and its private key (PKCS #8), in DER:
    /// for simulation of clients that have other ones.
    pub fn seeded(
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        seed: u64,
    ) -> Result<Self, IdentityError> {
        Self::new(DtlsCertificate { certificate, private_key }, Some(seed))
    }

    fn new(certificate: DtlsCertificate, seed: Option<u64>) -> Result<Self, IdentityError> {
        // The certificate, and what else a flight has; a datagram has 1150 bytes.
        let flight = 8 + certificate.certificate.len() / 1024;
        let builder = dimpl::Config::builder()
            .flight_start_rto(FLIGHT_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .max_queue_tx(flight)
            // ICE has verified the address; a cookie would only cost a round trip.
            .use_server_cookie(false)
            .require_client_certificate(true);
        let builder = match seed {
            Some(seed) => builder.dangerously_set_rng_seed(seed),
            None => builder,
        };
        let config = builder.build().map_err(|e| IdentityError(format!("{e:?}")))?;
        Ok(Self { certificate, config: Arc::new(config) })
    }

    /// SHA-256 of the certificate, as signaling states it.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(FingerprintAlgorithm::Sha256, &self.certificate.certificate)
    }
}

fn generated() -> Result<DtlsCertificate, IdentityError> {
    self_signed().map_err(|e| IdentityError(e.to_string()))
}

/// As short as it can be: the flight that it is in goes to an address that has shown nothing yet,
/// which may be sent three times what came from it, and the shortest ClientHellos have 120 bytes.
/// Who reads it looks at its fingerprint alone (RFC 8827 §6.5), but for Firefox, which wants
/// serial numbers that nobody else has.
fn self_signed() -> Result<DtlsCertificate, rcgen::Error> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "corinth");
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let mut serial = [0; 8];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    parameters.serial_number = Some(serial.to_vec().into());
    let certificate = parameters.self_signed(&key)?;
    let certificate = certificate.der().to_vec();
    Ok(DtlsCertificate { certificate, private_key: key.serialize_der() })
}

fn fingerprint(algorithm: FingerprintAlgorithm, certificate: &[u8]) -> Fingerprint {
    let digest_algorithm = match algorithm {
        FingerprintAlgorithm::Sha256 => &digest::SHA256,
        FingerprintAlgorithm::Sha384 => &digest::SHA384,
        FingerprintAlgorithm::Sha512 => &digest::SHA512,
    };
    let value = digest::digest(digest_algorithm, certificate).as_ref().to_vec();
    Fingerprint { algorithm, value }
}

/// Both halves of a transport's SRTP. Made only by [`Dtls`], only after the peer's certificate
/// matched.
#[derive(Debug)]
pub struct SrtpKeys {
    /// Seals what goes to the peer.
    pub tx: SrtpTx,
    /// Opens what comes from the peer.
    pub rx: SrtpRx,
    /// What the handshake agreed on.
    pub profile: SrtpProfile,
    /// Keeps the struct from being made outside this module.
    _verified: Verified,
}

#[derive(Debug)]
struct Verified;

/// What happened to the association.
#[derive(Debug)]
pub enum DtlsEvent {
    /// The handshake is complete and the certificate matched.
    Connected(Box<SrtpKeys>),
    /// It is over: the engine gave up, or the certificate does not match.
    Failed(DtlsFailure),
    /// The peer said close_notify.
    Closed,
}

/// Why an association failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsFailure {
    /// The peer's certificate matches none of the stated fingerprints.
    Fingerprint,
    /// No SRTP profile in common.
    NoSrtpProfile,
    /// The peer's certificate is the stated one and has a key that cannot be used: ECDSA with P-256
    /// or P-384 can.
    Certificate,
    /// The engine refused a message or ran out of retries.
    Handshake,
}

impl DtlsFailure {
    /// For the log.
    pub fn label(self) -> &'static str {
        match self {
            DtlsFailure::Fingerprint => "its certificate is none of the stated ones",
            DtlsFailure::NoSrtpProfile => "no SRTP profile in common",
            DtlsFailure::Certificate => "its certificate's key is neither P-256 nor P-384",
            DtlsFailure::Handshake => "the handshake did not end in time",
        }
    }
}

/// Whether a datagram has a ClientHello in it, or part of one.
pub fn is_hello(datagram: &[u8]) -> bool {
    records(datagram)
        .filter(|record| record.kind == HANDSHAKE && record.epoch == 0)
        .any(|record| fragments(record.contents).any(|fragment| fragment.kind == CLIENT_HELLO))
}

/// One DTLS association, server until [`Dtls::start_client`].
///
/// Until it is done nothing that comes is signed by anybody, and who can forge an address can send
/// it: what is no use costs a datagram, never the handshake (RFC 6347 §4.1.2.7). So the engine,
/// which could not undo a step, is not handed what comes as it comes. As server: a whole
/// ClientHello that can be answered begins an attempt; another one begins another beside it,
/// up to `ATTEMPTS_MAX`. A client's answer waits until it is whole and its signature covers what
/// this attempt has said. As client, which it is seldom, it passes over what is out of place, and
/// cannot tell a forged ServerHello from the peer's.
///
/// Order: `handle_*` or a command, then [`Dtls::poll_transmit`] until `None`, then
/// [`Dtls::poll_event`] until `None`, then [`Dtls::poll_deadline`].
pub struct Dtls {
    identity: Identity,
    epoch: Instant,
    /// At least one, until it is over. The first is never pushed out by later ones.
    attempts: Vec<Attempt>,
    /// What has come of a client's answer.
    answer: Answer,
    /// What signaling said the peer's certificate is; absent until `updateTransport`.
    expected: Option<Vec<Fingerprint>>,
    event: Option<DtlsEvent>,
    over: bool,
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dtls")
            .field("attempts", &self.attempts.len())
            .field("done", &self.is_done())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Dtls {
    /// An association that waits for a ClientHello. `epoch` is where `Timestamp`s count from.
    pub fn new(identity: &Identity, epoch: Instant, now: Timestamp) -> Self {
        Self {
            identity: identity.clone(),
            epoch,
            attempts: vec![Attempt::new(identity, to_instant(epoch, now))],
            answer: Answer::default(),
            expected: None,
            event: None,
            over: false,
        }
    }

    /// Takes the client role and starts; a handshake that somebody has begun may go on beside it.
    pub fn start_client(&mut self, now: Timestamp) {
        match self.attempts.first_mut() {
            Some(attempt) if attempt.is_unused() => attempt.engine.set_active(true),
            _ => {
                let mut attempt = Attempt::new(&self.identity, to_instant(self.epoch, now));
                attempt.engine.set_active(true);
                self.attempts.insert(0, attempt);
            }
        }
        self.handle_timeout(now);
    }

    /// Whether this side sends (or sent) the ClientHello.
    pub fn is_client(&self) -> bool {
        self.attempts.first().is_some_and(|attempt| attempt.engine.is_active())
    }

    /// Whether somebody has begun: we have, or a ClientHello has come that can be answered.
    pub fn has_begun(&self) -> bool {
        self.attempts.iter().any(|attempt| !attempt.is_unused())
    }

    /// Whether the handshake is over, and well.
    pub fn is_done(&self) -> bool {
        self.attempts.first().is_some_and(|attempt| attempt.done)
    }

    /// States what the peer's certificate must match. A handshake that waited for it goes on.
    pub fn expect(&mut self, fingerprints: Vec<Fingerprint>) {
        self.expected = Some(fingerprints);
        self.refuse_unusable();
        self.conclude();
    }

    /// Says close_notify to a connected peer; without a handshake it just ends.
    pub fn close(&mut self) {
        let closing = self.is_done() && self.attempts[0].engine.close().is_ok();
        self.over |= !closing;
    }

    /// One datagram of DTLS records.
    pub fn handle_datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        self.handle_timeout(now);
        if self.over {
            return;
        }
        if self.is_done() {
            return self.handle_connected(datagram);
        }
        if self.is_client() {
            self.attempts[0].handle_as_client(datagram);
        }
        self.handle_as_server(now, datagram);
    }

    /// Nothing in the clear is news any more; a peer who has missed our last words repeats his.
    fn handle_connected(&mut self, datagram: &[u8]) {
        let sealed = records(datagram).all(|record| record.epoch > 0);
        let failed = self.attempts[0].engine.handle_packet(datagram).is_err();
        // What fails although it opened was said by the peer.
        if failed && sealed {
            self.fail(DtlsFailure::Handshake);
        }
    }

    fn handle_as_server(&mut self, now: Timestamp, datagram: &[u8]) {
        for record in records(datagram).filter(|record| record.kind == HANDSHAKE) {
            if record.epoch > 0 {
                self.answer.add_sealed(record.whole);
                continue;
            }
            for fragment in fragments(record.contents) {
                let Some(message) = self.answer.assembly.add(&fragment) else { continue };
                match message.kind() {
                    CLIENT_HELLO => self.handle_hello(now, message),
                    _ => self.handle_answer(message),
                }
            }
        }
        for attempt in &mut self.attempts {
            attempt.finish(&self.identity, &self.answer);
        }
    }

    /// A client begins, says again that it does, or begins anew.
    fn handle_hello(&mut self, now: Timestamp, hello: Message) {
        if client_random(&hello).is_none() {
            return;
        }
        if let Some(known) = self.attempts.iter_mut().find(|it| it.hello() == Some(&hello)) {
            return known.say_hello(hello);
        }
        if !self.attempts.last().is_some_and(Attempt::is_unused) {
            if self.attempts.len() == ATTEMPTS_MAX {
                self.attempts.remove(1);
            }
            let instant = to_instant(self.epoch, now);
            self.attempts.push(Attempt::new(&self.identity, instant));
        }
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.say_hello(hello);
            // What the engine refuses spoils it for the next one.
            if attempt.hello().is_none() {
                *attempt = Attempt::new(&self.identity, to_instant(self.epoch, now));
            }
        }
    }

    fn handle_answer(&mut self, message: Message) {
        self.answer.add(message);
        self.refuse_unusable();
    }

    /// Ends what cannot come about: with the stated certificate, whose key the engine does not
    /// know what to do with.
    fn refuse_unusable(&mut self) {
        let Some(expected) = &self.expected else { return };
        let is_stated = |certificate: &&[u8]| matches(expected, certificate);
        if !self.answer.certificates().filter(is_stated).all(is_usable) {
            self.fail(DtlsFailure::Certificate);
        }
    }

    /// Time has come, or is told before something else happens.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let instant = to_instant(self.epoch, now);
        if self.over {
            return;
        }
        self.attempts.retain_mut(|attempt| attempt.engine.handle_timeout(instant).is_ok());
        if self.attempts.is_empty() {
            self.fail(DtlsFailure::Handshake);
        }
    }

    /// Writes the next datagram to send into `slot`; its length, or `None` when there is none.
    pub fn poll_transmit(&mut self, slot: &mut [u8]) -> Option<usize> {
        let mut at = 0;
        while !self.over
            && let Some(attempt) = self.attempts.get_mut(at)
        {
            match attempt.poll(slot, self.epoch) {
                Polled::Datagram(len) => return Some(len),
                Polled::Idle => at += 1,
                Polled::Closed => {
                    self.over = true;
                    self.event = Some(DtlsEvent::Closed);
                }
                Polled::Failed => self.fail(DtlsFailure::Handshake),
            }
            if let Some(done) = self.attempts.iter().position(|attempt| attempt.done)
                && self.attempts.len() > 1
            {
                // The others were somebody else's, or an earlier try.
                self.attempts = vec![self.attempts.swap_remove(done)];
                at = 0;
            }
        }
        if self.is_done() {
            self.answer = Answer::default();
        }
        self.conclude();
        None
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.event.take()
    }

    /// When to call [`Dtls::handle_timeout`]; `None` once the handshake is done or has failed.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        if self.over || self.is_done() {
            return None;
        }
        self.attempts.iter().filter_map(|attempt| attempt.timeout).min()
    }

    /// Hands the keys out once the handshake is done and the fingerprint is known and matches.
    fn conclude(&mut self) {
        if self.over || !self.is_done() {
            return;
        }
        let Some(expected) = &self.expected else { return };
        let attempt = &mut self.attempts[0];
        let Some(certificate) = attempt.certificate.take() else { return };
        if !matches(expected, &certificate) {
            return self.fail(DtlsFailure::Fingerprint);
        }
        match attempt.keys.take() {
            None => self.fail(DtlsFailure::NoSrtpProfile),
            Some((profile, material)) => {
                let keys = srtp_keys(profile, &material, attempt.engine.is_active());
                self.event = Some(DtlsEvent::Connected(Box::new(keys)));
            }
        }
    }

    fn fail(&mut self, failure: DtlsFailure) {
        self.over = true;
        self.event = Some(DtlsEvent::Failed(failure));
    }
}

fn matches(expected: &[Fingerprint], certificate: &[u8]) -> bool {
    expected.iter().any(|stated| *stated == fingerprint(stated.algorithm, certificate))
}

/// Whether the engine can verify what this certificate signs: ECDSA with P-256 or P-384.
fn is_usable(certificate: &[u8]) -> bool {
    cert_named_group(certificate).is_ok()
}

/// RFC 5764 §4.2: client key, server key, client salt, server salt.
fn srtp_keys(profile: SrtpProfile, material: &[u8], we_are_client: bool) -> SrtpKeys {
    let (keys, salts) = material.split_at(2 * profile.key_len());
    let (client_key, server_key) = keys.split_at(profile.key_len());
    let (client_salt, server_salt) = salts.split_at(profile.salt_len());
    let (tx, rx) = if we_are_client {
        ((client_key, client_salt), (server_key, server_salt))
    } else {
        ((server_key, server_salt), (client_key, client_salt))
    };
    SrtpKeys {
        tx: SrtpTx::new(profile, tx.0, tx.1),
        rx: SrtpRx::new(profile, rx.0, rx.1),
        profile,
        _verified: Verified,
    }
}

fn to_instant(epoch: Instant, at: Timestamp) -> Instant {
    epoch + Duration::from_micros(at.as_micros())
}
