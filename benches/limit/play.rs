//! The generator: a call set up over real signaling, ICE and DTLS, then sources that send on a
//! schedule and viewers that read, all on one thread without a runtime.
//!
//! Some viewers are *probes*: the kernel stamps what they receive, and the number that the source
//! wrote into a payload tells when it was sent. Datagrams of one probe that bear the same stamp
//! came in one train.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use corinth_perf::peer::{Peer, Source, TransportOptions};
use corinth_perf::transport::Detached;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use tokio::runtime::Runtime;

use crate::host;

/// Viewers whose packets are looked at, spread evenly over all.
const PROBES: usize = 16;

/// Bytes that wait at each viewer: enough for what comes while the others are read.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Time for the last packets of a schedule to arrive.
const GRACE: Duration = Duration::from_millis(60);

/// The generator sleeps only if nothing has to be sent for so long, and then shorter.
const SPIN: Duration = Duration::from_micros(400);
const NAP: Duration = Duration::from_micros(100);

/// Viewers that are read between two looks at the schedule.
const READ_AT_ONCE: usize = 16;

/// RTP header, and a VP8 payload descriptor with the first byte of a frame.
const HEADER: usize = 12;
const NUMBERS_AT: usize = HEADER + 2;
/// What GCM adds.
const TAG: usize = 16;

/// A packet to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) at: Duration,
    pub(crate) source: usize,
    /// As a datagram's payload, sealed.
    pub(crate) size: usize,
    pub(crate) marker: bool,
    pub(crate) rtp_time: u32,
}

/// Packets that were sent to each receiver together, and when the last of them had come in.
#[derive(Debug, Clone)]
pub(crate) struct Train {
    pub(crate) at: Duration,
    pub(crate) sizes: Vec<usize>,
}

/// What came of playing a schedule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Played {
    /// By the sources.
    pub(crate) sent: u64,
    /// Packets that the generator's own socket did not take.
    pub(crate) unsent: u64,
    /// By all viewers.
    pub(crate) received: u64,
    /// From a source's send to a probe's receive queue, ascending.
    pub(crate) latency: Vec<Duration>,
    /// Behind the schedule, ascending.
    pub(crate) late: Vec<Duration>,
    /// What the first probe got, as it came.
    pub(crate) trains: Vec<Train>,
    /// Found a viewer's receive queue full.
    pub(crate) overflow: u64,
}

struct Sending {
    transport: Detached,
    ssrc: u32,
    payload_type: u8,
    /// Of the next packet.
    number: u32,
    rtp_base: u32,
    /// When each packet left, by the wall clock in nanoseconds.
    sent_at: Vec<u64>,
}

struct Viewer {
    transport: Detached,
    probe: Option<Probe>,
}

/// What a probe knows and saw.
#[derive(Default)]
struct Probe {
    /// By SSRC: the source and how far its numbers are from those that came.
    streams: HashMap<u32, (usize, u16)>,
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    source: usize,
    number: u32,
    at: u64,
    size: usize,
}

/// A room with sources and viewers of all of them.
pub(crate) struct Call {
    /// Not run while a schedule is played, so that it costs nothing.
    runtime: Runtime,
    /// Their connections are the peers' lives.
    peers: Vec<Peer>,
    sources: Vec<Sending>,
    viewers: Vec<Viewer>,
    ports: HashSet<u16>,
}

impl Call {
    pub(crate) fn set_up(
        url: &str,
        kind: &str,
        sources: usize,
        viewers: usize,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut call = Self {
            runtime,
            peers: Vec::new(),
            sources: Vec::new(),
            viewers: Vec::new(),
            ports: HashSet::new(),
        };
        for i in 0..sources {
            call.add_source(url, kind, i)?;
        }
        for i in 0..viewers {
            call.add_viewer(url, i, i % viewers.div_ceil(PROBES) == 0)?;
        }
        // What ran for the handshakes ends.
        call.runtime.block_on(async { tokio::time::sleep(GRACE).await });
        call.warm_up()?;
        Ok(call)
    }

    fn add_source(&mut self, url: &str, kind: &str, i: usize) -> anyhow::Result<()> {
        let ssrc = 1000 + i as u32;
        let source = match kind {
            "audio" => Source::opus(1, ssrc),
            _ => Source { rtx: None, ..Source::vp8(1, ssrc) },
        };
        let payload_type = source.payload_type;
        let (peer, transport) = self.runtime.block_on(async {
            let peer = Peer::join(url, "limit", &format!("source{i}")).await?;
            let (transport, receiving) = peer.create_transport(TransportOptions::new(1)).await?;
            peer.send_source(1, &source).await?;
            anyhow::Ok((peer, transport.detach(receiving)?))
        })?;
        self.peers.push(peer);
        let (number, rtp_base, sent_at) = (0, 0, Vec::new());
        self.sources.push(Sending { transport, ssrc, payload_type, number, rtp_base, sent_at });
        Ok(())
    }

