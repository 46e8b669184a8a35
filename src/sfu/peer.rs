//! A peer: one participant, one WebSocket connection. What it has, and what it was told of.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::{AppData, ClientCapabilities};
use crate::types::limit::{
    AUDIENCE_BURST_SECONDS, AUDIENCE_RATE, AUDIENCE_START, AUDIENCE_START_EACH,
    REQUESTS_BURST_SECONDS,
};
use crate::types::{
    PeerKey, ReceiverId, ReceiverKey, Rights, RoomKey, SenderId, SenderKey, Timestamp, TransportId,
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
    /// Bytes of its `appData` and of its Receivers'.
    pub(super) app_data_held: usize,
    /// What the client said it can decode; `None`: everything.
    pub(super) capabilities: Option<ClientCapabilities>,
    pub(super) wants_transport_state: bool,
    pub(super) wants_room_closed: bool,
    pub(super) transports: BTreeMap<TransportId, TransportKey>,
    pub(super) receivers: BTreeMap<ReceiverId, ReceiverKey>,
    pub(super) subscriptions: Subscriptions,
    pub(super) budget: Budget,
    pub(super) audience: Audience,
}

impl Peer {
    pub(super) fn new(
        room: RoomKey,
        name: &str,
        rights: Rights,
        budget: Budget,
        audience: Audience,
    ) -> Self {
        Self {
            room,
            name: name.into(),
            rights,
            joined: false,
            app_data: None,
            app_data_held: 0,
            capabilities: None,
            wants_transport_state: false,
            wants_room_closed: false,
            transports: BTreeMap::new(),
            receivers: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            audience,
            budget,
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

// PROTOCOL section 3: an announced Sender costs at most 64 bytes: the entry, its place in the list
// of its Receiver, and half again for growth of both.
const _: () = assert!((size_of::<Subscription>() + size_of::<Listener>()) * 3 / 2 <= 64);

/// Who was told of a Receiver, and as what.
pub(super) type Listener = (PeerKey, SenderId);

/// A list whose dead entries stay until it would grow: what ends takes no time to forget, and the
/// list is at most half as long again as it was when it was last looked through.
#[derive(Debug)]
pub(super) struct Announced<T>(Vec<T>);

impl<T> Default for Announced<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Announced<T> {
    /// Appends one; `lives` tells which of the others are not dead.
    pub(super) fn push(&mut self, entry: T, lives: impl Fn(&T) -> bool) {
        if self.0.len() == self.0.capacity() {
            self.0.retain(lives);
            let room = (self.0.len() / 2).max(4);
            self.0.shrink_to(self.0.len() + room);
            self.0.reserve_exact(room);
        }
        self.0.push(entry);
    }

    /// The dead as well.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

/// The Senders announced to one peer. Those of Receivers that are gone are dead: who looks for one
/// has to see whether its Receiver is there.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By id, ascending: ids count up and are never used again.
    entries: Announced<Subscription>,
    last: u32,
}

impl Subscriptions {
    /// Announces a Sender of `receiver`: its id. `lives` tells which Receivers are there.
    pub(super) fn announce(
        &mut self,
        receiver: ReceiverKey,
        lives: impl Fn(ReceiverKey) -> bool,
    ) -> SenderId {
        self.last += 1;
        let id = SenderId(self.last);
        let entry = Subscription { id, receiver, enabled: None };
        self.entries.push(entry, |entry| lives(entry.receiver));
        id
    }

    pub(super) fn get(&self, id: SenderId) -> Option<Subscription> {
        self.position(id).map(|index| self.entries.0[index])
    }

    /// Notes that a Sender was enabled (`Some`), or is only announced again.
    pub(super) fn set_enabled(&mut self, id: SenderId, enabled: Option<SenderKey>) {
        if let Some(index) = self.position(id) {
            self.entries.0[index].enabled = enabled;
        }
    }

    /// The dead as well.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.entries.iter()
    }

    fn position(&self, id: SenderId) -> Option<usize> {
        self.entries.0.binary_search_by_key(&id, |entry| entry.id).ok()
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

    /// A message was allowed that was as much work as so many more.
    pub(super) fn charge(&mut self, messages: usize) {
        self.left -= messages as i64;
    }
}

/// How many bytes a client may still have others told: a bucket that fills with time.
#[derive(Debug)]
pub(super) struct Audience {
    left: u64,
    filled_at: Timestamp,
}

impl Audience {
    /// For somebody who comes where so many are. Far from full, lest who comes often has much.
    pub(super) fn new(now: Timestamp, listeners: usize) -> Self {
        let left = AUDIENCE_START.max(AUDIENCE_START_EACH * listeners as u64);
        Self { left: left.min(AUDIENCE_RATE * AUDIENCE_BURST_SECONDS), filled_at: now }
    }

    /// Takes so many bytes off, all or none.
    pub(super) fn take(&mut self, now: Timestamp, bytes: u64) -> bool {
        let most = AUDIENCE_RATE * AUDIENCE_BURST_SECONDS;
        let micros = now.since(self.filled_at).as_micros();
        let micros = micros.min(u128::from(AUDIENCE_BURST_SECONDS) * 1_000_000) as u64;
        self.left = (self.left + micros * AUDIENCE_RATE / 1_000_000).min(most);
        self.filled_at = now;
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

// Looked at ever so often, it earns all the same.
const _: () = assert!(AUDIENCE_RATE.is_multiple_of(1_000_000));

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
        let flood = (0..10_000).find(|_| budget.take(at(1_000_000), 100) == Verdict::Flood);
        assert_eq!(flood, Some(4 * 400 - 1));
    }

    #[test]
    fn ids_count_up_and_are_never_used_again() {
        let mut receivers = slotmap::SlotMap::<ReceiverKey, ()>::with_key();
        let keys: [_; 3] = std::array::from_fn(|_| receivers.insert(()));
        let mut subscriptions = Subscriptions::default();
        for (key, id) in keys.into_iter().zip(1..) {
            assert_eq!(subscriptions.announce(key, |_| true), SenderId(id));
        }
        let mut last = keys[2];
        for id in 4..1000 {
            receivers.remove(last);
            last = receivers.insert(());
            assert_eq!(subscriptions.announce(last, |it| receivers.contains_key(it)), SenderId(id));
            assert!(subscriptions.iter().count() < 8, "the dead are let go");
        }
        for (id, key) in [(1, Some(keys[0])), (2, Some(keys[1])), (999, Some(last)), (3, None)] {
            let known = subscriptions.get(SenderId(id));
            assert_eq!(known.map(|subscription| subscription.receiver), key, "{id}");
        }
    }

    #[test]
    fn a_list_has_room_for_half_as_many_as_live() {
        let mut list = Announced::default();
        for entry in 0..10_000 {
            list.push(entry, |_| true);
            assert!(list.0.capacity() <= (entry * 3 / 2).max(8), "{entry}");
        }
        for entry in 10_000..20_000 {
            list.push(entry, |other| other % 100 == 0);
        }
        assert!(list.0.len() <= 500, "{}", list.0.len());
    }
}
