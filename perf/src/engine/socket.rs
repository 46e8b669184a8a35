//! One UDP socket for thousands of peers: bound to all addresses of this machine, it sends from
//! whichever is asked for (IP_PKTINFO) and says of each datagram which one it was for, so that the
//! server sees as many clients as there are addresses. The kernel stamps what arrives and counts
//! what finds the queue full.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use libc::{c_int, c_void};
use nix::sys::socket::{setsockopt, sockopt};

/// Datagrams taken by one system call.
pub const BATCH: usize = 128;

/// Longer than any datagram that is sent to us.
const SLOT: usize = 1664;

/// Room for the three control messages that the socket asks for, and alignment.
const CONTROL: usize = 128;

/// Room for a tenth of a second of what one thread can take, where the system grants it.
const RECEIVE_BUFFER: usize = 64 << 20;
const SEND_BUFFER: usize = 4 << 20;

/// The socket, without the means to receive: sending takes any thread.
#[derive(Debug)]
pub struct SharedSocket {
    socket: UdpSocket,
    receive_buffer: usize,
}

/// A datagram that arrived.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// Which of our addresses it was sent to.
    pub to: Ipv4Addr,
    /// When the kernel had it, by the wall clock in nanoseconds.
    pub at: u64,
    /// All of it.
    pub bytes: &'a [u8],
}

impl SharedSocket {
    /// A socket on a port that the system chooses.
    ///
    /// # Errors
    /// The system has none, or not these options.
    pub fn bind() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            // Who may not is granted what everybody is.
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER)?;
        let receive_buffer = nix::sys::socket::getsockopt(&socket, sockopt::RcvBuf)?;
        Ok(Self { socket, receive_buffer })
    }

    /// The port that all addresses share.
    ///
    /// # Errors
    /// The system does not know it.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Bytes that the system really granted for what waits to be read (twice what was asked for,
    /// its own bookkeeping included).
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Sends one datagram, or does not: nothing waits.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn send(&self, from: Ipv4Addr, to: SocketAddrV4, datagram: &[u8]) -> io::Result<()> {
        use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
        let info = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from(from).to_be() },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let parts = [io::IoSlice::new(datagram)];
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let to = SockaddrIn::from(to);
        sendmsg(self.socket.as_raw_fd(), &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }

    /// Datagrams that found the receive queue full, since the start. Costs a look into a table of
    /// the kernel's.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn overflow(&self) -> io::Result<u64> {
        use std::os::linux::fs::MetadataExt;
        let link = format!("/proc/self/fd/{}", self.socket.as_raw_fd());
        let inode = std::fs::metadata(link)?.st_ino();
        crate::host::queue_drops("/proc/self/net", &[inode])
    }

    /// Waits until there is something to read, for so many nanoseconds at most.
    pub fn wait(&self, nanos: u64) {
        use nix::poll::{PollFd, PollFlags};
        use std::os::fd::AsFd;
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let timeout =
            nix::sys::time::TimeSpec::from_duration(std::time::Duration::from_nanos(nanos));
        // A signal that ends the wait early does no harm.
        nix::poll::ppoll(&mut fds, Some(timeout), None).ok();
    }
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// What `recvmmsg` fills: slots, their descriptions, and the kernel's notes to each.
pub struct Batch {
    slots: Box<[[u8; SLOT]]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    len: usize,
}

