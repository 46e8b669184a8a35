//! STUN as an ICE-lite server needs it: checks in, answers out (RFC 8489, RFC 8445 §7).
//!
//! Only Binding requests with short-term credentials are read. A request is parsed before anyone
//! knows the password; whoever finds it by `username_local` then calls [`BindingRequest::verify`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::{constant_time, hmac};

use crate::types::DropReason;

const HEADER_LEN: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// Bytes of a MESSAGE-INTEGRITY attribute, its header included.
const INTEGRITY_LEN: usize = 4 + 20;
/// Bytes of a FINGERPRINT attribute, its header included.
const FINGERPRINT_LEN: usize = 4 + 4;
/// What a FINGERPRINT is XORed with, so that it differs from other CRCs (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Unknown attributes named in one 420 answer.
const UNKNOWN_MAX: usize = 8;

/// Key of MESSAGE-INTEGRITY with short-term credentials (RFC 8489 §9.1.1), prepared for use.
#[derive(Clone)]
pub struct IntegrityKey(hmac::Key);

impl IntegrityKey {
    /// From an ICE password, which is of ICE characters and so its own SASLprep.
    pub fn new(password: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()))
    }
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(..)")
    }
}

/// Which side decides over the candidate pair, with that side's tie-breaker (RFC 8445 §7.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceRole {
    /// The sender of the request nominates.
    Controlling(u64),
    /// The sender of the request expects us to nominate.
    Controlled(u64),
}

/// A few attribute types; more than 8 are not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttributeTypes {
    types: [u16; UNKNOWN_MAX],
    len: u8,
}

impl AttributeTypes {
    /// The types in the order of the message.
    pub fn as_slice(&self) -> &[u16] {
        &self.types[..usize::from(self.len)]
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, attribute_type: u16) {
        if let Some(free) = self.types.get_mut(usize::from(self.len)) {
            *free = attribute_type;
            self.len += 1;
        }
    }
}

/// A connectivity check: well-formed, its integrity not yet verified.
#[derive(Debug, Clone, Copy)]
pub struct BindingRequest<'a> {
    /// To be repeated in the answer.
    pub transaction_id: [u8; 12],
    /// Our username fragment: USERNAME before the colon (RFC 8445 §7.2.2).
    pub username_local: &'a [u8],
    /// The client's username fragment: USERNAME after the colon.
    pub username_remote: &'a [u8],
    /// PRIORITY of the candidate that a check from an unknown address would make.
    pub priority: Option<u32>,
    /// The client nominates this path.
    pub use_candidate: bool,
    /// The role that the client takes.
    pub role: Option<IceRole>,
    /// Attributes that must be understood and are not: the answer is a 420 that names them.
    pub unknown_required: AttributeTypes,
    /// The message before MESSAGE-INTEGRITY.
    signed: &'a [u8],
    /// The value of MESSAGE-INTEGRITY.
    integrity: &'a [u8],
}

impl<'a> BindingRequest<'a> {
    /// Reads one datagram, which must be one message and nothing else.
    ///
    /// # Errors
    /// `StunMalformed`: no STUN message, attributes that do not fit it, known ones of a wrong
    /// length, a wrong FINGERPRINT (one that is absent is not missed). `StunNotRequest`: another
    /// class or method. `StunUnknownUfrag`: no USERNAME, or one without a colon.
    /// `StunBadIntegrity`: no MESSAGE-INTEGRITY.
    pub fn parse(datagram: &'a [u8]) -> Result<BindingRequest<'a>, DropReason> {
        let (message_type, transaction_id) = parse_header(datagram)?;
        if message_type != BINDING_REQUEST {
            return Err(DropReason::StunNotRequest);
        }
        let attributes = parse_attributes(datagram)?;
        let username = attributes.username.ok_or(DropReason::StunUnknownUfrag)?;
        let colon = username.iter().position(|&byte| byte == b':');
        let colon = colon.ok_or(DropReason::StunUnknownUfrag)?;
        let (signed, integrity) = attributes.integrity.ok_or(DropReason::StunBadIntegrity)?;
        Ok(BindingRequest {
            transaction_id,
            username_local: &username[..colon],
            username_remote: &username[colon + 1..],
            priority: attributes.priority,
            use_candidate: attributes.use_candidate,
            role: attributes.role,
            unknown_required: attributes.unknown_required,
            signed,
            integrity,
        })
    }

    /// Whether the request was made by someone who knows the password. Takes the same time
    /// wherever the difference is.
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        let tag = integrity_of(self.signed, key);
        constant_time::verify_slices_are_equal(tag.as_ref(), self.integrity).is_ok()
    }
}

