//! One shard's thread: its executor, its tasks, and its end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{self, FutureExt};
use glommio::timer::sleep;
use glommio::{Latency, LocalExecutor, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle};

use super::accept::{Purpose, accept, take_over};
use super::clock::{BusyMeter, Clock};
use super::counted::Visits;
use super::ice_tcp;
use super::journal::Journal;
use super::live::Live;
use super::mailbox::{Ends, Mail, Mailbox};
use super::media::{keep_time, receive};
use super::orders::{Order, Orders};
use super::state::{Common, Core, Shard};
use crate::host::{IO_MEMORY, RING_DEPTH, explain};
use crate::net::{self, MediaSocket};
use crate::sfu::{Candidate, Identity, Router, RouterConfig};
use crate::signal::Close;
use crate::types::{Load, ShardId};

/// How long others run while media waits for its turn. Media that arrives interrupts at once, this
/// is for what it has left over.
///
/// glommio 0.9 parks although tasks are runnable if this time is over before it has looked at them,
/// as happens to a thread that loses its core just there (glommio/glommio pull request 53 mends it,
/// no release has it). Therefore it is no shorter than ten times what a loaded scheduler takes a
/// core away for, and [`HEARTBEAT`] ends what happens all the same.
const MEDIA_PREEMPT: Duration = Duration::from_millis(10);

/// The same while no media waits; and when a shard starts and has no heartbeat yet.
const PREEMPT: Duration = Duration::from_millis(250);

/// A shard never sleeps longer. An idle one needs 0.2 % of its core for it in a debug build.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// How busy it is, is measured over so many of them: a second.
const BUSY_BEATS: u32 = 10;

/// How much of a busy shard is media's; the rest is signaling's.
const MEDIA_SHARES: usize = 1000;
const SIGNAL_SHARES: usize = 250;

/// How long peers may take to say goodbye. With it the process ends in less than 5 s.
const GOODBYE_MAX: Duration = Duration::from_secs(4);

/// What a shard is made from, carried into its thread.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What it has in common with the others.
    pub(crate) common: Common,
    /// Its mailbox, and which shard it is.
    pub(crate) ends: Ends,
    /// Where it accepts connections.
    pub(crate) listener: TcpListener,
    /// Media over TCP.
    pub(crate) tcp: TcpMedia,
    /// Where it receives media.
    pub(crate) sockets: Vec<MediaSocket>,
    /// What clients are told about that.
    pub(crate) candidates: Vec<Candidate>,
    /// The server's DTLS certificate.
    pub(crate) identity: Identity,
    /// For the Router's randomness.
    pub(crate) seed: [u8; 32],
    /// What it begins with of what can change.
    pub(crate) live: Arc<Live>,
    /// What the main thread tells it.
    pub(crate) orders: Orders,
}

/// Where media comes over TCP.
#[derive(Debug, Default)]
pub(crate) struct TcpMedia {
    /// Where connections for nothing else are accepted.
    pub(crate) listeners: Vec<TcpListener>,
    /// What clients are told.
    pub(crate) candidates: Vec<SocketAddr>,
}

/// The executor of this thread, on `core` if that is possible; says whether it was.
pub(crate) fn executor(core: Option<usize>) -> io::Result<(LocalExecutor, bool)> {
    let make = |placement| {
        LocalExecutorBuilder::new(placement)
            .io_memory(IO_MEMORY)
            .ring_depth(RING_DEPTH)
            .preempt_timer(PREEMPT)
            .make()
    };
    if let Some(Ok(executor)) = core.map(|core| make(Placement::Fixed(core))) {
        return Ok((executor, true));
    }
    let executor = make(Placement::Unbound).map_err(|error| explain(&error))?;
    Ok((executor, false))
}