impl Batch {
    /// Empty.
    #[expect(unsafe_code, reason = "plain C structures of the kernel's interface")]
    pub fn new() -> Self {
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: a plain C structure of integers and pointers, for which all zeros is a valid
        // value: null pointers, no lengths.
        let header = unsafe { zeroed::<libc::mmsghdr>() };
        Self {
            slots: vec![[0; SLOT]; BATCH].into_boxed_slice(),
            controls: vec![Control([0; CONTROL]); BATCH].into_boxed_slice(),
            vectors: vec![vector; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
            len: 0,
        }
    }

    /// Takes what waits, [`BATCH`] datagrams at most; returns how many.
    ///
    /// # Errors
    /// As the kernel has them, without `EAGAIN` (nothing waits) and what an ICMP message about
    /// something that was sent says.
    #[expect(unsafe_code, reason = "recvmmsg")]
    pub fn receive(&mut self, from: &SharedSocket) -> io::Result<usize> {
        let slots = self.slots.iter_mut().zip(self.controls.iter_mut());
        let described = self.vectors.iter_mut().zip(self.headers.iter_mut());
        for ((slot, control), (vector, header)) in slots.zip(described) {
            *vector = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
        }
        self.len = 0;
        let (fd, headers) = (from.socket.as_raw_fd(), self.headers.as_mut_ptr());
        // SAFETY: `headers` are BATCH valid entries; each points to one vector, one slot and one
        // control buffer with their true lengths, all owned by `self` and untouched during the
        // call; there is no timeout.
        let got = unsafe {
            libc::recvmmsg(fd, headers, BATCH as _, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
        };
        if got >= 0 {
            self.len = got as usize;
            return Ok(self.len);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused => Ok(0),
            _ => Err(error),
        }
    }

    /// How many datagrams it takes at once.
    pub fn capacity(&self) -> usize {
        BATCH
    }

    /// Datagram `i` of those that were taken.
    pub fn arrived(&self, i: usize) -> Option<Arrived<'_>> {
        let header = self.headers[..self.len].get(i)?;
        let len = (header.msg_len as usize).min(SLOT);
        let control = &self.controls[i].0[..(header.msg_hdr.msg_controllen).min(CONTROL)];
        let (mut to, mut at) = (Ipv4Addr::UNSPECIFIED, 0);
        for (level, kind, data) in Notes(control) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // struct in_pktinfo: interface, local address, destination.
                    to = word(data, 8).map_or(to, |raw| Ipv4Addr::from(raw.to_ne_bytes()));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    // struct timespec of two 64-bit words.
                    let half = |at: usize| {
                        Some(u64::from_ne_bytes(data.get(at..at + 8)?.try_into().ok()?))
                    };
                    let (seconds, nanos) = (half(0).unwrap_or(0), half(8).unwrap_or(0));
                    at = seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
                }
                _ => {}
            }
        }
        Some(Arrived { to, at, bytes: &self.slots[i][..len] })
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("len", &self.len).finish_non_exhaustive()
    }
}

// SAFETY: the pointers within point to boxes that it owns itself, and are written anew before each
// use.
#[expect(unsafe_code, reason = "raw pointers into its own boxes")]
unsafe impl Send for Batch {}

fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

/// The kernel's notes (control messages) in a buffer: level, type, data.
struct Notes<'a>(&'a [u8]);

impl<'a> Iterator for Notes<'a> {
    type Item = (c_int, c_int, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // struct cmsghdr: a length of a machine word, level, type; everything aligned to a word.
        const WORD: usize = size_of::<*const c_void>();
        const HEAD: usize = size_of::<libc::cmsghdr>();
        let len = usize::from_ne_bytes(self.0.get(..WORD)?.try_into().ok()?);
        let (level, kind) = (word(self.0, WORD)?, word(self.0, WORD + 4)?);
        let data = self.0.get(HEAD..len)?;
        self.0 = self.0.get(len.next_multiple_of(WORD)..).unwrap_or_default();
        Some((level.cast_signed(), kind.cast_signed(), data))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn receive(batch: &mut Batch, socket: &SharedSocket) -> usize {
        for _ in 0..1000 {
            socket.wait(10_000_000);
            match batch.receive(socket).unwrap() {
                0 => {}
                some => return some,
            }
        }
        0
    }

    #[test]
    fn every_address_of_loopback_is_a_client_of_its_own() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(to) = server.local_addr().unwrap() else { panic!("it is IPv4") };
        let socket = SharedSocket::bind().unwrap();
        let mut buffer = [0; 100];
        let mut batch = Batch::new();
        let before = crate::host::wall_nanos();
        for last in [7, 8] {
            let own = Ipv4Addr::new(127, 3, 0, last);
            socket.send(own, to, &[last]).unwrap();
            let (len, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], from.ip()), (&[last][..], own.into()));
            server.send_to(&[last, 1], from).unwrap();
            assert_eq!(receive(&mut batch, &socket), 1);
            let arrived = batch.arrived(0).unwrap();
            assert_eq!((arrived.to, arrived.bytes), (own, &[last, 1][..]));
            assert!((before..=crate::host::wall_nanos()).contains(&arrived.at));
        }
        assert!(batch.arrived(1).is_none());
        assert_eq!(socket.overflow().unwrap(), 0);
    }
}
