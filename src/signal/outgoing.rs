//! What is to be said to one client: a bounded queue between whoever speaks and the task that
//! owns the connection.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::Close;
use crate::protocol::Message;
use crate::protocol::message::Reader;
use crate::types::limit::SIGNAL_QUEUE_MAX;

/// Messages on their way to one client. Both ends are on one shard, so it is shared by `Rc`.
///
/// They refer to what many clients are told, and become bytes of their own only as the client takes
/// them.
#[derive(Debug, Default)]
pub struct Outgoing {
    messages: RefCell<VecDeque<Message>>,
    /// The message of which a part was taken.
    begun: RefCell<Option<Reader>>,
    /// Bytes that were taken and that the kernel has not.
    unsent: Cell<usize>,
    /// Longest message since nothing waited.
    longest: Cell<usize>,
    close: Cell<Option<Close>>,
    waker: RefCell<Option<Waker>>,
    counted: Counted,
}

/// Bytes queued for one client, counted for all clients of its shard as well.
#[derive(Debug, Default)]
struct Counted {
    queued: Cell<usize>,
    total: Rc<Cell<usize>>,
}

impl Counted {
    fn set(&self, queued: usize) {
        self.total.set(self.total.get() - self.queued.replace(queued) + queued);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What goes into one frame: a message, or a part of one that is long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) bytes: Vec<u8>,
    /// It begins a message.
    pub(super) first: bool,
    /// It ends one.
    pub(super) last: bool,
}

impl Outgoing {
    /// A queue whose bytes are counted in `total` as well, beside those of other clients.
    pub fn counted_in(total: &Rc<Cell<usize>>) -> Self {
        let counted = Counted { queued: Cell::new(0), total: Rc::clone(total) };
        Self { counted, ..Self::default() }
    }

    /// Queues one message. A client for which more than `SIGNAL_QUEUE_MAX` bytes wait, besides the
    /// longest message, is given up. The longest does not count because the answer to `join` in a
    /// large room is longer than the limit, however fast its client reads.
    pub fn push(&self, message: Message) {
        if self.close.get().is_some() {
            return;
        }
        self.longest.set(self.longest.get().max(message.len()));
        self.counted.set(self.queued() + message.len());
        self.messages.borrow_mut().push_back(message);
        if self.waiting() > SIGNAL_QUEUE_MAX {
            self.give_up();
        }
        self.wake();
    }

    /// Bytes that nobody has taken.
    fn queued(&self) -> usize {
        self.counted.queued.get()
    }

    /// Bytes that the client has not been sent, besides the longest message.
    pub(super) fn waiting(&self) -> usize {
        (self.queued() + self.unsent.get()).saturating_sub(self.longest.get())
    }

    /// Bytes of memory that are there for what waits; what it shares with other queues counts by
    /// its part.
    pub fn held(&self) -> usize {
        let begun = self.begun.borrow();
        let begun = begun.as_ref().map_or(0, |reader| reader.message().held());
        begun + self.messages.borrow().iter().map(Message::held).sum::<usize>()
    }

    /// The client is too slow a reader: it is closed with 1013, and what waits for it is thrown
    /// away. It would not read it.
    pub fn give_up(&self) {
        self.messages.borrow_mut().clear();
        self.begun.take();
        self.counted.set(0);
        self.close(Close::SLOW);
    }

    /// Ends the connection after what was queued before; the first reason given counts.
    pub fn close(&self, close: Close) {
        if self.close.get().is_none() {
            self.close.set(Some(close));
            self.wake();
        }
    }

    /// What goes into the next frame: a message of at most `most` bytes, or so much of a longer
    /// one.
    pub(super) fn next(&self, most: usize) -> Option<Fragment> {
        let mut begun = self.begun.borrow_mut();
        let first = begun.is_none();
        if first {
            *begun = Some(Reader::new(self.messages.borrow_mut().pop_front()?));
        }
        let reader = begun.as_mut()?;
        let bytes = reader.read(most);
        let last = reader.left() == 0;
        if last {
            *begun = None;
        }
        self.counted.set(self.queued() - bytes.len());
        Some(Fragment { bytes, first, last })
    }

