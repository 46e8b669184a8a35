//! One media thread: sends what is due when it is due, takes what has come, and answers as a client
//! would. It never waits for anything but the clock and its socket; what the control side wants
//! comes as commands between two rounds.

mod receive;
mod say;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, oneshot};

use super::link::{Connected, Link};
use super::log::SourceLog;
use super::socket::{Batch, SharedSocket};
use super::source::{SourceSpec, SourceTx};
use super::stream::StreamRx;
use super::tally::Tally;
use crate::host;
use crate::sfu::Feedback;

/// How long it sleeps at most: what comes meanwhile waits in the socket's queue, stamped.
const NAP: u64 = 500_000;

/// Packets that are sent before it looks at its socket again.
const SENDS_A_ROUND: usize = 64;

/// Between a link's reports; each fourth time it checks its path as well (RFC 7675: at least every
/// 5 s).
const BEAT: u64 = 1_000_000_000;
const BEATS_A_CHECK: u32 = 4;

/// Between transport-wide feedbacks, as in libwebrtc.
const TRANSPORT_FEEDBACK: u64 = 100_000_000;

/// From a gap to the request for what is missing, and between requests.
const NACK_FIRST: u64 = 10_000_000;
const NACK_AGAIN: u64 = 50_000_000;
const NACKS_MAX: usize = 64;

/// A viewer that gets video and can show none asks for a key frame after so long, and again, as
/// libwebrtc's does (`max_wait_for_keyframe`).
const ASK_AGAIN: u64 = 200_000_000;

/// A packet that leaves later than that is counted as late.
const LATE: u64 = 1_000_000;

/// One that would leave later than that is not sent any more: a generator that is too slow must not
/// fall behind for ever.
const GIVE_UP: u64 = 1_000_000_000;

/// How long a stream that is asked for may take to begin before it counts as never begun.
const BEGIN: u64 = 3_000_000_000;

/// What the control side wants.
pub(crate) enum Command {
    /// A new association: STUN and DTLS for it go to `door`.
    Open { slot: usize, local: Ipv4Addr, door: mpsc::Sender<Bytes> },
    /// It is connected.
    Connect { slot: usize, connected: Box<Connected> },
    /// It checks its path with other credentials.
    Check { slot: usize, check: Vec<u8> },
    /// It sends a source.
    Send { slot: usize, spec: SourceSpec },
    /// It does not any more.
    StopSending { source: u32 },
    /// It wants sources, from `asked_at` on.
    Expect { slot: usize, wanted: Vec<(u32, Arc<SourceLog>)>, asked_at: u64 },
    /// What the server wants to hear of what it sends.
    Feedback { slot: usize, feedback: Feedback },
    /// It asks for key frames that nobody needs, every so many nanoseconds.
    Ask { slot: usize, every: u64 },
    /// It does not want a source any more.
    Forget { slot: usize, source: u32 },
    /// It is over.
    Close { slot: usize },
    /// Sends some bytes that are no media of anybody to the server of `slot`, from its address or
    /// from another.
    Junk { slot: usize, from: Option<Ipv4Addr>, bytes: Vec<u8> },
    /// What is lost on purpose from now on, as shares.
    Lose { uplink: f64, downlink: f64 },
    /// A new window.
    Reset { done: oneshot::Sender<()> },
    /// What the window's streams and sources counted.
    Collect { done: oneshot::Sender<Box<Tally>> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Source(usize),
    Beat(usize),
    TransportFeedback(usize),
    Nack(usize),
    KeyFrame(usize),
    Ask(usize),
}

/// The thread's state.
pub(crate) struct Worker {
    socket: Arc<SharedSocket>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Own addresses: link `slot` of this worker has address `base + slot * stride`.
    base: u32,
    stride: u32,
    /// Wall clock at the engine's zero, nanoseconds.
    epoch: u64,
    links: Vec<Option<Box<Link>>>,
    sources: Vec<Option<Sending>>,
    timers: BinaryHeap<Reverse<(u64, Timer)>>,
    rng: SmallRng,
    uplink_loss: f64,
    downlink_loss: f64,
    freeze: u64,
    tally: Tally,
    cpu_before: Duration,
    window_began: u64,
    /// The link and stamp of the last RTP datagram, to tell trains.
    last: (usize, u64),
    packet: Vec<u8>,
}

/// A source and the link that it leaves by.
struct Sending {
    slot: usize,
    tx: SourceTx,
}

/// What a worker needs to begin.
pub(crate) struct Setup {
    /// Its socket.
    pub(crate) socket: Arc<SharedSocket>,
    /// From the control side.
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    /// Address of its link 0.
    pub(crate) base: Ipv4Addr,
    /// From one link's address to the next.
    pub(crate) stride: u32,
    /// Wall clock at the engine's zero.
    pub(crate) epoch: u64,
    /// A pause above it is a freeze, nanoseconds.
    pub(crate) freeze: u64,
    /// Of what it loses on purpose.
    pub(crate) seed: u64,
}

impl Worker {
    /// Ready to run.
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { socket, commands, base, stride, epoch, freeze, seed } = setup;
        Self {
            socket,
            commands,
            base: base.into(),
            stride,
            epoch,
            links: Vec::new(),
            sources: Vec::new(),
            timers: BinaryHeap::new(),
            rng: SmallRng::seed_from_u64(seed),
            uplink_loss: 0.0,
            downlink_loss: 0.0,
            freeze,
            tally: Tally::default(),
            cpu_before: Duration::ZERO,
            window_began: u64::MAX,
            last: (usize::MAX, 0),
            packet: Vec::with_capacity(2048),
        }
    }

