//! The sender without an SFU: it has the datagrams ready, knows whom they go to, and sends. By one
//! `sendto` each, or in trains; at the times at which the server sent them, or as fast as it can.
//! Also what one AEAD seal costs, which no SRTP sender can save. On the measured core, in a thread
//! whose CPU time is counted.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use corinth::net::{self, MediaSocket, SocketOptions, Tx, TxArena};
use corinth::transport::srtp::{PacketIndex, SrtpProfile, SrtpTx};
use corinth::types::limit::DATAGRAM_MAX;
use corinth::types::{IoKind, Path, SeqNo, SocketId, Ssrc};
use nix::sched::{CloneFlags, setns};
use socket2::{SockAddr, SockRef};

use crate::plan::Plan;
use crate::play::Train;
use crate::{host, play};

/// What to do with a list of trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    SendSingly { paced: bool },
    SendTrains { paced: bool },
    Seal,
}

/// What it cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// CPU time for each datagram.
    pub(crate) nanos: f64,
    /// Datagrams that the kernel did not take: what does not leave is no measure.
    pub(crate) unsent: u64,
}

/// The thread, its receivers, and the way to it.
pub(crate) struct Bare {
    receivers: Vec<UdpSocket>,
    tasks: Option<Sender<(Task, Vec<Train>)>>,
    costs: Receiver<anyhow::Result<Cost>>,
    thread: Option<JoinHandle<()>>,
}

impl Bare {
    /// A sender at `address` to so many receivers, which are in this thread's network namespace.
    pub(crate) fn start(plan: &Plan, address: &str, receivers: usize) -> anyhow::Result<Self> {
        let (tasks, commands) = channel::<(Task, Vec<Train>)>();
        let (results, costs) = channel();
        let (told, tell) = channel();
        let (core, beyond) = (plan.cores.measured, plan.beyond);
        let address: SocketAddr = format!("{address}:0").parse()?;
        let (list, destinations) = channel::<Vec<SocketAddr>>();
        let thread = thread::spawn(move || {
            let ready = bind(core, beyond, address);
            let socket = match ready {
                Ok(socket) => socket,
                Err(error) => return drop(told.send(Err(error))),
            };
            let from = socket.local_addr();
            if told.send(Ok(from)).is_err() {
                return;
            }
            let Ok(destinations) = destinations.recv() else { return };
            let Ok((_, tx)) = net::open(IoKind::Mmsg, vec![socket]) else { return };
            let mut worker = Worker::new(tx, destinations);
            for (task, trains) in commands {
                if results.send(worker.run(task, &trains)).is_err() {
                    return;
                }
            }
        });
        let from = tell.recv().context("the bare sender has failed")??;
        let any = if beyond.is_some() { "0.0.0.0:0" } else { "127.0.0.1:0" };
        let receivers: Vec<_> = (0..receivers)
            .map(|_| {
                let socket = UdpSocket::bind(any)?;
                socket.connect(from)?;
                play::prepare(&socket)?;
                anyhow::Ok(socket)
            })
            .collect::<anyhow::Result<_>>()?;
        let addresses = receivers.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
        list.send(addresses).map_err(|_| anyhow!("the bare sender has failed"))?;
        Ok(Self { receivers, tasks: Some(tasks), costs, thread: Some(thread) })
    }

    /// Has the thread do it, and reads what it sends meanwhile.
    pub(crate) fn run(&self, task: Task, trains: &[Train]) -> anyhow::Result<Cost> {
        let tasks = self.tasks.as_ref().context("it runs until it is dropped")?;
        tasks.send((task, trains.to_vec())).map_err(|_| anyhow!("the bare sender has failed"))?;
        let mut buffer = [0; 2048];
        loop {
            if let Ok(cost) = self.costs.try_recv() {
                self.receivers.iter().for_each(|it| while it.recv(&mut buffer).is_ok() {});
                return cost;
            }
            let mut idle = true;
            for receiver in &self.receivers {
                while receiver.recv(&mut buffer).is_ok() {
                    idle = false;
                }
            }
            anyhow::ensure!(
                !self.thread.as_ref().is_some_and(JoinHandle::is_finished),
                "the bare sender has failed"
            );
            if idle {
                thread::sleep(Duration::from_micros(100));
            }
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // What went wrong in it was told by its results.
            let _ = thread.join();
        }
    }
}

