//! The server as a whole: sockets bound, shards started, told to stop.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::bind::{bind_media, listen, listen_for_media};
use super::commander::{Commander, command};
use super::stamps::{Stamps, stamped};
use super::webhook::Webhook;
use crate::config::{Config, MediaTcp};
use crate::host;
use crate::net::{MediaSocket, SocketOptions, raise_descriptor_limit};
use crate::sfu::Identity;
use crate::shard::{self, Clock, Common, ENDED, Live, Parts, Pulse, TcpMedia, mesh, unix_time};
use crate::types::IoKind;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    http: SocketAddr,
    /// Files that are looked at now and then, and what they were like.
    pub(super) files: Stamps,
    secure: bool,
    media: Vec<Vec<SocketAddr>>,
    notes: Vec<String>,
    pub(super) shards: Vec<JoinHandle<io::Result<()>>>,
    /// Tell the shard of that index what to do; dropped to stop it.
    pub(super) commanders: Vec<Commander>,
    /// A byte comes when there is something to attend to: `attend` says which.
    pub(super) events: UnixStream,
    event: UnixStream,
    pub(super) signals: Signals,
    /// Which shards move.
    pub(super) pulse: Arc<Pulse>,
    pub(super) clock: Clock,
    /// How long a drain may take.
    pub(super) drain_time: Duration,
    /// Who tells what happens in rooms.
    pub(super) webhook: Webhook,
}

/// Which signals have come, since somebody last looked.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// SIGHUP: the configuration shall be read again.
    pub(super) reload: Arc<AtomicBool>,
    /// SIGINT or SIGTERM, its number; or 0.
    pub(super) stop: Arc<AtomicUsize>,
    /// From when it is true, such a one ends the process at once.
    pub(super) stopping: Arc<AtomicBool>,
}

/// Starts a server. Errors say what to do about them, as far as that is known. The process may
/// have as many descriptors afterwards as it is allowed to ask for.
pub fn serve(config: &Config, live: Live) -> io::Result<Running> {
    host::check()?;
    if config.io == IoKind::Ring {
        host::check_media_ring()?;
    }
    let cores = host::cores();
    let shards = config.shards.unwrap_or(cores.len().clamp(1, 255));
    // What may not be asked is not known, and then nothing is said about it.
    let descriptors = raise_descriptor_limit().unwrap_or(u64::MAX);
    host::check_descriptors(descriptors, shards, config.media_addresses.len())?;
    let listeners = listen(config.http, shards, "http")?;
    let http = listeners[0].local_addr()?;
    let ports = config.media_ports(shards).map_err(io::Error::other)?;
    let (events, event) = UnixStream::pair()?;
    let run = format!("{:016x}", u64::from_ne_bytes(random()?));
    let (webhook, notices) = Webhook::start(run, live.webhook.clone())?;
    let mut running = Running {
        http,
        files: stamped(live.files()),
        secure: live.tls.is_some(),
        media: Vec::new(),
        notes: Vec::new(),
        shards: Vec::new(),
        commanders: Vec::new(),
        events,
        event,
        signals: Signals::default(),
        pulse: Arc::new(Pulse::new(shards)),
        clock: Clock::start(),
        drain_time: live.drain_time,
        webhook,
    };
    let live = Arc::new(live);
    let common = Common {
        shards,
        directory_seed: u64::from_ne_bytes(random()?),
        io: config.io,
        even_trains: config.even_trains,
        history_bytes: config.history_bytes,
        tcp_media: config.media_tcp != MediaTcp::Off,
        pulse: Arc::clone(&running.pulse),
        event: Arc::new(running.event.try_clone()?),
        started: unix_time(),
        descriptors,
        notices,
    };
    let identity = Identity::generate().map_err(io::Error::other)?;
    let mut parts = Vec::with_capacity(shards);
    for ((ends, listener), port) in mesh(shards).into_iter().zip(listeners).zip(ports) {
        let media = bind_media(&config.media_addresses, port, &mut running.notes)?;
        let (commander, orders) = command()?;
        running.media.push(media.sockets.iter().map(MediaSocket::local_addr).collect());
        running.commanders.push(commander);
        parts.push(Parts {
            common: common.clone(),
            ends,
            listener,
            tcp: TcpMedia::default(),
            sockets: media.sockets,
            candidates: media.candidates,
            identity: identity.clone(),
            seed: random()?,
            live: Arc::clone(&live),
            orders,
        });
    }
    let tcp = listen_for_media(config, &running.media[0], http, shards)?;
    for (parts, tcp) in parts.iter_mut().zip(tcp) {
        parts.tcp = tcp;
    }
    let buffers = parts.iter().flat_map(|parts| &parts.sockets);
    let granted = buffers.map(MediaSocket::receive_buffer).min().unwrap_or(usize::MAX);
    let found = host::shortcomings(SocketOptions::WISHED.receive_buffer, granted, descriptors);
    running.notes.extend(found);
    let found = config.media_addresses.iter().all(|address| !address.required);
    if found && running.media.iter().flatten().all(|address| address.ip().is_loopback()) {
        running.notes.push(
            "this host has no address but loopback: only programs on it can send and receive \
             media, and Firefox not even there (see --media-address)"
                .to_owned(),
        );
    }
    if !running.secure && !http.ip().is_loopback() {
        running.notes.push(format!(
            "{http} speaks plain HTTP, which is for reverse proxies: browsers give camera and \
             microphone to HTTPS only (see --certificate)"
        ));
    }
    running.notes.dedup();
    running.start(parts, &cores)?;
    Ok(running)
}

