//! Sending: [`Tx`] hands a [`TxArena`] to the kernel in as few and as large pieces as the kernel
//! takes, and counts what became of every datagram.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::arena::TxArena;
use super::sys::mmsg::{self, BATCH, Outcome, TxTrain, is_want_of_room};
use super::sys::ring::Ring;
use super::udp::MediaSocket;
use crate::types::limit::TRAIN_MAX;
use crate::types::{Path, SocketId};

/// Sockets that can be told apart ([`SocketId`] is a byte).
const SOCKETS: usize = 256;

/// Paths remembered for refusing trains; when there are more, all are forgotten and learned anew.
const REFUSING_MAX: usize = 1024;

/// The sending half of a shard's media sockets.
#[derive(Debug)]
pub struct Tx {
    sockets: Rc<[MediaSocket]>,
    /// Sends by this if there is one, and by `sendmmsg` otherwise.
    ring: Option<Rc<RefCell<Ring>>>,
    refusing: Refusing,
}

/// Who gets single datagrams only.
#[derive(Debug)]
struct Refusing {
    /// Sockets whose device cannot cut trains.
    sockets: [bool; SOCKETS],
    /// Paths that refused one: its pieces are longer than their MTU.
    paths: HashSet<Path, RandomState>,
}

/// What became of the datagrams of one [`Tx::flush`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushReport {
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The messages that they left in, by how many datagrams each was: the first entry is what
    /// left alone.
    pub trains: [u64; TRAIN_MAX],
    /// Datagrams dropped because the socket or the kernel had no room.
    pub blocked: u64,
    /// Datagrams that the kernel refused to send to where they should go.
    pub refused: u64,
}

impl Tx {
    pub(super) fn mmsg(sockets: Rc<[MediaSocket]>) -> Self {
        Self { sockets, ring: None, refusing: Refusing::new() }
    }

    pub(super) fn ring(sockets: Rc<[MediaSocket]>, ring: Rc<RefCell<Ring>>) -> Self {
        Self { sockets, ring: Some(ring), refusing: Refusing::new() }
    }

    /// The media sockets; the index is the [`SocketId`].
    pub fn sockets(&self) -> &[MediaSocket] {
        &self.sockets
    }

    /// Sends everything, each path's datagrams in the order of their commits, without ever waiting;
    /// the arena is empty afterwards. What the kernel has no room for is dropped: real-time media
    /// that waits is worth less than what comes after it. A datagram that is refused (dead route,
    /// forbidden destination, port 0) takes no other with it.
    pub fn flush(&mut self, arena: &mut TxArena) -> FlushReport {
        let Self { sockets, ring, refusing } = self;
        match ring {
            None => flush(arena, sockets.len(), refusing, |socket, trains, outcomes| {
                mmsg::send(&sockets[socket], trains, outcomes)
            }),
            Some(ring) => {
                let mut ring = ring.borrow_mut();
                flush(arena, sockets.len(), refusing, |socket, trains, outcomes| {
                    ring.send(socket, trains, outcomes)
                })
            }
        }
    }
}

