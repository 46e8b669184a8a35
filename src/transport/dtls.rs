//! DTLS as this project needs it: a narrow type around the engine (dimpl, DTLS 1.2), so that
//! another engine can take its place. Nobody gets SRTP keys out of it before the certificate of the
//! peer matched a fingerprint that signaling gave ([`SrtpKeys`] cannot be made elsewhere).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::{DtlsCertificate, Output};

use super::srtp::{SrtpProfile, SrtpRx, SrtpTx};
use crate::protocol::{Fingerprint, FingerprintAlgorithm};
use crate::types::Timestamp;

/// First retransmission of a flight; it doubles from there. The path is known to work (ICE has
/// checked it), so a lost flight is worth resending after about one long round trip.
const FLIGHT_RTO: Duration = Duration::from_millis(100);
/// 100 ms doubled eight times: the last one 25.6 s after the flight was first sent.
const FLIGHT_RETRIES: usize = 8;
/// Largest certificate that is looked at; WebRTC's are 300 to 1200 bytes.
const CERTIFICATE_MAX: usize = 16 * 1024;

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
        Self::new(None)
    }

    /// The same with the engine's timers and nonces drawn from `seed`: for simulation. Keys and
    /// signatures stay random, sizes and timing do not.
    pub fn generate_seeded(seed: u64) -> Result<Self, IdentityError> {
        Self::new(Some(seed))
    }

    fn new(seed: Option<u64>) -> Result<Self, IdentityError> {
        let certificate = self_signed().map_err(|e| IdentityError(e.to_string()))?;
        let builder = dimpl::Config::builder()
            .flight_start_rto(FLIGHT_RTO)
            .flight_retries(FLIGHT_RETRIES)
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

/// As short as it can be: the flight that it is in goes to an address that has shown nothing yet,
/// which may be sent three times what came from it, and the shortest ClientHellos have 120 bytes.
/// Who reads it looks at its fingerprint alone (RFC 8827 §6.5), but for Firefox, which wants serial
/// numbers that nobody else has.
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
    /// The engine refused a message or ran out of retries.
    Handshake,
}

/// One DTLS association, server until [`Dtls::start_client`].
///
/// Order: `handle_*` or a command, then [`Dtls::poll_transmit`] until `None`, then
/// [`Dtls::poll_event`] until `None`, then [`Dtls::poll_deadline`].
pub struct Dtls {
    engine: dimpl::Dtls,
    epoch: Instant,
    /// What signaling said the peer's certificate is; absent until `updateTransport`.
    expected: Option<Vec<Fingerprint>>,
    certificate: Option<Box<[u8]>>,
    keys: Option<(SrtpProfile, dimpl::KeyingMaterial)>,
    event: Option<DtlsEvent>,
    handshake_done: bool,
    over: bool,
    timeout: Option<Timestamp>,
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dtls")
            .field("active", &self.engine.is_active())
            .field("handshake_done", &self.handshake_done)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Dtls {
    /// An association that waits for a ClientHello. `epoch` is where `Timestamp`s count from.
    pub fn new(identity: &Identity, epoch: Instant, now: Timestamp) -> Self {
        let instant = to_instant(epoch, now);
        let config = Arc::clone(&identity.config);
        Self {
            engine: dimpl::Dtls::new_12(config, identity.certificate.clone(), instant),
            epoch,
            expected: None,
            certificate: None,
            keys: None,
            event: None,
            handshake_done: false,
            over: false,
            timeout: None,
        }
    }

    /// Takes the client role and starts. Only before any record came.
    pub fn start_client(&mut self, now: Timestamp) {
        self.engine.set_active(true);
        self.handle_timeout(now);
    }

    /// Whether this side sends (or sent) the ClientHello.
    pub fn is_client(&self) -> bool {
        self.engine.is_active()
    }

    /// Whether the handshake is over, and well.
    pub fn is_done(&self) -> bool {
        self.handshake_done
    }

    /// States what the peer's certificate must match. A handshake that waited for it goes on.
    pub fn expect(&mut self, fingerprints: Vec<Fingerprint>) {
        self.expected = Some(fingerprints);
        self.conclude();
    }

    /// Says close_notify to a connected peer; without a handshake it just ends.
    pub fn close(&mut self) {
        if self.engine.close().is_err() {
            self.over = true;
        }
    }

    /// One datagram of DTLS records.
    pub fn handle_datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        self.handle_timeout(now);
        if !self.handshake_done && has_plaintext_alert(datagram) {
            return;
        }
        if !self.over && self.engine.handle_packet(datagram).is_err() {
            self.fail(DtlsFailure::Handshake);
        }
    }

