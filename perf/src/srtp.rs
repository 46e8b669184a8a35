//! SRTP and SRTCP for one association: two contexts of webrtc-srtp, one for each direction.

use anyhow::Context as _;
use bytes::Bytes;
use webrtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

/// Packets behind the newest that are still accepted.
const REPLAY_WINDOW: usize = 1024;

/// The SRTP protection profiles that corinth speaks (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// SRTP_AEAD_AES_256_GCM.
    Aes256Gcm,
    /// SRTP_AEAD_AES_128_GCM.
    Aes128Gcm,
    /// SRTP_AES128_CM_HMAC_SHA1_80.
    Aes128CmSha1,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 3] = [Profile::Aes256Gcm, Profile::Aes128Gcm, Profile::Aes128CmSha1];

    pub(crate) fn for_dtls(self) -> SrtpProtectionProfile {
        match self {
            Profile::Aes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
            Profile::Aes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            Profile::Aes128CmSha1 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        }
    }

    fn for_srtp(self) -> ProtectionProfile {
        match self {
            Profile::Aes256Gcm => ProtectionProfile::AeadAes256Gcm,
            Profile::Aes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Profile::Aes128CmSha1 => ProtectionProfile::Aes128CmHmacSha1_80,
        }
    }

    /// Bytes of keying material that both directions need together (RFC 5764 §4.2).
    pub(crate) fn keying_material_len(self) -> usize {
        2 * (self.for_srtp().key_len() + self.for_srtp().salt_len())
    }

    /// Bytes that sealing adds to an RTP packet.
    pub fn rtp_overhead(self) -> usize {
        self.for_srtp().rtp_auth_tag_len() + self.for_srtp().aead_auth_tag_len()
    }
}

/// Seals what is sent.
pub struct Sealer(Context);

/// Opens what is received.
pub struct Opener(Context);

/// Both directions' contexts from DTLS's keying material: the two master keys, then the two salts,
/// the DTLS client's first each time (RFC 5764 §4.2).
///
/// # Errors
/// The material has another length than the profile wants.
pub fn contexts(
    profile: Profile,
    material: &[u8],
    is_dtls_client: bool,
) -> anyhow::Result<(Sealer, Opener)> {
    let key_len = profile.for_srtp().key_len();
    let (keys, salts) =
        material.split_at_checked(2 * key_len).context("too little keying material")?;
    let (client_key, server_key) = keys.split_at(key_len);
    let (client_salt, server_salt) = salts.split_at(salts.len() / 2);
    let [tx, rx] = match is_dtls_client {
        true => [(client_key, client_salt), (server_key, server_salt)],
        false => [(server_key, server_salt), (client_key, client_salt)],
    };
    let tx = Context::new(tx.0, tx.1, profile.for_srtp(), None, None)?;
    let rx = Context::new(
        rx.0,
        rx.1,
        profile.for_srtp(),
        Some(srtp_replay_protection(REPLAY_WINDOW)),
        Some(srtcp_replay_protection(REPLAY_WINDOW)),
    )?;
    Ok((Sealer(tx), Opener(rx)))
}

impl Sealer {
    /// An RTP packet as SRTP.
    ///
    /// # Errors
    /// It does not parse as RTP.
    pub fn rtp(&mut self, packet: &[u8]) -> anyhow::Result<Bytes> {
        Ok(self.0.encrypt_rtp(packet)?)
    }

    /// A compound RTCP packet as SRTCP.
    ///
    /// # Errors
    /// It does not parse as RTCP.
    pub fn rtcp(&mut self, packet: &[u8]) -> anyhow::Result<Bytes> {
        Ok(self.0.encrypt_rtcp(packet)?)
    }
}

impl Opener {
    /// An SRTP packet as RTP.
    ///
    /// # Errors
    /// It is malformed, not authentic, or a replay.
    pub fn rtp(&mut self, packet: &[u8]) -> anyhow::Result<Bytes> {
        Ok(self.0.decrypt_rtp(packet)?)
    }

    /// An SRTCP packet as compound RTCP.
    ///
    /// # Errors
    /// It is malformed, not authentic, or a replay.
    pub fn rtcp(&mut self, packet: &[u8]) -> anyhow::Result<Bytes> {
        Ok(self.0.decrypt_rtcp(packet)?)
    }
}