impl Running {
    /// Where HTTP is served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where each shard serves media.
    pub fn media_addrs(&self) -> &[Vec<SocketAddr>] {
        &self.media
    }

    /// What is not as it should be on this host, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Starts the threads and waits until each has its executor. All at once: a shard that waits
    /// for the mailboxes of the others does not sleep.
    fn start(&mut self, parts: Vec<Parts>, cores: &[usize]) -> io::Result<()> {
        let mut starting = Vec::with_capacity(parts.len());
        for (i, parts) in parts.into_iter().enumerate() {
            let core = cores.get(i % cores.len().max(1)).copied();
            let (ready, started) = sync_channel(1);
            let ended = Ended(self.event.try_clone()?);
            let thread = thread::Builder::new()
                .name(format!("shard-{i}"))
                .spawn(move || shard_thread(parts, core, &ready, ended))?;
            self.shards.push(thread);
            starting.push((core, started));
        }
        for (i, (core, started)) in starting.into_iter().enumerate() {
            match started.recv() {
                Ok(true) => {}
                Ok(false) => self.notes.push(match core {
                    Some(core) => format!("shard {i} could not be pinned to core {core}"),
                    None => format!("shard {i} is pinned to no core: which there are is unknown"),
                }),
                // It has not started, and its result says why.
                Err(_) => return self.stop_shards(),
            }
        }
        Ok(())
    }

    /// From now on SIGINT, SIGTERM and SIGHUP do not end the process, but are for
    /// [`Running::wait`].
    pub fn catch_signals(&self) -> io::Result<()> {
        let Signals { reload, stop, stopping } = &self.signals;
        for signal in [SIGINT, SIGTERM] {
            let stopping = Arc::clone(stopping);
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stopping)?;
            signal_hook::flag::register_usize(signal, Arc::clone(stop), signal as usize)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(reload))?;
        // After the flags: whoever reads the byte looks at them.
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, self.event.try_clone()?)?;
        }
        Ok(())
    }

    /// Closes every connection (1001), ends the shards and waits for them, less than 5 s, and 2 s
    /// more where a webhook cannot be told. An error is that of a shard that ended before its time.
    pub fn stop(mut self) -> io::Result<()> {
        self.stop_shards()
    }

    fn stop_shards(&mut self) -> io::Result<()> {
        self.commanders.clear();
        let mut result = Ok(());
        for thread in self.shards.drain(..) {
            let ended = match thread.join() {
                Ok(ended) => ended,
                Err(_) => Err(io::Error::other("a shard has failed, which is a bug; see the log")),
            };
            result = result.and(ended);
        }
        self.webhook.end();
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop_shards() {
            tracing::error!(%error, "stopped");
        }
    }
}

/// Tells the main thread that a shard's thread is over, also when it panicked.
struct Ended(UnixStream);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody reads any more: then nobody needs to be told.
        let _ = self.0.write_all(&[ENDED]);
    }
}

fn shard_thread(
    parts: Parts,
    core: Option<usize>,
    ready: &SyncSender<bool>,
    _ended: Ended,
) -> io::Result<()> {
    let (executor, pinned) = shard::executor(core)?;
    let _ = ready.send(pinned);
    executor.run(shard::run(parts))
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(bytes)
}

/// What is said on start: lines, the last of which is the address to open.
impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "corinth: note: {note}")?;
        }
        for (shard, addresses) in self.media.iter().enumerate() {
            let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
            writeln!(f, "corinth: shard {shard}: media on UDP {}", addresses.join(", "))?;
        }
        let mut open = self.http;
        if open.ip().is_unspecified() {
            open.set_ip(match open.ip() {
                IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let scheme = if self.secure { "https" } else { "http" };
        writeln!(f, "corinth: open {scheme}://{open}")
    }
}
