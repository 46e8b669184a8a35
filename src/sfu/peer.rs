//! A peer: one participant, one WebSocket connection. What it has, and what it was told of.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::protocol::{AppData, ClientCapabilities};
use crate::types::limit::{
    ECHO_ALL_BURST, ECHO_ALL_PER_SECOND, ECHO_BURST, ECHO_PER_SECOND, REQUESTS_BURST_SECONDS,
};
use crate::types::{
    ReceiverId, ReceiverKey, Rights, RoomKey, SenderId, SenderKey, Timestamp, TransportId,
    TransportKey,
};

/// One participant.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) room: RoomKey,
    pub(super) name: Box<str>,
    pub(super) rights: Rights,
    pub(super) joined: bool,
    pub(super) app_data: Option<AppData>,
    /// What the client said it can decode; `None`: everything.
    pub(super) capabilities: Option<ClientCapabilities>,
    pub(super) wants_transport_state: bool,
    pub(super) wants_room_closed: bool,
    pub(super) transports: BTreeMap<TransportId, TransportKey>,
    pub(super) receivers: BTreeMap<ReceiverId, ReceiverKey>,
    pub(super) subscriptions: Subscriptions,
    pub(super) budget: Budget,
    pub(super) echo: Echo,
    /// Bytes of the `appData` that newcomers are told of it.
    pub(super) app_data_bytes: usize,
}

impl Peer {
    pub(super) fn new(
        room: RoomKey,
        name: &str,
        rights: Rights,
        (now, budget): (Timestamp, Budget),
        hasher: FixedState,
    ) -> Self {
        Self {
            room,
            name: name.into(),
            rights,
            joined: false,
            app_data: None,
            capabilities: None,
            wants_transport_state: false,
            wants_room_closed: false,
            transports: BTreeMap::new(),
            receivers: BTreeMap::new(),
            subscriptions: Subscriptions::new(hasher),
            budget,
            echo: Echo::new(now),
            app_data_bytes: 0,
        }
    }
}

/// One Sender as its peer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) id: SenderId,
    pub(super) receiver: ReceiverKey,
    /// Its enabled half in the Receiver's list.
    pub(super) enabled: Option<SenderKey>,
}

// PROTOCOL section 3: an announced Sender costs at most 64 bytes: the entry, its place in the index
// (key, value and a control byte at a load of at least 7/16), and half again for growth of both.
const _: () = assert!(
    (size_of::<Subscription>() + (size_of::<(ReceiverKey, SenderId)>() + 1) * 16 / 14) * 3 / 2
        <= 64
);

/// The Senders announced to one peer. Those whose source is gone stay among the entries until they
/// are many: to take one out of the middle of thousands, for each of thousands of peers, would stop
/// a shard. Whoever asks for one looks whether its Receiver is still there.
#[derive(Debug)]
pub(super) struct Subscriptions {
    /// By id, ascending: ids count up and are never used again.
    entries: Vec<Subscription>,
    by_receiver: HashMap<ReceiverKey, SenderId, FixedState>,
    last: u32,
    /// How many entries are of Receivers that are gone, or more.
    gone: usize,
}

impl Subscriptions {
    fn new(hasher: FixedState) -> Self {
        let by_receiver = HashMap::with_hasher(hasher);
        Self { entries: Vec::new(), by_receiver, last: 0, gone: 0 }
    }

    /// Announces a Sender of `receiver`: its id.
    pub(super) fn announce(&mut self, receiver: ReceiverKey) -> SenderId {
        self.last += 1;
        let id = SenderId(self.last);
        self.entries.push(Subscription { id, receiver, enabled: None });
        self.by_receiver.insert(receiver, id);
        id
    }

    pub(super) fn get(&self, id: SenderId) -> Option<Subscription> {
        self.position(id).map(|index| self.entries[index])
    }

    pub(super) fn id_of(&self, receiver: ReceiverKey) -> Option<SenderId> {
        self.by_receiver.get(&receiver).copied()
    }

    /// Notes that a Sender was enabled (`Some`), or is only announced again.
    pub(super) fn set_enabled(&mut self, id: SenderId, enabled: Option<SenderKey>) {
        if let Some(index) = self.position(id) {
            self.entries[index].enabled = enabled;
        }
    }

    /// Receivers are gone, so many of them at most announced here. `is_there` says which are left.
    pub(super) fn forget(&mut self, count: usize, is_there: impl Fn(ReceiverKey) -> bool) {
        self.gone += count;
        if 2 * self.gone > self.entries.len() {
            self.entries.retain(|entry| is_there(entry.receiver));
            self.by_receiver.retain(|receiver, _| is_there(*receiver));
            self.gone = 0;
        }
    }

    /// All of them, of Receivers that are gone as well.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.entries.iter()
    }

    fn position(&self, id: SenderId) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok()
    }
}

/// What a peer's messages may cost everybody else: a bucket of bytes that fills with time.
#[derive(Debug)]
pub(super) struct Echo {
    /// To each who hears them.
    each: Bucket,
    /// To all of them together.
    all: Bucket,
}

impl Echo {
    fn new(now: Timestamp) -> Self {
        let full = |left| Bucket { left, filled_at: now };
        Self { each: full(ECHO_BURST), all: full(ECHO_ALL_BURST) }
    }

