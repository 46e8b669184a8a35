//! `recvmmsg` and `sendmmsg`: many datagrams in one system call, never waiting.
//!
//! The headers that the kernel wants are built on the stack for each call and live no longer, so
//! no structure here points into itself; that costs about 10 ns a datagram.
#![expect(unsafe_code, reason = "neither std nor socket2 offers recvmmsg and sendmmsg")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::cmsg::{Control, Segment};
use super::sockaddr::RawAddr;
use crate::types::limit::DATAGRAM_MAX;

/// Messages in one system call, either way.
pub(in crate::net) const BATCH: usize = 64;

/// What became of one train: taken, or the kernel's error number.
pub(in crate::net) type Outcome = Result<(), i32>;

/// One message to send: a datagram, or several to one address that the kernel makes of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct TxTrain<'a> {
    to: RawAddr,
    bytes: &'a [u8],
    /// Length of its datagrams but the last, which may be shorter.
    segment: usize,
}

impl<'a> TxTrain<'a> {
    /// Fills an array that is not all used.
    pub(in crate::net) const EMPTY: TxTrain<'static> =
        TxTrain { to: RawAddr::EMPTY, bytes: &[], segment: 0 };

    /// `bytes`, cut into datagrams every `segment` bytes.
    pub(in crate::net) fn new(to: SocketAddr, bytes: &'a [u8], segment: usize) -> Self {
        Self { to: to.into(), bytes, segment }
    }

    /// How many datagrams it is; an empty one is one, too.
    pub(in crate::net) fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.segment.max(1)).max(1)
    }

    /// All of them, one behind the other.
    pub(in crate::net) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The same datagrams, each a message of its own.
    pub(in crate::net) fn singly(&self) -> impl Iterator<Item = TxTrain<'a>> {
        let Self { to, bytes, segment } = *self;
        bytes.chunks(segment.max(1)).map(move |bytes| TxTrain { to, bytes, segment: bytes.len() })
    }

    /// Where they go.
    pub(in crate::net) fn to(&self) -> RawAddr {
        self.to
    }

    /// Where the kernel shall cut; `None` where there is nothing to cut.
    pub(in crate::net) fn cut(&self) -> Option<Segment> {
        (self.bytes.len() > self.segment).then(|| Segment::new(self.segment as u16))
    }
}

/// What is known about a received datagram beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::net) struct RxMeta {
    from: RawAddr,
    control: Control,
    control_len: usize,
    /// How much of its buffer is filled.
    pub(in crate::net) len: usize,
    /// It was longer than its buffer; the rest is lost.
    pub(in crate::net) truncated: bool,
}

impl RxMeta {
    /// Storage for the kernel to fill.
    pub(in crate::net) const EMPTY: RxMeta = RxMeta {
        from: RawAddr::EMPTY,
        control: Control::EMPTY,
        control_len: 0,
        len: 0,
        truncated: false,
    };

    /// Who sent it.
    pub(in crate::net) fn remote(&self) -> SocketAddr {
        self.from.to_socket_addr()
    }

    /// See [`Control::queue_overflow`].
    pub(in crate::net) fn queue_overflow(&self) -> Option<u32> {
        self.control.queue_overflow(self.control_len)
    }
}

/// Receives what is queued, up to as many datagrams as there are `buffers`, `metas` and
/// [`BATCH`]; returns how many. `WouldBlock` when there is none.
pub(in crate::net) fn recv(
    socket: BorrowedFd<'_>,
    buffers: &mut [[u8; DATAGRAM_MAX]],
    metas: &mut [RxMeta],
) -> io::Result<usize> {
    let mut parts = [EMPTY_PART; BATCH];
    let mut headers = [empty_header(); BATCH];
    let room = BATCH.min(buffers.len()).min(metas.len());
    for i in 0..room {
        let RxMeta { from, control, .. } = &mut metas[i];
        let control = control.storage();
        parts[i] = libc::iovec { iov_base: buffers[i].as_mut_ptr().cast(), iov_len: DATAGRAM_MAX };
        let header = &mut headers[i].msg_hdr;
        header.msg_name = (&raw mut *from).cast();
        header.msg_namelen = size_of::<RawAddr>() as libc::socklen_t;
        header.msg_iov = &raw mut parts[i];
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.len() as _;
    }
    // SAFETY: the first `room` headers describe memory that is borrowed mutably until after the
    // call, each part its own and with its true length; any bytes are valid in all of it.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            room as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let received = count(received)?;
    for (meta, header) in metas.iter_mut().zip(&headers).take(received) {
        meta.len = (header.msg_len as usize).min(DATAGRAM_MAX);
        meta.truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        meta.control_len = header.msg_hdr.msg_controllen as _; // its width depends on the C library
    }
    Ok(received)
}

/// Hands `trains`, at most [`BATCH`], to the kernel in order, up to the first that it does not
/// take, and writes what became of each that was tried; returns how many those are, at least one.
/// Where the kernel has no room for one, it is not asked for the others: they would fare no better.
pub(in crate::net) fn send(
    socket: &impl AsFd,
    trains: &[TxTrain<'_>],
    outcomes: &mut [Outcome],
) -> usize {
    match try_send(socket.as_fd(), trains) {
        Ok(sent) => {
            outcomes[..sent].fill(Ok(()));
            sent
        }
        Err(error) => {
            let code = error.raw_os_error().unwrap_or(libc::EIO);
            let tried = if is_want_of_room(code) { trains.len() } else { 1 };
            outcomes[..tried].fill(Err(code));
            tried
        }
    }
}

/// `sendmmsg`: how many of `trains` were taken. An error is about the very first one.
fn try_send(socket: BorrowedFd<'_>, trains: &[TxTrain<'_>]) -> io::Result<usize> {
    let mut segments = [Segment::new(0); BATCH];
    let mut parts = [EMPTY_PART; BATCH];
    let mut headers = [empty_header(); BATCH];
    let given = BATCH.min(trains.len());
    for i in 0..given {
        let TxTrain { to, bytes, .. } = &trains[i];
        let header = &mut headers[i].msg_hdr;
        parts[i] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        header.msg_name = (&raw const *to).cast_mut().cast();
        header.msg_namelen = to.len();
        header.msg_iov = &raw mut parts[i];
        header.msg_iovlen = 1;
        if let Some(segment) = trains[i].cut() {
            segments[i] = segment;
            let control = segments[i].storage();
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = control.len() as _;
        }
    }
    // SAFETY: the first `given` headers describe memory that is borrowed until after the call, with
    // its true lengths; sending reads addresses, control messages and bytes, and writes only to
    // `headers`.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            given as libc::c_uint,
            libc::MSG_DONTWAIT as _,
        )
    };
    count(sent)
}

/// The socket's buffer is full, or the kernel's memory; the next datagram would fare no better.
pub(in crate::net) fn is_want_of_room(code: i32) -> bool {
    matches!(code, libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM)
}

const EMPTY_PART: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

fn empty_header() -> libc::mmsghdr {
    // SAFETY: integers and raw pointers, for which zero is a value (null, nothing described). It
    // is not written out field by field because some C libraries' versions have private padding.
    unsafe { std::mem::zeroed() }
}

/// What both calls return: a number of datagrams, or -1 with the reason in `errno`.
fn count(returned: libc::c_int) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}
