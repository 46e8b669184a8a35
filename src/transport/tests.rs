//! A transport against a client made of the same engine: who starts, what is waited for, and that
//! no keys exist before the fingerprint matched. Virtual time; no sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::srtp::PacketIndex;
use super::*;
use crate::protocol::FingerprintAlgorithm;
use crate::types::limit::DATAGRAM_MAX;
use crate::types::{SeqNo, ShardId, SocketId, Ssrc};

const PATH: Path = Path::Udp {
    socket: SocketId(0),
    remote: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9),
};

const CHECK: Check = Check { path: PATH, transaction: 1, nominate: true };

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000 + millis * 1000)
}

/// A server's transport and a client's engine, connected by nothing but this struct.
struct Pair {
    server: Transport,
    client: Dtls,
    identity: Identity,
    epoch: Instant,
    events: Vec<Event>,
    client_keys: Option<Box<SrtpKeys>>,
}

impl Pair {
    #[expect(
        clippy::disallowed_methods,
        reason = "an epoch for the engine; time itself is virtual"
    )]
    fn new() -> Self {
        let epoch = Instant::now();
        let server = Identity::generate().expect("a certificate can be made");
        let identity = Identity::generate().expect("a certificate can be made");
        let credentials = Credentials::generate(ShardId(0), &mut StdRng::from_seed([1; 32]));
        let mut client = Dtls::new(&identity, epoch, ms(0));
        client.expect(vec![server.fingerprint()]);
        let server = Transport::new(credentials, &server, epoch, ms(0));
        Self { server, client, identity, epoch, events: Vec::new(), client_keys: None }
    }

    fn state(&mut self, role: Option<DtlsRole>) -> bool {
        let fingerprints = vec![self.identity.fingerprint()];
        self.server.set_remote(ms(0), DtlsParameters { role, fingerprints })
    }

    /// Moves datagrams until both are silent; how many went each way (to server, to client).
    fn exchange(&mut self, now: Timestamp) -> (usize, usize) {
        let mut moved = (0, 0);
        let mut buf = [0; DATAGRAM_MAX];
        loop {
            let before = moved;
            while let Some(len) = self.client.poll_transmit(&mut buf) {
                moved.0 += 1;
                let _ = self.server.handle_dtls(now, PATH, &buf[..len]);
            }
            while let Some(len) = self.server.poll_transmit(&mut buf) {
                moved.1 += 1;
                self.client.handle_datagram(now, &buf[..len]);
            }
            self.server.note_handshake(now);
            self.events.extend(std::iter::from_fn(|| self.server.poll_event()));
            if let Some(DtlsEvent::Connected(keys)) = self.client.poll_event() {
                self.client_keys = Some(keys);
            }
            if moved == before {
                return moved;
            }
        }
    }

    /// A packet sealed by each side is opened by the other.
    fn assert_media_flows(&mut self) {
        let client = self.client_keys.as_mut().expect("the client is connected");
        let (path, tx) = self.server.tx().expect("the server is connected");
        assert_eq!(path, PATH);
        let mut packet = [0u8; 64];
        packet[0] = 0x80;
        packet[20..24].copy_from_slice(b"data");
        let len = tx.seal_rtp(&mut packet, 12, 24, PacketIndex::at_will(Ssrc(0), SeqNo(0)));
        let opened = client.rx.open_rtp(&mut packet[..len], 12, Ssrc(0), SeqNo(0));
        assert_eq!((opened, &packet[20..24]), (Ok(24), &b"data"[..]));
        let len = client.tx.seal_rtp(&mut packet, 12, 24, PacketIndex::at_will(Ssrc(0), SeqNo(0)));
        let rx = self.server.rx().expect("the server is connected");
        assert_eq!(rx.open_rtp(&mut packet[..len], 12, Ssrc(0), SeqNo(0)), Ok(24));
    }
}

#[test]
fn a_client_that_starts_is_answered_and_both_have_keys() {
    for role in [None, Some(DtlsRole::Auto), Some(DtlsRole::Client), Some(DtlsRole::Server)] {
        let mut pair = Pair::new();
        assert!(pair.state(role));
        pair.server.handle_check(ms(0), CHECK);
        pair.client.start_client(ms(1));
        pair.exchange(ms(1));
        assert_eq!(pair.events, [Event::Connected], "{role:?}");
        assert_eq!(pair.server.dtls_state(), DtlsState::Connected);
        pair.assert_media_flows();
    }
}

