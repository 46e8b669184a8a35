//! What a shard tells of its rooms: a line in the log for each event, with the ids that the rest is
//! found by, and for some of them a notice to the webhook. So many lines a second and no more: a
//! storm of joins must not become one of lines, which are written by the thread that forwards
//! media. Nor may one room's storm keep the others out of the log (`Lines`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use tracing::Level;

use super::clock::{Clock, since_1970};
use super::notices::Notices;
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
    lines: RefCell<Lines>,
    /// `None`: nobody wants them.
    notices: RefCell<Option<Notices>>,
}

impl Journal {
    /// Nothing was written yet.
    pub(super) fn new(shard: ShardId) -> Self {
        Self {
            shard,
            clock: Clock::start(),
            lines: RefCell::default(),
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
                if tracing::enabled!(Level::$level) && self.may_write(room) {
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
        if tracing::enabled!(Level::DEBUG) && self.may_write(room) {
            tracing::debug!(shard = self.shard.0, room, peer, why = refusal.label(), "refused");
        }
    }

    /// Says what was left out of the log, if a second is over. Several times a second.
    pub(super) fn sum_up(&self) {
        if let Some(LeftOut { lines, most_of }) = self.lines.borrow_mut().turn(self.clock.now()) {
            tracing::info!(shard = self.shard.0, left_out = lines, most_of, "more has happened");
        }
    }

    /// Whether there is room for a line about this room.
    fn may_write(&self, room: &str) -> bool {
        self.sum_up();
        self.lines.borrow_mut().take(room)
    }
}

/// Who may write how many lines.
#[derive(Debug)]
struct Lines {
    /// When this second began.
    since: Timestamp,
    written: u32,
    left_out: u32,
    /// Lines of each room in this second: written, left out. As many as have written at most.
    rooms: HashMap<Box<str>, (u32, u32), RandomState>,
}

/// What was left out in a second.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    lines: u32,
    /// The room that most of them are of.
    most_of: Box<str>,
}

impl Default for Lines {
    fn default() -> Self {
        let since = Timestamp::START;
        Self { since, written: 0, left_out: 0, rooms: HashMap::default() }
    }
}

impl Lines {
    /// Begins another second when this one is over. Gives what was left out in it.
    fn turn(&mut self, now: Timestamp) -> Option<LeftOut> {
        if now.since(self.since) < SECOND {
            return None;
        }
        let ended = std::mem::take(self);
        self.since = now;
        let most = ended.rooms.into_iter().max_by_key(|(_, (_, left_out))| *left_out);
        let (most_of, _) = most.filter(|_| ended.left_out > 0)?;
        Some(LeftOut { lines: ended.left_out, most_of })
    }

    /// A room may write as many lines as are left for all: one that storms leaves half of them,
    /// the next one half of that, and whoever has one thing to say finds room.
    fn take(&mut self, room: &str) -> bool {
        let left = LINES_PER_SECOND - self.written;
        match self.rooms.get_mut(room) {
            Some((written, _)) if *written < left => *written += 1,
            Some((_, left_out)) => {
                *left_out += 1;
                self.left_out += 1;
                return false;
            }
            None if left > 0 => {
                self.rooms.insert(room.into(), (1, 0));
            }
            None => {
                self.left_out += 1;
                return false;
            }
        }
        self.written += 1;
        true
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

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1 + ms * 1000)
    }

    fn write(lines: &mut Lines, room: &str, count: usize) -> usize {
        (0..count).filter(|_| lines.take(room)).count()
    }

    #[test]
    fn a_storm_is_so_many_lines_a_second() {
        let mut lines = Lines::default();
        assert_eq!(lines.turn(at(2000)), None);
        let rooms = |lines: &mut Lines| {
            (0..500).map(|i| write(lines, &format!("room {}", i % 70), 1)).sum::<usize>()
        };
        assert_eq!(rooms(&mut lines), 50);
        assert_eq!(lines.rooms.len(), 50);
        assert_eq!(lines.turn(at(2999)), None, "it is the same second");
        assert_eq!(rooms(&mut lines), 0);
        assert_eq!(lines.turn(at(3000)).unwrap().lines, 950);
        assert_eq!(rooms(&mut lines), 50);
    }

    #[test]
    fn a_room_that_storms_leaves_lines_for_the_others() {
        let mut lines = Lines::default();
        assert_eq!(lines.turn(at(2000)), None);
        assert_eq!(write(&mut lines, "storm", 1000), 25);
        assert_eq!(write(&mut lines, "quiet", 5), 5);
        assert_eq!(write(&mut lines, "another storm", 100), 10);
        assert_eq!((0..10).filter(|i| lines.take(&i.to_string())).count(), 10);
        let left_out = LeftOut { lines: 975 + 90, most_of: "storm".into() };
        assert_eq!(lines.turn(at(3000)), Some(left_out));
        assert_eq!(lines.turn(at(4000)), None, "it is said once");
        assert_eq!(write(&mut lines, "storm", 10), 10);
    }
}
