//! SRTP and SRTCP of one association, in place (RFC 3711, RFC 7714, RFC 5764 §4.1.2).
//!
//! [`SrtpTx`] seals with the key of one direction and [`SrtpRx`] opens with the other's. What is
//! sealed has a [`PacketIndex`], which [`PacketIndices`] hand out once. To open, the 48-bit packet
//! index comes from the caller, who keeps one [`RtpWindow`] for each stream that it receives. Only
//! SRTCP, whose index travels in the packet, is numbered and checked for replay in here.
//!
//! No MKI, key derivation rate 0, no re-keying: what WebRTC uses. Nothing is allocated per packet;
//! `docs/internals/srtp.md` has the costs.

mod cm;
mod gcm;
mod index;
mod keys;
mod retired;
#[cfg(test)]
mod tests;
mod window;

pub use index::{PacketIndex, PacketIndices};
pub use retired::Retired;
pub use window::RtpWindow;

use std::collections::HashSet;
use std::fmt;

use crate::types::limit::TX_SSRCS_MAX;
use crate::types::{SeqNo, Ssrc};
use cm::CmSha1;
use gcm::Gcm;
use keys::{Purpose, SessionKeys};
use window::RtcpWindows;

/// What stays readable of an RTCP packet: the first header and the SSRC of its sender
/// (RFC 3711 §3.4).
const RTCP_CLEAR: usize = 8;

/// Marks an SRTCP packet as encrypted; the other 31 bits of that word are its index.
const E_FLAG: u32 = 1 << 31;

/// How packets are protected; in the order in which the server prefers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// AEAD_AES_256_GCM (RFC 7714 §14.2).
    AeadAes256Gcm,
    /// AEAD_AES_128_GCM (RFC 7714 §14.2).
    AeadAes128Gcm,
    /// AES128_CM_HMAC_SHA1_80 (RFC 5764 §4.1.2).
    Aes128CmSha1_80,
}

impl SrtpProfile {
    /// Bytes of a master key.
    pub fn key_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes256Gcm => 32,
            SrtpProfile::AeadAes128Gcm | SrtpProfile::Aes128CmSha1_80 => 16,
        }
    }

    /// Bytes of a master salt.
    pub fn salt_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => 12,
            SrtpProfile::Aes128CmSha1_80 => 14,
        }
    }

    /// Bytes that sealing adds to an RTP packet. SRTCP adds its index, 4 more.
    pub fn tag_len(self) -> usize {
        match self {
            SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => gcm::TAG_LEN,
            SrtpProfile::Aes128CmSha1_80 => cm::TAG_LEN,
        }
    }
}

/// Why a packet was not opened. The buffer's contents are then unspecified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// No room for the header and the trailer.
    TooShort,
    /// Forged, damaged, or opened with the wrong index.
    BadTag,
    /// Received already, or too old to tell (RFC 3711 §3.3.2).
    Replay,
    /// Beyond what a key can be used for (RFC 3711 §9.2).
    IndexSpent,
}

/// Sealing half of one key.
pub struct SrtpTx {
    rtp: Cipher,
    rtcp: Cipher,
    /// Tells this key's indices from any other's: odd bits of its salt.
    key: u64,
    /// SSRCs whose indices were given out, for the life of the key.
    ssrcs: HashSet<Ssrc>,
    /// Index of the next SRTCP packet. One for all SSRCs, so (SSRC, index) never comes twice.
    rtcp_index: u32,
}

impl SrtpTx {
    /// # Panics
    /// If the key or the salt has not the length of the profile; the DTLS exporter's output is cut
    /// by these lengths.
    pub fn new(profile: SrtpProfile, master_key: &[u8], master_salt: &[u8]) -> Self {
        let [rtp, rtcp] = Cipher::derive(profile, master_key, master_salt);
        let (salt, _) = master_salt.split_first_chunk().expect("salts have 12 bytes or more");
        let key = u64::from_be_bytes(*salt) | 1;
        Self { rtp, rtcp, key, ssrcs: HashSet::new(), rtcp_index: 0 }
    }

    /// The packet indices of an SSRC under this key, given out once: whoever has them is the only
    /// one that can seal packets of it. `None`: somebody has, or had; or it is one SSRC more than
    /// [`TX_SSRCS_MAX`].
    pub fn indices(&mut self, ssrc: Ssrc) -> Option<PacketIndices> {
        let fresh = self.ssrcs.len() < TX_SSRCS_MAX && self.ssrcs.insert(ssrc);
        fresh.then(|| PacketIndices::new(self.key, ssrc))
    }

    /// Seals an RTP packet in place and returns its length, which is `len` and
    /// [`SrtpProfile::tag_len`].
    ///
    /// `buf[..len]` is the plain packet, whose first `header_len` bytes (header, CSRCs, extension
    /// block) stay readable, and whose SSRC and sequence number are those of `index`.
    ///
    /// # Panics
    /// If `header_len > len`, or `buf` has no room for the tag
    /// ([`SRTP_TRAILER_MAX`](crate::types::limit::SRTP_TRAILER_MAX) is always enough), or the index
    /// is of another key.
    #[inline]
    pub fn seal_rtp(
        &self,
        buf: &mut [u8],
        header_len: usize,
        len: usize,
        index: PacketIndex,
    ) -> usize {
        let PacketIndex { key, ssrc, seq } = index;
        assert!(key == self.key || key == index::ANY_KEY, "an index seals under its own key");
        match &self.rtp {
            Cipher::Gcm(cipher) => cipher.seal_rtp(buf, header_len, len, ssrc, seq),
            Cipher::CmSha1(cipher) => cipher.seal_rtp(buf, header_len, len, ssrc, seq),
        }
    }

