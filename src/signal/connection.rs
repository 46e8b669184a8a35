//! The task of one WebSocket: moves bytes between the socket and the [`Codec`], says what is
//! queued in [`Outgoing`], pings, and notices when the other end is gone.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::AsyncWriteExt;
use futures_lite::future::{FutureExt, poll_fn};
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::timer::{Timer, sleep};

use super::codec::{Codec, Frame};
use super::{Close, Outgoing};
use crate::net::Stream;
use crate::types::limit::{FRAGMENT_MAX, SIGNAL_STALL_MAX, SIGNAL_UNREAD_MAX};

/// Bytes that are made ready for the kernel at once.
const WRITE_MAX: usize = 64 * 1024;

/// Writes of one turn: a client that has much to read does not keep the others waiting.
const WRITES_MAX: u32 = 4;

/// How long a client may take to read what leads up to its Close frame.
pub const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Read at once; lies on the stack while a connection is polled, not in its task.
const READ_MAX: usize = 16 * 1024;

/// One open WebSocket.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    codec: Codec,
    outgoing: Rc<Outgoing>,
    ping: Timer,
    ping_interval: Duration,
    /// Runs while the client takes nothing of what it is sent.
    stall: Option<Timer>,
    /// It has taken nothing for [`SIGNAL_STALL_MAX`].
    stalled: bool,
    /// Something came since the last ping.
    heard: bool,
    /// Ping intervals that ended without anything.
    silent: u32,
}

/// How a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client closed it, or it broke.
    Theirs,
    /// We close it: the client has yet to be told why.
    Ours(Close),
}

impl Connection {
    /// A connection whose upgrade has been answered. `read_ahead`: what came after the request.
    pub fn new(
        stream: Stream,
        read_ahead: &[u8],
        outgoing: Rc<Outgoing>,
        ping_interval: Duration,
    ) -> Self {
        let mut codec = Codec::new();
        codec.receive(read_ahead);
        Self {
            stream,
            codec,
            outgoing,
            ping: Timer::new(ping_interval),
            ping_interval,
            stall: None,
            stalled: false,
            heard: true,
            silent: 0,
        }
    }

    /// Serves until the connection ends, calling `on_text` with each text message. The caller
    /// forgets the client before it calls [`Connection::finish`] with the result.
    pub async fn run(&mut self, mut on_text: impl FnMut(&str)) -> End {
        loop {
            loop {
                match self.codec.poll_frame() {
                    Ok(Some(Frame::Text(text))) => on_text(text.as_str()),
                    Ok(Some(Frame::Alive)) => {}
                    Ok(Some(Frame::Closed)) => return End::Theirs,
                    Ok(None) => break,
                    Err(close) => return End::Ours(close),
                }
                // Also where `on_text` led to it: what the client says after it is not heard.
                if let Some(close) = self.outgoing.closing() {
                    return End::Ours(close);
                }
            }
            if let Some(end) = poll_fn(|context| self.poll_io(context)).await {
                return end;
            }
            // A client that always has more to say must not keep the others waiting.
            glommio::yield_if_needed().await;
        }
    }

    /// Moves what can be moved. Ready when something was received or the connection ends.
    fn poll_io(&mut self, context: &mut Context<'_>) -> Poll<Option<End>> {
        self.outgoing.register(context);
        if let Some(close) = self.outgoing.closing() {
            return Poll::Ready(Some(End::Ours(close)));
        }
        while Pin::new(&mut self.ping).poll(context).is_ready() {
            if let Some(close) = self.tick() {
                return Poll::Ready(Some(End::Ours(close)));
            }
        }
        if self.poll_write(context).is_err() {
            return Poll::Ready(Some(End::Theirs));
        }
        // Pongs are queued past `Outgoing`: pings that come faster than their answers are read.
        let pongs = self.codec.output().len() > SIGNAL_UNREAD_MAX;
        if pongs || (self.stalled && self.outgoing.waiting() > SIGNAL_UNREAD_MAX) {
            self.outgoing.give_up();
            return Poll::Ready(Some(End::Ours(Close::SLOW)));
        }
        self.poll_read(context)
    }

    /// Makes the next bytes ready, if the kernel has most of those before.
    fn fill(&mut self) {
        while self.codec.output().len() < WRITE_MAX
            && let Some(part) = self.outgoing.next(FRAGMENT_MAX)
        {
            self.codec.text(part);
        }
    }

    /// A ping interval is over.
    fn tick(&mut self) -> Option<Close> {
        self.silent = if self.heard { 0 } else { self.silent + 1 };
        self.heard = false;
        if self.silent >= 2 {
            return Some(Close::SILENT);
        }
        self.ping = Timer::new(self.ping_interval);
        self.codec.ping();
        None
    }

    /// What is queued leaves in as few writes as it can, as far as the kernel takes it.
    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.fill();
        let (mut writes, mut blocked) = (0, false);
        while !self.codec.output().is_empty() && !blocked {
            match Pin::new(&mut self.stream).poll_write(context, self.codec.output()) {
                Poll::Ready(written) => {
                    self.codec.sent(written?);
                    (self.stall, self.stalled) = (None, false);
                    self.fill();
                    writes += 1;
                }
                Poll::Pending => blocked = true,
            }
            if writes == WRITES_MAX {
                context.waker().wake_by_ref();
                break;
            }
        }
        self.outgoing.set_unsent(self.codec.output().len());
        if blocked {
            self.poll_stall(context);
        }
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    /// The kernel takes nothing: how long that has been so.
    fn poll_stall(&mut self, context: &mut Context<'_>) {
        if !self.stalled {
            let timer = self.stall.get_or_insert_with(|| Timer::new(SIGNAL_STALL_MAX));
            self.stalled = Pin::new(timer).poll(context).is_ready();
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<End>> {
        let mut buffer = [0; READ_MAX];
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(len @ 1..)) => {
                self.heard = true;
                self.codec.receive(&buffer[..len]);
                Poll::Ready(None)
            }
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Some(End::Theirs)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Says goodbye and closes the socket. Takes `FLUSH_MAX` + `LINGER_MAX` at most.
    pub async fn finish(mut self, end: End) {
        let written = async {
            if let End::Ours(close) = end {
                self.fill();
                while !self.codec.output().is_empty() {
                    if self.stream.write_all(self.codec.output()).await.is_err() {
                        return false;
                    }
                    self.codec.sent(self.codec.output().len());
                    self.fill();
                }
                self.codec.close(close);
            }
            let rest = self.codec.output();
            self.stream.write_all(rest).await.is_ok() && self.stream.flush().await.is_ok()
        };
        let in_time = async {
            sleep(FLUSH_MAX).await;
            false
        };
        if written.or(in_time).await {
            self.stream.linger().await;
        }
    }
}
