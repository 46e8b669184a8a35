//! What a source has sent, and when, for those who receive it: written by the thread that sends,
//! read by every thread that receives.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Packets of a source whose times are kept: at 300 a second those of the last 13 s.
const KEPT: usize = 4096;

/// Bits of an entry: the packet's marks, the low bits of its number, and its time.
const MARK_BITS: u32 = 3;
const NUMBER_BITS: u32 = 17;
const KEY_START: u64 = 1;
const FRAME_END: u64 = 2;
const SENT: u64 = 4;

/// What a receiver may know of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When it was handed to the kernel, in nanoseconds of the engine's clock.
    pub at: u64,
    /// It begins a key frame (or it is audio, where any packet is a beginning).
    pub starts_key_frame: bool,
    /// It ends a frame (or it is audio).
    pub ends_frame: bool,
}

/// A source's numbers and times. Numbers count its packets from 0; on the wire they are its RTP
/// sequence numbers.
#[derive(Debug)]
pub struct SourceLog {
    entries: Box<[AtomicU64]>,
    next: AtomicU32,
    /// Numbers that were never sent because the scenario lost them on the way to the server.
    skipped: AtomicU32,
    window_start: AtomicU32,
    window_end: AtomicU32,
    window_skipped: AtomicU32,
    running: AtomicBool,
    /// Video: frames are decoded from a key frame on.
    pub video: bool,
}

impl SourceLog {
    /// Of a source that has sent nothing.
    pub fn new(video: bool) -> Self {
        Self {
            entries: (0..KEPT).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicU32::new(0),
            skipped: AtomicU32::new(0),
            window_start: AtomicU32::new(u32::MAX),
            window_end: AtomicU32::new(u32::MAX),
            window_skipped: AtomicU32::new(0),
            running: AtomicBool::new(true),
            video,
        }
    }

    /// Notes that packet `number` leaves at `at`.
    pub fn note(&self, number: u32, sent: Sent) {
        let marks = SENT
            | if sent.starts_key_frame { KEY_START } else { 0 }
            | if sent.ends_frame { FRAME_END } else { 0 };
        let low = u64::from(number) & ((1 << NUMBER_BITS) - 1);
        let entry = sent.at << (MARK_BITS + NUMBER_BITS) | low << MARK_BITS | marks;
        self.entries[number as usize % KEPT].store(entry, Ordering::Relaxed);
        self.next.store(number + 1, Ordering::Release);
    }

    /// Notes that `number` was lost before it left.
    pub fn skip(&self, number: u32) {
        self.entries[number as usize % KEPT].store(0, Ordering::Relaxed);
        self.skipped.fetch_add(1, Ordering::Relaxed);
        self.next.store(number + 1, Ordering::Release);
    }

    /// What is known of packet `number`; `None` if it was never sent or is too old.
    pub fn sent(&self, number: u32) -> Option<Sent> {
        let entry = self.entries[number as usize % KEPT].load(Ordering::Relaxed);
        let low = u64::from(number) & ((1 << NUMBER_BITS) - 1);
        let same = entry >> MARK_BITS & ((1 << NUMBER_BITS) - 1) == low && entry & SENT != 0;
        same.then_some(Sent {
            at: entry >> (MARK_BITS + NUMBER_BITS),
            starts_key_frame: entry & KEY_START != 0,
            ends_frame: entry & FRAME_END != 0,
        })
    }

    /// The number of the next packet.
    pub fn next(&self) -> u32 {
        self.next.load(Ordering::Acquire)
    }

    /// Numbers so far that were not sent.
    pub fn skipped(&self) -> u32 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// From the next packet on, packets count.
    pub fn begin_window(&self) {
        self.window_end.store(u32::MAX, Ordering::Relaxed);
        self.window_skipped.store(self.skipped(), Ordering::Relaxed);
        self.window_start.store(self.next(), Ordering::Release);
    }

    /// Packets from the next on do not count any more.
    pub fn end_window(&self) {
        self.window_end.store(self.next(), Ordering::Release);
    }

    /// Nothing counts until [`SourceLog::begin_window`].
    pub fn close_window(&self) {
        self.window_start.store(u32::MAX, Ordering::Release);
    }

    /// Whether packet `number` counts.
    pub fn counts(&self, number: u32) -> bool {
        number >= self.window_start.load(Ordering::Acquire)
            && number < self.window_end.load(Ordering::Acquire)
    }

    /// Packets that who received from `first` on, when `skipped_then` had been skipped, should have
    /// got of those that count.
    pub fn expected(&self, first: u32, skipped_then: u32) -> u64 {
        let start = self.window_start.load(Ordering::Acquire);
        if start == u32::MAX {
            return 0;
        }
        let end = self.window_end.load(Ordering::Acquire).min(self.next());
        let skipped_before = match first > start {
            true => skipped_then,
            false => self.window_skipped.load(Ordering::Relaxed),
        };
        let skipped = self.skipped().saturating_sub(skipped_before);
        u64::from(end.saturating_sub(first.max(start)).saturating_sub(skipped))
    }

    /// No more packets will come.
    pub fn stop(&self) {
        self.running.store(false, Ordering::Release);
    }

    /// Whether packets go on coming.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(at: u64) -> Sent {
        Sent { at, starts_key_frame: at.is_multiple_of(2), ends_frame: at.is_multiple_of(3) }
    }

    #[test]
    fn what_was_noted_is_known_until_it_is_overwritten() {
        let log = SourceLog::new(true);
        for number in 0..6000 {
            log.note(number, sent(u64::from(number)));
        }
        assert_eq!(log.sent(5999), Some(sent(5999)));
        assert_eq!(log.sent(6000 - KEPT as u32), Some(sent(6000 - KEPT as u64)));
        assert_eq!(log.sent(6000 - KEPT as u32 - 1), None);
        assert_eq!(log.sent(6000), None);
    }

    #[test]
    fn a_window_counts_what_was_sent_in_it() {
        let log = SourceLog::new(true);
        let send = |range: std::ops::Range<u32>| range.for_each(|n| log.note(n, sent(1)));
        send(0..10);
        assert_eq!((log.counts(9), log.expected(0, 0)), (false, 0), "no window yet");
        log.begin_window();
        send(10..30);
        log.skip(30);
        send(31..40);
        log.end_window();
        send(40..50);
        assert!(!log.counts(9) && log.counts(10) && log.counts(39) && !log.counts(40));
        assert_eq!(log.expected(0, 0), 29, "one of 30 was never sent");
        assert_eq!(log.expected(20, 0), 19);
        assert_eq!(log.expected(35, 1), 5, "what was skipped before it began is not its");
    }
}
