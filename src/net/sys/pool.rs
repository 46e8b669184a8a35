//! Receive buffers that the kernel picks from by itself (`io_uring_register_buf_ring(3)`).
//!
//! ```text
//!            tail ──┐ (written by us, in the unused field of entry 0)
//! entries  [0][1][2][3]…[511]    16 bytes each: address, length, number of a free buffer;
//!           └ the kernel takes from its own head, which it tells nobody
//! buffers  [ 0 ][ 1 ][ 2 ] …     1600 bytes each: free, or being filled: the kernel's;
//!                                full: ours, as one [`Lent`], until it is provided again
//! ```
//!
//! Who may touch a buffer is a matter of ownership: for each there is either an entry that the
//! kernel has not taken yet, a datagram being written, or exactly one `Lent`.
#![expect(unsafe_code, reason = "memory that is shared with the kernel has no other form")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::cmsg::Control;
use super::sockaddr::RawAddr;
use crate::types::limit::DATAGRAM_MAX;

/// Buffers of one shard: what arrives in 5 ms of a gigabit, 800 KB. A power of two.
pub(in crate::net) const BUFFERS: u16 = 512;

/// What the kernel writes in front of a datagram: `struct io_uring_recvmsg_out`, an address,
/// control messages.
pub(in crate::net) const HEAD: usize = 16 + size_of::<RawAddr>() + size_of::<Control>();

/// Bytes of a buffer that are used.
const USED: usize = HEAD + DATAGRAM_MAX;

/// Bytes from one to the next: whole cache lines.
const BUFFER: usize = USED.next_multiple_of(64);

/// Bytes of all entries.
const ENTRIES: usize = BUFFERS as usize * size_of::<BufRingEntry>();

/// The kernel wants the entries to begin a page.
const PAGE: usize = 4096;

const _: () = assert!(BUFFERS.is_power_of_two());
const _: () = assert!(ENTRIES.is_multiple_of(PAGE));

/// A buffer that the kernel has filled and that is ours.
#[derive(Debug)]
pub(in crate::net) struct Lent(u16);

/// The memory: entries, then buffers.
#[derive(Debug)]
pub(in crate::net) struct Pool {
    base: NonNull<u8>,
}

impl Pool {
    const LAYOUT: Layout = match Layout::from_size_align(ENTRIES + BUFFERS as usize * BUFFER, PAGE)
    {
        Ok(layout) => layout,
        Err(_) => panic!("a size and an alignment as they should be"),
    };

    /// Memory with nothing provided yet.
    pub(in crate::net) fn new() -> Self {
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(Self::LAYOUT) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(Self::LAYOUT) };
        Self { base }
    }

    /// Where the entries are, for the kernel.
    pub(in crate::net) fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// Gives all buffers to the kernel; to be called once, before anything is received.
    pub(in crate::net) fn provide_all(&self, tail: &mut u16) {
        (0..BUFFERS).for_each(|number| self.provide(Lent(number), tail));
    }

    /// The buffer that the kernel says it has filled.
    pub(in crate::net) fn lend(&self, number: u16) -> Lent {
        assert!(number < BUFFERS, "the kernel names buffers that it was given");
        Lent(number)
    }

    /// Gives a buffer back to the kernel. `tail` counts what was given, and wraps.
    pub(in crate::net) fn provide(&self, lent: Lent, tail: &mut u16) {
        let Lent(number) = lent;
        let entries = self.base.cast::<BufRingEntry>();
        // SAFETY: the mask keeps the index below `BUFFERS`, so it is inside of the entries.
        let mut entry = unsafe { entries.add(usize::from(*tail & (BUFFERS - 1))) };
        // SAFETY: inside of the buffers, as `number` is below `BUFFERS`.
        let buffer = unsafe { self.base.add(ENTRIES + usize::from(number) * BUFFER) };
        // SAFETY: an entry at or behind the tail is not read by the kernel, and this thread is the
        // only one here; there are as many entries as buffers, so that no entry is given twice.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(buffer.as_ptr() as u64);
        entry.set_len(USED as u32);
        entry.set_bid(number);
        *tail = tail.wrapping_add(1);
        // SAFETY: `entries` points to the first entry, as it must; all of them are integers.
        let shared = unsafe { BufRingEntry::tail(entries.as_ptr()) };
        // SAFETY: the field is two bytes, aligned, and from now on used as an atomic by both sides.
        let shared = unsafe { AtomicU16::from_ptr(shared.cast_mut()) };
        // What was written to the entry is there before it counts.
        shared.store(*tail, Ordering::Release);
    }

    /// The bytes of a buffer that is ours.
    pub(in crate::net) fn bytes<'a>(&'a self, lent: &'a mut Lent) -> &'a mut [u8] {
        // SAFETY: inside of the buffers, as the number is below `BUFFERS`.
        let start = unsafe { self.base.add(ENTRIES + usize::from(lent.0) * BUFFER) };
        // SAFETY: the buffer's bytes are initialized (zeros, or what the kernel wrote); while there
        // is a `Lent` the kernel does not write there, and there is one, borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), USED) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; whoever registered it with the kernel drops it only
        // after the kernel has given it up (`Ring::drop`).
        unsafe { dealloc(self.base.as_ptr(), Self::LAYOUT) };
    }
}
