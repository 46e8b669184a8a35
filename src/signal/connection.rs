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
use crate::types::limit::SIGNAL_QUEUE_MAX;

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
        while let Some(text) = self.outgoing.pop() {
            self.codec.text(text);
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
        if self.codec.output().len() > SIGNAL_QUEUE_MAX {
            return Poll::Ready(Some(End::Ours(Close::SLOW)));
        }
        self.poll_read(context)
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

    /// Everything queued leaves in one write, as far as the kernel takes it.
    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.codec.output().is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, self.codec.output()) {
                Poll::Ready(written) => self.codec.sent(written?),
                Poll::Pending => break,
            }
        }
        self.outgoing.set_unsent(self.codec.output().len());
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
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
        if let End::Ours(close) = end {
            while let Some(text) = self.outgoing.pop() {
                self.codec.text(text);
            }
            self.codec.close(close);
        }
        let Self { mut stream, codec, .. } = self;
        let written = async {
            stream.write_all(codec.output()).await.is_ok() && stream.flush().await.is_ok()
        };
        let in_time = async {
            sleep(FLUSH_MAX).await;
            false
        };
        if written.or(in_time).await {
            stream.linger().await;
        }
    }
}