    fn add_viewer(&mut self, url: &str, i: usize, probe: bool) -> anyhow::Result<()> {
        let (peer, transport) = self.runtime.block_on(async {
            let peer = Peer::join(url, "limit", &format!("viewer{i}")).await?;
            let (transport, receiving) = peer.create_transport(TransportOptions::new(1)).await?;
            let peers = peer.joined["peers"].as_array().context("peers")?;
            for sender in peers.iter().filter_map(|peer| peer["senders"].as_array()).flatten() {
                let id = sender["id"].as_u64().context("a Sender's id")?;
                peer.receive(u32::try_from(id)?, 1).await?;
            }
            anyhow::Ok((peer, transport.detach(receiving)?))
        })?;
        self.peers.push(peer);
        prepare(&transport.socket)?;
        if probe {
            setsockopt(&transport.socket, sockopt::ReceiveTimestampns, &true)?;
        }
        self.ports.insert(transport.socket.local_addr()?.port());
        self.viewers.push(Viewer { transport, probe: probe.then(Probe::default) });
        Ok(())
    }

    /// A key frame of each source opens every Sender, and tells the probes its numbers.
    fn warm_up(&mut self) -> anyhow::Result<()> {
        let due = |source| Due {
            at: Duration::from_millis(20 * source as u64),
            source,
            size: 200,
            marker: true,
            rtp_time: 0,
        };
        let schedule: Vec<_> = (0..self.sources.len()).map(due).collect();
        let expected = (schedule.len() * self.viewers.len()) as u64;
        let played = self.play(&schedule)?;
        anyhow::ensure!(
            played.received == expected,
            "{} of {expected} packets came when nothing else went on",
            played.received
        );
        Ok(())
    }

    /// Keeps everybody's consent alive.
    fn check(&self) {
        let sources = self.sources.iter().map(|source| &source.transport);
        for transport in sources.chain(self.viewers.iter().map(|viewer| &viewer.transport)) {
            // One that is lost is made good by the next.
            let _ = transport.socket.send(&transport.check);
        }
    }

    /// What is done around each measurement and not part of it: consent, and old datagrams.
    pub(crate) fn settle(&mut self) -> anyhow::Result<()> {
        self.check();
        let until = Instant::now() + GRACE;
        let mut played = Played::default();
        while Instant::now() < until {
            self.read(0..self.viewers.len(), &mut played)?;
        }
        self.viewers.iter_mut().filter_map(|viewer| viewer.probe.as_mut()).for_each(|probe| {
            probe.seen.clear();
        });
        Ok(())
    }

    /// Sends what is due when it is due, and reads what comes.
    pub(crate) fn play(&mut self, schedule: &[Due]) -> anyhow::Result<Played> {
        let sealed: Vec<_> =
            schedule.iter().map(|due| self.seal(due)).collect::<anyhow::Result<_>>()?;
        let lost_before = host::queue_drops(&self.ports)?;
        let mut played = Played::default();
        let (mut next, mut cursor, mut idle) = (0, 0, 0);
        let start = Instant::now() + GRACE;
        let end = schedule.last().map_or(Duration::ZERO, |due| due.at) + GRACE;
        loop {
            // Before the start nothing is due.
            let now = Instant::now().checked_duration_since(start);
            if now.is_some_and(|now| now > end) {
                break;
            }
            if let (Some(now), Some(due)) = (now, schedule.get(next))
                && due.at <= now
            {
                self.send(due.source, &sealed[next], &mut played)?;
                played.late.push(now - due.at);
                next += 1;
                continue;
            }
            let to = (cursor + READ_AT_ONCE).min(self.viewers.len());
            let some = self.read(cursor..to, &mut played)?;
            idle = if some { 0 } else { idle + to - cursor };
            cursor = if to == self.viewers.len() { 0 } else { to };
            let quiet =
                schedule.get(next).is_none_or(|due| now.unwrap_or_default() + SPIN < due.at);
            if quiet && idle >= self.viewers.len() {
                std::thread::sleep(NAP);
                idle = 0;
            }
        }
        let rtp_time = schedule.iter().map(|due| due.rtp_time).max().unwrap_or(0);
        for source in &mut self.sources {
            source.rtp_base = source.rtp_base.wrapping_add(rtp_time + 3000);
        }
        played.overflow = host::queue_drops(&self.ports)? - lost_before;
        self.conclude(schedule, &mut played);
        Ok(played)
    }

    fn seal(&mut self, due: &Due) -> anyhow::Result<Bytes> {
        let source = &mut self.sources[due.source];
        let number = source.number;
        source.number += 1;
        let mut packet = vec![0x80, u8::from(due.marker) << 7 | source.payload_type];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(source.rtp_base.wrapping_add(due.rtp_time).to_be_bytes());
        packet.extend(source.ssrc.to_be_bytes());
        // RFC 7741: the start of a partition; the very first packet is a key frame.
        packet.extend([0x10, u8::from(number != 0)]);
        packet.extend((due.source as u32).to_be_bytes());
        packet.extend(number.to_be_bytes());
        packet.resize(due.size - TAG, 0x55);
        source.transport.sealer.rtp(&packet)
    }

