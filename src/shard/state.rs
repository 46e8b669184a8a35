//! What the tasks of one shard share: the Router with its outbox, the shard's part of the
//! directory, its mailbox. All of it belongs to one thread, and is borrowed only between awaits.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::poll_fn;
use glommio::sync::{Gate, Semaphore};

use super::attend::{DRAIN, IDLE};
use super::clock::{BusyMeter, Clock};
use super::ice_tcp::{Frames, Message};
use super::journal::Journal;
use super::live::Live;
use super::mailbox::{Answer, Mail, Mailbox, Place, Question};
use super::outbox::ShardOutbox;
use super::pulse::Pulse;
use crate::cluster::{Addresses, Admission, Directory, home};
use crate::net::{Rx, Tx};
use crate::sfu::Router;
use crate::types::{
    Deadline, DropReason, IoKind, Load, Path, PeerKey, Pressure, Refusal, ShardId, ShardStats,
    Timestamp,
};

/// What all shards of a process agree on.
#[derive(Debug, Clone)]
pub(super) struct Common {
    /// How many there are.
    pub(super) shards: usize,
    /// Says which shard's directory has which room.
    pub(super) directory_seed: u64,
    /// How media gets into the kernel and out of it.
    pub(super) io: IoKind,
    /// Whether media comes over TCP too.
    pub(super) tcp_media: bool,
    /// Whether the Router evens trains.
    pub(super) even_trains: bool,
    /// Wakes the main thread; the byte says why (`attend`).
    pub(super) event: Arc<UnixStream>,
    /// When each shard last moved.
    pub(super) pulse: Arc<Pulse>,
    /// When the server started, in seconds since 1970.
    pub(super) started: u64,
    /// How many descriptors there may be.
    pub(super) descriptors: u64,
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
    admission: RefCell<Admission>,
    drain: Cell<Drain>,
    journal: Journal,
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
    /// A Router between the two halves of its media sockets.
    pub(super) fn new(router: Router, rx: Rx, tx: Tx) -> Self {
        Self { router, rx, out: ShardOutbox::new(tx) }
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
        Rc::new(Self {
            id,
            admission: RefCell::new(Admission::new(live.busy_max)),
            drain: Cell::new(Drain::None),
            clock,
            core: RefCell::new(core),
            directory: RefCell::new(Directory::new(id, common.shards, live.limits.rooms)),
            addresses: RefCell::default(),
            journal: Journal::new(id),
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
        self.core.borrow_mut().router.set_limits(live.limits);
        self.live.replace(live);
    }

    /// Calls the Router at one reading of the clock, sends what it wants to send, and sees to it
    /// that the timer wakes in time. Texts are queued for their connections' tasks.
    pub(super) fn with<R>(
        &self,
        call: impl FnOnce(&mut Router, Timestamp, &mut ShardOutbox) -> R,
    ) -> R {
        let now = self.clock.now();
        let Core { router, out, .. } = &mut *self.core.borrow_mut();
        let result = call(router, now, out);
        self.settle(router, out);
        result
    }

    /// One turn: receives a batch from a source, routes it, forwards what of it is media. `true`
    /// if more may be waiting there.
    pub(super) fn turn(&self, source: usize) -> std::io::Result<bool> {
        let Core { router, rx, out } = &mut *self.core.borrow_mut();
        let received = rx.recv(source)?;
        router.stats_mut().rx_overflow = rx.overflow();
        router.stats_mut().rx_ring_overruns = rx.ring_overruns();
        router.stats_mut().turns += 1;
        router.stats_mut().note_batch(received.datagrams);
        let (now, forwarded) = (self.clock.now(), router.stats().rtp_forwarded);
        for i in 0..received.datagrams {
            let datagram = rx.datagram(i);
            let stats = router.stats_mut();
            stats.rx_datagrams += 1;
            stats.rx_bytes += datagram.bytes.len() as u64;
            if datagram.truncated {
                stats.drop(DropReason::Truncated);
                continue;
            }
            router.handle_datagram(now, datagram.path, datagram.bytes, out);
        }
        router.forward(now, out);
        self.settle(router, out);
        let forwarded = router.stats().rtp_forwarded - forwarded;
        if forwarded > 0 {
            let took = self.clock.now().since(now);
            router.stats_mut().forward_time.record(took, forwarded);
        }
        if router.has_handshakes()
            && let Some(handshaker) = self.handshaker.take()
        {
            handshaker.wake();
        }
        Ok(received.more)
    }

    /// Takes messages that came over a TCP connection, as a turn takes datagrams. `false`: the path
    /// leads nowhere.
    pub(super) fn handle_messages(&self, path: Path, frames: &mut Frames) -> bool {
        let open = self.with(|router, now, out| {
            while let Some(message) = frames.next() {
                let stats = router.stats_mut();
                stats.rx_datagrams += 1;
                match message {
                    Message::Whole(bytes) => {
                        stats.rx_bytes += bytes.len() as u64;
                        router.handle_datagram(now, path, bytes, out);
                    }
                    Message::TooLong => stats.drop(DropReason::Truncated),
                }
            }
            router.forward(now, out);
            router.has_path(path)
        });
        self.wake_handshaker();
        open
    }

    fn wake_handshaker(&self) {
        if self.core.borrow().router.has_handshakes()
            && let Some(handshaker) = self.handshaker.take()
        {
            handshaker.wake();
        }
    }

    /// Waits until a step of a handshake is to be taken, and takes it.
    pub(super) async fn shake_hands(&self) {
        poll_fn(|context| {
            if self.core.borrow().router.has_handshakes() {
                return Poll::Ready(());
            }
            *self.handshaker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        self.with(Router::handle_handshake);
    }

    /// After each call of the Router: sends, and sees to the timer.
    fn settle(&self, router: &mut Router, out: &mut ShardOutbox) {
        out.settle(router.stats_mut());
        let next = router.poll_deadline().map(|deadline| deadline.at);
        if next.is_some_and(|next| self.armed.get().is_none_or(|armed| next < armed)) {
            self.armed.set(next);
            if let Some(timer) = self.timer.take() {
                timer.wake();
            }
        }
    }

    /// Whether nothing waits at any source, and its watch will tell of what comes.
    pub(super) fn ready_to_sleep(&self) -> bool {
        self.core.borrow_mut().rx.ready_to_sleep()
    }

    /// How long until the Router wants to be called; `None` while it does not. Notes that somebody
    /// waits that long.
    pub(super) fn arm(&self) -> Option<Duration> {
        let next = self.core.borrow().router.poll_deadline();
        let next = next.map(|deadline| deadline.at);
        self.armed.set(next);
        next.map(|next| next.since(self.clock.now()))
    }

    /// Waits until a deadline earlier than the armed one appears.
    pub(super) async fn rearmed(&self) {
        let armed = self.armed.get();
        poll_fn(|context| {
            if self.armed.get() != armed {
                return Poll::Ready(());
            }
            *self.timer.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether a peer of this name is in that room: then who connects under it is no further one.
    pub(super) fn has_peer(&self, room: &str, peer: &str) -> bool {
        self.core.borrow().router.has_peer(room, peer)
    }

    /// Logs that a peer has connected.
    pub(super) fn log_connected(&self, room: &str, peer: &str) {
        self.journal.connected(self.clock.now(), room, peer);
    }

    /// Logs that a peer is about to be forgotten.
    pub(super) fn log_gone(&self, room: &str, peer: &str, key: PeerKey) {
        let transports = self.core.borrow().router.transports_of_peer(key);
        self.journal.gone(self.clock.now(), room, peer, &transports);
    }

    /// Peers now.
    pub(super) fn peers(&self) -> u64 {
        self.core.borrow().router.stats().peers
    }

    /// Counts somebody who was not let in.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.core.borrow_mut().router.stats_mut().refuse(refusal);
    }

    /// Counts that datagrams have woken the shard.
    pub(super) fn note_media_wakeup(&self) {
        self.core.borrow_mut().router.stats_mut().media_wakeups += 1;
    }

    /// The Router is called because time has come.
    pub(super) fn handle_timeout(&self) {
        self.with(|router, now, out| {
            if let Some(Deadline { at, reason }) = router.poll_deadline()
                && at <= now
            {
                router.stats_mut().timer_wakeups[reason as usize] += 1;
            }
            router.handle_timeout(now, out);
        });
    }

    /// Judges how busy the shard's thread was since this was last asked.
    pub(super) fn measure_busy_share(&self, busy: &mut BusyMeter) {
        let busy = (1000.0 * busy.share()) as u64;
        let mut admission = self.admission.borrow_mut();
        let before = admission.pressure();
        admission.measure(busy);
        let pressure = admission.pressure();
        if pressure != before {
            let (shard, busy) = (self.id.0, busy as f64 / 1000.0);
            tracing::warn!(shard, busy, "the shard's pressure is {pressure:?}, was {before:?}");
        }
        let core = &mut *self.core.borrow_mut();
        let stats = core.router.stats_mut();
        (stats.busy_permille, stats.pressure) = (busy, pressure);
    }

    /// Whether this shard takes no new peers.
    pub(super) fn is_full(&self) -> bool {
        self.admission.borrow().pressure() >= Pressure::Full
    }

    /// A copy of the counters.
    pub(super) fn stats(&self) -> ShardStats {
        let mut stats = self.core.borrow().router.stats().clone();
        stats.directory_rooms = self.directory.borrow().rooms() as u64;
        stats
    }

    /// Why no new calls should be sent to this server now, if there is a reason.
    pub(super) fn hindrance(&self) -> Option<String> {
        if let Some((shard, silence)) = self.common.pulse.stuck() {
            let seconds = silence.as_secs();
            return Some(format!("shard {} has not moved for {seconds} seconds", shard.0));
        }
        if self.drain.get() != Drain::None {
            return Some("draining".to_owned());
        }
        self.directory.borrow().is_full().then(|| "every shard is full".to_owned())
    }

    /// Sends to another shard; gives the mail back if there is no room for it.
    pub(super) fn post(&self, to: ShardId, mail: Mail) -> Result<(), Mail> {
        self.mailbox.post(to, mail)
    }

    /// Counts a connection at a place and says who owns the room; refused when there may be no more
    /// or the shard that knows is too busy. Whoever calls returns the count with
    /// [`Shard::release`].
    pub(super) async fn place(&self, place: Place) -> Result<ShardId, Refusal> {
        let home = self.home(&place);
        if home == self.id {
            return self.count(&place);
        }
        match self.mailbox.ask(home, Question::Place(place)).await {
            Some(Answer::Placed(_, owner)) => owner,
            _ => Err(Refusal::Unanswered),
        }
    }

    /// Counts a connection at a place that this shard knows of.
    fn count(&self, place: &Place) -> Result<ShardId, Refusal> {
        match place {
            Place::Room(room) => self.directory.borrow_mut().place(room),
            Place::Address(address) => {
                let max = self.live.borrow().limits.connections_per_address;
                self.addresses.borrow_mut().enter(*address, max).map(|()| self.id)
            }
        }
    }

    /// Returns the count that [`Shard::place`] took.
    pub(super) fn release(&self, place: Place) {
        let home = self.home(&place);
        if home != self.id {
            // Refused only when the other shard has ended, and then what it counts has too.
            let _ = self.post(home, Mail::Release(place));
            return;
        }
        match place {
            Place::Room(room) => self.directory.borrow_mut().release(&room),
            Place::Address(address) => self.addresses.borrow_mut().leave(address),
        }
    }

    fn home(&self, place: &Place) -> ShardId {
        let (shards, seed) = (self.common.shards, self.common.directory_seed);
        match place {
            Place::Room(room) => home(room, shards, seed),
            Place::Address(address) => home(address, shards, seed),
        }
    }

    /// The counters of all shards that answer in time.
    pub(super) async fn stats_of_all(&self) -> Vec<(ShardId, ShardStats)> {
        let mut all = Vec::with_capacity(self.common.shards);
        for shard in (0..self.common.shards).map(|shard| ShardId(shard as u8)) {
            if shard == self.id {
                all.push((shard, self.stats()));
            } else if let Some(Answer::Stats(stats)) =
                self.mailbox.ask(shard, Question::Stats).await
            {
                all.push((shard, *stats));
            }
        }
        all
    }

    /// A list, as JSON without its brackets, of this shard's rooms.
    fn rooms(&self) -> Option<String> {
        let core = self.core.borrow();
        let rooms = core.router.room_summaries();
        let rooms = rooms.iter().map(|room| serde_json::to_string(room).unwrap_or_default());
        let rooms: Vec<_> = rooms.collect();
        (!rooms.is_empty()).then(|| rooms.join(","))
    }

    /// One of this shard's rooms, as JSON.
    fn room(&self, room: &str) -> Option<String> {
        serde_json::to_string(&self.core.borrow().router.room_report(room)?).ok()
    }

    /// What the shards say to this question that is answered with a report, those that say
    /// something in time.
    async fn reports(&self, question: impl Fn() -> Question) -> Vec<String> {
        let mut reports = Vec::new();
        for shard in (0..self.common.shards).map(|shard| ShardId(shard as u8)) {
            let answer = match (shard == self.id, question()) {
                (true, Question::Room(room)) => Some(Answer::Report(self.room(&room))),
                (true, _) => Some(Answer::Report(self.rooms())),
                (false, question) => self.mailbox.ask(shard, question).await,
            };
            if let Some(Answer::Report(Some(report))) = answer {
                reports.push(report);
            }
        }
        reports
    }

    /// All rooms, as JSON.
    pub(super) async fn rooms_of_all(&self) -> String {
        let reports = self.reports(|| Question::Rooms).await;
        format!("{{\"rooms\":[{}]}}", reports.join(","))
    }

    /// A room, wherever it is, as JSON.
    pub(super) async fn room_of_all(&self, room: &str) -> Option<String> {
        self.reports(|| Question::Room(room.to_owned())).await.pop()
    }

    /// Answers a question of another shard.
    pub(super) fn answer(&self, from: ShardId, number: u64, question: Question) {
        let answer = match question {
            Question::Place(place) => {
                let owner = self.count(&place);
                Answer::Placed(place, owner)
            }
            Question::Stats => Answer::Stats(Box::new(self.stats())),
            Question::Rooms => Answer::Report(self.rooms()),
            Question::Room(room) => Answer::Report(self.room(&room)),
        };
        // Refused only when the asker has ended.
        let _ = self.post(from, Mail::Answer(number, answer));
    }

    /// Takes an answer. A place that nobody waits for any more is given back.
    pub(super) fn answered(&self, number: u64, answer: Answer) {
        if let Err(Answer::Placed(place, Ok(_))) = self.mailbox.answered(number, answer) {
            self.release(place);
        }
    }

    /// How this shard stands.
    pub(super) fn load(&self) -> Load {
        let strain = self.admission.borrow().strain();
        let rooms = self.directory.borrow().rooms();
        Load { full: self.is_full(), strain, peers: self.peers(), rooms }
    }

    /// Asks the main thread for a drain of the whole server.
    pub(super) fn ask_for_drain(&self) {
        if self.drain.get() == Drain::None {
            self.wake_main_thread(DRAIN);
        }
    }

    /// From now on there are no new rooms.
    pub(super) fn drain(&self) {
        self.drain.set(Drain::Draining);
        self.directory.borrow_mut().close();
    }

    /// Tells the main thread, once, that this shard's part of the directory has no rooms left. As
    /// none come into a closed one, all rooms are gone when all shards have said so.
    pub(super) fn report_idle(&self) {
        if self.drain.get() == Drain::Draining && self.directory.borrow().rooms() == 0 {
            self.drain.set(Drain::Idle);
            self.wake_main_thread(IDLE);
        }
    }

    fn wake_main_thread(&self, why: u8) {
        // A main thread that has gone needs no waking.
        let _ = (&*self.common.event).write_all(&[why]);
    }

    /// Tells all directories how this shard stands.
    pub(super) fn publish_load(&self, load: Load) {
        self.note_load(self.id, load);
        for shard in (0..self.common.shards).map(|shard| ShardId(shard as u8)) {
            if shard != self.id {
                // The next one will do as well.
                let _ = self.post(shard, Mail::Load(load));
            }
        }
    }

    /// Another shard says how it stands.
    pub(super) fn note_load(&self, from: ShardId, load: Load) {
        self.directory.borrow_mut().publish(from, load);
    }
}
