//! Who wants to be called when. One heap for all transports and Receivers of a Router; an entry
//! that has been overtaken by an earlier one of the same owner is skipped when its time comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::types::{Deadline, ReceiverKey, TransportKey};

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Transport(TransportKey),
    Receiver(ReceiverKey),
}

/// The earliest entry of an owner that is in the heap; lives in the owner.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Armed(Option<Deadline>);

impl Armed {
    /// Whether this entry is the owner's current one; it is then no longer armed.
    pub(super) fn fire(&mut self, deadline: Deadline) -> bool {
        let current = self.0 == Some(deadline);
        if current {
            self.0 = None;
        }
        current
    }
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Deadline, Owner)>>,
}

impl Timers {
    /// Calls the owner at `deadline` or before: an earlier entry stands, and asks again when it
    /// fires. So an owner whose deadline only ever moves away costs nothing to tell.
    pub(super) fn arm(&mut self, owner: Owner, armed: &mut Armed, deadline: Option<Deadline>) {
        let Some(deadline) = deadline else { return };
        if armed.0.is_none_or(|current| deadline.at < current.at) {
            armed.0 = Some(deadline);
            self.heap.push(Reverse((deadline, owner)));
        }
    }

    pub(super) fn next(&self) -> Option<Deadline> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// The next entry that is due, overtaken or not.
    pub(super) fn pop_due(&mut self, now: crate::types::Timestamp) -> Option<(Deadline, Owner)> {
        if self.next()?.at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
