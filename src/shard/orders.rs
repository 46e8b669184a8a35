//! What the main thread tells a shard. It has no executor, so it has no mailbox: a channel of the
//! standard library carries the order, and a byte on a socket pair wakes the shard.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use futures_lite::AsyncReadExt;

use super::live::Live;
use crate::net::adopt_pair;

/// Something that a shard shall do.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Serve by this from now on.
    Live(Arc<Live>),
    /// Take no new rooms, and say when the last is gone.
    Drain,
}

/// The shard's end.
#[derive(Debug)]
pub(crate) struct Orders {
    orders: Receiver<Order>,
    woken: UnixStream,
}

impl Orders {
    /// Orders come in the one, after each a byte in the other, whose end is the shard's.
    pub(crate) fn new(orders: Receiver<Order>, woken: UnixStream) -> Self {
        Self { orders, woken }
    }

    /// Has every order obeyed until the shard shall stop. Within an executor.
    pub(super) async fn follow(self, mut obey: impl FnMut(Order)) {
        let mut woken = adopt_pair(self.woken);
        while matches!(woken.read(&mut [0]).await, Ok(1..)) {
            self.orders.try_iter().for_each(&mut obey);
        }
    }
}
