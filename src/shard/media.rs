//! The tasks that move media: one for each socket, and one that keeps time for the Router. They
//! run in the media queue, ahead of signaling.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{self, FutureExt};
use glommio::net::UdpSocket;
use glommio::timer::sleep;

use super::state::Shard;
use crate::net::RxBatch;
use crate::types::SocketId;

/// Deadlines nearer than this wait until they are this far: many of them then cost one wake-up.
const TIMER_STEP: Duration = Duration::from_millis(1);

/// After a fault of the socket itself, which nothing is known to cure.
const FAULT_PAUSE: Duration = Duration::from_millis(100);

/// Receives on one socket for ever. `watched` is a second descriptor of it.
pub(super) async fn receive(shard: Rc<Shard>, socket: SocketId, watched: UdpSocket) {
    let mut batch = RxBatch::new();
    let mut faulty = false;
    loop {
        // glommio knows no readiness for UDP, but it can peek. Its first peek after a success is a
        // plain system call that never yields when something waits, hence the yield below.
        let turn = match watched.peek_from(&mut [0]).await {
            Ok(_) => drain(&shard, socket, &mut batch).await,
            Err(error) => Err(std::io::Error::other(error.to_string())),
        };
        match turn {
            Ok(()) => faulty = false,
            Err(error) => {
                if !std::mem::replace(&mut faulty, true) {
                    tracing::error!(?socket, %error, "a media socket cannot receive");
                }
                sleep(FAULT_PAUSE).await;
            }
        }
        glommio::yield_if_needed().await;
    }
}

/// Batches until the queue is empty. Gives way between them when somebody else's time has come.
async fn drain(shard: &Shard, socket: SocketId, batch: &mut RxBatch) -> std::io::Result<()> {
    while shard.receive(socket, batch)? {
        glommio::yield_if_needed().await;
    }
    Ok(())
}

/// Calls the Router when it wants to be called, for ever.
pub(super) async fn keep_time(shard: Rc<Shard>) {
    loop {
        let wait = shard.arm();
        let due = async {
            match wait {
                Some(wait) => sleep(wait.max(TIMER_STEP)).await,
                None => future::pending().await,
            }
            true
        };
        let earlier = async {
            shard.rearmed().await;
            false
        };
        if due.or(earlier).await {
            shard.with(|router, now, out| router.handle_timeout(now, out));
        }
    }
}
