//! An io_uring of a shard's own, for its media sockets alone.
//!
//! ```text
//!   shard (one thread)                              kernel
//!   arm(socket) ───── RECVMSG, multishot ─────▶  waits at the socket, for ever
//!   send(trains) ──── 64 × SENDMSG ───────────▶  done within the same call (MSG_DONTWAIT)
//!                                                packet comes ─▶ task work is queued,
//!                     SQ flag TASKRUN ◀──────────               eventfd fires unless muted
//!   enter(GETEVENTS)  runs the task work ─────▶  datagram into a buffer of the Pool
//!   completions ◀──── CQ ──────────────────────  length, buffer, "more to come"
//! ```
//!
//! The kernel works for this ring only while this thread is inside of `enter` (`DEFER_TASKRUN`,
//! Linux 6.1): nothing interrupts a turn, and completions show only after an `enter` that asks for
//! events. Work that came in meanwhile shows as `TASKRUN`, and by the eventfd while it is not
//! muted: so whoever wants to sleep unmutes first, then looks again (`ready_to_sleep`), then
//! sleeps.
#![expect(unsafe_code, reason = "the ring's operations take pointers")]

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::cmsg::{Control, Segment};
use super::mmsg::{BATCH, Outcome, TxTrain};
use super::pool::{BUFFERS, HEAD, Lent, Pool};
use super::sockaddr::RawAddr;

/// Requests in one submission: a batch to send, and all sockets to be armed.
const SUBMISSIONS: u32 = 512;

/// Completions that wait: one for each buffer, one for each send, and ends of multishots.
const COMPLETIONS: u32 = 2048;

const _: () = assert!(COMPLETIONS as usize > BUFFERS as usize + BATCH + 256);
const _: () = assert!(SUBMISSIONS as usize > BATCH + 256);

/// The one group of buffers.
const GROUP: u16 = 0;

/// Marks the user data of sends; receives carry their socket's index.
const SEND: u64 = 1 << 63;

/// `IORING_ENTER_GETEVENTS`.
const GETEVENTS: u32 = 1;

/// A ring with its sockets and buffers.
pub(in crate::net) struct Ring {
    uring: IoUring,
    eventfd: OwnedFd,
    /// Shared with whoever reads what is lent. Given back last (see `drop`).
    pool: Rc<Pool>,
    tail: u16,
    /// Says how the head of each received datagram is laid out. The kernel reads it when a socket
    /// is armed.
    layout: Box<libc::msghdr>,
    messages: Box<[Message]>,
    received: VecDeque<RxCompletion>,
}

/// What one send needs while it is under way.
struct Message {
    header: libc::msghdr,
    part: libc::iovec,
    segment: Segment,
    to: RawAddr,
}

/// Something that a socket's multishot brought.
#[derive(Debug)]
pub(in crate::net) struct RxCompletion {
    /// Which socket.
    pub(in crate::net) socket: usize,
    /// A filled buffer, or why there is none: an error number.
    pub(in crate::net) result: Result<Lent, i32>,
    /// Whether more will come; otherwise the socket has to be armed again.
    pub(in crate::net) more: bool,
}

/// How a filled buffer begins (`struct io_uring_recvmsg_out` and what follows it).
#[derive(Debug)]
pub(in crate::net) struct RxHead {
    /// Who sent the datagram.
    pub(in crate::net) from: RawAddr,
    /// See [`Control::queue_overflow`].
    pub(in crate::net) queue_overflow: Option<u32>,
    /// Where the datagram is in the buffer.
    pub(in crate::net) payload: std::ops::Range<usize>,
    /// It was longer than its room; the rest is lost.
    pub(in crate::net) truncated: bool,
}

impl Ring {
    /// A ring for these sockets, whose descriptors it registers; it does not keep them open. On the
    /// thread that will use it. Fails where the kernel is older than 6.1 (`EINVAL`) or forbids it.
    pub(in crate::net) fn new(sockets: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let uring = Self::build()?;
        let descriptors: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        uring.submitter().register_files(&descriptors)?;
        // SAFETY: takes no pointers; a new descriptor or -1.
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if eventfd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the system call has just made this descriptor for us alone.
        let eventfd = unsafe { OwnedFd::from_raw_fd(eventfd) };
        uring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        let pool = Rc::new(Pool::new());
        // SAFETY: the entries begin a page, there are `BUFFERS` of them, and they are not freed
        // before the kernel has given them up (`drop`).
        let registered = unsafe {
            uring.submitter().register_buf_ring_with_flags(pool.address(), BUFFERS, GROUP, 0)
        };
        registered?;
        let mut layout = Box::new(empty_header());
        layout.msg_namelen = size_of::<RawAddr>() as libc::socklen_t;
        layout.msg_controllen = size_of::<Control>() as _;
        let mut ring = Self {
            uring,
            eventfd,
            pool,
            tail: 0,
            layout,
            messages: (0..BATCH).map(|_| Message::new()).collect(),
            received: VecDeque::with_capacity(COMPLETIONS as usize),
        };
        ring.pool.provide_all(&mut ring.tail);
        ring.mute(true);
        Ok(ring)
    }

