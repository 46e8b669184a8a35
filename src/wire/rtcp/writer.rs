//! A compound packet, written packet by packet. The packets are in their families' files.

use super::{COUNT_MAX, HEADER_LEN};

/// Appends packets to a compound packet in the caller's buffer.
///
/// Each method returns whether the packet fitted; one that did not has left no trace. The order is
/// the caller's: a full compound packet starts with a report, an SDES with a CNAME follows (RFC
/// 3550 §6.1).
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> CompoundWriter<'a> {
    /// An empty compound packet at the front of `buf`.
    pub fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No packet has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a packet with room for a body of `body_len` bytes (whole words), which the caller
    /// fills in completely. `None` if that or the count does not fit.
    pub(super) fn begin(
        &mut self,
        packet_type: u8,
        count: usize,
        body_len: usize,
    ) -> Option<BodyWriter<'_>> {
        debug_assert_eq!(body_len % 4, 0, "RTCP counts in words");
        let words = u16::try_from(body_len / 4).ok()?;
        let end = self.len + HEADER_LEN + body_len;
        let packet = self.buf.get_mut(self.len..end).filter(|_| count <= COUNT_MAX)?;
        let (header, body) = packet.split_at_mut(HEADER_LEN);
        header[0] = 2 << 6 | count as u8;
        header[1] = packet_type;
        header[2..].copy_from_slice(&words.to_be_bytes());
        self.len = end;
        Some(BodyWriter { rest: body })
    }
}

/// What is left to fill of one packet's body.
pub(super) struct BodyWriter<'a> {
    rest: &'a mut [u8],
}

impl BodyWriter<'_> {
    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// # Panics
    /// If the body was begun too short.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let (front, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        front.copy_from_slice(bytes);
        self.rest = rest;
    }

    /// Zeros to the end.
    pub(super) fn pad(self) {
        self.rest.fill(0);
    }
}
