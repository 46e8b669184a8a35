//! How shards talk: a bounded channel from each to each other, and questions with answers on top.
//! Nothing here waits while it holds anything, so full mailboxes cannot block each other.
//!
//! In front of each channel is a lane, a queue of the sending shard. A question or a hand-over is
//! refused when [`LANE_MAX`] mails wait in it, and its cause gets 503. Answers and releases are
//! never refused, for somebody counts on them; there is at most one for each question and for each
//! connection, both of which are bounded where they begin.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::{FutureExt, poll_fn};
use glommio::Task;
use glommio::channels::local_channel::{self, LocalSender};
use glommio::channels::shared_channel::{self, SharedReceiver, SharedSender};
use glommio::timer::sleep;

use crate::cluster::Network;
use crate::http::Upgrade;
use crate::net::Detached;
use crate::types::{Load, Refusal, Rights, ShardId, ShardStats};

/// Mails in a channel between two shards.
const CHANNEL_MAX: usize = 256;

/// Mails that wait for room in a channel before new ones are refused.
const LANE_MAX: usize = 1024;

/// How long a shard may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// What one shard tells another.
#[derive(Debug)]
pub(super) enum Mail {
    /// Something to be answered under this number.
    Question(u64, Question),
    /// The answer to the question of this number.
    Answer(u64, Answer),
    /// A WebSocket to be, for a room that the addressee owns.
    HandOver(Box<HandOver>),
    /// A TCP connection for media, of a transport that the addressee has.
    Media(Box<Media>),
    /// A connection that the addressee has counted is over.
    Release(Place),
    /// How the sender stands now.
    Load(Load),
}

impl Mail {
    fn must_arrive(&self) -> bool {
        matches!(self, Mail::Answer(..) | Mail::Release(_))
    }
}

/// What connections are counted by. Each has a shard that counts, the same for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The room that they enter.
    Room(String),
    /// Where they come from.
    Address(Network),
    /// Where those for media over TCP come from.
    Media(Network),
}

/// Something a shard wants to know.
#[derive(Debug, Clone)]
pub(super) enum Question {
    /// May there be one more connection here, and where? Counts it, and unless it is exempt that it
    /// was opened.
    Place {
        /// Where.
        place: Place,
        /// It may be opened as often as somebody likes.
        exempt: bool,
    },
    /// What have you counted?
    Stats,
    /// Which rooms have you?
    Rooms,
    /// What is in this room?
    Room(String),
    /// End this room. How many were in it?
    End(String),
    /// Put this peer, the second, out of this room.
    Kick(String, String),
}

/// What it is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// A connection has been counted, and the room is owned by this shard; or neither.
    Placed(Place, Result<ShardId, Refusal>),
    /// The counters.
    Stats(Box<ShardStats>),
    /// JSON; of what is not there, nothing.
    Report(Option<String>),
}

/// A connection on its way to the shard that owns its room. The directory has counted it.
#[derive(Debug)]
pub(super) struct HandOver {
    /// The connection.
    pub(super) stream: Detached,
    /// What it wants.
    pub(super) entry: Entry,
    /// Where it comes from, if it has been counted there.
    pub(super) address: Option<Network>,
}

/// A connection for media on its way to the shard that has its transport.
#[derive(Debug)]
pub(super) struct Media {
    /// The connection.
    pub(super) stream: Detached,
    /// Where it comes from, if it has been counted there.
    pub(super) address: Option<Network>,
}

/// A WebSocket to be, and what came before it.
#[derive(Debug)]
pub(super) struct Entry {
    /// What was received after the request.
    pub(super) read_ahead: Vec<u8>,
    /// The request, not answered yet.
    pub(super) upgrade: Upgrade,
    /// What its client may do.
    pub(super) rights: Rights,
}

/// One shard's ends of the channels, not connected yet.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Whose they are.
    pub(super) shard: ShardId,
    to: Vec<Option<SharedSender<Mail>>>,
    from: Vec<Option<SharedReceiver<Mail>>>,
}

/// Channels between `shards` shards, from each to each other.
pub(crate) fn mesh(shards: usize) -> Vec<Ends> {
    let mut all: Vec<_> = (0..shards)
        .map(|shard| Ends { shard: ShardId(shard as u8), to: Vec::new(), from: Vec::new() })
        .collect();
    for from in 0..shards {
        for to in 0..shards {
            let (sender, receiver) = match from == to {
                true => (None, None),
                false => {
                    let (sender, receiver) = shared_channel::new_bounded(CHANNEL_MAX);
                    (Some(sender), Some(receiver))
                }
            };
            all[from].to.push(sender);
            all[to].from.push(receiver);
        }
    }
    all
}

/// One shard's mailbox: what it sends, and the questions it has open.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// By addressee.
    lanes: Vec<Rc<Lane>>,
    open: RefCell<HashMap<u64, LocalSender<Answer>>>,
    next: Cell<u64>,
}