/// Writes a success response: the client's address as we see it (XOR-MAPPED-ADDRESS; an
/// IPv4-mapped one as IPv4), MESSAGE-INTEGRITY, FINGERPRINT. Returns its length, at most 76.
///
/// # Panics
/// If `buf` is shorter than the response.
pub fn write_success(
    buf: &mut [u8],
    transaction_id: &[u8; 12],
    mapped: SocketAddr,
    key: &IntegrityKey,
) -> usize {
    let mut writer = MessageWriter::new(buf, BINDING_SUCCESS, transaction_id);
    // RFC 8489 §14.2: family, then port and address XORed with the cookie and transaction id, so
    // that no NAT on the way takes them for its own business.
    let port = (mapped.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]])).to_be_bytes();
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE);
    mask[4..].copy_from_slice(transaction_id);
    match mapped.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let ip = xor(ip.octets(), &mask);
            writer.attribute(XOR_MAPPED_ADDRESS, &[&[0, 1], &port, &ip]);
        }
        IpAddr::V6(ip) => {
            let ip = xor(ip.octets(), &mask);
            writer.attribute(XOR_MAPPED_ADDRESS, &[&[0, 2], &port, &ip]);
        }
    }
    writer.finish(key)
}

/// Writes an error response: ERROR-CODE with `code` (300..=699) and `reason`, UNKNOWN-ATTRIBUTES if
/// there are any, MESSAGE-INTEGRITY, FINGERPRINT. Returns its length, at most `reason` and 2 bytes
/// an unknown attribute, rounded up, and 64.
///
/// # Panics
/// If `buf` is shorter than the response.
pub fn write_error(
    buf: &mut [u8],
    transaction_id: &[u8; 12],
    code: u16,
    reason: &str,
    unknown: &[u16],
    key: &IntegrityKey,
) -> usize {
    let mut writer = MessageWriter::new(buf, BINDING_ERROR, transaction_id);
    // RFC 8489 §14.8: the hundreds and the rest are apart.
    let code = [0, 0, (code / 100) as u8, (code % 100) as u8];
    writer.attribute(ERROR_CODE, &[&code, reason.as_bytes()]);
    if !unknown.is_empty() {
        let mut list = AttributeTypes::default();
        unknown.iter().for_each(|&attribute_type| list.push(attribute_type));
        let mut value = [0; 2 * UNKNOWN_MAX];
        for (bytes, attribute_type) in value.chunks_exact_mut(2).zip(list.as_slice()) {
            bytes.copy_from_slice(&attribute_type.to_be_bytes());
        }
        writer.attribute(UNKNOWN_ATTRIBUTES, &[&value[..2 * list.as_slice().len()]]);
    }
    writer.finish(key)
}

/// Type and transaction id of a message that is as long as it says (RFC 8489 §5).
fn parse_header(datagram: &[u8]) -> Result<(u16, [u8; 12]), DropReason> {
    let malformed = DropReason::StunMalformed;
    let header: &[u8; HEADER_LEN] = datagram.first_chunk().ok_or(malformed)?;
    let message_type = be16(header, 0);
    let len = usize::from(be16(header, 2));
    let sound = message_type & 0xc000 == 0
        && header[4..8] == COOKIE
        && len % 4 == 0
        && HEADER_LEN + len == datagram.len();
    if !sound {
        return Err(malformed);
    }
    let mut transaction_id = [0; 12];
    transaction_id.copy_from_slice(&header[8..]);
    Ok((message_type, transaction_id))
}

/// The attributes that matter to a check. Of one that occurs twice the first counts (RFC 8489 §14).
#[derive(Default)]
struct Attributes<'a> {
    username: Option<&'a [u8]>,
    priority: Option<u32>,
    use_candidate: bool,
    role: Option<IceRole>,
    unknown_required: AttributeTypes,
    /// What MESSAGE-INTEGRITY covers, and its value.
    integrity: Option<(&'a [u8], &'a [u8])>,
}

/// Walks the attributes of a message whose header has been checked.
fn parse_attributes(message: &[u8]) -> Result<Attributes<'_>, DropReason> {
    let malformed = DropReason::StunMalformed;
    let mut attributes = Attributes::default();
    let mut at = HEADER_LEN;
    while at < message.len() {
        // The message is a multiple of 4 long, and so is every attribute with its padding: what is
        // left has room for a type and a length.
        let value_at = at + 4;
        let value_end = value_at + usize::from(be16(message, at + 2));
        let value = message.get(value_at..value_end).ok_or(malformed)?;
        let end = value_end.next_multiple_of(4);
        match be16(message, at) {
            // RFC 8489 §14.7: it is the last attribute.
            FINGERPRINT => {
                let sound = end == message.len() && value == fingerprint_of(&message[..at]);
                return if sound { Ok(attributes) } else { Err(malformed) };
            }
            // RFC 8489 §14.5: what follows was added by someone on the way, or is a signature of a
            // kind that we did not ask for.
            _ if attributes.integrity.is_some() => {}
            MESSAGE_INTEGRITY if value.len() == INTEGRITY_LEN - 4 => {
                attributes.integrity = Some((&message[..at], value));
            }
            attribute_type => attributes.take(attribute_type, value).ok_or(malformed)?,
        }
        at = end;
    }
    Ok(attributes)
}

