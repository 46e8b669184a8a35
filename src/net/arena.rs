//! Datagrams to send: [`TxArena`] collects what a turn has to say, each datagram written right
//! behind the one before. It allocates when it is made and never again.
//!
//! ```text
//! bytes    [ a1 ][ a2 ][ a3 ][ b1 ][ b2][ a4 ]   one datagram each, as committed
//! trains   └──────── a ─────┘└── b ────┘└ a ┘    one message each: where, and how long its pieces
//! ```
//!
//! Most of what a datagram costs is the kernel's path, which a train walks once for all of its
//! datagrams (`UDP_SEGMENT`, Linux 4.18). A train is a run: commits of one path, one after the
//! other, of one length, the last may be shorter. Whoever commits says things in that order, so
//! nothing is searched for; nothing waits for a train to become longer.

use super::sys::mmsg::{BATCH, TxTrain};
use crate::types::Path;
use crate::types::limit::{DATAGRAM_MAX, TRAIN_MAX};

/// Trains in one arena: what one system call takes.
const TRAINS: usize = BATCH;

/// Bytes of one arena: so few that what was sealed is still in the core's nearest caches when the
/// kernel copies it. Five times as many cost 7 to 10 % more a packet.
const BYTES: usize = BATCH * DATAGRAM_MAX;

const _: () = assert!(BYTES >= TRAIN_MAX * DATAGRAM_MAX);
// The kernel counts a train's bytes in 16 bits, headers included.
const _: () = assert!(TRAIN_MAX * DATAGRAM_MAX + 64 <= u16::MAX as usize);

/// Datagrams waiting to be sent. 96 KB.
#[derive(Debug)]
pub struct TxArena {
    bytes: Box<[u8]>,
    /// How much of it is committed.
    used: usize,
    trains: Vec<Train>,
}

/// Datagrams of one path that leave as one message.
#[derive(Debug, Clone, Copy)]
struct Train {
    path: Path,
    start: usize,
    end: usize,
    /// Length of its datagrams but the last.
    segment: usize,
    count: usize,
    /// Whether it takes no more: it is long enough, or its last one is shorter.
    closed: bool,
}

impl TxArena {
    /// An empty arena.
    #[expect(clippy::new_without_default, reason = "96 KB should not come about by derive")]
    pub fn new() -> Self {
        let bytes = vec![0; BYTES].into_boxed_slice();
        Self { bytes, used: 0, trains: Vec::with_capacity(TRAINS) }
    }

    /// Room for the next datagram, `DATAGRAM_MAX` bytes of anything; `None` when the arena is full.
    /// The same again until it is committed.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        if self.trains.len() == TRAINS {
            return None;
        }
        self.bytes[self.used..].first_chunk_mut::<DATAGRAM_MAX>().map(|slot| &mut slot[..])
    }

    /// Queues the first `len` bytes of the slot that was handed out last.
    ///
    /// # Panics
    /// If there was no slot, or it is shorter than `len`: the caller has written past its end.
    pub fn commit(&mut self, path: Path, len: usize) {
        assert!(len <= DATAGRAM_MAX, "{len} bytes in a slot of {DATAGRAM_MAX}");
        assert!(self.slot().is_some(), "a commit without a slot");
        let start = self.used;
        self.used += len;
        if let Some(train) = self.trains.last_mut()
            && train.takes(path, len)
        {
            return train.add(len);
        }
        let closed = len == 0;
        self.trains.push(Train { path, start, end: self.used, segment: len, count: 1, closed });
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    /// Datagrams waiting.
    pub fn len(&self) -> usize {
        self.trains.iter().map(|train| train.count).sum()
    }

    /// What waits, in the order of the commits.
    pub(super) fn trains(&self) -> impl Iterator<Item = (Path, TxTrain<'_>)> {
        self.trains.iter().map(|train| {
            let remote = train.path.remote();
            let bytes = &self.bytes[train.start..train.end];
            (train.path, TxTrain::new(remote, bytes, train.segment))
        })
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.trains.clear();
    }
}

impl Train {
    fn takes(&self, path: Path, len: usize) -> bool {
        !self.closed && (1..=self.segment).contains(&len) && self.path == path
    }

    fn add(&mut self, len: usize) {
        self.end += len;
        self.count += 1;
        self.closed = self.count == TRAIN_MAX || len < self.segment;
    }
}

#[cfg(test)]
mod tests;
