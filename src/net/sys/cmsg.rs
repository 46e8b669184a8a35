//! Control messages that go with a datagram: `man 3 cmsg`, read and written without pointers.

use std::mem::{offset_of, size_of};

/// Bytes before a control message's data. The data of the next one starts aligned to a word.
const HEADER: usize = align(size_of::<libc::cmsghdr>());

const fn align(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}

/// Room for the one control message that is asked for: `SO_RXQ_OVFL`, a `u32`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(in crate::net) struct Control([u8; HEADER + align(size_of::<u32>())]);

impl Control {
    /// Storage for the kernel to fill.
    pub(in crate::net) const EMPTY: Control = Control([0; HEADER + align(size_of::<u32>())]);

    /// Where the kernel may write, and how much.
    pub(in crate::net) fn storage(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// [`Control::find_queue_overflow`]; `len` is what the kernel says it has written.
    pub(in crate::net) fn queue_overflow(&self, len: usize) -> Option<u32> {
        Self::find_queue_overflow(self.0.get(..len)?)
    }

    /// The socket's count of datagrams that found its receive queue full (modulo 2^32), as it was
    /// when this one was queued; `None` as long as it is zero.
    pub(in crate::net) fn find_queue_overflow(messages: &[u8]) -> Option<u32> {
        let mut rest = messages;
        while let Some((message, next)) = split_message(rest) {
            if (message.level, message.kind) == (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) {
                return message.data.first_chunk().map(|count| u32::from_ne_bytes(*count));
            }
            rest = next;
        }
        None
    }
}

/// The one control message that is sent: `UDP_SEGMENT`, a `u16`. It has the kernel cut a message
/// into datagrams of that many bytes, the last as long as what is left (Linux 4.18, `udp(7)`).
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(in crate::net) struct Segment([u8; HEADER + align(size_of::<u16>())]);

impl Segment {
    /// Datagrams of `len` bytes.
    pub(in crate::net) fn new(len: u16) -> Self {
        let mut bytes = [0; HEADER + align(size_of::<u16>())];
        let mut put = |offset: usize, field: &[u8]| {
            bytes[offset..offset + field.len()].copy_from_slice(field);
        };
        put(offset_of!(libc::cmsghdr, cmsg_len), &(HEADER + size_of::<u16>()).to_ne_bytes());
        put(offset_of!(libc::cmsghdr, cmsg_level), &libc::SOL_UDP.to_ne_bytes());
        put(offset_of!(libc::cmsghdr, cmsg_type), &libc::UDP_SEGMENT.to_ne_bytes());
        put(HEADER, &len.to_ne_bytes());
        Self(bytes)
    }

    /// What the kernel is to read.
    pub(in crate::net) fn storage(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

struct Message<'a> {
    level: libc::c_int,
    kind: libc::c_int,
    data: &'a [u8],
}

/// The first control message of `bytes` and what follows it; `None` at the end.
fn split_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let len = usize::from_ne_bytes(*field(bytes, offset_of!(libc::cmsghdr, cmsg_len))?);
    let level = libc::c_int::from_ne_bytes(*field(bytes, offset_of!(libc::cmsghdr, cmsg_level))?);
    let kind = libc::c_int::from_ne_bytes(*field(bytes, offset_of!(libc::cmsghdr, cmsg_type))?);
    let data = bytes.get(HEADER..len)?;
    let next = len.checked_next_multiple_of(size_of::<usize>()).and_then(|len| bytes.get(len..));
    Some((Message { level, kind, data }, next.unwrap_or_default()))
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<&[u8; N]> {
    bytes.get(offset..)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: libc::c_int, kind: libc::c_int, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(data);
        bytes
    }

    fn control(bytes: &[u8]) -> Control {
        let mut control = Control::EMPTY;
        control.storage()[..bytes.len()].copy_from_slice(bytes);
        control
    }

    #[test]
    fn the_overflow_count_is_found() {
        let bytes = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &7u32.to_ne_bytes());
        assert_eq!(control(&bytes).queue_overflow(bytes.len()), Some(7));
    }

    #[test]
    fn what_is_not_the_whole_overflow_count_is_none() {
        let count = 7u32.to_ne_bytes();
        let other_level = message(libc::IPPROTO_IP, libc::SO_RXQ_OVFL, &count);
        let other_kind = message(libc::SOL_SOCKET, libc::SCM_RIGHTS, &count);
        let cut = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &count[..3]);
        let mut endless = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &count);
        endless[..8].fill(0xff);
        let mut empty = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &count);
        empty[..8].fill(0);
        for bytes in [other_level, other_kind, cut, endless, empty, Vec::new()] {
            assert_eq!(control(&bytes).queue_overflow(bytes.len()), None, "{bytes:?}");
        }
        assert_eq!(Control::EMPTY.queue_overflow(usize::MAX), None);
    }
}
