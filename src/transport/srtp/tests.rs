//! SRTP against the RFCs' vectors, against webrtc-srtp, against damage, and its windows against
//! models that are too simple to be wrong.

mod interop;
mod packets;
mod vectors;
mod windows;

use super::{PacketIndex, SrtpProfile, SrtpRx, SrtpTx};
use crate::types::limit::SRTP_TRAILER_MAX;
use crate::types::{SeqNo, Ssrc};

const PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::AeadAes256Gcm, SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmSha1_80];

const SSRC: Ssrc = Ssrc(0xCAFE_BABE);

/// A master key and salt that fit `profile`.
fn master(profile: SrtpProfile) -> (Vec<u8>, Vec<u8>) {
    let bytes = |from: u8, len: usize| (0..len as u8).map(|n| n.wrapping_mul(7) ^ from).collect();
    (bytes(0x5A, profile.key_len()), bytes(0xC3, profile.salt_len()))
}

/// Both halves of one key.
fn pair(profile: SrtpProfile) -> (SrtpTx, SrtpRx) {
    let (key, salt) = master(profile);
    (SrtpTx::new(profile, &key, &salt), SrtpRx::new(profile, &key, &salt))
}

fn seal_rtp(tx: &SrtpTx, plain: &[u8], header_len: usize, ssrc: Ssrc, index: SeqNo) -> Vec<u8> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + SRTP_TRAILER_MAX, 0xEE);
    let len = tx.seal_rtp(&mut buf, header_len, plain.len(), PacketIndex::at_will(ssrc, index));
    buf.truncate(len);
    buf
}

fn seal_rtcp(tx: &mut SrtpTx, plain: &[u8]) -> Vec<u8> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + SRTP_TRAILER_MAX, 0xEE);
    let len = tx.seal_rtcp(&mut buf, plain.len()).expect("the key is fresh");
    buf.truncate(len);
    buf
}

/// An RTP packet of 12 header bytes.
fn rtp(seq: u16, ssrc: Ssrc, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(seq.to_be_bytes());
    packet.extend([1, 2, 3, 4]);
    packet.extend(ssrc.0.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An RTCP BYE-like packet from `ssrc` with `words` more words.
fn rtcp(ssrc: Ssrc, words: u8) -> Vec<u8> {
    let mut packet = vec![0x81, 203, 0, 1 + words];
    packet.extend(ssrc.0.to_be_bytes());
    packet.extend((0..4 * words).map(|n| n ^ 0x3C));
    packet
}
