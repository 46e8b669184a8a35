//! Datagrams to send: [`TxArena`] collects what a turn has to say and hands it to the kernel in as
//! few and as large pieces as possible. It allocates when it is made and never again.
//!
//! ```text
//! slots    [ a1 ][ b1 ][ a2 ][ b2 ][ a3 ][ c1 ]   one datagram each, as committed
//! next       2     3     4     -     -     -      the next of the same train
//! trains   a: 0-2-4    b: 1-3    c: 5             one message each
//! ```
//!
//! Most of what a datagram costs is the kernel's path, which a train walks once for all of its
//! datagrams (`UDP_SEGMENT`, Linux 4.18). Nothing waits for a train to become longer.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use foldhash::fast::RandomState;

use super::sys::mmsg::{self, BATCH, TxTrain};
use super::udp::MediaSocket;
use crate::types::limit::DATAGRAM_MAX;
use crate::types::{Path, SocketId};

/// Datagrams in one train at most: what a viewer's queue and the network take as one burst.
const TRAIN_MAX: usize = 16;

/// Datagrams in one system call at most.
const PARTS: usize = 256;

const _: () = assert!(PARTS >= BATCH && PARTS >= TRAIN_MAX);
// The kernel counts a train's bytes in 16 bits, headers included.
const _: () = assert!(TRAIN_MAX * DATAGRAM_MAX + 64 <= u16::MAX as usize);

/// Sockets that can be told apart ([`SocketId`] is a byte).
const SOCKETS: usize = 256;

/// Datagrams waiting to be sent, each in a slot of `DATAGRAM_MAX` bytes.
#[derive(Debug)]
pub struct TxArena {
    slots: Box<[[u8; DATAGRAM_MAX]]>,
    /// What is in the first slots.
    queue: Vec<Queued>,
    trains: Vec<Train>,
    /// The latest train of each path.
    latest: HashMap<Path, usize, RandomState>,
    /// Sockets whose device cannot cut trains: everything leaves alone there.
    alone: [bool; SOCKETS],
}

/// One datagram.
#[derive(Debug, Clone, Copy)]
struct Queued {
    len: usize,
    /// The slot of the next one in its train.
    next: Option<usize>,
}

/// Datagrams of one path that leave as one message: all of one length, the last may be shorter.
#[derive(Debug, Clone, Copy)]
struct Train {
    path: Path,
    first: usize,
    last: usize,
    count: usize,
    /// Length of its datagrams but the last.
    len: usize,
    /// Whether it takes no more: it is long enough, or its last one is shorter.
    closed: bool,
}

/// What became of the datagrams of one [`TxArena::flush`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushReport {
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that left in a train of two or more.
    pub in_trains: u64,
    /// Datagrams dropped because the socket or the kernel had no room.
    pub blocked: u64,
    /// Datagrams that the kernel refused to send to where they should go.
    pub refused: u64,
}

impl TxArena {
    /// An arena for `slots` datagrams, 1.6 KB each.
    pub fn new(slots: usize) -> Self {
        Self {
            slots: vec![[0; DATAGRAM_MAX]; slots].into_boxed_slice(),
            queue: Vec::with_capacity(slots),
            trains: Vec::with_capacity(slots),
            latest: HashMap::with_capacity_and_hasher(slots, RandomState::default()),
            alone: [false; SOCKETS],
        }
    }

