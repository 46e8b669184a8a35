//! A peer: one participant, one WebSocket connection. What it has, and what it was told of.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::protocol::{AppData, ClientCapabilities};
use crate::types::limit::REQUESTS_BURST_SECONDS;
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
}

impl Peer {
    pub(super) fn new(
        room: RoomKey,
        name: &str,
        rights: Rights,
        budget: Budget,
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

/// The Senders announced to one peer.
#[derive(Debug)]
pub(super) struct Subscriptions {
    /// By id, ascending: ids count up and are never used again.
    entries: Vec<Subscription>,
    by_receiver: HashMap<ReceiverKey, SenderId, FixedState>,
    last: u32,
}

impl Subscriptions {
    fn new(hasher: FixedState) -> Self {
        Self { entries: Vec::new(), by_receiver: HashMap::with_hasher(hasher), last: 0 }
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

    /// Ends the Sender of a Receiver that is gone.
    pub(super) fn remove(&mut self, receiver: ReceiverKey) -> Option<SenderId> {
        let id = self.by_receiver.remove(&receiver)?;
        if let Some(index) = self.position(id) {
            self.entries.remove(index);
        }
        Some(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.entries.iter()
    }

    fn position(&self, id: SenderId) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok()
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
        assert_eq!(subscriptions.remove(b), Some(SenderId(2)));
        assert_eq!(subscriptions.remove(b), None);
        assert_eq!(subscriptions.announce(c), SenderId(3));
        assert_eq!(subscriptions.get(SenderId(2)), None);
        assert_eq!(subscriptions.get(SenderId(3)).map(|s| s.receiver), Some(c));
        assert_eq!(subscriptions.id_of(a), Some(SenderId(1)));
    }
}
