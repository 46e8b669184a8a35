//! One handshake as the engine takes it, and what a client has said in answer to it, before it is
//! known whose answer it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use dimpl::crypto::{HashAlgorithm, SignatureAlgorithm};
use dimpl::{KeyingMaterial, Output};

use super::records::{
    Assembly, CERTIFICATE, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC, CLIENT_KEY_EXCHANGE, HANDSHAKE,
    MESSAGE_MAX, Message, are_fragments, first_certificate, fragments, record, records, signature,
};
use super::{Identity, SrtpProfile};
use crate::types::Timestamp;

/// Versions of each message of an answer that are kept: one may be forged.
const VERSIONS_MAX: usize = 2;

/// Sealed records that wait for the keys.
const SEALED_MAX: usize = 4;

/// What has come of clients' answers: Certificate, ClientKeyExchange and CertificateVerify whole,
/// and sealed records, the latest of each.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) assembly: Assembly,
    certificates: VecDeque<Message>,
    exchanges: VecDeque<Message>,
    verifies: VecDeque<Message>,
    sealed: VecDeque<Box<[u8]>>,
}

impl Answer {
    /// Takes in a message, if it can be one of an answer: their numbers are 1 to 3.
    pub(super) fn add(&mut self, message: Message) {
        let (list, fits) = match (message.kind(), message.seq()) {
            (CERTIFICATE, 1) => {
                let fits = first_certificate(&message).is_some();
                (&mut self.certificates, fits)
            }
            (CLIENT_KEY_EXCHANGE, 2) => (&mut self.exchanges, !message.body().is_empty()),
            (CERTIFICATE_VERIFY, 3) => {
                let fits = signature(&message).is_some();
                (&mut self.verifies, fits)
            }
            _ => return,
        };
        if fits && !list.contains(&message) {
            list.truncate(VERSIONS_MAX - 1);
            list.push_front(message);
        }
    }

    /// The certificates of those who answer, in DER.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().filter_map(first_certificate)
    }

    /// Takes in a sealed record.
    pub(super) fn add_sealed(&mut self, record: &[u8]) {
        if !self.sealed.iter().any(|known| **known == *record) {
            self.sealed.truncate(SEALED_MAX - 1);
            self.sealed.push_front(record.into());
        }
    }
}

/// One handshake.
pub(super) struct Attempt {
    pub(super) engine: dimpl::Dtls,
    /// What it answers.
    hello: Option<Message>,
    /// What it has said so far, in order.
    said: Vec<Message>,
    saying: Assembly,
    /// The client's answer was taken; its Finished is waited for.
    answered: bool,
    pub(super) certificate: Option<Box<[u8]>>,
    pub(super) keys: Option<(SrtpProfile, KeyingMaterial)>,
    pub(super) done: bool,
    pub(super) timeout: Option<Timestamp>,
}

/// What an engine has to say.
pub(super) enum Polled {
    Datagram(usize),
    Idle,
    Closed,
    Failed,
}

impl Attempt {
    pub(super) fn new(identity: &Identity, now: Instant) -> Self {
        let config = Arc::clone(&identity.config);
        let mut engine = dimpl::Dtls::new_12(config, identity.certificate.clone(), now);
        // It learns the time; there is nothing yet that could be late.
        let _ = engine.handle_timeout(now);
        Self {
            engine,
            hello: None,
            said: Vec::new(),
            saying: Assembly::default(),
            answered: false,
            certificate: None,
            keys: None,
            done: false,
            timeout: None,
        }
    }

    /// Whether it waits for somebody to begin.
    pub(super) fn is_unused(&self) -> bool {
        self.hello.is_none() && !self.engine.is_active()
    }

    /// What it answers; none yet, or the engine would not.
    pub(super) fn hello(&self) -> Option<&Message> {
        self.hello.as_ref()
    }

    /// Begins the handshake, or has its flight sent again.
    pub(super) fn say_hello(&mut self, hello: Message) {
        let taken = self.engine.handle_packet(&record(HANDSHAKE, 0, hello.bytes())).is_ok();
        if taken {
            self.hello = Some(hello);
        }
    }

    /// Goes on with an answer that is signed for this attempt, once there is one.
    pub(super) fn finish(&mut self, identity: &Identity, answer: &Answer) {
        if self.hello.is_none() {
            return;
        }
        if !self.answered {
            let Some([certificate, exchange, verify]) = self.find(identity, answer) else { return };
            let mut flight = record(HANDSHAKE, 1, certificate.bytes());
            flight.extend(record(HANDSHAKE, 2, exchange.bytes()));
            flight.extend(record(HANDSHAKE, 3, verify.bytes()));
            flight.extend(record(CHANGE_CIPHER_SPEC, 4, &[1]));
            self.answered = self.engine.handle_packet(&flight).is_ok();
        }
        for sealed in &answer.sealed {
            // What does not open was not sealed for it.
            let _ = self.engine.handle_packet(sealed);
        }
    }