    /// Seals a compound RTCP packet, `buf[..len]`, in place, encrypted, and returns its length.
    /// `None` when the 2^31 packets of this key are spent (RFC 3711 §9.2).
    ///
    /// # Panics
    /// If `len` is less than an RTCP header with an SSRC (8 bytes), or `buf` has no room for the
    /// trailer.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Option<usize> {
        if self.rtcp_index & E_FLAG != 0 {
            return None;
        }
        let ssrc = rtcp_ssrc(buf);
        let word = E_FLAG | self.rtcp_index;
        self.rtcp_index += 1;
        Some(match &self.rtcp {
            Cipher::Gcm(cipher) => cipher.seal_rtcp(buf, len, ssrc, word),
            Cipher::CmSha1(cipher) => cipher.seal_rtcp(buf, len, ssrc, word),
        })
    }
}

/// Opening half of one key.
pub struct SrtpRx {
    rtp: Cipher,
    rtcp: Cipher,
    rtcp_windows: RtcpWindows,
}

impl SrtpRx {
    /// # Panics
    /// As [`SrtpTx::new`].
    pub fn new(profile: SrtpProfile, master_key: &[u8], master_salt: &[u8]) -> Self {
        let [rtp, rtcp] = Cipher::derive(profile, master_key, master_salt);
        Self { rtp, rtcp, rtcp_windows: RtcpWindows::default() }
    }

    /// Authenticates and decrypts the RTP packet `buf` in place and returns the length of the plain
    /// one. `header_len` as in [`SrtpTx::seal_rtp`]; `index` is what [`RtpWindow::estimate`] made
    /// of its sequence number. Replay is the caller's check (before), and so is
    /// [`RtpWindow::accept`] (after success only).
    pub fn open_rtp(
        &self,
        buf: &mut [u8],
        header_len: usize,
        ssrc: Ssrc,
        index: SeqNo,
    ) -> Result<usize, OpenError> {
        match &self.rtp {
            Cipher::Gcm(cipher) => cipher.open_rtp(buf, header_len, ssrc, index),
            Cipher::CmSha1(cipher) => cipher.open_rtp(buf, header_len, ssrc, index),
        }
    }

    /// Authenticates the compound RTCP packet `buf`, refuses replays, decrypts it in place and
    /// returns its plain length. A packet that its sender chose not to encrypt (E = 0) is
    /// authenticated all the same, and accepted.
    pub fn open_rtcp(&mut self, buf: &mut [u8]) -> Result<usize, OpenError> {
        let trailer_len = match self.rtcp {
            Cipher::Gcm(_) => gcm::RTCP_TRAILER,
            Cipher::CmSha1(_) => cm::RTCP_TRAILER,
        };
        let len = buf.len().checked_sub(trailer_len).ok_or(OpenError::TooShort)?;
        if len < RTCP_CLEAR {
            return Err(OpenError::TooShort);
        }
        let ssrc = rtcp_ssrc(buf);
        let word = match self.rtcp {
            Cipher::Gcm(_) => be_u32(buf, len + gcm::TAG_LEN),
            Cipher::CmSha1(_) => be_u32(buf, len),
        };
        let index = word & !E_FLAG;

        self.rtcp_windows.check(ssrc, index)?;
        match &self.rtcp {
            Cipher::Gcm(cipher) => cipher.open_rtcp(buf, len, ssrc, word)?,
            Cipher::CmSha1(cipher) => cipher.open_rtcp(buf, len, ssrc, word)?,
        }
        self.rtcp_windows.accept(ssrc, index);
        Ok(len)
    }
}

/// One session key with all that is computed from it once. Both live on the heap (aws-lc-rs boxes
/// GCM's by itself).
enum Cipher {
    Gcm(Gcm),
    CmSha1(Box<CmSha1>),
}

impl Cipher {
    /// The session keys of one master key: for RTP and for RTCP.
    fn derive(profile: SrtpProfile, master_key: &[u8], master_salt: &[u8]) -> [Self; 2] {
        [Purpose::Rtp, Purpose::Rtcp].map(|purpose| {
            let keys = SessionKeys::derive(profile, master_key, master_salt, purpose);
            Self::new(profile, &keys)
        })
    }

    fn new(profile: SrtpProfile, keys: &SessionKeys) -> Self {
        match profile {
            SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => {
                Cipher::Gcm(Gcm::new(profile, keys))
            }
            SrtpProfile::Aes128CmSha1_80 => Cipher::CmSha1(Box::new(CmSha1::new(keys))),
        }
    }
}

// Keys do not belong into logs.
impl fmt::Debug for SrtpTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpTx").field("rtcp_index", &self.rtcp_index).finish_non_exhaustive()
    }
}

impl fmt::Debug for SrtpRx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpRx").finish_non_exhaustive()
    }
}

/// SSRC of the sender of an RTCP packet of at least [`RTCP_CLEAR`] bytes.
fn rtcp_ssrc(packet: &[u8]) -> Ssrc {
    Ssrc(be_u32(packet, 4))
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
