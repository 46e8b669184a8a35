//! The media side of thousands of clients: one thread a core, each with one socket and all that its
//! peers send and receive. The control side ([`crate::load`]) signs in, connects, and hands over.
//!
//! ```text
//!  control (tokio)                     media thread (one a core)
//!  signaling, ICE, DTLS  ── Command ─► Worker: timers ─► SourceTx ─► seal ─► SharedSocket
//!        ▲                                             SourceLog: what left when
//!        └── STUN, DTLS (door) ◄──────  Batch ─► Link ─► StreamRx ─► Tally
//! ```
//!
//! Open loop: a source's schedule waits for nothing; what leaves late is counted. Latency is from
//! the moment before the send call to the kernel's stamp on arrival; which packet it was is known
//! by its sequence number, whose distance from the source's own a receiver learns from one packet
//! that it opens.

pub mod feedback;
pub mod link;
pub mod log;
pub mod pattern;
pub mod payload;
pub mod socket;
pub mod source;
pub mod stream;
pub mod tally;
mod worker;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

pub(crate) use worker::{Command, Setup, Worker};

use crate::{host, ice};
use log::SourceLog;
use socket::SharedSocket;
use tally::Tally;

/// STUN and DTLS datagrams of one association that wait to be read.
const DOOR: usize = 64;

/// The engine's clock begins with this, so that what a source plays can have begun before it.
const BEFORE: u64 = 3_600_000_000_000;

/// How an engine is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// A media thread on each.
    pub cores: Vec<usize>,
    /// Where own addresses begin.
    pub base: Ipv4Addr,
    /// How many there are.
    pub addresses: u32,
    /// A pause above it is a freeze, nanoseconds.
    pub freeze: u64,
    /// Of everything random.
    pub seed: u64,
}

/// The threads and the way to them. They end when it is dropped.
pub struct Engine {
    workers: Vec<Hand>,
    plan: Plan,
    epoch: u64,
    next_address: AtomicU32,
}

struct Hand {
    commands: Option<mpsc::UnboundedSender<Command>>,
    socket: Arc<SharedSocket>,
    thread: Option<JoinHandle<()>>,
}

/// An association that is to be connected: its address, and what comes for it that is not media.
pub struct Door {
    /// Whose it is.
    pub key: LinkKey,
    /// Its own address and port.
    pub local: SocketAddrV4,
    /// STUN and DTLS, as they come.
    pub arrivals: mpsc::Receiver<Bytes>,
    socket: Arc<SharedSocket>,
}

/// Which association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkKey {
    worker: usize,
    slot: usize,
}

/// Sends from one association's address, from any thread.
#[derive(Debug, Clone)]
pub struct Outlet {
    socket: Arc<SharedSocket>,
    from: Ipv4Addr,
    to: SocketAddrV4,
}

impl Engine {
    /// Starts the threads.
    ///
    /// # Errors
    /// There is no socket or core to be had.
    pub fn start(plan: Plan) -> anyhow::Result<Self> {
        ensure!(!plan.cores.is_empty(), "no core for the load generator");
        let epoch = host::wall_nanos() - BEFORE;
        let stride = plan.cores.len() as u32;
        let mut workers = Vec::new();
        for (i, core) in plan.cores.iter().copied().enumerate() {
            let socket = Arc::new(SharedSocket::bind().context("no socket for media")?);
            let (commands, receiver) = mpsc::unbounded_channel();
            let worker = Worker::new(Setup {
                socket: Arc::clone(&socket),
                commands: receiver,
                base: Ipv4Addr::from(u32::from(plan.base) + i as u32),
                stride,
                epoch,
                freeze: plan.freeze,
                seed: plan.seed.wrapping_add(i as u64),
            });
            let thread =
                std::thread::Builder::new().name(format!("media {i}")).spawn(move || {
                    // One that cannot be pinned or is not precise measures all the same; the late
                    // packets tell.
                    host::pin(&[core]).ok();
                    host::go_first();
                    nix::sys::prctl::set_timerslack(1).ok();
                    worker.run();
                })?;
            workers.push(Hand { commands: Some(commands), socket, thread: Some(thread) });
        }
        Ok(Self { workers, plan, epoch, next_address: AtomicU32::new(0) })
    }

    /// The clock of all that is measured, in nanoseconds.
    pub fn now(&self) -> u64 {
        host::wall_nanos().saturating_sub(self.epoch)
    }