/// The channels behind a mailbox, to be connected when its shard can take mail.
#[derive(Debug)]
pub(super) struct Wires {
    to: Vec<(Rc<Lane>, SharedSender<Mail>)>,
    from: Vec<(ShardId, SharedReceiver<Mail>)>,
}

impl Wires {
    /// Connects the channels and starts to move mail, in the tasks returned; `receive` is called
    /// with each that arrives, perhaps before this returns. Within an executor.
    pub(super) fn connect(
        self,
        receive: impl Fn(ShardId, Mail) + Clone + 'static,
    ) -> Vec<Task<()>> {
        // Each end in a task of its own: connecting waits for the other side's end, and two shards
        // that did it in turn could wait for each other.
        let carriers =
            self.to.into_iter().map(|(lane, sender)| glommio::spawn_local(carry(lane, sender)));
        let receivers = self.from.into_iter().map(|(from, receiver)| {
            let receive = receive.clone();
            glommio::spawn_local(async move {
                let receiver = receiver.connect().await;
                while let Some(mail) = receiver.recv().await {
                    receive(from, mail);
                }
            })
        });
        carriers.chain(receivers).collect()
    }
}

impl Mailbox {
    /// A mailbox that keeps what is sent until its wires are connected.
    pub(super) fn new(ends: Ends) -> (Mailbox, Wires) {
        let lanes: Vec<Rc<Lane>> = ends.to.iter().map(|_| Rc::default()).collect();
        let to = lanes.iter().cloned().zip(ends.to);
        let to = to.filter_map(|(lane, sender)| Some((lane, sender?))).collect();
        let from = ends.from.into_iter().enumerate();
        let from = from.filter_map(|(i, receiver)| Some((ShardId(i as u8), receiver?))).collect();
        let mailbox = Mailbox { lanes, open: RefCell::default(), next: Cell::new(0) };
        (mailbox, Wires { to, from })
    }

    /// Sends to another shard; gives the mail back if there is no room for it.
    pub(super) fn post(&self, to: ShardId, mail: Mail) -> Result<(), Mail> {
        self.lanes[usize::from(to.0)].push(mail)
    }

    /// Asks another shard. `None`: it is too busy to be asked, or to answer in time.
    pub(super) async fn ask(&self, to: ShardId, question: Question) -> Option<Answer> {
        let number = self.next.get();
        self.next.set(number + 1);
        let (sender, receiver) = local_channel::new_bounded(1);
        self.open.borrow_mut().insert(number, sender);
        // However this ends, also by being dropped: the question is not open any more.
        let _closed = Closed { mailbox: self, number };
        self.post(to, Mail::Question(number, question)).ok()?;
        let late = async {
            sleep(ANSWER_TIME).await;
            None
        };
        receiver.recv().or(late).await
    }

    /// An answer has come. Gives it back if nobody waits for it any more.
    pub(super) fn answered(&self, number: u64, answer: Answer) -> Result<(), Answer> {
        match self.open.borrow_mut().remove(&number) {
            Some(asker) => {
                // One place, one answer: it cannot be full, and its end is held by `ask`.
                let _ = asker.try_send(answer);
                Ok(())
            }
            None => Err(answer),
        }
    }
}

struct Closed<'a> {
    mailbox: &'a Mailbox,
    number: u64,
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.mailbox.open.borrow_mut().remove(&self.number);
    }
}

/// What waits for the channel to one shard.
#[derive(Debug, Default)]
struct Lane {
    mails: RefCell<VecDeque<Mail>>,
    waker: RefCell<Option<Waker>>,
    /// The other end is gone, as at shutdown.
    closed: Cell<bool>,
}

impl Lane {
    fn push(&self, mail: Mail) -> Result<(), Mail> {
        let mut mails = self.mails.borrow_mut();
        let full = mails.len() >= LANE_MAX && !mail.must_arrive();
        if full || self.closed.get() {
            return Err(mail);
        }
        mails.push_back(mail);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    async fn next(&self) -> Mail {
        poll_fn(|context| match self.mails.borrow_mut().pop_front() {
            Some(mail) => Poll::Ready(mail),
            None => {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// Moves mail from a lane into its channel.
async fn carry(lane: Rc<Lane>, sender: SharedSender<Mail>) {
    let sender = sender.connect().await;
    // `send` waits for room; this task alone sends, so that room stays until it does.
    while sender.send(lane.next().await).await.is_ok() {}
    lane.closed.set(true);
    lane.mails.borrow_mut().clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_refuses_what_can_be_refused() {
        let lane = Lane::default();
        for _ in 0..LANE_MAX {
            lane.push(Mail::Load(Load::default())).unwrap();
        }
        assert!(lane.push(Mail::Question(0, Question::Stats)).is_err());
        let room = || Place::Room("room".into());
        lane.push(Mail::Release(room())).unwrap();
        let answer = Answer::Placed(room(), Ok(ShardId(0)));
        lane.push(Mail::Answer(0, answer)).unwrap();
    }
}