    /// Time has come, or is told before something else happens.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if !self.over && self.engine.handle_timeout(to_instant(self.epoch, now)).is_err() {
            self.fail(DtlsFailure::Handshake);
        }
    }

    /// Writes the next datagram to send into `slot`; its length, or `None` when there is none.
    pub fn poll_transmit(&mut self, slot: &mut [u8]) -> Option<usize> {
        while !self.over {
            let output = self.engine.poll_output(slot);
            match self.note(output) {
                Noted::Datagram(len) => return Some(len),
                Noted::More => {}
                Noted::Idle => break,
                // A certificate may be larger than a datagram: give it memory of its own, once.
                Noted::TooSmall(needed) if needed <= CERTIFICATE_MAX => {
                    let mut large = vec![0; needed];
                    let output = self.engine.poll_output(&mut large);
                    self.note(output);
                }
                Noted::TooSmall(_) => self.fail(DtlsFailure::Handshake),
            }
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
        if self.over || self.handshake_done { None } else { self.timeout }
    }

    fn note(&mut self, output: Output<'_>) -> Noted {
        match output {
            Output::Packet(packet) => return Noted::Datagram(packet.len()),
            Output::BufferTooSmall { needed } => return Noted::TooSmall(needed),
            Output::Timeout(at) => {
                self.timeout = Some(to_timestamp(self.epoch, at));
                return Noted::Idle;
            }
            Output::PeerCert(certificate) => self.certificate = Some(certificate.into()),
            Output::KeyingMaterial(material, profile) => {
                self.keys = srtp_profile(profile).map(|profile| (profile, material));
            }
            Output::Connected => self.handshake_done = true,
            Output::CloseNotify => {
                self.over = true;
                self.event = Some(DtlsEvent::Closed);
            }
            // No data channels: application data has no reader.
            _ => {}
        }
        Noted::More
    }

    /// Hands the keys out once the handshake is done and the fingerprint is known and matches.
    fn conclude(&mut self) {
        if self.over || !self.handshake_done {
            return;
        }
        let Some(expected) = &self.expected else { return };
        let Some(certificate) = self.certificate.take() else { return };
        if !expected.iter().any(|stated| *stated == fingerprint(stated.algorithm, &certificate)) {
            return self.fail(DtlsFailure::Fingerprint);
        }
        match self.keys.take() {
            None => self.fail(DtlsFailure::NoSrtpProfile),
            Some((profile, material)) => {
                let keys = srtp_keys(profile, &material, self.engine.is_active());
                self.event = Some(DtlsEvent::Connected(Box::new(keys)));
            }
        }
    }

    fn fail(&mut self, failure: DtlsFailure) {
        self.over = true;
        self.event = Some(DtlsEvent::Failed(failure));
    }
}

enum Noted {
    Datagram(usize),
    TooSmall(usize),
    More,
    Idle,
}

fn srtp_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        _ => None,
    }
}

/// An alert of epoch 0 is authenticated by nothing: anybody who can forge an address could end a
/// handshake with it. A peer that means it falls silent too, and the handshake runs out of time.
/// What stands beside it in a datagram goes with it.
fn has_plaintext_alert(mut datagram: &[u8]) -> bool {
    const ALERT: u8 = 21;
    // RFC 6347 §4.1: type, version, epoch, sequence number, length.
    while let [kind, _, _, e0, e1, _, _, _, _, _, _, l0, l1, rest @ ..] = datagram {
        if [*kind, *e0, *e1] == [ALERT, 0, 0] {
            return true;
        }
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        datagram = rest.get(len..).unwrap_or_default();
    }
    false
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

/// Rounded up, so that the engine finds its timer due when it is called then.
fn to_timestamp(epoch: Instant, at: Instant) -> Timestamp {
    let after = at.saturating_duration_since(epoch);
    Timestamp::from_micros(after.as_nanos().div_ceil(1000) as u64)
}