    /// Bytes of receive queue that the system granted each thread.
    pub fn receive_buffer(&self) -> usize {
        self.workers.iter().map(|hand| hand.socket.receive_buffer()).min().unwrap_or(0)
    }

    /// A new association, with an address of its own.
    ///
    /// # Errors
    /// There are no addresses left.
    pub fn open(&self) -> anyhow::Result<Door> {
        let index = self.next_address.fetch_add(1, Ordering::Relaxed);
        ensure!(index < self.plan.addresses, "no addresses left after {index}");
        let worker = index as usize % self.workers.len();
        let key = LinkKey { worker, slot: index as usize / self.workers.len() };
        let address = Ipv4Addr::from(u32::from(self.plan.base) + index);
        let (door, arrivals) = mpsc::channel(DOOR);
        let socket = Arc::clone(&self.workers[worker].socket);
        let local = SocketAddrV4::new(address, socket.port()?);
        self.command(key, |slot| Command::Open { slot, local: address, door });
        Ok(Door { key, local, arrivals, socket })
    }

    /// Tells the thread of an association what to do with it.
    pub(crate) fn command(&self, key: LinkKey, command: impl FnOnce(usize) -> Command) {
        if let Some(commands) = &self.workers[key.worker].commands {
            // A thread ends only with the engine.
            commands.send(command(key.slot)).ok();
        }
    }

    /// Tells every thread.
    pub(crate) fn command_all(&self, command: impl Fn() -> Command) {
        for commands in self.workers.iter().filter_map(|hand| hand.commands.as_ref()) {
            commands.send(command()).ok();
        }
    }

    /// Sends bytes to the server of association `key`, from the address of another one.
    pub(crate) fn send_as(&self, door: &Door, key: LinkKey, bytes: Vec<u8>) {
        let from = *door.local.ip();
        self.command(key, |slot| Command::Junk { slot, from: Some(from), bytes });
    }

    /// Begins a window: what is counted from now on is what [`Engine::collect`] hands out.
    ///
    /// # Errors
    /// A thread has failed.
    pub async fn begin_window(&self, sources: &[Arc<SourceLog>]) -> anyhow::Result<()> {
        // Nothing counts while the threads forget what they had.
        sources.iter().for_each(|log| log.close_window());
        for hand in &self.workers {
            let (done, forgotten) = oneshot::channel();
            hand.send(Command::Reset { done })?;
            forgotten.await.context("a media thread has failed")?;
        }
        sources.iter().for_each(|log| log.begin_window());
        Ok(())
    }

    /// What all threads counted.
    ///
    /// # Errors
    /// A thread has failed.
    pub async fn collect(&self) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for hand in &self.workers {
            let (done, tally) = oneshot::channel();
            hand.send(Command::Collect { done })?;
            sum.add(&*tally.await.context("a media thread has failed")?);
        }
        Ok(sum)
    }

    /// Datagrams that found the generator's receive queues full, since the start.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn overflow(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for hand in &self.workers {
            sum += hand.socket.overflow()?;
        }
        Ok(sum)
    }
}

impl Hand {
    fn send(&self, command: Command) -> anyhow::Result<()> {
        let commands = self.commands.as_ref().context("the engine has ended")?;
        commands.send(command).ok().context("a media thread has failed")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for hand in &mut self.workers {
            hand.commands = None;
        }
        for hand in &mut self.workers {
            if let Some(thread) = hand.thread.take() {
                // One that has failed has said so.
                thread.join().ok();
            }
        }
    }
}

impl Door {
    /// Sends from its address to the server's.
    pub fn outlet(&self, to: SocketAddrV4) -> Outlet {
        Outlet { socket: Arc::clone(&self.socket), from: *self.local.ip(), to }
    }
}

impl Outlet {
    /// Sends one datagram. A network that takes none loses it.
    pub fn send(&self, datagram: &[u8]) {
        self.socket.send(self.from, self.to, datagram).ok();
    }

    /// Answers a check of the server's, if it is one.
    pub fn answer(&self, datagram: &[u8], password: &str) {
        if let Some(answer) = ice::answer(datagram, self.to.into(), password) {
            self.send(&answer);
        }
    }
}

/// The address family that the engine speaks.
///
/// # Errors
/// It is the other one.
pub fn ipv4(address: SocketAddr) -> anyhow::Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(address) => {
            anyhow::bail!("media goes to {address}: the load generator speaks IPv4 only")
        }
    }
}