    fn send(&mut self, source: usize, packet: &[u8], played: &mut Played) -> anyhow::Result<()> {
        let source = &mut self.sources[source];
        source.sent_at.push(host::wall_nanos());
        match source.transport.socket.send(packet) {
            Ok(_) => played.sent += 1,
            Err(_) => played.unsent += 1,
        }
        Ok(())
    }

    /// Reads what waits at some viewers; whether there was anything.
    fn read(
        &mut self,
        viewers: std::ops::Range<usize>,
        played: &mut Played,
    ) -> anyhow::Result<bool> {
        let mut some = false;
        let mut buffer = [0; 2048];
        for viewer in &mut self.viewers[viewers] {
            let Viewer { transport, probe } = viewer;
            while let Some((len, at)) = receive(&transport.socket, &mut buffer, probe.is_some())? {
                some = true;
                let packet = &buffer[..len];
                if is_rtp(packet) {
                    played.received += 1;
                    if let Some(probe) = probe {
                        probe.see(packet, at, transport)?;
                    }
                }
            }
        }
        Ok(some)
    }

    /// Works out what the probes saw.
    fn conclude(&mut self, schedule: &[Due], played: &mut Played) {
        let first: Vec<u32> = self.sources.iter().map(|source| source.number).collect();
        let mut numbers = vec![Vec::new(); self.sources.len()];
        for due in schedule {
            numbers[due.source].push(due.at);
        }
        let mut probes = self.viewers.iter_mut().filter_map(|viewer| viewer.probe.as_mut());
        let mut is_first = true;
        for probe in &mut probes {
            let mut last = None;
            for seen in probe.seen.drain(..) {
                let sent_at = self.sources[seen.source].sent_at[seen.number as usize];
                let latency = Duration::from_nanos(seen.at.saturating_sub(sent_at));
                played.latency.push(latency);
                if !is_first {
                    continue;
                }
                // The schedule's packets are the latest of each source.
                let due = &numbers[seen.source];
                let back = (first[seen.source] - seen.number) as usize;
                let Some(at) = due.len().checked_sub(back).and_then(|i| due.get(i)) else {
                    continue;
                };
                if last == Some((seen.at, seen.source))
                    && let Some(train) = played.trains.last_mut()
                {
                    train.sizes.push(seen.size);
                    train.at = train.at.max(*at);
                } else {
                    played.trains.push(Train { at: *at, sizes: vec![seen.size] });
                }
                last = Some((seen.at, seen.source));
            }
            is_first = false;
        }
        played.trains.sort_by_key(|train| train.at);
        played.latency.sort_unstable();
        played.late.sort_unstable();
    }
}

impl Probe {
    fn see(&mut self, packet: &[u8], at: u64, transport: &mut Detached) -> anyhow::Result<()> {
        let ssrc = u32::from_be_bytes(packet[8..12].try_into()?);
        let seq = u16::from_be_bytes(packet[2..4].try_into()?);
        let (source, offset) = match self.streams.get(&ssrc) {
            Some(known) => *known,
            None => {
                let plain = transport.opener.rtp(packet)?;
                let word =
                    |at: usize| anyhow::Ok(u32::from_be_bytes(plain[at..at + 4].try_into()?));
                let (source, number) = (word(NUMBERS_AT)? as usize, word(NUMBERS_AT + 4)?);
                anyhow::ensure!(number == 0, "the first packet of a stream did not come");
                self.streams.insert(ssrc, (source, seq));
                (source, seq)
            }
        };
        // Fewer than 2^16 packets are sent in one run, and the source's numbers begin at 0.
        let number = u32::from(seq.wrapping_sub(offset));
        self.seen.push(Seen { source, number, at, size: packet.len() });
        Ok(())
    }
}

/// What a receiving socket of the generator needs.
pub(crate) fn prepare(socket: &UdpSocket) -> anyhow::Result<()> {
    socket.set_nonblocking(true)?;
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        // Who may not is granted what everybody is.
        setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    Ok(())
}

/// The next datagram's length, and when the kernel had it if that is asked for.
fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    stamped: bool,
) -> anyhow::Result<Option<(usize, u64)>> {
    if !stamped {
        return match socket.recv(buffer) {
            Ok(len) => Ok(Some((len, 0))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
        Ok(message) => {
            let stamp = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                _ => None,
            });
            let Some(stamp) = stamp else { bail!("the kernel did not stamp a datagram") };
            Ok(Some((message.bytes, stamp.as_nanos() as u64)))
        }
        Err(nix::errno::Errno::EAGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// RFC 7983 §7 and RFC 5761 §4.
fn is_rtp(packet: &[u8]) -> bool {
    packet.len() > NUMBERS_AT && packet[0] >> 6 == 2 && !(192..=223).contains(&packet[1])
}
