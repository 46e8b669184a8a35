//! Messages in a stream of bytes: each behind its length (RFC 4571). [`Wire`] queues what is to be
//! sent on one connection, [`Frames`] takes apart what has come.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_lite::io::AsyncWrite;

use crate::net::Stream;
use crate::types::Path;
use crate::types::limit::DATAGRAM_MAX;

/// A message's length, before it.
pub(super) const PREFIX: usize = 2;

/// Bytes that wait for one client's kernel; what comes then is dropped, as a socket's queue would.
/// Half a second of 4 Mbit/s.
const QUEUE_MAX: usize = 256 * 1024;

/// What waits to be sent on one connection.
#[derive(Debug, Default)]
pub(super) struct Wire {
    bytes: RefCell<Vec<u8>>,
    /// How much of them is sent.
    sent: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    /// What it is to the Router, from when that has taken it.
    path: Cell<Option<Path>>,
    /// It is not any more.
    ended: Cell<bool>,
}

impl Wire {
    /// The Router has taken it, as this.
    pub(super) fn know(&self, path: Path) {
        self.path.set(Some(path));
    }

    /// What it is to the Router; `None` before its first message.
    pub(super) fn path(&self) -> Option<Path> {
        self.path.get()
    }

    /// The Router knows it no longer: the connection is to be closed.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.wake();
    }

    /// Whether it is to be closed.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Queues one message; false if there is no room for it.
    pub(super) fn push(&self, message: &[u8]) -> bool {
        let mut bytes = self.bytes.borrow_mut();
        let waiting = bytes.len() - self.sent.get();
        let Ok(len) = u16::try_from(message.len()) else { return false };
        if waiting + PREFIX + message.len() > QUEUE_MAX {
            return false;
        }
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(message);
        self.wake();
        true
    }

    /// Sends what the kernel takes.
    pub(super) fn poll_send(
        &self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        *self.waker.borrow_mut() = Some(context.waker().clone());
        let mut bytes = self.bytes.borrow_mut();
        while self.sent.get() < bytes.len() {
            match Pin::new(&mut *stream).poll_write(context, &bytes[self.sent.get()..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.sent.set(self.sent.get() + written?),
                Poll::Pending => break,
            }
        }
        // What was sent is not kept for long, nor moved with every message.
        if self.sent.get() == bytes.len() || self.sent.get() > QUEUE_MAX {
            bytes.drain(..self.sent.take());
        }
        Ok(())
    }
}

/// Messages out of a stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Where the next message begins.
    at: usize,
    /// Bytes yet to come of a message that is too long.
    skip: usize,
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Whole; may be decrypted in place.
    Whole(&'a mut [u8]),
    /// Longer than a datagram can be; it is passed over.
    TooLong,
}

impl Frames {
    /// Takes in what has come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.bytes.extend_from_slice(&bytes[skipped..]);
    }

    /// The next message that is there.
    pub(super) fn next(&mut self) -> Option<Message<'_>> {
        let waiting = &self.bytes[self.at..];
        let len = usize::from(u16::from_be_bytes(*waiting.first_chunk::<PREFIX>()?));
        if len > DATAGRAM_MAX {
            let here = (PREFIX + len).min(waiting.len());
            self.skip = PREFIX + len - here;
            self.at += here;
            return Some(Message::TooLong);
        }
        if waiting.len() < PREFIX + len {
            return None;
        }
        let start = self.at + PREFIX;
        self.at = start + len;
        Some(Message::Whole(&mut self.bytes[start..start + len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_however_they_are_cut() {
        let long = vec![7; DATAGRAM_MAX + 1];
        let mut bytes = Vec::new();
        for message in [&b"a"[..], b"", &long, b"bcd"] {
            bytes.extend((message.len() as u16).to_be_bytes());
            bytes.extend(message);
        }
        for step in [1, 2, 3, 5, 1000, bytes.len()] {
            let (mut frames, mut got) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(step) {
                frames.push(piece);
                while let Some(message) = frames.next() {
                    got.push(match message {
                        Message::Whole(bytes) => Some(bytes.to_vec()),
                        Message::TooLong => None,
                    });
                }
                assert!(frames.bytes.len() <= PREFIX + DATAGRAM_MAX + step);
            }
            let whole = |text: &[u8]| Some(text.to_vec());
            assert_eq!(got, [whole(b"a"), whole(b""), None, whole(b"bcd")], "by {step}");
        }
    }

    #[test]
    fn a_connection_that_takes_nothing_keeps_no_more_than_its_queue() {
        let wire = Wire::default();
        let taken = (0..1000).take_while(|_| wire.push(&[0; 1000])).count();
        assert_eq!(taken, QUEUE_MAX / 1002);
    }
}