    fn build() -> io::Result<IoUring> {
        IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
    }

    /// Whether the kernel makes such a ring.
    pub(in crate::net) fn probe() -> io::Result<()> {
        Self::build().map(drop)
    }

    /// The memory of what is lent.
    pub(in crate::net) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Becomes readable when there is something to do, unless it is muted.
    pub(in crate::net) fn eventfd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    /// Whether the eventfd stays silent.
    pub(in crate::net) fn mute(&mut self, mute: bool) {
        let queue = self.uring.completion();
        if mute { queue.disable_eventfd() } else { queue.enable_eventfd() }
    }

    /// Unmutes the eventfd and looks again: whether it will tell of everything that comes from now
    /// on, and nothing has come before. Otherwise it is muted again.
    pub(in crate::net) fn ready_to_sleep(&mut self) -> bool {
        self.mute(false);
        // The kernel sets TASKRUN, then looks whether it may signal; here it is the other way
        // round, so one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.may_have_work() {
            self.enter(0);
            self.reap(&mut []);
        }
        let ready = self.received.is_empty();
        self.mute(!ready);
        ready
    }

    /// Whether an `enter` may bring something. Work that is queued on another core while this one
    /// runs what was queued before leaves TASKRUN set although nothing is left: the flag says that
    /// an `enter` is worth a try, not that it will find something.
    fn may_have_work(&mut self) -> bool {
        let submission = self.uring.submission();
        let waiting = submission.taskrun() || submission.cq_overflow();
        drop(submission);
        waiting || !self.uring.completion().is_empty()
    }

    /// Has the kernel receive from a socket, until it says that it has ended.
    pub(in crate::net) fn arm(&mut self, socket: usize) {
        let fd = types::Fixed(socket as u32);
        let entry = opcode::RecvMsgMulti::new(fd, &raw const *self.layout, GROUP)
            .build()
            .user_data(socket as u64);
        // SAFETY: what the entry points to lives as long as the ring, and stays as it is.
        unsafe { self.push(&entry) };
    }

    /// Lets the kernel work off what is due, and takes what it has received.
    pub(in crate::net) fn collect(&mut self) {
        let mut before = self.received.len();
        while self.may_have_work() || !self.uring.submission().is_empty() {
            self.enter(0);
            self.reap(&mut []);
            // A turn's worth is enough, what is left waits in the kernel; and so is one try.
            let found = self.received.len();
            if found >= BATCH || found == before {
                return;
            }
            before = found;
        }
    }

    /// What was collected, oldest first.
    pub(in crate::net) fn next_received(&mut self) -> Option<RxCompletion> {
        self.received.pop_front()
    }

    /// Whether something was collected and not taken.
    pub(in crate::net) fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// Gives a buffer back to the kernel.
    pub(in crate::net) fn provide(&mut self, lent: Lent) {
        self.pool.provide(lent, &mut self.tail);
    }

    /// Hands `trains`, at most [`BATCH`], to the kernel, and writes what became of each; returns
    /// how many that are, all of them. None waits; what is refused takes no other with it.
    pub(in crate::net) fn send(
        &mut self,
        socket: usize,
        trains: &[TxTrain<'_>],
        outcomes: &mut [Outcome],
    ) -> usize {
        let given = trains.len().min(BATCH).min(outcomes.len());
        for (i, train) in trains[..given].iter().enumerate() {
            self.messages[i].describe(train);
            let header = &raw const self.messages[i].header;
            let entry = opcode::SendMsg::new(types::Fixed(socket as u32), header)
                .flags(libc::MSG_DONTWAIT as u32)
                .build()
                .user_data(SEND | i as u64);
            // SAFETY: the header describes itself, `messages` and the train's bytes; all of them
            // are borrowed or owned until this function returns, and it does so only when the
            // kernel has completed each entry.
            unsafe { self.push(&entry) };
        }
        let mut left = given;
        while left > 0 {
            // They complete while they are submitted; to wait for them is only to be sure.
            self.enter(left);
            left -= self.reap(&mut outcomes[..given]);
        }
        given
    }

    /// Submits what was pushed, runs the kernel's task work, waits for so many completions.
    fn enter(&mut self, wait: usize) {
        loop {
            let submit = {
                let mut submission = self.uring.submission();
                submission.sync();
                submission.len() as u32
            };
            // SAFETY: no argument; what is submitted was pushed with a proof.
            let entered = unsafe {
                self.uring.submitter().enter::<libc::sigset_t>(submit, wait as u32, GETEVENTS, None)
            };
            match entered.map_err(|error| error.raw_os_error().unwrap_or(0)) {
                Ok(_) => return,
                // A signal, or the kernel wants completions to be taken first: they are, by whoever
                // called.
                Err(libc::EINTR) => {}
                Err(libc::EBUSY | libc::EAGAIN) => return,
                Err(code) => {
                    tracing::error!(code, "the kernel refuses a ring that it made");
                    // Memory may be in its hands, and nothing would take it out of them.
                    std::process::abort();
                }
            }
        }
    }

    /// Takes all completions that are there; how many of them were sends.
    fn reap(&mut self, outcomes: &mut [Outcome]) -> usize {
        let mut sends = 0;
        let mut completions = self.uring.completion();
        completions.sync();
        for entry in completions {
            let result = entry.result();
            if entry.user_data() & SEND != 0 {
                let i = (entry.user_data() & !SEND) as usize;
                outcomes[i] = if result < 0 { Err(-result) } else { Ok(()) };
                sends += 1;
                continue;
            }
            let socket = entry.user_data() as usize;
            let more = cqueue::more(entry.flags());
            let result = match cqueue::buffer_select(entry.flags()) {
                Some(number) => Ok(self.pool.lend(number)),
                None => Err(-result.min(0)),
            };
            self.received.push_back(RxCompletion { socket, result, more });
        }
        sends
    }

    /// # Safety
    /// What the entry points to must be valid, and stay where it is, until the kernel has completed
    /// it.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: the caller's promise.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return;
            }
            // There is room for all that is ever pushed at once; this is for whoever changes that.
            self.enter(0);
        }
    }
}

