//! The client's half of ICE's checks (RFC 8489, RFC 8445), written without the server's code.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use aws_lc_rs::hmac;

const MAGIC: u32 = 0x2112_a442;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// A binding request as an ICE agent sends it.
#[derive(Debug, Clone)]
pub(crate) struct Check<'a> {
    pub(crate) id: [u8; 12],
    /// `server's fragment:client's fragment`.
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) nominate: bool,
    pub(crate) controlled: bool,
    /// Further attributes, empty ones.
    pub(crate) more: &'a [u16],
}

impl Check<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut message = vec![0, 1, 0, 0];
        message.extend(MAGIC.to_be_bytes());
        message.extend(self.id);
        append(&mut message, USERNAME, self.username.as_bytes());
        append(&mut message, PRIORITY, &0x6e00_01ff_u32.to_be_bytes());
        let role = if self.controlled { ICE_CONTROLLED } else { ICE_CONTROLLING };
        append(&mut message, role, &7u64.to_be_bytes());
        if self.nominate {
            append(&mut message, USE_CANDIDATE, &[]);
        }
        for kind in self.more {
            append(&mut message, *kind, &[]);
        }
        set_length(&mut message, 24);
        let tag = integrity(self.password, &message);
        append(&mut message, MESSAGE_INTEGRITY, &tag);
        set_length(&mut message, 8);
        let crc = crc32(&message) ^ 0x5354_554e;
        append(&mut message, FINGERPRINT, &crc.to_be_bytes());
        message
    }
}

/// What the server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Success { id: [u8; 12], mapped: SocketAddr },
    Error { id: [u8; 12], code: u16 },
}

/// Reads an answer, and panics if it is none that `password` vouches for.
pub(crate) fn read_answer(message: &[u8], password: &str) -> Answer {
    let id: [u8; 12] = message[8..20].try_into().expect("a whole header");
    let (mut mapped, mut code, mut verified) = (None, None, false);
    let mut at = 20;
    while at < message.len() {
        let kind = u16::from_be_bytes([message[at], message[at + 1]]);
        let len = usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
        let value = &message[at + 4..at + 4 + len];
        match kind {
            XOR_MAPPED_ADDRESS => mapped = Some(unmap(value)),
            ERROR_CODE => code = Some(u16::from(value[2]) * 100 + u16::from(value[3])),
            MESSAGE_INTEGRITY => {
                let mut covered = message[..at].to_vec();
                set_length(&mut covered, 24);
                assert_eq!(value, integrity(password, &covered), "the answer is authentic");
                verified = true;
            }
            FINGERPRINT => {
                let crc = crc32(&message[..at]) ^ 0x5354_554e;
                assert_eq!(value, crc.to_be_bytes(), "the answer's fingerprint");
            }
            _ => {}
        }
        at += 4 + len.next_multiple_of(4);
    }
    assert!(verified, "an answer to a signed request is signed");
    match (u16::from_be_bytes([message[0], message[1]]), mapped, code) {
        (0x0101, Some(mapped), None) => Answer::Success { id, mapped },
        (0x0111, None, Some(code)) => Answer::Error { id, code },
        other => panic!("no answer to a binding request: {other:x?}"),
    }
}

fn append(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_length(message, 0);
}

/// RFC 8489 §14.5: the length counts up to the end of the attribute that covers it.
fn set_length(message: &mut [u8], ahead: usize) {
    let len = (message.len() - 20 + ahead) as u16;
    message[2..4].copy_from_slice(&len.to_be_bytes());
}

fn integrity(password: &str, message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}

/// IPv4 only: the simulated network has nothing else.
fn unmap(value: &[u8]) -> SocketAddr {
    assert_eq!((value.len(), value[1]), (8, 1), "an IPv4 address");
    let port = u16::from_be_bytes([value[2], value[3]]) ^ (MAGIC >> 16) as u16;
    let address = u32::from_be_bytes([value[4], value[5], value[6], value[7]]) ^ MAGIC;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address)), port)
}

fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    !crc
}

/// The check value that CRC-32 is known by: the clients' own code is held too.
#[test]
fn crc_of_the_well_known_text() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
