//! WebSocket frames without a socket: tungstenite between two buffers. What was received goes in,
//! what is to be sent comes out, and whoever owns the connection moves the bytes.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error, Utf8Bytes};

use super::Close;
use super::outgoing::Fragment;
use crate::types::limit::FRAME_MAX;

/// What tungstenite allocates for each connection at once.
const READ_BUFFER: usize = 4 * 1024;

/// The server's end of one WebSocket (RFC 6455), after the upgrade.
///
/// Hand in bytes with [`Codec::receive`], then call [`Codec::poll_frame`] until it has no more;
/// queue with `text`, `ping`, `close`; send [`Codec::output`] and report it with [`Codec::sent`].
/// Pongs and the answer to a client's Close are queued without being asked for.
#[derive(Debug)]
pub struct Codec {
    context: WebSocketContext,
    pipe: Pipe,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole text message.
    Text(Utf8Bytes),
    /// A ping or a pong: it lives.
    Alive,
    /// It closes the connection, or answers our Close. Nothing comes after it.
    Closed,
}

impl Default for Codec {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec {
    /// A connection on which nothing has been said yet.
    pub fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_frame_size(Some(FRAME_MAX))
            .max_message_size(Some(FRAME_MAX));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), pipe: Pipe::default() }
    }

    /// Takes what the connection received.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.pipe.input.extend_from_slice(bytes);
    }

    /// The next frame of what was received, `None` when more is needed. An error is the Close that
    /// the client has earned by it (PROTOCOL section 2); ask no more after it.
    pub fn poll_frame(&mut self) -> Result<Option<Frame>, Close> {
        match self.context.read(&mut self.pipe) {
            Ok(Message::Text(text)) => Ok(Some(Frame::Text(text))),
            Ok(Message::Binary(_)) => Err(Close::BINARY),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(Some(Frame::Alive)),
            Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                // tungstenite queues its answer and reports the end once that is written.
                let _ = self.context.flush(&mut self.pipe);
                Ok(Some(Frame::Closed))
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(Error::Capacity(_)) => Err(Close::TOO_BIG),
            Err(Error::Utf8(_)) => Err(Close::NOT_UTF8),
            Err(_) => Err(Close::PROTOCOL),
        }
    }

    /// Queues a text message, or a part of one: what comes first says that it is text, and what
    /// comes last that it was all (RFC 6455 §5.4). Pings and Closes may come between two parts.
    pub(super) fn text(&mut self, part: Fragment) {
        let opcode = OpCode::Data(if part.first { Data::Text } else { Data::Continue });
        self.queue(Message::Frame(tungstenite::protocol::frame::Frame::message(
            part.bytes, opcode, part.last,
        )));
    }

    /// Queues an empty ping.
    pub fn ping(&mut self) {
        self.queue(Message::Ping(Bytes::new()));
    }

    /// Queues a Close frame; nothing can be queued after it.
    pub fn close(&mut self, close: Close) {
        self.queue(Message::Close(Some(CloseFrame {
            code: close.code.into(),
            reason: Utf8Bytes::from_static(close.reason),
        })));
    }

    /// Into the pipe, which takes everything: the only refusal is to write after a Close, and then
    /// there is nobody left to read it.
    fn queue(&mut self, message: Message) {
        let _ = self.context.write(&mut self.pipe, message);
        let _ = self.context.flush(&mut self.pipe);
    }

    /// What is to be sent now.
    pub fn output(&self) -> &[u8] {
        &self.pipe.output[self.pipe.sent..]
    }

    /// The first `len` bytes of [`Codec::output`] were sent.
    pub fn sent(&mut self, len: usize) {
        self.pipe.sent += len;
        if self.pipe.sent == self.pipe.output.len() {
            self.pipe.sent = 0;
            self.pipe.output.clear();
            // A burst does not stay in memory for as long as the connection lasts.
            self.pipe.output.shrink_to(READ_BUFFER);
        }
    }
}