impl RxHead {
    /// Reads how a filled buffer begins.
    pub(in crate::net) fn parse(buffer: &[u8]) -> Option<Self> {
        let mut layout = empty_header();
        layout.msg_namelen = size_of::<RawAddr>() as libc::socklen_t;
        layout.msg_controllen = size_of::<Control>() as _;
        let message = types::RecvMsgOut::parse(buffer, &layout).ok()?;
        Some(Self {
            from: RawAddr::from_bytes(message.name_data()),
            queue_overflow: Control::find_queue_overflow(message.control_data()),
            payload: HEAD..HEAD + message.payload_data().len(),
            truncated: message.is_payload_truncated(),
        })
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("eventfd", &self.eventfd).finish_non_exhaustive()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Multishots hold on to buffers. When they are cancelled and the group is gone, nothing in
        // the kernel knows the memory any more, and the Pool may go.
        let submitter = self.uring.submitter();
        let cancelled = submitter.register_sync_cancel(None, types::CancelBuilder::any());
        let nothing = |error: &io::Error| error.raw_os_error() == Some(libc::ENOENT);
        let cancelled = cancelled.is_ok() || cancelled.is_err_and(|error| nothing(&error));
        if !cancelled || self.uring.submitter().unregister_buf_ring(GROUP).is_err() {
            // Then it has to stay for as long as the process lives.
            std::mem::forget(Rc::clone(&self.pool));
        }
    }
}

impl Message {
    fn new() -> Self {
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self { header: empty_header(), part, segment: Segment::new(0), to: RawAddr::EMPTY }
    }

    /// Makes it say what this train is. It points into itself and into the train's bytes.
    fn describe(&mut self, train: &TxTrain<'_>) {
        let bytes = train.bytes();
        self.to = train.to();
        self.part =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        self.header = empty_header();
        self.header.msg_name = (&raw mut self.to).cast();
        self.header.msg_namelen = self.to.len();
        self.header.msg_iov = &raw mut self.part;
        self.header.msg_iovlen = 1;
        if let Some(segment) = train.cut() {
            self.segment = segment;
            let control = self.segment.storage();
            self.header.msg_control = control.as_mut_ptr().cast();
            self.header.msg_controllen = control.len() as _;
        }
    }
}

fn empty_header() -> libc::msghdr {
    // SAFETY: integers and raw pointers, for which zero is a value (null, nothing described). It
    // is not written out field by field because some C libraries' versions have private padding.
    unsafe { std::mem::zeroed() }
}