    /// Takes off a message of so many bytes that so many hear. `false`: it is too much, and nothing
    /// was taken.
    pub(super) fn take(&mut self, now: Timestamp, bytes: usize, audience: usize) -> bool {
        let (each, all) = (bytes as u64, bytes as u64 * audience as u64);
        self.each.fill(now, ECHO_PER_SECOND, ECHO_BURST);
        self.all.fill(now, ECHO_ALL_PER_SECOND, ECHO_ALL_BURST);
        let fits = self.each.left >= each && self.all.left >= all;
        if fits {
            self.each.left -= each;
            self.all.left -= all;
        }
        fits
    }
}

#[derive(Debug)]
struct Bucket {
    left: u64,
    filled_at: Timestamp,
}

impl Bucket {
    fn fill(&mut self, now: Timestamp, per_second: u64, most: u64) {
        let micros = now.since(self.filled_at).as_micros().min(u128::from(u32::MAX)) as u64;
        let earned = per_second.saturating_mul(micros) / 1_000_000;
        if earned > 0 {
            self.left = (self.left + earned).min(most);
            self.filled_at = now;
        }
    }
}

/// How much a client may still say now: a bucket that fills with time.
#[derive(Debug)]
pub(super) struct Budget {
    left: i64,
    filled_at: Timestamp,
}

/// What a message may cost its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// Too many: refuse this one (429).
    Refused,
    /// It goes on regardless: close the connection (1008).
    Flood,
}

impl Budget {
    /// A full one.
    pub(super) fn new(now: Timestamp, per_second: u32) -> Self {
        Self { left: i64::from(per_second * REQUESTS_BURST_SECONDS), filled_at: now }
    }

    /// Takes one message off, where so many a second are allowed. A client that is refused and goes
    /// on four bursts deep floods.
    pub(super) fn take(&mut self, now: Timestamp, per_second: u32) -> Verdict {
        let burst = i64::from(per_second * REQUESTS_BURST_SECONDS);
        let per_message = Duration::from_secs(1) / per_second;
        let earned = now.since(self.filled_at).as_micros() / per_message.as_micros();
        if earned > 0 {
            self.left = (self.left + earned as i64).min(burst);
            self.filled_at = self.filled_at + per_message * u32::try_from(earned).unwrap_or(0);
        }
        self.left -= 1;
        match self.left {
            0.. => Verdict::Allowed,
            left if left > -4 * burst => Verdict::Refused,
            _ => Verdict::Flood,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_with_time_and_no_further_than_its_size() {
        let at = |ms: u64| Timestamp::from_micros(1 + ms * 1000);
        let mut budget = Budget::new(at(0), 100);
        let allowed = |budget: &mut Budget, now| {
            (0..400).take_while(|_| budget.take(now, 100) == Verdict::Allowed).count()
        };
        assert_eq!(allowed(&mut budget, at(0)), 400);
        assert_eq!(budget.take(at(0), 100), Verdict::Refused);
        assert_eq!(allowed(&mut budget, at(1010)), 100, "1 of the 101 earned was owed");
        assert_eq!(allowed(&mut budget, at(1_000_000)), 400);
        let flood = (0..).take_while(|_| budget.take(at(1_000_000), 100) != Verdict::Flood).count();
        assert_eq!(flood, 4 * 400 - 1);
    }

    #[test]
    fn ids_count_up_and_are_never_used_again() {
        let mut receivers = slotmap::SlotMap::<ReceiverKey, ()>::with_key();
        let [a, b, c] = std::array::from_fn(|_| receivers.insert(()));
        let mut subscriptions = Subscriptions::new(FixedState::default());
        assert_eq!(subscriptions.announce(a), SenderId(1));
        assert_eq!(subscriptions.announce(b), SenderId(2));
        assert_eq!(subscriptions.id_of(b), Some(SenderId(2)));
        receivers.remove(b);
        subscriptions.forget(1, |key| receivers.contains_key(key));
        assert_eq!(subscriptions.announce(c), SenderId(3));
        assert_eq!(subscriptions.get(SenderId(3)).map(|s| s.receiver), Some(c));
        receivers.remove(c);
        subscriptions.forget(1, |key| receivers.contains_key(key));
        let left: Vec<_> = subscriptions.iter().map(|entry| entry.id).collect();
        assert_eq!(left, [SenderId(1)], "more than half were gone");
        assert_eq!((subscriptions.id_of(a), subscriptions.id_of(b)), (Some(SenderId(1)), None));
    }

    #[test]
    fn what_others_hear_is_paid_for_by_the_byte_and_the_ear() {
        let at = |ms: u64| Timestamp::from_micros(1 + ms * 1000);
        let mut echo = Echo::new(at(0));
        let mut said = |now, bytes, audience| {
            (0..10_000).take_while(|_| echo.take(now, bytes, audience)).count() as u64
        };
        assert_eq!(said(at(0), 16 * 1024, 10), ECHO_BURST / (16 * 1024));
        assert_eq!(said(at(1000), 16 * 1024, 10), ECHO_PER_SECOND / (16 * 1024));
        assert_eq!(said(at(100_000), 200, 10_000), ECHO_ALL_BURST / (200 * 10_000));
        assert_eq!(said(at(200_000), 200, 10), ECHO_BURST / 200);
    }
}
