//! How the main thread tells a shard what to do: [`Orders`] are the shard's end.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::shard::{Order, Orders};

/// Orders that wait for one shard at most; the main thread waits for room. A shard obeys at once,
/// so there is hardly ever more than one.
const ORDERS_MAX: usize = 16;

/// The main thread's end for one shard. The shard stops when it is dropped.
#[derive(Debug)]
pub(super) struct Commander {
    orders: SyncSender<Order>,
    wake: UnixStream,
}

/// The two ends.
pub(super) fn command() -> io::Result<(Commander, Orders)> {
    let (wake, woken) = UnixStream::pair()?;
    let (sender, receiver) = sync_channel(ORDERS_MAX);
    Ok((Commander { orders: sender, wake }, Orders::new(receiver, woken)))
}

impl Commander {
    /// Gives an order. A shard that has ended needs none.
    pub(super) fn give(&mut self, order: Order) {
        let _ = self.orders.send(order);
        let _ = self.wake.write_all(&[0]);
    }
}
