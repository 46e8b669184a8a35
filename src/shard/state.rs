//! What the tasks of one shard share: the Router with its outbox, the shard's part of the
//! directory, its mailbox. All of it belongs to one thread, and is borrowed only between awaits.
//! What is done with it: `turn` moves media, `ask` speaks with other shards, `standing` knows how
//! the shard stands.

mod ask;
mod standing;
mod turn;

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use glommio::sync::{Gate, Semaphore};

use super::clock::Clock;
use super::collected::Collected;
use super::journal::Journal;
use super::live::Live;
use super::mailbox::Mailbox;
use super::notices::Notices;
use super::outbox::ShardOutbox;
use super::pulse::Pulse;
use crate::cluster::{Addresses, Admission, Directory, Network, Rates};
use crate::http::Upgrade;
use crate::net::{Rx, Tx};
use crate::sfu::Router;
use crate::types::{IoKind, Refusal, ShardId, ShardStats, Timestamp};

/// What all shards of a process agree on.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// How many there are.
    pub(crate) shards: usize,
    /// Says which shard's directory has which room.
    pub(crate) directory_seed: u64,
    /// How media gets into the kernel and out of it.
    pub(crate) io: IoKind,
    /// Whether media comes over TCP too.
    pub(crate) tcp_media: bool,
    /// Whether the Router evens trains.
    pub(crate) even_trains: bool,
    /// Bytes of media that each Router keeps.
    pub(crate) history_bytes: usize,
    /// Wakes the main thread; the byte says why (`attend`).
    pub(crate) event: Arc<UnixStream>,
    /// When each shard last moved.
    pub(crate) pulse: Arc<Pulse>,
    /// When the server started, in seconds since 1970.
    pub(crate) started: u64,
    /// How many descriptors there may be.
    pub(crate) descriptors: u64,
    /// To whoever tells the webhook.
    pub(crate) notices: Notices,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Shard {
    /// Which one.
    pub(super) id: ShardId,
    /// What it has in common with the others.
    pub(super) common: Common,
    live: RefCell<Arc<Live>>,
    clock: Clock,
    core: RefCell<Core>,
    directory: RefCell<Directory>,
    /// WebSockets by where they come from: this shard's part.
    addresses: RefCell<Addresses>,
    /// Connections for media over TCP, likewise.
    media_addresses: RefCell<Addresses>,
    /// How fast they are opened: from where, and to which room.
    openings_by_address: RefCell<Rates<Network>>,
    openings_by_room: RefCell<Rates<Box<str>>>,
    /// What was last made of what is counted.
    pub(super) collected: Collected,
    admission: RefCell<Admission>,
    drain: Cell<Drain>,
    mailbox: Mailbox,
    /// When the timer task will wake, and the task.
    armed: Cell<Option<Timestamp>>,
    timer: RefCell<Option<Waker>>,
    /// The task that takes handshakes' steps, while it waits for one.
    handshaker: RefCell<Option<Waker>>,
    /// Never has a permit; closed when the shard stops, which wakes whoever waits for one.
    pub(super) stopping: Semaphore,
    /// Every WebSocket passes it; closed when no new ones are taken.
    pub(super) gate: Gate,
}

/// How far a shard is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// It takes new rooms.
    None,
    /// It does not.
    Draining,
    /// Nor has its part of the directory any, and the main thread knows.
    Idle,
}

/// What a turn uses.
#[derive(Debug)]
pub(super) struct Core {
    router: Router,
    rx: Rx,
    out: ShardOutbox,
}

impl Core {
    /// A Router between the two halves of its media sockets, and where its rooms are written of.
    pub(super) fn new(router: Router, rx: Rx, tx: Tx, journal: Journal) -> Self {
        Self { router, rx, out: ShardOutbox::new(tx, journal) }
    }
}

impl Shard {
    /// A shard without rooms.
    pub(super) fn new(
        id: ShardId,
        common: Common,
        live: Arc<Live>,
        clock: Clock,
        mailbox: Mailbox,
        core: Core,
    ) -> Rc<Self> {
        core.out.journal().notify(live.webhook.is_some().then(|| common.notices.clone()));
        Rc::new(Self {
            id,
            admission: RefCell::new(Admission::new(live.busy_max)),
            drain: Cell::new(Drain::None),
            clock,
            core: RefCell::new(core),
            directory: RefCell::new(Directory::new(id, common.shards, live.limits.rooms)),
            addresses: RefCell::default(),
            media_addresses: RefCell::default(),
            collected: Collected::default(),
            openings_by_address: RefCell::default(),
            openings_by_room: RefCell::default(),
            common,
            live: RefCell::new(live),
            mailbox,
            armed: Cell::new(None),
            timer: RefCell::new(None),
            handshaker: RefCell::new(None),
            stopping: Semaphore::new(0),
            gate: Gate::new(),
        })
    }

    /// What can change, as it is now.
    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }

    /// It has changed.
    pub(super) fn go_on_with(&self, live: Arc<Live>) {
        self.admission.borrow_mut().set_busy_max(live.busy_max);
        self.directory.borrow_mut().set_rooms_max(live.limits.rooms);
        let Core { router, out, .. } = &mut *self.core.borrow_mut();
        router.set_limits(live.limits);
        out.journal().notify(live.webhook.is_some().then(|| self.common.notices.clone()));
        self.live.replace(live);
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether a peer of this name is in that room: then who connects under it is no further one.
    pub(super) fn has_peer(&self, room: &str, peer: &str) -> bool {
        self.core.borrow().router.has_peer(room, peer)
    }

    /// Peers now.
    pub(super) fn peers(&self) -> u64 {
        self.core.borrow().router.stats().peers
    }

    /// Counts somebody who was not let in, and writes where to, if that is known.
    pub(super) fn refuse(&self, refusal: Refusal, to: Option<&Upgrade>) {
        self.core.borrow_mut().router.stats_mut().refuse(refusal);
        if let Some(upgrade) = to {
            self.log_refused(refusal, upgrade);
        }
    }

    /// Writes who was not let in, where to and why.
    pub(super) fn log_refused(&self, refusal: Refusal, upgrade: &Upgrade) {
        self.core.borrow().out.journal().refused(&upgrade.room, &upgrade.peer, refusal);
    }

    /// Has the journal say what it left out.
    pub(super) fn sum_up_journal(&self) {
        self.core.borrow().out.journal().sum_up();
    }

    /// A copy of the counters.
    pub(super) fn stats(&self) -> ShardStats {
        let mut stats = self.core.borrow().router.stats().clone();
        stats.directory_rooms = self.directory.borrow().rooms() as u64;
        stats
    }
}
