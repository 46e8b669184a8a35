//! What the main thread tells the shards. It has no executor, so it has no mailbox: a channel of
//! the standard library carries the order, and a byte on a socket pair wakes the shard.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use futures_lite::AsyncReadExt;

use super::live::Live;
use crate::net::adopt_pair;

/// Orders that wait for one shard at most; the main thread waits for room. A shard obeys at once,
/// so there is hardly ever more than one.
const ORDERS_MAX: usize = 16;

/// Something that a shard shall do.
#[derive(Debug, Clone)]
pub(super) enum Order {
    /// Serve by this from now on.
    Live(Arc<Live>),
    /// Take no new rooms, and say when the last is gone.
    Drain,
}

/// The main thread's end for one shard. The shard stops when it is dropped.
#[derive(Debug)]
pub(super) struct Commander {
    orders: SyncSender<Order>,
    wake: UnixStream,
}

/// The shard's end.
#[derive(Debug)]
pub(super) struct Orders {
    orders: Receiver<Order>,
    woken: UnixStream,
}

/// The two ends.
pub(super) fn orders() -> io::Result<(Commander, Orders)> {
    let (wake, woken) = UnixStream::pair()?;
    let (sender, receiver) = sync_channel(ORDERS_MAX);
    Ok((Commander { orders: sender, wake }, Orders { orders: receiver, woken }))
}

impl Commander {
    /// Gives an order. A shard that has ended needs none.
    pub(super) fn give(&mut self, order: Order) {
        let _ = self.orders.send(order);
        let _ = self.wake.write_all(&[0]);
    }
}

impl Orders {
    /// Has every order obeyed until the shard shall stop. Within an executor.
    pub(super) async fn follow(self, mut obey: impl FnMut(Order)) {
        let mut woken = adopt_pair(self.woken);
        while matches!(woken.read(&mut [0]).await, Ok(1..)) {
            self.orders.try_iter().for_each(&mut obey);
        }
    }
}
