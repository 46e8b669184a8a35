//! Records and handshake messages of DTLS 1.2 (RFC 6347 §4.1, §4.2), as far as it takes to tell
//! what a datagram brings before anybody acts on it.

/// Content types (RFC 6347 §4.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const HANDSHAKE: u8 = 22;

/// Handshake messages (RFC 5246 §7.4).
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;

/// Bytes before a record's contents, and before a handshake message's.
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

/// Longest handshake message that is read: a chain of certificates. WebRTC's have 300 to 1200
/// bytes.
pub(super) const MESSAGE_MAX: usize = 16 * 1024;

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) epoch: u16,
    /// With its header.
    pub(super) whole: &'a [u8],
    pub(super) contents: &'a [u8],
}

/// The records of a datagram; ends early at one that reaches over its end.
pub(super) fn records(mut datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let header = datagram.get(..RECORD_HEADER)?;
        let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (whole, rest) = datagram.split_at_checked(RECORD_HEADER + len)?;
        datagram = rest;
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        Some(Record { kind: header[0], epoch, whole, contents: &whole[RECORD_HEADER..] })
    })
}

/// Part of a handshake message, or all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    pub(super) seq: u16,
    len: usize,
    offset: usize,
    bytes: &'a [u8],
}

/// The fragments in a record; ends early at what contradicts itself.
pub(super) fn fragments(mut contents: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    std::iter::from_fn(move || {
        let header = contents.get(..MESSAGE_HEADER)?;
        let number = |at: usize| {
            usize::from(header[at]) << 16
                | usize::from(header[at + 1]) << 8
                | usize::from(header[at + 2])
        };
        let (len, offset, part) = (number(1), number(6), number(9));
        let (bytes, rest) = contents[MESSAGE_HEADER..].split_at_checked(part)?;
        contents = rest;
        let fits = len <= MESSAGE_MAX && offset + part <= len;
        let seq = u16::from_be_bytes([header[4], header[5]]);
        fits.then_some(Fragment { kind: header[0], seq, len, offset, bytes })
    })
}

/// Whether a record's contents are fragments up to their end, and each is such a one.
pub(super) fn are_fragments(contents: &[u8], such: impl Fn(&Fragment<'_>) -> bool) -> bool {
    let mut read = 0;
    let fit = fragments(contents).all(|fragment| {
        read += MESSAGE_HEADER + fragment.bytes.len();
        such(&fragment)
    });
    fit && read > 0 && read == contents.len()
}

/// A whole handshake message with the header that it has unfragmented, as the transcript takes it
/// (RFC 6347 §4.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message(Box<[u8]>);

impl Message {
    pub(super) fn kind(&self) -> u8 {
        self.0[0]
    }

    pub(super) fn seq(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.0[MESSAGE_HEADER..]
    }

    /// With its header.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message of which parts have come.
#[derive(Debug)]
pub(super) struct Partial {
    kind: u8,
    seq: u16,
    body: Vec<u8>,
    /// Which bytes have come.
    have: Vec<bool>,
}

impl Partial {
    fn fits(&self, fragment: &Fragment<'_>) -> bool {
        let same = (self.kind, self.seq) == (fragment.kind, fragment.seq);
        let range = fragment.offset..fragment.offset + fragment.bytes.len();
        let agrees =
            |at: usize| !self.have[at] || self.body[at] == fragment.bytes[at - range.start];
        same && self.body.len() == fragment.len && range.clone().all(agrees)
    }

    fn add(&mut self, fragment: &Fragment<'_>) {
        let range = fragment.offset..fragment.offset + fragment.bytes.len();
        self.body[range.clone()].copy_from_slice(fragment.bytes);
        self.have[range].fill(true);
    }
}

/// Puts messages together. What contradicts a message that is under way begins another one: of two
/// senders who mix theirs, one is a forger, and nobody can tell which.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    partial: Vec<Partial>,
}

impl Assembly {
    /// Messages under way at once; the oldest makes room.
    const PARTIAL_MAX: usize = 8;

    /// Takes in a fragment; the message that it makes whole.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>) -> Option<Message> {
        let at = match self.partial.iter().position(|partial| partial.fits(fragment)) {
            Some(at) => at,
            None => {
                if self.partial.len() == Self::PARTIAL_MAX {
                    self.partial.remove(0);
                }
                let (kind, seq, len) = (fragment.kind, fragment.seq, fragment.len);
                self.partial.push(Partial {
                    kind,
                    seq,
                    body: vec![0; len],
                    have: vec![false; len],
                });
                self.partial.len() - 1
            }
        };
        self.partial[at].add(fragment);
        if !self.partial[at].have.iter().all(|have| *have) {
            return None;
        }
        let Partial { kind, seq, body, .. } = self.partial.remove(at);
        Some(message(kind, seq, &body))
    }
}