    /// The next free slot, `DATAGRAM_MAX` bytes of anything; `None` when all are in use. The same
    /// one again until it is committed.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        self.slots.get_mut(self.queue.len()).map(|slot| &mut slot[..])
    }

    /// Queues the first `len` bytes of the slot that was handed out last.
    ///
    /// # Panics
    /// If there was no slot, or it is shorter than `len`: the caller has written past its end.
    pub fn commit(&mut self, path: Path, len: usize) {
        let slot = self.queue.len();
        assert!(slot < self.slots.len(), "a commit without a slot");
        assert!(len <= DATAGRAM_MAX, "{len} bytes in a slot of {DATAGRAM_MAX}");
        self.queue.push(Queued { len, next: None });
        if let Some(latest) = self.latest.get(&path) {
            let train = &mut self.trains[*latest];
            if !train.closed && (1..=train.len).contains(&len) {
                self.queue[train.last].next = Some(slot);
                train.last = slot;
                train.count += 1;
                train.closed = train.count == TRAIN_MAX || len < train.len;
                return;
            }
        }
        let Path::Udp { socket: SocketId(socket), .. } = path;
        let closed = self.alone[usize::from(socket)];
        self.latest.insert(path, self.trains.len());
        self.trains.push(Train { path, first: slot, last: slot, count: 1, len, closed });
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends everything by `sockets` (the index is the [`SocketId`]), each path's datagrams in the
    /// order of their commits, without ever waiting; the arena is empty afterwards. Where the
    /// kernel has no more room, the rest of that socket's datagrams are dropped: real-time media
    /// that waits is worth less than what comes after it. A datagram that is refused (dead route,
    /// forbidden destination, port 0) takes no other with it.
    pub fn flush(&mut self, sockets: &[MediaSocket]) -> FlushReport {
        self.flush_with(sockets.len(), |socket, trains| mmsg::send(sockets[socket].as_fd(), trains))
    }

    /// [`TxArena::flush`] with the system call passed in, for the tests: sends the first of the
    /// trains by the socket of that index and returns how many went.
    fn flush_with(
        &mut self,
        sockets: usize,
        mut send: impl FnMut(usize, &[TxTrain<'_>]) -> io::Result<usize>,
    ) -> FlushReport {
        let mut report = FlushReport::default();
        for socket in 0..sockets.min(SOCKETS) {
            let mut alone = self.alone[socket];
            self.flush_socket(socket, &mut report, &mut alone, |trains| send(socket, trains));
            self.alone[socket] = alone;
        }
        // What names a socket that there is not can go nowhere.
        report.refused += self.queue.len() as u64 - report.sent - report.blocked - report.refused;
        self.queue.clear();
        self.trains.clear();
        self.latest.clear();
        report
    }

    fn flush_socket(
        &self,
        socket: usize,
        report: &mut FlushReport,
        alone: &mut bool,
        mut send: impl FnMut(&[TxTrain<'_>]) -> io::Result<usize>,
    ) {
        let mut waiting = self.trains.iter().filter(|train| train.socket() == socket).peekable();
        let mut room = true;
        while room && waiting.peek().is_some() {
            let mut parts = [IoSlice::new(&[]); PARTS];
            let mut ends = [(None, 0); BATCH];
            let (mut filled, mut used) = (0, 0);
            while let Some(train) =
                waiting.next_if(|train| filled < BATCH && used + train.count <= PARTS)
            {
                for part in self.datagrams(train) {
                    parts[used] = IoSlice::new(part);
                    used += 1;
                }
                ends[filled] = (Some(train), used);
                filled += 1;
            }
            let mut batch = [TxTrain::EMPTY; BATCH];
            let mut start = 0;
            for (place, (train, end)) in batch.iter_mut().zip(&ends[..filled]) {
                if let Some(train) = train {
                    *place = TxTrain::new(train.remote(), &parts[start..*end]);
                }
                start = *end;
            }
            room = send_batch(&batch[..filled], report, alone, &mut send);
        }
        report.blocked += waiting.map(|train| train.count as u64).sum::<u64>();
    }

    fn datagrams(&self, train: &Train) -> impl Iterator<Item = &[u8]> {
        let mut next = Some(train.first);
        std::iter::from_fn(move || {
            let slot = next?;
            let Queued { len, next: following } = self.queue[slot];
            next = following;
            Some(&self.slots[slot][..len])
        })
    }
}

impl Train {
    fn socket(&self) -> usize {
        let Path::Udp { socket: SocketId(id), .. } = self.path;
        usize::from(id)
    }

    fn remote(&self) -> std::net::SocketAddr {
        let Path::Udp { remote, .. } = self.path;
        remote
    }
}

/// Sends a batch in its order; false if the kernel had no room for all of it. Notes in `alone` that
/// the socket's device cannot cut trains.
fn send_batch(
    batch: &[TxTrain<'_>],
    report: &mut FlushReport,
    alone: &mut bool,
    send: &mut impl FnMut(&[TxTrain<'_>]) -> io::Result<usize>,
) -> bool {
    let mut rest = batch;
    while let [first, others @ ..] = rest {
        match send(rest) {
            Ok(sent @ 1..) => {
                let (gone, left) = rest.split_at(sent);
                gone.iter().for_each(|train| report.note(train));
                rest = left;
            }
            Err(error) if is_want_of_room(&error) => {
                report.blocked += rest.iter().map(|train| train.count() as u64).sum::<u64>();
                return false;
            }
            // A train can fail where its datagrams do not: no checksums by the device (EIO), or
            // longer than the path's MTU (EINVAL, EMSGSIZE) and so to be cut into fragments.
            Err(error) if first.count() > 1 => {
                *alone |= error.raw_os_error() == Some(libc::EIO);
                let mut singly = [TxTrain::EMPTY; TRAIN_MAX];
                singly.iter_mut().zip(first.singly()).for_each(|(place, one)| *place = one);
                if !send_batch(&singly[..first.count()], report, alone, send) {
                    report.blocked += others.iter().map(|train| train.count() as u64).sum::<u64>();
                    return false;
                }
                rest = others;
            }
            Ok(_) | Err(_) => {
                report.refused += 1;
                rest = others;
            }
        }
    }
    true
}

impl FlushReport {
    /// This train went.
    fn note(&mut self, train: &TxTrain<'_>) {
        self.sent += train.count() as u64;
        self.bytes += train.bytes();
        if train.count() > 1 {
            self.in_trains += train.count() as u64;
        }
    }
}

/// The socket's buffer is full, or the kernel's memory; the next datagram would fare no better.
fn is_want_of_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests;