    /// The messages whose signature covers what this attempt has said (RFC 5246 §7.4.8).
    fn find<'a>(&self, identity: &Identity, answer: &'a Answer) -> Option<[&'a Message; 3]> {
        let verifier = identity.config.crypto_provider().signature_verification;
        let said = self.hello.iter().chain(&self.said).map(Message::bytes);
        let said: Vec<u8> = said.flatten().copied().collect();
        for certificate in &answer.certificates {
            let key = first_certificate(certificate)?;
            for exchange in &answer.exchanges {
                let covered = [&said, certificate.bytes(), exchange.bytes()].concat();
                for verify in &answer.verifies {
                    let (hash, algorithm, signature) = signature(verify)?;
                    let hash = HashAlgorithm::from_u8(hash);
                    let algorithm = SignatureAlgorithm::from_u8(algorithm);
                    let verified =
                        verifier.verify_signature(key, &covered, signature, hash, algorithm);
                    if verified.is_ok() {
                        return Some([certificate, exchange, verify]);
                    }
                }
            }
        }
        None
    }

    /// As client: what is out of place is passed over, for anybody can have sent it.
    pub(super) fn handle_as_client(&mut self, datagram: &[u8]) {
        /// From HelloRequest to CertificateStatus, and no further than the server's first flight.
        const MESSAGES: std::ops::RangeInclusive<u8> = 2..=22;
        const SEQ_MAX: u16 = 6;
        let in_place = records(datagram).all(|record| match (record.kind, record.epoch) {
            // The engine reads to the end, whatever stands there.
            (HANDSHAKE, 0) => are_fragments(record.contents, |fragment| {
                MESSAGES.contains(&fragment.kind) && fragment.seq <= SEQ_MAX
            }),
            (CHANGE_CIPHER_SPEC, 0) => record.contents == [1],
            (_, epoch) => epoch == 1,
        });
        if in_place {
            let _ = self.engine.handle_packet(datagram);
        }
    }

    /// What the engine has to say next.
    pub(super) fn poll(&mut self, slot: &mut [u8], epoch: Instant) -> Polled {
        // The engine hands the peer's certificate out before the handshake is done, and panics
        // where it finds no room for it: it may be as long as the message that it came in.
        let mut large = vec![0; if self.done { 0 } else { MESSAGE_MAX }];
        loop {
            let done = self.done;
            let room = if done { &mut *slot } else { &mut large[..] };
            let len = match self.engine.poll_output(room) {
                Output::Packet(packet) => packet.len(),
                Output::BufferTooSmall { .. } => return Polled::Failed,
                Output::Timeout(at) => {
                    self.timeout = Some(to_timestamp(epoch, at));
                    return Polled::Idle;
                }
                Output::PeerCert(certificate) => {
                    self.certificate = Some(certificate.into());
                    continue;
                }
                Output::KeyingMaterial(material, profile) => {
                    self.keys = srtp_profile(profile).map(|profile| (profile, material));
                    continue;
                }
                Output::Connected => {
                    self.done = true;
                    continue;
                }
                Output::CloseNotify => return Polled::Closed,
                // No data channels: application data has no reader.
                _ => continue,
            };
            if !done {
                slot[..len].copy_from_slice(&large[..len]);
                self.note_said(&slot[..len]);
            }
            return Polled::Datagram(len);
        }
    }

    /// Keeps what it has said, once, as the client's signature covers it.
    fn note_said(&mut self, datagram: &[u8]) {
        for record in records(datagram).filter(|it| (it.kind, it.epoch) == (HANDSHAKE, 0)) {
            for fragment in fragments(record.contents) {
                if let Some(message) = self.saying.add(&fragment)
                    && usize::from(message.seq()) == self.said.len()
                {
                    self.said.push(message);
                }
            }
        }
    }
}

fn srtp_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        _ => None,
    }
}

/// Rounded up, so that the engine finds its timer due when it is called then.
fn to_timestamp(epoch: Instant, at: Instant) -> Timestamp {
    let after = at.saturating_duration_since(epoch);
    Timestamp::from_micros(after.as_nanos().div_ceil(1000) as u64)
}
