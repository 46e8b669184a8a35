//! What the generator can do alone on this machine: how many packets a second one of its threads
//! takes and accounts for, beside a loop of `recvmmsg` that looks at nothing, over the same
//! packets; and how many it seals and sends. Without this nobody could say whether server or
//! generator was the limit of a run.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use tokio::sync::mpsc;

use crate::engine::link::Connected;
use crate::engine::log::SourceLog;
use crate::engine::pattern::Pattern;
use crate::engine::socket::{Batch, SharedSocket};
use crate::engine::source::{SourceSpec, SourceTx};
use crate::engine::{Command, Setup, Worker};
use crate::host;
use crate::measures::SelfCheck;
use crate::scenario::{Synthetic, Video, VideoCodec};
use crate::srtp::{self, Opener, Profile, Sealer};

/// Peers that the packets are for.
const PEERS: usize = 200;

/// Packets of one train of the flood: the flood has to be faster than whoever takes it.
const TRAIN: usize = 8;

/// As long as each kind is measured, and how often.
const ROUND: Duration = Duration::from_millis(300);
const ROUNDS: usize = 3;

/// Packets that are sealed and sent.
const SENDS: usize = 20_000;

const BASE: Ipv4Addr = Ipv4Addr::new(127, 254, 0, 1);

/// Measures, with the flood on `flood_core`; the calling thread is the generator's, and where it
/// runs is the caller's choice.
///
/// # Errors
/// There are no sockets to be had.
pub fn run(flood_core: usize) -> anyhow::Result<SelfCheck> {
    let mut receive = Vec::new();
    let mut bare = Vec::new();
    for round in 0..ROUNDS {
        // Who goes first alternates.
        if round % 2 == 0 {
            bare.push(receive_bare(flood_core)?);
            receive.push(receive_whole(flood_core)?);
        } else {
            receive.push(receive_whole(flood_core)?);
            bare.push(receive_bare(flood_core)?);
        }
    }
    Ok(SelfCheck {
        receive_pps: median(receive),
        bare_receive_pps: median(bare),
        send_pps: send()?,
        packet_bytes: pattern()?.pieces[0].size,
        peers: PEERS,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Video of equal packets.
fn pattern() -> anyhow::Result<Pattern> {
    let synthetic = Synthetic { mbit: 9.0, frames_per_second: 30.0, packet_bytes: 1200 };
    Pattern::video(&Video {
        codec: VideoCodec::Vp8,
        trace_file: None,
        uplink_mbit: 0.0,
        synthetic: Some(synthetic),
        key_frame_bytes: 1200,
    })
}

/// Both ends' keys of an association that never was.
fn keys() -> anyhow::Result<(Sealer, Opener)> {
    let material: Vec<u8> = (0..88).collect();
    let (sealer, _) = srtp::contexts(Profile::Aes256Gcm, &material, true)?;
    let (_, opener) = srtp::contexts(Profile::Aes256Gcm, &material, false)?;
    Ok((sealer, opener))
}

/// A source that floods [`PEERS`] addresses with one stream each; all streams are the same packets.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Flood {
    fn start(core: usize, port: u16, log: Arc<SourceLog>, epoch: u64) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (mut sealer, _) = keys()?;
        let pattern = Arc::new(pattern()?);
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::Builder::new().name("flood".into()).spawn(move || {
            host::pin(&[core]).ok();
            let spec = spec(log, pattern);
            let mut source = SourceTx::new(spec, 0);
            let mut packet = Vec::new();
            let mut train = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                train.clear();
                for _ in 0..TRAIN {
                    let (number, mut marks) = source.write(&mut packet);
                    marks.at = host::wall_nanos().saturating_sub(epoch);
                    source.spec.log.note(number, marks);
                    if let Ok(sealed) = sealer.rtp(&packet) {
                        train.extend_from_slice(&sealed);
                    }
                }
                for peer in 0..PEERS as u32 {
                    let to = SocketAddrV4::new(Ipv4Addr::from(u32::from(BASE) + peer), port);
                    send_train(&socket, to, &train);
                    count.fetch_add(TRAIN as u64, Ordering::Relaxed);
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { stop, sent, thread: Some(thread) })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn spec(log: Arc<SourceLog>, pattern: Arc<Pattern>) -> SourceSpec {
    SourceSpec {
        id: 1,
        log,
        pattern,
        origin: 0,
        ssrc: 77,
        payload_type: 96,
        overhead: Profile::Aes256Gcm.rtp_overhead(),
        cname: "flood".into(),
    }
}

fn send_train(socket: &UdpSocket, to: SocketAddrV4, train: &[u8]) {
    let segment = (train.len() / TRAIN) as u16;
    let parts = [std::io::IoSlice::new(train)];
    let control = [ControlMessage::UdpGsoSegments(&segment)];
    let to = SockaddrIn::from(to);
    // A queue that is full is what a flood is for.
    sendmsg(socket.as_raw_fd(), &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to)).ok();
}

/// Takes packets for a round and looks at none; packets a second.
fn receive_bare(core: usize) -> anyhow::Result<f64> {
    let socket = SharedSocket::bind()?;
    let log = Arc::new(SourceLog::new(true));
    let flood = Flood::start(core, socket.port()?, log, host::wall_nanos())?;
    let mut batch = Batch::new();
    let rate = rate(|| Ok(batch.receive(&socket)?))?;
    drop(flood);
    Ok(rate)
}

/// Takes packets for a round as in a run.
fn receive_whole(core: usize) -> anyhow::Result<f64> {
    let socket = Arc::new(SharedSocket::bind()?);
    let (commands, receiver) = mpsc::unbounded_channel();
    let epoch = host::wall_nanos();
    let mut worker = Worker::new(Setup {
        socket: Arc::clone(&socket),
        commands: receiver,
        base: BASE,
        stride: 1,
        epoch,
        freeze: u64::MAX,
        seed: 0,
    });
    let log = Arc::new(SourceLog::new(true));
    log.begin_window();
    let remote = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
    for slot in 0..PEERS {
        let (door, _) = mpsc::channel(1);
        let local = Ipv4Addr::from(u32::from(BASE) + slot as u32);
        worker.obey(Command::Open { slot, local, door });
        let (sealer, opener) = keys()?;
        let connected = Connected {
            remote,
            check: Vec::new(),
            password: String::new(),
            sealer,
            opener,
            probe: false,
            own_ssrc: 1,
        };
        worker.obey(Command::Connect { slot, connected: Box::new(connected) });
        let wanted = vec![(1, Arc::clone(&log))];
        worker.obey(Command::Expect { slot, wanted, asked_at: 0 });
    }
    let flood = Flood::start(core, socket.port()?, log, epoch)?;
    let mut batch = Batch::new();
    let rate = rate(|| {
        let got = batch.receive(&socket)?;
        worker.take_all(&batch, got);
        Ok(got)
    })?;
    anyhow::ensure!(flood.sent.load(Ordering::Relaxed) > 0, "the flood did not begin");
    drop(flood);
    drop(commands);
    Ok(rate)
}

fn rate(mut take: impl FnMut() -> anyhow::Result<usize>) -> anyhow::Result<f64> {
    // Until the flood is there.
    let patience = Instant::now() + Duration::from_secs(2);
    while take()? == 0 {
        anyhow::ensure!(Instant::now() < patience, "nothing comes over loopback");
    }
    let (began, mut taken) = (Instant::now(), 0);
    while began.elapsed() < ROUND {
        taken += take()?;
    }
    Ok(taken as f64 / began.elapsed().as_secs_f64())
}

/// Seals and sends as in a run, flat out; packets a second.
fn send() -> anyhow::Result<f64> {
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let SocketAddr::V4(to) = sink.local_addr()? else { anyhow::bail!("loopback is IPv4 here") };
    let socket = SharedSocket::bind()?;
    let (mut sealer, _) = keys()?;
    let log = Arc::new(SourceLog::new(true));
    let mut source = SourceTx::new(spec(log, Arc::new(pattern()?)), 0);
    let mut packet = Vec::new();
    let began = Instant::now();
    for _ in 0..SENDS {
        let (number, mut marks) = source.write(&mut packet);
        let sealed = sealer.rtp(&packet).context("seal")?;
        marks.at = host::wall_nanos();
        source.spec.log.note(number, marks);
        socket.send(BASE, to, &sealed).context("send")?;
        source.remember(number, sealed);
    }
    Ok(SENDS as f64 / began.elapsed().as_secs_f64())
}
