//! Every packet that the Router has ever sealed: no (key, SSRC, index) may come twice with other
//! bytes (PROTOCOL section 6). Of whoever sees two such packets, no secret of that key is safe.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use corinth::transport::srtp::RtpWindow;

use crate::world::Who;

/// Whose keys: a client and the index of its link, for each link has one handshake in its life.
pub(crate) type Key = (Who, usize);

/// All that was sealed, by a hash of its bytes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rtp: HashMap<(Key, u32), Stream>,
    rtcp: HashMap<(Key, u32, u32), u64>,
}

#[derive(Debug, Default)]
struct Stream {
    window: RtpWindow,
    sealed: HashMap<u64, u64>,
}

impl Ledger {
    /// The Router has sent this to whoever has that key.
    pub(crate) fn note(&mut self, key: Key, datagram: &[u8]) {
        let word = |at: usize| u32::from_be_bytes(datagram[at..at + 4].try_into().expect("4"));
        if !(128..=191).contains(&datagram[0]) {
            return; // STUN and DTLS have numbers of their own.
        }
        let mut hasher = DefaultHasher::new();
        datagram.hash(&mut hasher);
        let hash = hasher.finish();
        if (192..=223).contains(&datagram[1]) {
            // The index of AEAD is the last word, behind the bit that says "encrypted".
            let index = word(datagram.len() - 4);
            assert!(index >> 31 == 1, "reports are encrypted");
            let before = self.rtcp.insert((key, word(4), index), hash);
            assert!(before.is_none_or(|it| it == hash), "SRTCP index {index:#x} twice");
            return;
        }
        let ssrc = word(8);
        let Stream { window, sealed } = self.rtp.entry((key, ssrc)).or_default();
        let index = window.estimate(word(0) as u16);
        window.accept(index);
        let before = sealed.insert(index.0, hash);
        assert!(
            before.is_none_or(|it| it == hash),
            "SSRC {ssrc}: index {} was sealed before, with other bytes",
            index.0
        );
    }
}
