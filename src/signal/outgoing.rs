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
    close: Cell<Option<Close>>,
    waker: RefCell<Option<Waker>>,
}

impl Outgoing {
    /// Queues one text frame. A client for which more than `SIGNAL_QUEUE_MAX` bytes wait is closed
    /// with 1013, and what waits for it is thrown away: it would not read it.
    pub fn push(&self, text: String) {
        if self.close.get().is_some() {
            return;
        }
        self.queued.set(self.queued.get() + text.len());
        self.frames.borrow_mut().push_back(text);
        if self.queued.get() + self.unsent.get() > SIGNAL_QUEUE_MAX {
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
        outgoing.push("x".repeat(SIGNAL_QUEUE_MAX));
        assert_eq!(outgoing.closing(), None);
        outgoing.push("x".into());
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
        assert_eq!(outgoing.pop(), None);
    }

    #[test]
    fn what_the_kernel_has_not_taken_counts() {
        let outgoing = Outgoing::default();
        outgoing.set_unsent(SIGNAL_QUEUE_MAX);
        outgoing.push("x".into());
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
    }
}
