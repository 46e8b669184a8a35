//! What a shard tells of its rooms: a line in the log for each event, with the ids that the rest is
//! found by, and for some of them a notice to the webhook. So many lines a second and no more: a
//! storm of joins must not become one of lines, which are written by the thread that forwards
//! media.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tracing::Level;

use super::clock::{Clock, since_1970};
use super::webhook::Notices;
use crate::http::webhook::{Notice, NoticeKind};
use crate::protocol::{DtlsState, IceState};
use crate::sfu::{Happening, RoomEvent};
use crate::types::{ReceiverId, Refusal, ShardId, Timestamp, TransportId};

/// Lines of one shard in a second.
const LINES_PER_SECOND: u32 = 50;

const SECOND: Duration = Duration::from_secs(1);

/// One shard's.
#[derive(Debug)]
pub(super) struct Journal {
    shard: ShardId,
    clock: Clock,
    since: Cell<Timestamp>,
    lines: Cell<u32>,
    /// `None`: nobody wants them.
    notices: RefCell<Option<Notices>>,
}

impl Journal {
    /// Nothing was written yet.
    pub(super) fn new(shard: ShardId) -> Self {
        Self {
            shard,
            clock: Clock::start(),
            since: Cell::new(Timestamp::START),
            lines: Cell::new(0),
            notices: RefCell::new(None),
        }
    }

    /// Whether somebody wants notices from now on, and by what they go.
    pub(super) fn notify(&self, notices: Option<Notices>) {
        self.notices.replace(notices);
    }

    /// Something has happened.
    pub(super) fn note(&self, event: &RoomEvent<'_>) {
        self.log(event);
        if let Some(notices) = &*self.notices.borrow()
            && let Some((kind, reason)) = of_interest(event.what)
        {
            notices.tell(Notice {
                kind,
                at: since_1970(),
                room: event.room.into(),
                peer: event.peer.map(Into::into),
                reason,
            });
        }
    }

    fn log(&self, event: &RoomEvent<'_>) {
        let (shard, RoomEvent { room, peer, what }) = (self.shard.0, *event);
        /// A line with all the ids that there are, if so much is logged and there is room for it.
        macro_rules! line {
            ($level:ident, $text:literal $(, $($field:tt)+)?) => {
                if tracing::enabled!(Level::$level) && self.may_write(self.clock.now()) {
                    tracing::event!(Level::$level, shard, room, peer, $($($field)+,)? $text);
                }
            };
        }
        match what {
            Happening::RoomStarted => line!(INFO, "room started"),
            Happening::RoomEnded => line!(INFO, "room ended"),
            Happening::PeerConnected => line!(INFO, "connected"),
            Happening::PeerJoined => line!(INFO, "joined"),
            Happening::PeerLeft { reason, .. } => line!(INFO, "gone", reason),
            Happening::TransportState { transport: TransportId(transport), ice, dtls } => {
                match state(ice, dtls) {
                    Some(state) => line!(INFO, "transport", transport, state),
                    None => line!(DEBUG, "transport", transport, ?ice, ?dtls),
                }
            }
            Happening::HandshakeFailed { transport: TransportId(transport), why } => {
                line!(INFO, "handshake failed", transport, why);
            }
            Happening::TransportClosed { transport: TransportId(transport) } => {
                line!(DEBUG, "transport closed", transport);
            }
            Happening::ReceiverCreated { receiver, transport, kind } => {
                let (TransportId(transport), ReceiverId(receiver)) = (transport, receiver);
                line!(DEBUG, "Receiver created", transport, receiver, ?kind);
            }
            Happening::ReceiverClosed { receiver: ReceiverId(receiver) } => {
                line!(DEBUG, "Receiver closed", receiver);
            }
        }
    }

    /// Somebody was not let in.
    pub(super) fn refused(&self, room: &str, peer: &str, refusal: Refusal) {
        if tracing::enabled!(Level::DEBUG) && self.may_write(self.clock.now()) {
            tracing::debug!(shard = self.shard.0, room, peer, why = refusal.label(), "refused");
        }
    }

    /// Takes one line of this second's; says how many were left out when the next one begins.
    fn may_write(&self, now: Timestamp) -> bool {
        if now.since(self.since.get()) >= SECOND {
            let left_out = self.lines.replace(0).saturating_sub(LINES_PER_SECOND);
            self.since.set(now);
            if left_out > 0 {
                tracing::info!(shard = self.shard.0, left_out, "more has happened");
            }
        }
        self.lines.set(self.lines.get() + 1);
        self.lines.get() <= LINES_PER_SECOND
    }
}

/// A transport's state, where it is one that an operator looks for.
fn state(ice: IceState, dtls: DtlsState) -> Option<&'static str> {
    match (ice, dtls) {
        (_, DtlsState::Failed) => Some("DTLS failed"),
        (IceState::Failed, _) => Some("silent"),
        (IceState::Connected, DtlsState::Connected) => Some("connected"),
        _ => None,
    }
}

/// What the webhook is told of.
fn of_interest(what: Happening) -> Option<(NoticeKind, Option<&'static str>)> {
    match what {
        Happening::RoomStarted => Some((NoticeKind::RoomStarted, None)),
        Happening::RoomEnded => Some((NoticeKind::RoomEnded, None)),
        Happening::PeerJoined => Some((NoticeKind::PeerJoined, None)),
        Happening::PeerLeft { joined: true, reason } => Some((NoticeKind::PeerLeft, Some(reason))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_fifty_lines_a_second() {
        let journal = Journal::new(ShardId(0));
        let at = |ms: u64| Timestamp::from_micros(1 + ms * 1000);
        let written = |from: u64| (0..500).filter(|i| journal.may_write(at(from + i))).count();
        assert_eq!(written(2000), 50);
        assert_eq!(written(2500), 0, "it is the same second");
        assert_eq!(written(3000), 50);
    }
}
