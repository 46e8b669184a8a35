//! AES128_CM_HMAC_SHA1_80: AES in counter mode, then HMAC-SHA1 cut to 80 bits (RFC 3711 §4).
//!
//! ```text
//! SRTP    header, readable │ payload, encrypted │ tag 10, over all before it and the ROC
//! SRTCP   8 bytes readable │ rest, encrypted    │ E + index 4 │ tag 10, over all before it
//! ```

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};

use super::keys::{Ctr, SessionKeys, nonce, salt_number};
use super::{E_FLAG, OpenError, RTCP_CLEAR};
use crate::types::{SeqNo, Ssrc};

/// Bytes of the authentication tag.
pub(super) const TAG_LEN: usize = 10;

/// Bytes after an RTCP packet: the word of E flag and index, then the tag.
pub(super) const RTCP_TRAILER: usize = 4 + TAG_LEN;

/// One session key.
pub(super) struct CmSha1 {
    ctr: Ctr,
    salt: u128,
    /// Holds the states after the padded key, so a packet costs its own blocks and two more. To use
    /// it aws-lc-rs copies it, but does not allocate.
    hmac: hmac::Key,
}

impl CmSha1 {
    pub(super) fn new(keys: &SessionKeys) -> Self {
        Self {
            ctr: Ctr::new(&keys.encryption),
            salt: salt_number(&keys.salt),
            hmac: hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &keys.authentication),
        }
    }

    pub(super) fn seal_rtp(
        &self,
        buf: &mut [u8],
        header_len: usize,
        len: usize,
        ssrc: Ssrc,
        index: SeqNo,
    ) -> usize {
        self.ctr.apply(self.block(ssrc, index.0), &mut buf[header_len..len]);
        let tag = self.tag(&buf[..len], &roc(index));
        buf[len..len + TAG_LEN].copy_from_slice(&tag.as_ref()[..TAG_LEN]);
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
        if header_len > len {
            return Err(OpenError::TooShort);
        }
        self.verify(packet, &roc(index), tag)?;
        self.ctr.apply(self.block(ssrc, index.0), &mut packet[header_len..]);
        Ok(len)
    }

    /// `word` is the E flag, set, with the index.
    pub(super) fn seal_rtcp(&self, buf: &mut [u8], len: usize, ssrc: Ssrc, word: u32) -> usize {
        let block = self.block(ssrc, u64::from(word & !E_FLAG));
        self.ctr.apply(block, &mut buf[RTCP_CLEAR..len]);
        let (authenticated, rest) = buf.split_at_mut(len + 4);
        authenticated[len..].copy_from_slice(&word.to_be_bytes());
        let tag = self.tag(authenticated, &[]);
        rest[..TAG_LEN].copy_from_slice(&tag.as_ref()[..TAG_LEN]);
        len + RTCP_TRAILER
    }

    /// `buf` is a packet of `len` bytes and its trailer, which starts with `word`.
    pub(super) fn open_rtcp(
        &self,
        buf: &mut [u8],
        len: usize,
        ssrc: Ssrc,
        word: u32,
    ) -> Result<(), OpenError> {
        let (authenticated, tag) = buf.split_at_mut(len + 4);
        self.verify(authenticated, &[], tag)?;
        if word & E_FLAG != 0 {
            let block = self.block(ssrc, u64::from(word & !E_FLAG));
            self.ctr.apply(block, &mut authenticated[RTCP_CLEAR..len]);
        }
        Ok(())
    }

    fn verify(&self, data: &[u8], more: &[u8], tag: &[u8]) -> Result<(), OpenError> {
        let expected = self.tag(data, more);
        verify_slices_are_equal(&expected.as_ref()[..TAG_LEN], tag).map_err(|_| OpenError::BadTag)
    }

    /// The whole HMAC of `data` followed by `more`.
    fn tag(&self, data: &[u8], more: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.hmac);
        context.update(data);
        context.update(more);
        context.sign()
    }

    /// First counter block of a packet; its last two bytes count (RFC 3711 §4.1.1).
    fn block(&self, ssrc: Ssrc, index: u64) -> [u8; 16] {
        (nonce(self.salt, ssrc, index) << 16).to_be_bytes()
    }
}

/// Roll-over counter: it does not travel in the packet, but is authenticated with it
/// (RFC 3711 §4.2).
fn roc(index: SeqNo) -> [u8; 4] {
    ((index.0 >> 16) as u32).to_be_bytes()
}
