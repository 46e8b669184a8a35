//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).
//!
//! ```text
//! SRTP    header, readable │ payload, encrypted │ tag 16
//! SRTCP   8 bytes readable │ rest, encrypted    │ tag 16 │ E + index 4
//! ```

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::keys::{SessionKeys, nonce, salt_number};
use super::{E_FLAG, OpenError, RTCP_CLEAR, SrtpProfile};
use crate::types::{SeqNo, Ssrc};

/// Bytes of the authentication tag.
pub(super) const TAG_LEN: usize = 16;

/// Bytes after an RTCP packet: the tag, then the word of E flag and index.
pub(super) const RTCP_TRAILER: usize = TAG_LEN + 4;

/// One session key.
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: u128,
}

impl Gcm {
    pub(super) fn new(profile: SrtpProfile, keys: &SessionKeys) -> Self {
        let algorithm = match profile {
            SrtpProfile::AeadAes256Gcm => &AES_256_GCM,
            _ => &AES_128_GCM,
        };
        let key =
            UnboundKey::new(algorithm, &keys.encryption).expect("keys have the profile's length");
        Self { key: LessSafeKey::new(key), salt: salt_number(&keys.salt) }
    }

    pub(super) fn seal_rtp(
        &self,
        buf: &mut [u8],
        header_len: usize,
        len: usize,
        ssrc: Ssrc,
        index: SeqNo,
    ) -> usize {
        let (packet, rest) = buf.split_at_mut(len);
        let (header, payload) = packet.split_at_mut(header_len);
        self.seal(self.nonce(ssrc, index.0), header, payload, &mut rest[..TAG_LEN]);
        len + TAG_LEN
    }

    pub(super) fn open_rtp(
        &self,
        buf: &mut [u8],
        header_len: usize,
        ssrc: Ssrc,
        index: SeqNo,
    ) -> Result<usize, OpenError> {
        let len = buf.len().checked_sub(TAG_LEN).ok_or(OpenError::TooShort)?;
        let (packet, tag) = buf.split_at_mut(len);
        let (header, payload) =
            packet.split_at_mut_checked(header_len).ok_or(OpenError::TooShort)?;
        self.open(self.nonce(ssrc, index.0), header, payload, tag)?;
        Ok(len)
    }

    /// `word` is the E flag, set, with the index.
    pub(super) fn seal_rtcp(&self, buf: &mut [u8], len: usize, ssrc: Ssrc, word: u32) -> usize {
        let (packet, rest) = buf.split_at_mut(len);
        let (clear, secret) = packet.split_at_mut(RTCP_CLEAR);
        let (tag, rest) = rest.split_at_mut(TAG_LEN);
        let nonce = self.nonce(ssrc, u64::from(word & !E_FLAG));
        self.seal(nonce, &rtcp_aad(clear, word), secret, tag);
        rest[..4].copy_from_slice(&word.to_be_bytes());
        len + RTCP_TRAILER
    }

    /// `buf` is a packet of `len` bytes and its trailer, which ends in `word`.
    pub(super) fn open_rtcp(
        &self,
        buf: &mut [u8],
        len: usize,
        ssrc: Ssrc,
        word: u32,
    ) -> Result<(), OpenError> {
        let nonce = self.nonce(ssrc, u64::from(word & !E_FLAG));
        let (packet, trailer) = buf.split_at_mut(len);
        if word & E_FLAG != 0 {
            let (clear, secret) = packet.split_at_mut(RTCP_CLEAR);
            return self.open(nonce, &rtcp_aad(clear, word), secret, &trailer[..TAG_LEN]);
        }
        // Not encrypted: all of it and the word are associated data (RFC 7714 §9.3). They must lie
        // side by side for that, so the word changes places with the tag.
        trailer.rotate_left(TAG_LEN);
        let (authenticated, tag) = buf.split_at_mut(len + 4);
        self.open(nonce, authenticated, &mut [], tag)
    }

    fn seal(&self, nonce: Nonce, aad: &[u8], data: &mut [u8], tag: &mut [u8]) {
        self.key
            .seal_in_place_scatter(nonce, Aad::from(aad), data, &[], tag)
            .expect("the tag has 16 bytes, and no datagram reaches GCM's limit of 2^36");
    }

    fn open(&self, nonce: Nonce, aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), OpenError> {
        match self.key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, data) {
            Ok(_) => Ok(()),
            Err(_) => Err(OpenError::BadTag),
        }
    }

    fn nonce(&self, ssrc: Ssrc, index: u64) -> Nonce {
        let [_, _, _, _, nonce @ ..] = nonce(self.salt, ssrc, index).to_be_bytes();
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Associated data of an encrypted RTCP packet (RFC 7714 §9.2).
fn rtcp_aad(clear: &[u8], word: u32) -> [u8; RTCP_CLEAR + 4] {
    let mut aad = [0; RTCP_CLEAR + 4];
    aad[..RTCP_CLEAR].copy_from_slice(clear);
    aad[RTCP_CLEAR..].copy_from_slice(&word.to_be_bytes());
    aad
}