/// The stream that tungstenite believes in.
#[derive(Debug, Default)]
struct Pipe {
    input: Vec<u8>,
    /// How much of `input` was read.
    taken: usize,
    output: Vec<u8>,
    /// How much of `output` was sent.
    sent: usize,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = &self.input[self.taken..];
        if waiting.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = waiting.len().min(buffer.len());
        buffer[..len].copy_from_slice(&waiting[..len]);
        self.taken += len;
        if self.taken == self.input.len() {
            self.taken = 0;
            self.input.clear();
            self.input.shrink_to(READ_BUFFER);
        }
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame, masked with zeros.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..=125 => bytes.push(0x80 | len as u8),
            len @ 126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(0x80 | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    fn poll(bytes: &[u8]) -> Result<Option<Frame>, Close> {
        let mut codec = Codec::new();
        codec.receive(bytes);
        codec.poll_frame()
    }

    #[test]
    fn text_arrives_whole_however_it_is_cut() {
        let bytes = frame(0x81, b"hello");
        let mut codec = Codec::new();
        for byte in &bytes[..bytes.len() - 1] {
            codec.receive(&[*byte]);
            assert_eq!(codec.poll_frame(), Ok(None));
        }
        codec.receive(&bytes[bytes.len() - 1..]);
        assert_eq!(codec.poll_frame(), Ok(Some(Frame::Text("hello".into()))));
        assert_eq!(codec.poll_frame(), Ok(None));
    }

    #[test]
    fn each_violation_has_its_close_code() {
        assert_eq!(poll(&frame(0x82, b"\0")), Err(Close::BINARY));
        assert_eq!(poll(&frame(0x81, b"\xff")), Err(Close::NOT_UTF8));
        assert_eq!(poll(&frame(0x81, &vec![b'a'; FRAME_MAX + 1])), Err(Close::TOO_BIG));
        assert_eq!(poll(&frame(0xf1, b"a")), Err(Close::PROTOCOL));
        assert!(matches!(poll(&frame(0x81, &vec![b'a'; FRAME_MAX])), Ok(Some(Frame::Text(_)))));
    }

    #[test]
    fn pieces_of_one_message_may_not_exceed_the_limit_together() {
        let mut codec = Codec::new();
        codec.receive(&frame(0x01, &vec![b'a'; FRAME_MAX]));
        assert_eq!(codec.poll_frame(), Ok(None));
        codec.receive(&frame(0x80, b"a"));
        assert_eq!(codec.poll_frame(), Err(Close::TOO_BIG));
    }

    #[test]
    fn pings_are_answered_and_closes_echoed() {
        let mut codec = Codec::new();
        codec.receive(&frame(0x89, b"x"));
        assert_eq!(codec.poll_frame(), Ok(Some(Frame::Alive)));
        assert_eq!(codec.poll_frame(), Ok(None));
        assert_eq!(codec.output(), b"\x8a\x01x");
        codec.sent(3);
        codec.receive(&frame(0x88, &1000u16.to_be_bytes()));
        assert_eq!(codec.poll_frame(), Ok(Some(Frame::Closed)));
        assert_eq!(codec.output(), b"\x88\x02\x03\xe8");
    }

    #[test]
    fn a_ping_comes_between_the_parts_of_a_message() {
        let mut codec = Codec::new();
        let part = |text: &str, first, last| Fragment { bytes: text.into(), first, last };
        codec.text(part("ab", true, false));
        codec.ping();
        codec.text(part("cd", false, false));
        codec.text(part("e", false, true));
        assert_eq!(codec.output(), b"\x01\x02ab\x89\x00\x00\x02cd\x80\x01e");
    }

    #[test]
    fn a_close_is_sent_after_a_violation_too() {
        let mut codec = Codec::new();
        codec.receive(&frame(0x81, b"\xff"));
        let close = codec.poll_frame().unwrap_err();
        let text = |text: &str| Fragment { bytes: text.into(), first: true, last: true };
        codec.text(text("before"));
        codec.close(close);
        codec.text(text("after"));
        assert!(codec.output().starts_with(b"\x81\x06before\x88"));
        assert!(codec.output().ends_with(close.reason.as_bytes()));
    }
}
