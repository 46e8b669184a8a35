//! Steps 1 and 2 of a packet's way: a turn receives a batch, reads the clock once and calls the
//! Router; after each call what it has to say is sent, and the timer set.

use std::task::Poll;
use std::time::Duration;

use futures_lite::future::poll_fn;

use super::{Core, Shard};
use crate::sfu::Router;
use crate::shard::framing::{Frames, Message, Wire};
use crate::shard::outbox::ShardOutbox;
use crate::types::{Deadline, DropReason, Path, Timestamp};

impl Shard {
    /// Calls the Router at one reading of the clock, sends what it wants to send, and sees to it
    /// that the timer wakes in time. Texts are queued for their connections' tasks.
    pub(in crate::shard) fn with<R>(
        &self,
        call: impl FnOnce(&mut Router, Timestamp, &mut ShardOutbox) -> R,
    ) -> R {
        let now = self.clock.now();
        let Core { router, out, .. } = &mut *self.core.borrow_mut();
        let result = call(router, now, out);
        self.settle(router, out);
        result
    }

    /// One turn: receives a batch from a source, routes it, forwards what of it is media. `true`
    /// if more may be waiting there.
    pub(in crate::shard) fn turn(&self, source: usize) -> std::io::Result<bool> {
        let Core { router, rx, out } = &mut *self.core.borrow_mut();
        let received = rx.recv(source)?;
        router.stats_mut().rx_overflow = rx.overflow();
        router.stats_mut().rx_ring_overruns = rx.ring_overruns();
        router.stats_mut().turns += 1;
        router.stats_mut().note_batch(received.datagrams);
        let (now, forwarded) = (self.clock.now(), router.stats().rtp_forwarded);
        for i in 0..received.datagrams {
            let datagram = rx.datagram(i);
            let stats = router.stats_mut();
            stats.rx_datagrams += 1;
            stats.rx_bytes += datagram.bytes.len() as u64;
            if datagram.truncated {
                stats.drop(DropReason::Truncated);
                continue;
            }
            router.handle_datagram(now, datagram.path, datagram.bytes, out);
        }
        router.forward(now, out);
        self.settle(router, out);
        let forwarded = router.stats().rtp_forwarded - forwarded;
        if forwarded > 0 {
            let took = self.clock.now().since(now);
            router.stats_mut().forward_time.record(took, forwarded);
        }
        if router.has_handshakes()
            && let Some(handshaker) = self.handshaker.take()
        {
            handshaker.wake();
        }
        Ok(received.more)
    }

    /// Takes messages that came over a TCP connection, as a turn takes datagrams. `false`: the path
    /// leads nowhere.
    pub(in crate::shard) fn handle_messages(&self, path: Path, frames: &mut Frames) -> bool {
        let open = self.with(|router, now, out| {
            while let Some(message) = frames.next() {
                let stats = router.stats_mut();
                stats.rx_datagrams += 1;
                match message {
                    Message::Whole(bytes) => {
                        stats.rx_bytes += bytes.len() as u64;
                        router.handle_datagram(now, path, bytes, out);
                    }
                    Message::TooLong => stats.drop(DropReason::Truncated),
                }
            }
            router.forward(now, out);
            router.has_path(path)
        });
        self.wake_handshaker();
        open
    }

    /// Ends the connections for media whose paths the Router has forgotten, for their transport is
    /// closed or has newer ones: they might never say anything again.
    pub(in crate::shard) fn end_lost_wires(&self) {
        let core = self.core.borrow();
        let lost = |path: Path| !core.router.has_path(path);
        core.out.wires().filter(|wire| wire.path().is_some_and(lost)).for_each(Wire::end);
    }

    fn wake_handshaker(&self) {
        if self.core.borrow().router.has_handshakes()
            && let Some(handshaker) = self.handshaker.take()
        {
            handshaker.wake();
        }
    }

    /// Waits until a step of a handshake is to be taken, and takes it.
    pub(in crate::shard) async fn shake_hands(&self) {
        poll_fn(|context| {
            if self.core.borrow().router.has_handshakes() {
                return Poll::Ready(());
            }
            *self.handshaker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        self.with(Router::handle_handshake);
    }

    /// After each call of the Router: sends, and sees to the timer.
    fn settle(&self, router: &mut Router, out: &mut ShardOutbox) {
        out.settle(router.stats_mut());
        let next = router.poll_deadline().map(|deadline| deadline.at);
        if next.is_some_and(|next| self.armed.get().is_none_or(|armed| next < armed)) {
            self.armed.set(next);
            if let Some(timer) = self.timer.take() {
                timer.wake();
            }
        }
    }

    /// Whether nothing waits at any source, and its watch will tell of what comes.
    pub(in crate::shard) fn ready_to_sleep(&self) -> bool {
        self.core.borrow_mut().rx.ready_to_sleep()
    }

    /// How long until the Router wants to be called; `None` while it does not. Notes that somebody
    /// waits that long.
    pub(in crate::shard) fn arm(&self) -> Option<Duration> {
        let next = self.core.borrow().router.poll_deadline();
        let next = next.map(|deadline| deadline.at);
        self.armed.set(next);
        next.map(|next| next.since(self.clock.now()))
    }

    /// Waits until a deadline earlier than the armed one appears.
    pub(in crate::shard) async fn rearmed(&self) {
        let armed = self.armed.get();
        poll_fn(|context| {
            if self.armed.get() != armed {
                return Poll::Ready(());
            }
            *self.timer.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Counts that datagrams have woken the shard.
    pub(in crate::shard) fn note_media_wakeup(&self) {
        self.core.borrow_mut().router.stats_mut().media_wakeups += 1;
    }

    /// The Router is called because time has come.
    pub(in crate::shard) fn handle_timeout(&self) {
        self.with(|router, now, out| {
            if let Some(Deadline { at, reason }) = router.poll_deadline()
                && at <= now
            {
                router.stats_mut().timer_wakeups[reason as usize] += 1;
            }
            router.handle_timeout(now, out);
        });
    }
}