    /// The Close that was asked for.
    pub(super) fn closing(&self) -> Option<Close> {
        self.close.get()
    }

    /// How much of what was taken still waits for the kernel: it counts as queued.
    pub(super) fn set_unsent(&self, bytes: usize) {
        self.unsent.set(bytes);
        if bytes == 0 && self.queued() == 0 {
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

    fn text(len: usize) -> Message {
        "x".repeat(len).into()
    }

    /// Takes everything: the lengths of the messages.
    fn read(outgoing: &Outgoing) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(fragment) = outgoing.next(1000) {
            if fragment.first {
                lengths.push(0);
            }
            *lengths.last_mut().expect("it has begun") += fragment.bytes.len();
        }
        lengths
    }

    #[test]
    fn messages_leave_in_order_and_the_close_after_them() {
        let outgoing = Outgoing::default();
        for text in ["a", "b"] {
            outgoing.push(text.to_owned().into());
        }
        outgoing.close(Close::GOING_AWAY);
        outgoing.push("c".to_owned().into());
        let whole = |text: &str| Some(Fragment { bytes: text.into(), first: true, last: true });
        assert_eq!(outgoing.next(1), whole("a"));
        assert_eq!(outgoing.next(1), whole("b"));
        assert_eq!(outgoing.next(1), None);
        assert_eq!(outgoing.closing(), Some(Close::GOING_AWAY));
    }

    #[test]
    fn a_long_message_leaves_in_parts() {
        let outgoing = Outgoing::default();
        outgoing.push("abcde".to_owned().into());
        outgoing.push("f".to_owned().into());
        let parts: Vec<_> = std::iter::from_fn(|| outgoing.next(2)).collect();
        let part = |text: &str, first, last| Fragment { bytes: text.into(), first, last };
        let expected = [
            part("ab", true, false),
            part("cd", false, false),
            part("e", false, true),
            part("f", true, true),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up_at_the_limit() {
        let outgoing = Outgoing::default();
        for _ in 0..3 {
            outgoing.push(text(SIGNAL_QUEUE_MAX / 2));
            assert_eq!(outgoing.closing(), None);
        }
        outgoing.push(text(1));
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
        assert_eq!(outgoing.next(1), None);
    }

    #[test]
    fn one_long_answer_is_no_slow_reader() {
        let outgoing = Outgoing::default();
        let long = 5 * SIGNAL_QUEUE_MAX;
        outgoing.push(text(long));
        outgoing.push(text(1));
        assert_eq!(outgoing.closing(), None);
        read(&outgoing);
        outgoing.set_unsent(long / 2);
        outgoing.push(text(SIGNAL_QUEUE_MAX));
        assert_eq!(outgoing.closing(), None);
        // Once all is sent, it earns nothing any more.
        assert_eq!(read(&outgoing), [SIGNAL_QUEUE_MAX]);
        outgoing.set_unsent(0);
        outgoing.push(text(SIGNAL_QUEUE_MAX));
        outgoing.push(text(SIGNAL_QUEUE_MAX));
        assert_eq!(outgoing.closing(), None);
        outgoing.push(text(1));
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
    }

    #[test]
    fn what_the_kernel_has_not_taken_counts() {
        let outgoing = Outgoing::default();
        outgoing.set_unsent(SIGNAL_QUEUE_MAX);
        outgoing.push(text(1));
        outgoing.push(text(1));
        assert_eq!(outgoing.closing(), Some(Close::SLOW));
    }

    #[test]
    fn all_queues_together_are_counted_until_they_are_gone() {
        let total = Rc::new(Cell::new(0));
        let [a, b, c] = std::array::from_fn(|_| Outgoing::counted_in(&total));
        for outgoing in [&a, &b, &c] {
            outgoing.push(text(1000));
        }
        assert_eq!((total.get(), a.held()), (3000, 1000));
        a.next(100);
        assert_eq!(total.get(), 2900);
        b.give_up();
        assert_eq!((total.get(), b.held()), (1900, 0));
        drop((a, b));
        assert_eq!(total.get(), 1000);
        read(&c);
        assert_eq!(total.get(), 0);
    }
}