/// A message from its parts.
fn message(kind: u8, seq: u16, body: &[u8]) -> Message {
    let len = (body.len() as u32).to_be_bytes();
    let [high, low] = seq.to_be_bytes();
    let header = [kind, len[1], len[2], len[3], high, low, 0, 0, 0, len[1], len[2], len[3]];
    Message([&header, body].concat().into())
}

/// A record of epoch 0.
pub(super) fn record(kind: u8, number: u16, contents: &[u8]) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let [len_high, len_low] = (contents.len() as u16).to_be_bytes();
    let header = [kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, high, low, len_high, len_low];
    [&header, contents].concat()
}

/// What a ClientHello says, if it can be answered (RFC 5246 §7.4.1.2): its random. DTLS 1.2 with an
/// extended master secret (RFC 7627) and SRTP (RFC 5764).
pub(super) fn client_random(hello: &Message) -> Option<[u8; 32]> {
    const VERSION: [u8; 2] = [0xfe, 0xfd];
    const USE_SRTP: u16 = 14;
    const EXTENDED_MASTER_SECRET: u16 = 23;
    let mut rest = Reader(hello.body());
    if hello.kind() != CLIENT_HELLO || hello.seq() != 0 || rest.take(2)? != VERSION {
        return None;
    }
    let random = rest.take(32)?.try_into().ok()?;
    let (session, _cookie) = (rest.vector(1)?, rest.vector(1)?);
    let (ciphers, compressions) = (rest.vector(2)?, rest.vector(1)?);
    if session.len() > 32 || ciphers.is_empty() || ciphers.len() % 2 != 0 {
        return None;
    }
    let mut extensions = Reader(rest.vector(2)?);
    let (mut has_srtp, mut has_secret) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.take(2)?;
        extensions.vector(2)?;
        match u16::from_be_bytes([kind[0], kind[1]]) {
            USE_SRTP => has_srtp = true,
            EXTENDED_MASTER_SECRET => has_secret = true,
            _ => {}
        }
    }
    let whole = rest.0.is_empty() && compressions.contains(&0);
    (whole && has_srtp && has_secret).then_some(random)
}

/// The first certificate of a Certificate message (RFC 5246 §7.4.2), in DER.
pub(super) fn first_certificate(message: &Message) -> Option<&[u8]> {
    let mut list = Reader(Reader(message.body()).vector(3)?);
    list.vector(3).filter(|certificate| !certificate.is_empty())
}

/// Hash, signature algorithm and signature of a CertificateVerify (RFC 5246 §7.4.8).
pub(super) fn signature(message: &Message) -> Option<(u8, u8, &[u8])> {
    let mut body = Reader(message.body());
    let algorithm = body.take(2)?;
    let signature = body.vector(2)?;
    body.0.is_empty().then_some((algorithm[0], algorithm[1], signature))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Bytes behind their length, which has so many bytes itself.
    fn vector(&mut self, prefix: usize) -> Option<&'a [u8]> {
        let len = self.take(prefix)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        self.take(len)
    }
}
