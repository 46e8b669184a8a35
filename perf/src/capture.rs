//! Captures a trace: the packets that some browser sends to a UDP port of this machine, in the form
//! of the traces that come with the suite. RTP headers are not sealed, so that neither browser nor
//! server has to know. Reads all interfaces (a packet socket), which needs root or CAP_NET_RAW.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket,
};

use crate::host;

/// What traces call audio (Chromium's payload type of opus).
const AUDIO: u8 = 111;

/// An RTP packet as it went by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    at: u64,
    /// Who sent it, and its stream.
    from: (Ipv4Addr, u16),
    ssrc: u32,
    size: usize,
    marker: bool,
    payload_type: u8,
    seq: u16,
    rtp_time: u32,
}

/// Looks at what is sent to `port` for so long; the text of a trace.
///
/// # Errors
/// This process may not look, or no video was sent.
pub fn capture(port: u16, length: Duration) -> anyhow::Result<String> {
    let socket = open()?;
    let mut seen = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let end = Instant::now() + length;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if nix::poll::poll(&mut fds, timeout)? == 0 {
            break;
        }
        let got = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer);
        let (len, from) = match got {
            Ok(got) => got,
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::ENETDOWN) => continue,
            Err(error) => return Err(error.into()),
        };
        // On loopback each packet goes by twice: as it leaves and as it arrives.
        let leaves = from.is_some_and(|from| from.pkttype() == libc::PACKET_OUTGOING);
        if !leaves && let Some(packet) = parse(&buffer[..len], port, host::wall_nanos()) {
            seen.push(packet);
        }
    }
    render(seen)
}

fn open() -> anyhow::Result<OwnedFd> {
    // Without link-layer headers: a packet begins with that of IP.
    socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .context("a packet socket (as root, or with CAP_NET_RAW)")
}

/// IPv4, UDP to `port`, RTP; anything else is `None`.
fn parse(packet: &[u8], port: u16, at: u64) -> Option<Seen> {
    let word =
        |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let long =
        |bytes: &[u8], at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let first = *packet.first()?;
    if first >> 4 != 4 || *packet.get(9)? != libc::IPPROTO_UDP as u8 {
        return None;
    }
    let udp = packet.get(usize::from(first & 0x0f) * 4..)?;
    if word(udp, 2)? != port {
        return None;
    }
    let size = usize::from(word(udp, 4)?).checked_sub(8)?;
    let rtp = udp.get(8..)?;
    let (version, marks) = (*rtp.first()? >> 6, *rtp.get(1)?);
    // RFC 5761 §4: what would be RTCP.
    if version != 2 || (192..=223).contains(&marks) {
        return None;
    }
    Some(Seen {
        at,
        from: (Ipv4Addr::from(long(packet, 12)?), word(udp, 0)?),
        ssrc: long(rtp, 8)?,
        size,
        marker: marks & 0x80 != 0,
        payload_type: marks & 0x7f,
        seq: word(rtp, 2)?,
        rtp_time: long(rtp, 4)?,
    })
}

/// The busiest sender's busiest stream is the video, its next the audio.
fn render(seen: Vec<Seen>) -> anyhow::Result<String> {
    let mut bytes = HashMap::<_, HashMap<u32, usize>>::new();
    for packet in &seen {
        *bytes.entry(packet.from).or_default().entry(packet.ssrc).or_default() += packet.size;
    }
    let busiest = bytes.iter().max_by_key(|(_, streams)| streams.values().sum::<usize>());
    let (from, streams) = busiest.context("no RTP was sent to that port")?;
    let mut streams: Vec<_> = streams.iter().collect();
    streams.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    let video = *streams[0].0;
    let audio = streams.get(1).map(|(ssrc, _)| **ssrc);
    let chosen: Vec<_> = seen
        .iter()
        .filter(|it| it.from == *from && (it.ssrc == video || Some(it.ssrc) == audio))
        .collect();
    let start = chosen.first().context("nothing was sent")?.at;
    let first_time =
        |ssrc: u32| chosen.iter().find(|it| it.ssrc == ssrc).map_or(0, |packet| packet.rtp_time);
    let times = [(video, first_time(video)), (audio.unwrap_or(0), first_time(audio.unwrap_or(0)))];
    ensure!(chosen.iter().any(|it| it.ssrc == video && it.marker), "no whole frame was sent");
    let mut text = "# captured; size = UDP payload, sealed; rtp_ts relative\n".to_owned();
    text.push_str("time_us,size,marker,pt,seq,rtp_ts\n");
    for packet in chosen {
        let is_video = packet.ssrc == video;
        let payload_type = if is_video { packet.payload_type } else { AUDIO };
        let base = times[usize::from(!is_video)].1;
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{}",
            (packet.at - start) / 1000,
            packet.size,
            u8::from(packet.marker),
            payload_type,
            packet.seq,
            packet.rtp_time.wrapping_sub(base),
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::trace::Trace;

    #[test]
    #[expect(clippy::print_stderr, reason = "says that it did not run")]
    fn what_is_sent_to_a_port_becomes_a_trace() {
        if open().is_err() {
            // Said aloud: it is no pass.
            eprintln!("skipped: no packet socket for this user");
            return;
        }
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = to.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || capture(port, Duration::from_millis(700)));
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        from.connect(("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        for n in 0..30_u8 {
            let (pt, ssrc, len) = if n % 3 == 2 { (109, 7, 100) } else { (96, 9, 1000) };
            let mut packet = vec![0x80, u8::from(n % 3 == 1) << 7 | pt, 0, n];
            packet.extend(u32::from(n).to_be_bytes());
            packet.extend([0, 0, 0, ssrc]);
            packet.resize(len, 0);
            from.send(&packet).unwrap();
            from.send(b"no rtp").unwrap();
        }
        let trace = Trace::parse(&thread.join().unwrap().unwrap()).unwrap();
        assert_eq!(trace.packets.len(), 30);
        assert_eq!((trace.video().packets.len(), trace.audio().packets.len()), (20, 10));
        let last = trace.video().packets[19];
        assert_eq!((last.size, last.marker, last.seq, last.rtp_time), (1000, true, 28, 28));
        assert!(trace.audio().packets[1].rtp_time == 3);
    }

    #[test]
    fn nothing_is_no_trace() {
        assert!(render(Vec::new()).is_err());
        assert_eq!(parse(&[0x45; 10], 1, 0), None);
        assert_eq!(parse(&[], 1, 0), None);
    }
}
