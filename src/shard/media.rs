//! The tasks that move media: one for each socket, and one that keeps time for the Router. They
//! run in the media queue, ahead of signaling.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{self, FutureExt};
use glommio::timer::sleep;

use super::state::Shard;
use crate::net::Watch;

/// Deadlines nearer than this wait until they are this far: many of them then cost one wake-up.
const TIMER_STEP: Duration = Duration::from_millis(1);

/// After a fault of the socket itself, which nothing is known to cure.
const FAULT_PAUSE: Duration = Duration::from_millis(100);

/// Receives from one source for ever.
pub(super) async fn receive(shard: Rc<Shard>, source: usize, watch: Watch) {
    let mut faulty = false;
    loop {
        // First the turns: a ring receives only from when it has been asked to.
        let waited = match drain(&shard, source).await {
            Ok(()) => watch.ready().await,
            Err(error) => Err(error),
        };
        match waited {
            Ok(()) => {
                faulty = false;
                shard.note_media_wakeup();
            }
            Err(error) => {
                if !std::mem::replace(&mut faulty, true) {
                    tracing::error!(source, %error, "a media socket cannot receive");
                }
                sleep(FAULT_PAUSE).await;
            }
        }
        glommio::yield_if_needed().await;
    }
}

/// Turns until nothing waits. Gives way between them when somebody else's time has come.
async fn drain(shard: &Shard, source: usize) -> std::io::Result<()> {
    while shard.turn(source)? || !shard.ready_to_sleep() {
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
            shard.handle_timeout();
        }
    }
}
