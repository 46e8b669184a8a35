//! What is to be said to one client: a bounded queue between whoever speaks and the task that
//! owns the connection.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Waker};

use super::Close;
use crate::types::limit::SIGNAL_QUEUE_MAX;

/// Frames on their way to one client. Both ends are on one shard, so it is shared by `Rc`.
#[derive(Debug, Default)]
pub struct Outgoing {
    frames: RefCell<VecDeque<String>>,
    /// Bytes in `frames`.
    queued: Cell<usize>,
    /// Bytes that were taken and that the kernel has not.
    unsent: Cell<usize>,
    /// Longest frame since nothing waited.
    longest: Cell<usize>,
    close: Cell<Option<Close>>,
    waker: RefCell<Option<Waker>>,
}

impl Outgoing {
    /// Queues one text frame. A client for which more than `SIGNAL_QUEUE_MAX` bytes wait, besides
    /// the longest frame, is closed with 1013, and what waits for it is thrown away: it would not
    /// read it. The longest does not count because the answer to `join` in a large room is longer
    /// than the limit, however fast its client reads.
    pub fn push(&self, text: String) {
        if self.close.get().is_some() {
            return;
        }
        self.longest.set(self.longest.get().max(text.len()));
        self.queued.set(self.queued.get() + text.len());
        self.frames.borrow_mut().push_back(text);
        let waiting = self.queued.get() + self.unsent.get();
        if waiting.saturating_sub(self.longest.get()) > SIGNAL_QUEUE_MAX {
            self.frames.borrow_mut().clear();
            self.queued.set(0);
            self.close(Close::SLOW);
        }
        self.wake();
    }

    /// Ends the connection after what was queued before; the first reason given counts.
    pub fn close(&self, close: Close) {
        if self.close.get().is_none() {
            self.close.set(Some(close));
            self.wake();
        }
    }

    /// The next frame to send.
    pub(super) fn pop(&self) -> Option<String> {
        let text = self.frames.borrow_mut().pop_front()?;
        self.queued.set(self.queued.get() - text.len());
        Some(text)
    }

    /// The Close that was asked for.
    pub(super) fn closing(&self) -> Option<Close> {
        self.close.get()
    }

    /// How much of what was taken still waits for the kernel: it counts as queued.
    pub(super) fn set_unsent(&self, bytes: usize) {
        self.unsent.set(bytes);
        if bytes == 0 && self.queued.get() == 0 {
            self.longest.set(0);
        }
    }

    /// Wakes this task when there is something new.
    pub(super) fn register(&self, context: &Context<'_>) {
        *self.waker.borrow_mut() = Some(context.waker().clone());
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_leave_in_order_and_the_close_after_them() {
        let outgoing = Outgoing::default();
        outgoing.push("a".into());
        outgoing.push("b".into());
        outgoing.close(Close::GOING_AWAY);
        outgoing.push("c".into());
        assert_eq!(outgoing.pop().as_deref(), Some("a"));
        assert_eq!(outgoing.pop().as_deref(), Some("b"));
        assert_eq!(outgoing.pop(), None);
        assert_eq!(outgoing.closing(), Some(Close::GOING_AWAY));
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up_at_the_limit() {
        let outgoing = Outgoing::default();
        let half = "x".repeat(SIGNAL_QUEUE_MAX / 2);
        for _ in 0..3 {
            outgoing.push(half.clone());
            assert_eq!(outgoing.closing(), None);
        }
        outgoing.push("x".into());
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
        assert_eq!(outgoing.pop(), None);
    }

    #[test]
    fn one_long_answer_is_no_slow_reader() {
        let outgoing = Outgoing::default();
        let long = 5 * SIGNAL_QUEUE_MAX;
        outgoing.push("x".repeat(long));
        outgoing.push("y".into());
        assert_eq!(outgoing.closing(), None);
        while outgoing.pop().is_some() {}
        outgoing.set_unsent(long / 2);
        outgoing.push("y".repeat(SIGNAL_QUEUE_MAX));
        assert_eq!(outgoing.closing(), None);
        // Once all is sent, it earns nothing any more.
        while outgoing.pop().is_some() {}
        outgoing.set_unsent(0);
        outgoing.push("y".repeat(SIGNAL_QUEUE_MAX));
        outgoing.push("z".repeat(SIGNAL_QUEUE_MAX));
        assert_eq!(outgoing.closing(), None);
        outgoing.push("z".into());
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
    }

    #[test]
    fn what_the_kernel_has_not_taken_counts() {
        let outgoing = Outgoing::default();
        outgoing.set_unsent(SIGNAL_QUEUE_MAX);
        outgoing.push("x".into());
        outgoing.push("x".into());
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
    }
}