/// A socket on the server's side, made by this thread, which stays on the measured core.
fn bind(core: usize, beyond: Option<u32>, address: SocketAddr) -> anyhow::Result<MediaSocket> {
    host::pin(&[core])?;
    if let Some(pid) = beyond {
        let net = File::open(format!("/proc/{pid}/ns/net"))?;
        setns(net, CloneFlags::CLONE_NEWNET)?;
    }
    let options = SocketOptions { receive_buffer: 1 << 20, send_buffer: 4 << 20 };
    Ok(MediaSocket::bind(address, &options)?)
}

struct Worker {
    tx: Tx,
    arena: TxArena,
    destinations: Vec<SocketAddr>,
    keys: Vec<SrtpTx>,
    index: u64,
}

impl Worker {
    fn new(tx: Tx, destinations: Vec<SocketAddr>) -> Self {
        let key = |i: usize| SrtpTx::new(SrtpProfile::AeadAes256Gcm, &[i as u8; 32], &[2; 12]);
        let keys = (0..destinations.len()).map(key).collect();
        Self { tx, arena: TxArena::new(), destinations, keys, index: 0 }
    }

    fn run(&mut self, task: Task, trains: &[Train]) -> anyhow::Result<Cost> {
        let datagrams: usize = trains.iter().map(|train| train.sizes.len()).sum();
        let datagrams = (datagrams * self.destinations.len()).max(1);
        let (start, before) = (Instant::now(), host::thread_cpu());
        let unsent = match task {
            Task::SendSingly { paced } => self.send_singly(trains, paced.then_some(start)),
            Task::SendTrains { paced } => self.send_trains(trains, paced.then_some(start)),
            Task::Seal => self.seal(trains),
        };
        let spent = host::thread_cpu() - before;
        Ok(Cost { nanos: spent.as_nanos() as f64 / datagrams as f64, unsent })
    }

    fn send_singly(&self, trains: &[Train], start: Option<Instant>) -> u64 {
        let socket = SockRef::from(&self.tx.sockets()[0]);
        let to: Vec<_> = self.destinations.iter().map(|it| SockAddr::from(*it)).collect();
        let payload = [0x80; DATAGRAM_MAX];
        let mut unsent = 0;
        for train in trains {
            wait(start, train.at);
            for to in &to {
                for size in &train.sizes {
                    unsent += u64::from(socket.send_to(&payload[..*size], to).is_err());
                }
            }
        }
        unsent
    }

    fn send_trains(&mut self, trains: &[Train], start: Option<Instant>) -> u64 {
        let mut unsent = 0;
        for train in trains {
            wait(start, train.at);
            for remote in &self.destinations {
                let path = Path::Udp { socket: SocketId(0), remote: *remote };
                for size in &train.sizes {
                    if self.arena.slot().is_none() {
                        let report = self.tx.flush(&mut self.arena);
                        unsent += report.blocked + report.refused;
                    }
                    self.arena.commit(path, *size);
                }
            }
            let report = self.tx.flush(&mut self.arena);
            unsent += report.blocked + report.refused;
        }
        unsent
    }

    fn seal(&mut self, trains: &[Train]) -> u64 {
        let mut packet = [0x80; DATAGRAM_MAX];
        for train in trains {
            for key in &self.keys {
                for size in &train.sizes {
                    self.index += 1;
                    let index = PacketIndex::at_will(Ssrc(1), SeqNo(self.index));
                    key.seal_rtp(&mut packet, 12, *size - 16, index);
                }
            }
        }
        0
    }
}

/// Until that time after the start, if there is one.
fn wait(start: Option<Instant>, at: Duration) {
    if let Some(start) = start {
        thread::sleep((start + at).saturating_duration_since(Instant::now()));
    }
}