/// Runs a shard until it is told to stop.
pub(crate) async fn run(parts: Parts) -> io::Result<()> {
    let Parts { common, ends, listener, tcp, sockets, candidates, .. } = parts;
    let Parts { identity, seed, live, orders, .. } = parts;
    let queue = |shares, latency, name| {
        glommio::executor().create_task_queue(Shares::Static(shares), latency, name)
    };
    let media = queue(MEDIA_SHARES, Latency::Matters(MEDIA_PREEMPT), "media");
    let signal = queue(SIGNAL_SHARES, Latency::NotImportant, "signal");

    let (rx, tx) = net::open(common.io, sockets)?;
    let watches = rx.watches()?;
    let clock = Clock::start();
    let router = Router::new(RouterConfig {
        shard: ends.shard,
        candidates,
        tcp_candidates: tcp.candidates,
        identity,
        epoch: clock.epoch(),
        seed,
        even_trains: common.even_trains,
        history_bytes: common.history_bytes,
        limits: live.limits,
    });
    let id = ends.shard;
    let (mailbox, wires) = Mailbox::new(ends);
    let shard =
        Shard::new(id, common, live, clock, mailbox, Core::new(router, rx, tx, Journal::new(id)));
    let receiver = Rc::clone(&shard);
    // glommio polls a task as it is spawned, so what the tasks use has to be there before.
    let mut tasks = wires.connect(move |from, mail| deliver(&receiver, signal, from, mail));
    for (source, watch) in watches.into_iter().enumerate() {
        let receiving = receive(Rc::clone(&shard), source, watch);
        tasks.push(glommio::spawn_local_into(receiving, media)?);
    }
    tasks.push(glommio::spawn_local_into(keep_time(Rc::clone(&shard)), media)?);
    tasks.push(glommio::spawn_local_into(shake_hands(Rc::clone(&shard)), signal)?);
    tasks.push(glommio::spawn_local_into(beat(Rc::clone(&shard)), signal)?);
    let media_only = tcp.listeners.into_iter().map(|listener| (listener, Purpose::Media));
    let visits = Rc::new(Visits::default());
    let mut accepting = Vec::new();
    for (listener, purpose) in media_only.chain([(listener, Purpose::Everything)]) {
        let listener = net::adopt_listener(listener);
        let task = accept(Rc::clone(&shard), listener, purpose, Rc::clone(&visits));
        accepting.push(glommio::spawn_local_into(task, signal)?);
    }

    let obey = |order| match order {
        Order::Live(live) => shard.go_on_with(live),
        Order::Drain => shard.drain(),
    };
    orders.follow(obey).await;
    for task in accepting {
        task.cancel().await;
    }
    say_goodbye(&shard).await;
    // An executor that ends does not drop the tasks that wait, nor the sockets that they hold.
    for task in tasks {
        task.cancel().await;
    }
    Ok(())
}

/// Takes a mail of another shard.
fn deliver(shard: &Rc<Shard>, signal: TaskQueueHandle, from: ShardId, mail: Mail) {
    match mail {
        Mail::Question(number, question) => shard.answer(from, number, question),
        Mail::Answer(number, answer) => shard.answered(number, answer),
        Mail::Release(place) => shard.release(place),
        Mail::Load(load) => shard.note_load(from, load),
        Mail::Media(media) => spawn(ice_tcp::take_over(Rc::clone(shard), *media), signal),
        Mail::HandOver(hand_over) => spawn(take_over(Rc::clone(shard), *hand_over), signal),
    }
}

/// Runs a connection's task.
fn spawn(task: impl Future<Output = ()> + 'static, queue: TaskQueueHandle) {
    match glommio::spawn_local_into(task, queue) {
        Ok(task) => drop(task.detach()),
        Err(_) => debug_assert!(false, "the queues are never removed"),
    }
}

/// Takes the steps of handshakes, one at a time: media goes first whenever there is some, and every
/// connection that has something to say comes between two steps.
async fn shake_hands(shard: Rc<Shard>) {
    loop {
        shard.shake_hands().await;
        future::yield_now().await;
        glommio::yield_if_needed().await;
    }
}

/// Keeps the shard awake, and tells the others how busy it is whenever that has changed.
async fn beat(shard: Rc<Shard>) {
    let (mut published, mut busy, mut beats) = (Load::default(), BusyMeter::start(), 0);
    loop {
        sleep(HEARTBEAT).await;
        shard.common.pulse.beat(shard.id);
        shard.report_idle();
        shard.end_lost_wires();
        shard.sum_up_journal();
        shard.relieve_queues();
        beats += 1;
        if beats % BUSY_BEATS == 0 {
            shard.measure_busy_share(&mut busy);
        }
        let load = shard.load();
        if load != published {
            published = load;
            shard.publish_load(load);
        }
    }
}

/// Closes every WebSocket and waits, within bounds, until they are closed.
async fn say_goodbye(shard: &Shard) {
    let gone = async {
        shard.stopping.close();
        // Closing the gate first keeps new ones out; it resolves when the last has passed.
        let closed = shard.gate.close();
        shard.with(|router, _, out| {
            router.announce_end(Close::GOING_AWAY.reason, out);
            out.close_all(Close::GOING_AWAY);
        });
        let _ = closed.await;
    };
    gone.or(async { sleep(GOODBYE_MAX).await }).await;
}