#[test]
fn the_server_starts_one_second_after_the_first_check_if_the_client_said_server() {
    let mut pair = Pair::new();
    assert!(pair.state(Some(DtlsRole::Server)));
    assert_eq!(pair.server.poll_deadline(), None, "no check, no hurry");
    pair.server.handle_check(ms(200), CHECK);
    let deadline = pair.server.poll_deadline().expect("waits for a ClientHello");
    assert_eq!(deadline, Deadline { at: ms(1200), reason: Reason::DtlsRole });
    pair.server.handle_timeout(ms(1199));
    assert_eq!(pair.exchange(ms(1199)), (0, 0));
    pair.server.handle_timeout(ms(1200));
    assert_eq!(pair.server.dtls_state(), DtlsState::Connecting);
    pair.exchange(ms(1200));
    assert_eq!(pair.events, [Event::Connected]);
    pair.assert_media_flows();
}

#[test]
fn there_are_no_keys_before_the_fingerprint_is_known() {
    let mut pair = Pair::new();
    pair.server.handle_check(ms(0), CHECK);
    pair.client.start_client(ms(1));
    pair.exchange(ms(1));
    assert!(pair.events.is_empty() && pair.server.tx().is_none() && pair.server.rx().is_none());
    assert_eq!(pair.server.dtls_state(), DtlsState::Connecting);
    assert!(pair.state(Some(DtlsRole::Client)));
    pair.exchange(ms(2));
    assert_eq!(pair.events, [Event::Connected]);
    pair.assert_media_flows();
}

#[test]
fn a_certificate_that_was_not_stated_ends_it_without_keys() {
    let mut pair = Pair::new();
    let other = Identity::generate().expect("a certificate can be made");
    let stated = DtlsParameters { role: None, fingerprints: vec![other.fingerprint()] };
    assert!(pair.server.set_remote(ms(0), stated));
    assert!(!pair.state(None), "another one is not taken afterwards");
    pair.server.handle_check(ms(0), CHECK);
    pair.client.start_client(ms(1));
    pair.exchange(ms(1));
    assert_eq!(pair.events, [Event::Failed(DtlsFailure::Fingerprint)]);
    assert!(pair.server.tx().is_none() && pair.server.rx().is_none());
    let refused = pair.server.handle_dtls(ms(2), PATH, &[22; 100]);
    assert_eq!(refused, Err(DropReason::DtlsUnexpected));
}

/// Nothing can verify what it signs; that is said at once, not after a minute of silence.
#[test]
fn the_stated_certificate_with_a_key_of_no_use_ends_it_with_the_reason() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
    let made = rcgen::CertificateParams::default().self_signed(&key);
    let certificate = made.expect("a certificate can be made").der().to_vec();
    let stated = DtlsParameters { role: None, fingerprints: vec![sha_256(&certificate)] };
    for stated_first in [true, false] {
        let mut pair = Pair::new();
        if stated_first {
            assert!(pair.server.set_remote(ms(0), stated.clone()));
        }
        pair.server.handle_check(ms(0), CHECK);
        pair.client.start_client(ms(1));
        let mut buf = [0; DATAGRAM_MAX];
        let len = pair.client.poll_transmit(&mut buf).expect("a ClientHello");
        pair.server.handle_dtls(ms(1), PATH, &buf[..len]).expect("taken");
        let answer = certificate_record(&certificate);
        pair.server.handle_dtls(ms(2), PATH, &answer).expect("taken");
        if !stated_first {
            assert_eq!(pair.server.poll_event(), None);
            assert!(pair.server.set_remote(ms(3), stated.clone()));
        }
        let event = pair.server.poll_event();
        assert_eq!(event, Some(Event::Failed(DtlsFailure::Certificate)), "{stated_first}");
    }
}

/// Of a certificate in DER, as signaling states it.
fn sha_256(certificate: &[u8]) -> Fingerprint {
    let value = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    Fingerprint { algorithm: FingerprintAlgorithm::Sha256, value: value.as_ref().to_vec() }
}