/// [`Tx::flush`] with the system call passed in. `send` tries trains by the socket of that index
/// and writes what became of the first of them, at least one; it returns how many those are.
fn flush<F>(arena: &mut TxArena, sockets: usize, refusing: &mut Refusing, send: F) -> FlushReport
where
    F: FnMut(usize, &[TxTrain<'_>], &mut [Outcome]) -> usize,
{
    let mut flush = Flush { report: FlushReport::default(), refusing, send };
    for socket in 0..sockets.min(SOCKETS) {
        flush.send_all(socket, arena);
    }
    let mut report = flush.report;
    // What names a socket that there is not can go nowhere.
    report.refused += arena.len() as u64 - report.sent - report.blocked - report.refused;
    arena.clear();
    report
}

/// One flush as it goes on.
struct Flush<'a, F> {
    report: FlushReport,
    refusing: &'a mut Refusing,
    send: F,
}

/// Trains of one socket on their way into the kernel.
struct Batch<'a> {
    socket: usize,
    paths: [Option<Path>; BATCH],
    trains: [TxTrain<'a>; BATCH],
    len: usize,
}

impl<F> Flush<'_, F>
where
    F: FnMut(usize, &[TxTrain<'_>], &mut [Outcome]) -> usize,
{
    fn send_all(&mut self, socket: usize, arena: &TxArena) {
        let (paths, trains) = ([None; BATCH], [TxTrain::EMPTY; BATCH]);
        let mut batch = Batch { socket, paths, trains, len: 0 };
        for (path, train) in arena.trains() {
            // What goes over TCP does not come here.
            let Path::Udp { socket: SocketId(id), .. } = path else { continue };
            if usize::from(id) != socket {
                continue;
            }
            if train.count() > 1 && self.refusing.refuses(socket, path) {
                train.singly().for_each(|single| self.add(&mut batch, path, single));
            } else {
                self.add(&mut batch, path, train);
            }
        }
        self.send_batch(&mut batch);
    }

    fn add<'a>(&mut self, batch: &mut Batch<'a>, path: Path, train: TxTrain<'a>) {
        (batch.paths[batch.len], batch.trains[batch.len]) = (Some(path), train);
        batch.len += 1;
        if batch.len == BATCH {
            self.send_batch(batch);
        }
    }

    /// Sends what was added, and singly what is refused as a train.
    fn send_batch(&mut self, batch: &mut Batch<'_>) {
        let (mut done, len) = (0, std::mem::take(&mut batch.len));
        while done < len {
            let mut outcomes = [Ok(()); BATCH];
            let tried = (self.send)(batch.socket, &batch.trains[done..len], &mut outcomes);
            for (i, outcome) in (done..len).zip(&outcomes[..tried]) {
                let train = &batch.trains[i];
                match outcome {
                    Err(code) if train.count() > 1 && !is_want_of_room(*code) => {
                        self.refusing.learn(batch.socket, batch.paths[i], *code);
                        self.send_singly(batch.socket, train);
                    }
                    outcome => self.report.note(train, *outcome),
                }
            }
            done += tried;
        }
    }

    /// Sends the datagrams of a train one by one: a train can fail where they do not.
    fn send_singly(&mut self, socket: usize, train: &TxTrain<'_>) {
        let mut singles = [TxTrain::EMPTY; TRAIN_MAX];
        singles.iter_mut().zip(train.singly()).for_each(|(place, single)| *place = single);
        let mut rest = &singles[..train.count()];
        while !rest.is_empty() {
            let mut outcomes = [Ok(()); TRAIN_MAX];
            let tried = (self.send)(socket, rest, &mut outcomes);
            let (gone, left) = rest.split_at(tried);
            gone.iter().zip(outcomes).for_each(|(one, outcome)| self.report.note(one, outcome));
            rest = left;
        }
    }
}

impl Refusing {
    fn new() -> Self {
        let paths = HashSet::with_capacity_and_hasher(REFUSING_MAX, RandomState::default());
        Self { sockets: [false; SOCKETS], paths }
    }

    fn refuses(&self, socket: usize, path: Path) -> bool {
        self.sockets[socket] || (!self.paths.is_empty() && self.paths.contains(&path))
    }

    /// A train was refused: the device cannot make checksums (`EIO`), or the train's pieces are
    /// longer than the path's MTU (`EINVAL`, `EMSGSIZE`) and so to be cut into fragments.
    fn learn(&mut self, socket: usize, path: Option<Path>, code: i32) {
        if code == libc::EIO {
            self.sockets[socket] = true;
        } else if let Some(path) = path {
            if self.paths.len() == REFUSING_MAX {
                self.paths.clear();
            }
            self.paths.insert(path);
        }
    }
}

impl FlushReport {
    /// Datagrams that left in a train of two or more.
    pub fn in_trains(&self) -> u64 {
        self.sent - self.trains[0]
    }

    /// Adds another flush's.
    pub fn add(&mut self, other: &FlushReport) {
        self.sent += other.sent;
        self.bytes += other.bytes;
        self.blocked += other.blocked;
        self.refused += other.refused;
        self.trains.iter_mut().zip(other.trains).for_each(|(sum, count)| *sum += count);
    }

    fn note(&mut self, train: &TxTrain<'_>, outcome: Outcome) {
        let count = train.count() as u64;
        match outcome {
            Ok(()) => {
                self.sent += count;
                self.bytes += train.bytes().len() as u64;
                self.trains[train.count() - 1] += 1;
            }
            Err(code) if is_want_of_room(code) => self.blocked += count,
            Err(_) => self.refused += count,
        }
    }
}

#[cfg(test)]
mod tests;
