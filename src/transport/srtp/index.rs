//! Which packet indices one key has sealed with: the one place that hands them out.

use super::OpenError;
use super::window::RtpWindow;
use crate::types::{DropReason, SeqNo, Ssrc};

/// Not the number of any key: those are odd.
pub(super) const ANY_KEY: u64 = 0;

/// The packet indices of one SSRC under one key; [`SrtpTx::indices`] gives them out once.
///
/// An index that was handed out, or is further behind the newest than can be told, is never handed
/// out again. So no (key, SSRC, index) is sealed twice, whatever a caller does with its numbers
/// (RFC 3711 §9.1: two packets of one key stream tell their contents, and with GCM the key of the
/// authentication).
///
/// [`SrtpTx::indices`]: super::SrtpTx::indices
#[derive(Debug)]
pub struct PacketIndices {
    key: u64,
    ssrc: Ssrc,
    handed_out: RtpWindow,
}

/// One packet's index, to be sealed with. Whoever seals uses it up.
#[derive(Debug)]
#[must_use = "an index that seals nothing is a number that no packet will have"]
pub struct PacketIndex {
    pub(super) key: u64,
    pub(super) ssrc: Ssrc,
    pub(super) seq: SeqNo,
}

impl PacketIndices {
    pub(super) fn new(key: u64, ssrc: Ssrc) -> Self {
        Self { key, ssrc, handed_out: RtpWindow::new() }
    }

    /// The index `seq`, the only time that it is given out. `Late`: it was before, or is too old to
    /// tell. `IndexSpent`: SRTP does not count so far (RFC 3711 §3.3.1); this stream has ended.
    #[inline]
    pub fn claim(&mut self, seq: SeqNo) -> Result<PacketIndex, DropReason> {
        match self.handed_out.take(seq) {
            Ok(()) => Ok(PacketIndex { key: self.key, ssrc: self.ssrc, seq }),
            Err(OpenError::IndexSpent) => Err(DropReason::IndexSpent),
            Err(_) => Err(DropReason::Late),
        }
    }
}

impl PacketIndices {
    /// The index `seq` for the very packet that it was handed out for, which was lost on its way
    /// and is sealed again: the same bytes, header included, or a key stream is used twice. If it
    /// was never handed out, it is now. `None`: it is too old to tell.
    pub fn again(&mut self, seq: SeqNo) -> Option<PacketIndex> {
        let index = PacketIndex { key: self.key, ssrc: self.ssrc, seq };
        if self.handed_out.has(seq) { Some(index) } else { self.claim(seq).ok() }
    }
}

impl PacketIndex {
    /// What the packet's header carries.
    pub fn seq(&self) -> SeqNo {
        self.seq
    }

    /// Any index of any key, handed out or not: for clients that do what they must not, and for
    /// benches. The server never names it (`tests/tidy/`).
    pub fn at_will(ssrc: Ssrc, seq: SeqNo) -> Self {
        Self { key: ANY_KEY, ssrc, seq }
    }
}