/// A client's Certificate message, in a record in the clear (RFC 6347 §4.2.2, RFC 5246 §7.4.2).
fn certificate_record(certificate: &[u8]) -> Vec<u8> {
    let with_len = |bytes: Vec<u8>| [&(bytes.len() as u32).to_be_bytes()[1..], &bytes].concat();
    let body = with_len(with_len(certificate.to_vec()));
    let len = &(body.len() as u32).to_be_bytes()[1..];
    let message = [&[11][..], len, &[0, 1, 0, 0, 0], len, &body].concat();
    let head = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 7];
    [&head[..], &(message.len() as u16).to_be_bytes(), &message].concat()
}

#[test]
fn a_certificate_must_match_in_every_byte() {
    for byte in 0..32 {
        let mut pair = Pair::new();
        let mut stated = pair.identity.fingerprint();
        stated.value[byte] ^= 1;
        let stated = DtlsParameters { role: None, fingerprints: vec![stated] };
        assert!(pair.server.set_remote(ms(0), stated));
        pair.server.handle_check(ms(0), CHECK);
        pair.client.start_client(ms(1));
        pair.exchange(ms(1));
        assert_eq!(pair.events, [Event::Failed(DtlsFailure::Fingerprint)], "byte {byte}");
    }
}

/// Who waits for a handshake or has begun one, and ends it: neither packets nor time revive it.
#[test]
fn an_engine_that_is_over_takes_nothing_and_says_nothing() {
    for begins in [false, true] {
        let mut pair = Pair::new();
        let (mut over, mut buf) = (pair.client, [0; DATAGRAM_MAX]);
        if begins {
            over.start_client(ms(1));
            assert!(
                over.poll_transmit(&mut buf).is_some() && over.poll_transmit(&mut buf).is_none()
            );
        }
        over.close();
        pair.client = Dtls::new(&pair.identity, pair.epoch, ms(0));
        pair.client.start_client(ms(1));
        let len = pair.client.poll_transmit(&mut buf).expect("a hello");
        over.handle_datagram(ms(2), &buf[..len]);
        assert_eq!(over.has_begun(), begins);
        (1..120).for_each(|second| over.handle_timeout(ms(1000 * second)));
        assert!(over.poll_event().is_none() && over.poll_transmit(&mut buf).is_none());
        assert_eq!(over.poll_deadline(), None);
    }
}

#[test]
fn a_lost_flight_is_sent_again_soon() {
    let mut pair = Pair::new();
    assert!(pair.state(None));
    pair.server.handle_check(ms(0), CHECK);
    pair.client.start_client(ms(0));
    let mut buf = [0; DATAGRAM_MAX];
    while let Some(len) = pair.client.poll_transmit(&mut buf) {
        let _ = pair.server.handle_dtls(ms(1), PATH, &buf[..len]);
    }
    while pair.server.poll_transmit(&mut buf).is_some() {}
    let deadline = pair.server.poll_deadline().expect("a flight is out");
    assert_eq!(deadline.reason, Reason::Dtls);
    assert!(deadline.at.since(ms(1)) <= Duration::from_millis(125), "100 ms, give or take");
    pair.server.handle_timeout(deadline.at);
    assert!(pair.exchange(deadline.at).1 > 0, "the flight is sent again");
    // The client's own timer may have run too, and crossed it: one more round at most.
    for later in (150..=400).step_by(10).map(ms) {
        pair.server.handle_timeout(later);
        pair.client.handle_timeout(later);
        pair.exchange(later);
    }
    assert_eq!(pair.events, [Event::Connected]);
}

#[test]
fn junk_from_a_checked_path_does_not_disturb_a_handshake() {
    let mut pair = Pair::new();
    assert!(pair.state(None));
    pair.server.handle_check(ms(0), CHECK);
    for len in 1..64 {
        let mut junk = vec![0xff; len];
        junk[0] = 20 + (len % 4) as u8;
        let _ = pair.server.handle_dtls(ms(0), PATH, &junk);
    }
    pair.client.start_client(ms(1));
    pair.exchange(ms(1));
    assert_eq!(pair.events, [Event::Connected]);
}

#[test]
fn close_notify_is_noticed() {
    let mut pair = Pair::new();
    assert!(pair.state(None));
    pair.server.handle_check(ms(0), CHECK);
    pair.client.start_client(ms(1));
    pair.exchange(ms(1));
    pair.client.close();
    pair.exchange(ms(2));
    assert_eq!(pair.events, [Event::Connected, Event::Closed]);
    assert_eq!(pair.server.dtls_state(), DtlsState::Closed);
}
