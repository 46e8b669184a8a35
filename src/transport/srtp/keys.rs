//! From a master key to session keys, and from a session salt to the nonce of one packet.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::SrtpProfile;
use crate::types::Ssrc;

/// Bytes of the key of HMAC-SHA1 (RFC 3711 §8.2).
const AUTH_KEY_LEN: usize = 20;

/// What a session key protects; RTP and RTCP never share one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Rtp,
    Rtcp,
}

/// Session keys of one direction and purpose.
pub(super) struct SessionKeys {
    pub(super) encryption: Vec<u8>,
    pub(super) salt: Vec<u8>,
    /// Empty where the cipher authenticates by itself.
    pub(super) authentication: Vec<u8>,
}

impl SessionKeys {
    /// Key derivation of RFC 3711 §4.3.1 with rate 0; for the AEAD profiles RFC 7714 §11, where the
    /// key size of the profile is the pseudo-random function's, too (RFC 6188 §2 for 256 bits).
    ///
    /// # Panics
    /// If the key or the salt has not the length of the profile.
    pub(super) fn derive(
        profile: SrtpProfile,
        master_key: &[u8],
        master_salt: &[u8],
        purpose: Purpose,
    ) -> Self {
        assert_eq!(master_key.len(), profile.key_len(), "length of the master key");
        assert_eq!(master_salt.len(), profile.salt_len(), "length of the master salt");

        let prf = Ctr::new(master_key);
        // RFC 3711 §4.3.2 numbers the labels so.
        let first_label = match purpose {
            Purpose::Rtp => 0,
            Purpose::Rtcp => 3,
        };
        let key = |label: u8, len| {
            let mut out = vec![0; len];
            prf.apply(prf_block(master_salt, first_label + label), &mut out);
            out
        };
        let authentication_len = match profile {
            SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => 0,
            SrtpProfile::Aes128CmSha1_80 => AUTH_KEY_LEN,
        };
        Self {
            encryption: key(0, profile.key_len()),
            authentication: key(1, authentication_len),
            salt: key(2, profile.salt_len()),
        }
    }
}

/// First counter block for one label: the salt, at 14 bytes (a salt of 12 has zeros appended,
/// RFC 7714 §11), with the label 48 bits (the index of rate 0) before its end, and room to count.
fn prf_block(master_salt: &[u8], label: u8) -> [u8; 16] {
    let mut block = [0; 16];
    block[..master_salt.len()].copy_from_slice(master_salt);
    block[7] ^= label;
    block
}

/// What makes the nonce of one packet unique, mixed with the session salt:
/// `salt ^ (ssrc · 2^48) ^ index`, of which GCM takes 96 bits (RFC 7714 §8.1, §9.1) and counter
/// mode 112 (RFC 3711 §4.1.1). An SRTCP index is an RTP index of fewer bits.
pub(super) fn nonce(salt: u128, ssrc: Ssrc, index: u64) -> u128 {
    const INDEX_BITS: u32 = 48;
    let index = index & ((1 << INDEX_BITS) - 1);
    salt ^ (u128::from(ssrc.0) << INDEX_BITS) ^ u128::from(index)
}

/// `salt` as a number, first byte highest.
pub(super) fn salt_number(salt: &[u8]) -> u128 {
    salt.iter().fold(0, |number, &byte| (number << 8) | u128::from(byte))
}

/// AES in counter mode, with its key schedule.
///
/// aws-lc-rs lets us choose the counter block and then works in place, without allocating (its
/// streaming interface would allocate a context and expand the key for every packet).
pub(super) struct Ctr(EncryptingKey);

impl Ctr {
    /// # Panics
    /// If `key` is neither 16 nor 32 bytes long.
    pub(super) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
        let key = UnboundCipherKey::new(algorithm, key).expect("an AES key is 16 or 32 bytes long");
        Self(EncryptingKey::ctr(key).expect("AES has a counter mode"))
    }

    /// Encrypts `data`, or decrypts it, which is the same, with the key stream that starts at
    /// `block`.
    pub(super) fn apply(&self, block: [u8; 16], data: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(block));
        self.0.less_safe_encrypt(data, context).expect("counter mode takes any length");
    }
}