    /// Runs until the control side is gone.
    pub(crate) fn run(mut self) {
        let mut batch = Batch::new();
        loop {
            loop {
                match self.commands.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return,
                }
            }
            self.send_due();
            // An error of the socket is about one datagram; the next are tried all the same.
            let got = batch.receive(&self.socket).unwrap_or(0);
            self.take_all(&batch, got);
            if got < batch.capacity() / 4 {
                let next = self.timers.peek().map_or(u64::MAX, |Reverse((due, _))| *due);
                let nap = next.saturating_sub(self.now()).min(NAP);
                if nap > 0 {
                    std::thread::sleep(Duration::from_nanos(nap));
                }
            }
        }
    }

    /// Takes what a batch has; also what the self-check measures.
    pub(crate) fn take_all(&mut self, batch: &Batch, got: usize) {
        for i in 0..got {
            if let Some(arrived) = batch.arrived(i) {
                let offset = u32::from(arrived.to).wrapping_sub(self.base);
                let slot = (offset / self.stride) as usize;
                let at = arrived.at.saturating_sub(self.epoch);
                if !offset.is_multiple_of(self.stride)
                    || self.take(slot, at, arrived.bytes).is_none()
                {
                    self.tally.strays += 1;
                }
            }
        }
    }

    fn now(&self) -> u64 {
        host::wall_nanos().saturating_sub(self.epoch)
    }

    fn at(&mut self, due: u64, timer: Timer) {
        self.timers.push(Reverse((due, timer)));
    }

    fn link(&mut self, slot: usize) -> Option<&mut Link> {
        self.links.get_mut(slot)?.as_deref_mut()
    }

    /// Carries out a command.
    pub(crate) fn obey(&mut self, command: Command) {
        match command {
            Command::Open { slot, local, door } => {
                if self.links.len() <= slot {
                    self.links.resize_with(slot + 1, || None);
                }
                self.links[slot] = Some(Box::new(Link::new(local, door)));
            }
            Command::Connect { slot, connected } => self.connect(slot, *connected),
            Command::Check { slot, check } => {
                if let Some(connected) = self.link(slot).and_then(|link| link.connected.as_mut()) {
                    connected.check = check;
                    self.check(slot);
                }
            }
            Command::Send { slot, spec } => self.start_source(slot, spec),
            Command::StopSending { source } => self.stop_source(source),
            Command::Expect { slot, wanted, asked_at } => {
                if let Some(link) = self.link(slot) {
                    for (source, log) in wanted {
                        link.expect(source, log, asked_at);
                    }
                }
            }
            Command::Feedback { slot, feedback } => self.set_feedback(slot, feedback),
            Command::Ask { slot, every } => {
                if let Some(link) = self.link(slot) {
                    link.ask_every = every;
                    let due = self.now() + every;
                    self.at(due, Timer::Ask(slot));
                }
            }
            Command::Forget { slot, source } => {
                if let Some(stream) = self.link(slot).and_then(|link| link.forget(source)) {
                    self.end_stream(&stream);
                }
            }
            Command::Close { slot } => self.close(slot),
            Command::Junk { slot, from, bytes } => {
                if let Some(link) = self.links.get(slot).and_then(Option::as_deref)
                    && let Some(connected) = &link.connected
                {
                    // Junk that is lost is no loss.
                    self.socket.send(from.unwrap_or(link.local), connected.remote, &bytes).ok();
                }
            }
            Command::Lose { uplink, downlink } => {
                (self.uplink_loss, self.downlink_loss) = (uplink, downlink);
            }
            Command::Reset { done } => {
                self.reset();
                done.send(()).ok();
            }
            Command::Collect { done } => {
                done.send(Box::new(self.collect())).ok();
            }
        }
    }

    fn connect(&mut self, slot: usize, connected: Connected) {
        let Some(link) = self.link(slot) else { return };
        link.connected = Some(connected);
        let due = self.now() + self.rng.random_range(0..BEAT);
        self.at(due, Timer::Beat(slot));
    }

    fn set_feedback(&mut self, slot: usize, feedback: Feedback) {
        let Some(link) = self.link(slot) else { return };
        let begins = link.feedback.transport_cc.is_none() && feedback.transport_cc.is_some();
        link.feedback = feedback;
        if begins && link.connected.as_ref().is_some_and(|connected| connected.probe) {
            let due = self.now() + TRANSPORT_FEEDBACK;
            self.at(due, Timer::TransportFeedback(slot));
        }
    }

    fn start_source(&mut self, slot: usize, spec: SourceSpec) {
        let now = self.now();
        let index = match self.sources.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.sources.push(None);
                self.sources.len() - 1
            }
        };
        let Some(link) = self.link(slot) else { return };
        link.sources.push(index);
        let tx = SourceTx::new(spec, now);
        let due = tx.due();
        self.sources[index] = Some(Sending { slot, tx });
        self.at(due, Timer::Source(index));
    }

    fn stop_source(&mut self, id: u32) {
        let known = |it: &Option<Sending>| it.as_ref().is_some_and(|it| it.tx.spec.id == id);
        let Some(index) = self.sources.iter().position(known) else { return };
        let Some(Sending { slot, tx }) = self.sources[index].take() else { return };
        tx.spec.log.stop();
        self.tally.sources.add(tx.counts);
        if let Some(link) = self.link(slot) {
            link.sources.retain(|sent| *sent != index);
        }
        // Its timer must not be taken for that of whoever comes to its place.
        self.timers.retain(|Reverse((_, timer))| *timer != Timer::Source(index));
    }

    fn close(&mut self, slot: usize) {
        let Some(link) = self.links.get_mut(slot).and_then(Option::take) else { return };
        for index in &link.sources {
            if let Some(id) = self.sources[*index].as_ref().map(|sending| sending.tx.spec.id) {
                self.stop_source(id);
            }
        }
        for stream in &link.streams {
            self.end_stream(stream);
        }
    }

    fn end_stream(&mut self, stream: &StreamRx) {
        // Whoever leaves does not wait for what is under way.
        let counts = stream.counts(0, self.freeze);
        self.tally.add_stream(stream, counts, stream.expected_so_far());
    }

    /// Sends what is due; a round's worth at most.
    fn send_due(&mut self) {
        for _ in 0..SENDS_A_ROUND {
            let now = self.now();
            match self.timers.peek() {
                Some(Reverse((due, _))) if *due <= now => {}
                _ => return,
            }
            let Some(Reverse((due, timer))) = self.timers.pop() else { return };
            match timer {
                Timer::Source(index) => self.send_packet(index, due),
                Timer::Beat(slot) => self.beat(slot, due),
                Timer::TransportFeedback(slot) => self.give_transport_feedback(slot, due),
                Timer::Nack(slot) => self.ask_again(slot, now),
                Timer::KeyFrame(slot) => self.ask_for_key_frames(slot, now),
                Timer::Ask(slot) => self.ask_for_nothing(slot, due),
            }
        }
    }

    fn send_packet(&mut self, index: usize, due: u64) {
        let Some(sending) = self.sources.get_mut(index).and_then(Option::as_mut) else { return };
        let Sending { slot, tx: source } = sending;
        let now = host::wall_nanos().saturating_sub(self.epoch);
        if now > due + GIVE_UP {
            source.counts.given_up += source.catch_up(now);
            let next = source.due();
            self.timers.push(Reverse((next, Timer::Source(index))));
            return;
        }
        let (number, mut sent) = source.write(&mut self.packet);
        let next = source.due();
        self.timers.push(Reverse((next, Timer::Source(index))));
        let Some(link) = self.links.get_mut(*slot).and_then(Option::as_deref_mut) else { return };
        let Some(connected) = link.connected.as_mut() else { return };
        let Ok(sealed) = connected.sealer.rtp(&self.packet) else { return };
        if self.uplink_loss > 0.0 && self.rng.random_bool(self.uplink_loss) {
            source.spec.log.skip(number);
            source.counts.lost_on_purpose += u64::from(source.spec.log.counts(number));
            source.remember(number, sealed);
            return;
        }
        let now = host::wall_nanos().saturating_sub(self.epoch);
        sent.at = now;
        // Before it leaves: who receives it looks it up.
        source.spec.log.note(number, sent);
        let result = self.socket.send(link.local, connected.remote, &sealed);
        if source.spec.log.counts(number) {
            source.counts.sent += 1;
            source.counts.bytes += sealed.len() as u64;
            source.counts.unsent += u64::from(result.is_err());
            let late = now.saturating_sub(due);
            self.tally.late.note(late);
            self.tally.late_packets += u64::from(late > LATE);
        }
        source.remember(number, sealed);
    }

    fn reset(&mut self) {
        self.tally = Tally {
            first_frame_before: std::mem::take(&mut self.tally.first_frame_before),
            ..Tally::default()
        };
        for stream in self.links.iter_mut().flatten().flat_map(|link| &mut link.streams) {
            stream.reset();
        }
        for sending in self.sources.iter_mut().flatten() {
            sending.tx.counts = Default::default();
        }
        self.cpu_before = host::thread_cpu();
        self.window_began = self.now();
    }

    fn collect(&mut self) -> Tally {
        let now = self.now();
        let mut tally = self.tally.clone();
        let cpu = host::thread_cpu().saturating_sub(self.cpu_before).as_nanos() as f64;
        tally.busy = cpu / now.saturating_sub(self.window_began).max(1) as f64;
        for Sending { tx, .. } in self.sources.iter().flatten() {
            tally.sources.add(tx.counts);
            tally.running += 1;
            tally.running_video += usize::from(tx.spec.pattern.video.is_some());
        }
        for link in self.links.iter().flatten() {
            let probe = link.connected.as_ref().is_some_and(|connected| connected.probe);
            tally.probes += usize::from(probe && !link.streams.is_empty());
            for stream in &link.streams {
                tally.wanted += 1;
                let late = now > stream.asked_at + BEGIN && stream.log.is_running();
                tally.never_started += u64::from(late && stream.first_frame().is_none());
                if stream.has_begun() {
                    tally.add_stream(stream, stream.counts(now, self.freeze), stream.expected());
                }
            }
        }
        self.window_began = u64::MAX;
        tally
    }
}