impl<'a> Attributes<'a> {
    /// Takes one attribute from before MESSAGE-INTEGRITY. `None` if it is known and malformed.
    fn take(&mut self, attribute_type: u16, value: &'a [u8]) -> Option<()> {
        match attribute_type {
            USERNAME => {
                self.username.get_or_insert(value);
            }
            PRIORITY => {
                self.priority.get_or_insert(u32::from_be_bytes(value.try_into().ok()?));
            }
            USE_CANDIDATE => {
                value.is_empty().then_some(())?;
                self.use_candidate = true;
            }
            ICE_CONTROLLING => {
                let tie_breaker = u64::from_be_bytes(value.try_into().ok()?);
                self.role.get_or_insert(IceRole::Controlling(tie_breaker));
            }
            ICE_CONTROLLED => {
                let tie_breaker = u64::from_be_bytes(value.try_into().ok()?);
                self.role.get_or_insert(IceRole::Controlled(tie_breaker));
            }
            // One of a wrong length.
            MESSAGE_INTEGRITY => return None,
            _ if is_required(attribute_type) => self.unknown_required.push(attribute_type),
            _ => {}
        }
        Some(())
    }
}

/// Whether an attribute that means nothing to a check must all the same be understood (RFC 8489
/// §14). The RFC's own, which belong to other credentials or to responses, are known and ignored
/// (§6.3.1): MAPPED-ADDRESS, ERROR-CODE, UNKNOWN-ATTRIBUTES, REALM, NONCE, the SHA-256 family and
/// XOR-MAPPED-ADDRESS.
fn is_required(attribute_type: u16) -> bool {
    let known =
        matches!(attribute_type, 0x0001 | 0x0009 | 0x000a | 0x0014 | 0x0015 | 0x001c..=0x001e)
            || attribute_type == XOR_MAPPED_ADDRESS;
    attribute_type < 0x8000 && !known
}

/// MESSAGE-INTEGRITY of a message that so far is `message` (RFC 8489 §14.5). The length that the
/// header states is taken to end with the attribute itself, whatever follows it.
fn integrity_of(message: &[u8], key: &IntegrityKey) -> hmac::Tag {
    let len = (message.len() + INTEGRITY_LEN - HEADER_LEN) as u16;
    let mut context = hmac::Context::with_key(&key.0);
    context.update(&message[..2]);
    context.update(&len.to_be_bytes());
    context.update(&message[4..]);
    context.sign()
}

/// FINGERPRINT of a message that so far is `message`; the attribute ends it (RFC 8489 §14.7).
fn fingerprint_of(message: &[u8]) -> [u8; 4] {
    let len = (message.len() + FINGERPRINT_LEN - HEADER_LEN) as u16;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&message[..2]);
    crc.update(&len.to_be_bytes());
    crc.update(&message[4..]);
    (crc.finalize() ^ FINGERPRINT_XOR).to_be_bytes()
}

/// Writes one message from front to back.
struct MessageWriter<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> MessageWriter<'a> {
    fn new(buf: &'a mut [u8], message_type: u16, transaction_id: &[u8; 12]) -> Self {
        buf[..2].copy_from_slice(&message_type.to_be_bytes());
        buf[4..8].copy_from_slice(&COOKIE);
        buf[8..HEADER_LEN].copy_from_slice(transaction_id);
        Self { buf, len: HEADER_LEN }
    }

    /// Appends an attribute whose value is `parts`, padded to a multiple of 4.
    fn attribute(&mut self, attribute_type: u16, parts: &[&[u8]]) {
        let value_len: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes(&attribute_type.to_be_bytes());
        self.bytes(&(value_len as u16).to_be_bytes());
        parts.iter().for_each(|part| self.bytes(part));
        self.bytes(&[0; 3][..value_len.next_multiple_of(4) - value_len]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.buf[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Signs, seals, and states the length, which both of them account for already.
    fn finish(mut self, key: &IntegrityKey) -> usize {
        let tag = integrity_of(&self.buf[..self.len], key);
        self.attribute(MESSAGE_INTEGRITY, &[tag.as_ref()]);
        let crc = fingerprint_of(&self.buf[..self.len]);
        self.attribute(FINGERPRINT, &[&crc]);
        let len = (self.len - HEADER_LEN) as u16;
        self.buf[2..4].copy_from_slice(&len.to_be_bytes());
        self.len
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn xor<const N: usize>(mut bytes: [u8; N], mask: &[u8; 16]) -> [u8; N] {
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    bytes
}

#[cfg(test)]
mod tests;
