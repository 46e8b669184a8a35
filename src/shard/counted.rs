//! What is counted of connections, and given back however they end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use glommio::sync::Semaphore;

use super::live::Live;
use super::mailbox::Place;
use super::state::Shard;
use crate::cluster::{Network, Visitors};
use crate::types::{Refusal, ShardId, Timestamp};

/// Connections of a shard that are no WebSockets (yet).
#[derive(Debug, Default)]
pub(super) struct Visits {
    visitors: RefCell<Visitors>,
    /// Of each a semaphore that never has a permit; closed when its visitor has to go.
    doors: RefCell<HashMap<u64, Rc<Semaphore>>>,
}

/// One of them.
pub(super) struct Visit {
    visits: Rc<Visits>,
    number: u64,
    door: Rc<Semaphore>,
    /// It is not counted by where it comes from.
    exempt: bool,
}

impl Visits {
    /// One more, from this address.
    pub(super) fn begin(
        self: &Rc<Self>,
        now: Timestamp,
        live: &Live,
        from: IpAddr,
    ) -> Result<Visit, Refusal> {
        let exempt = live.exempts(from);
        let mut visitors = self.visitors.borrow_mut();
        let entered = visitors.enter(now, Network::of(from), exempt, &live.limits)?;
        let (number, door) = (entered.number, Rc::new(Semaphore::new(0)));
        let mut doors = self.doors.borrow_mut();
        doors.insert(number, Rc::clone(&door));
        if let Some(other) = entered.shown_out.and_then(|number| doors.remove(&number)) {
            other.close();
        }
        Ok(Visit { visits: Rc::clone(self), number, door, exempt })
    }
}

impl Visit {
    /// Resolves when this one has to go, for somebody else.
    pub(super) async fn shown_out(&self) {
        let _ = self.door.acquire(1).await;
    }

    /// What it wants is known: it is not shown out any more.
    pub(super) fn heard(&self) {
        self.visits.visitors.borrow_mut().heard(self.number);
    }

    /// Whether it may be served, where it turns out whom it is counted by: a proxy may have brought
    /// it. `None`: by nobody.
    pub(super) fn pass(
        &self,
        now: Timestamp,
        live: &Live,
        counted_by: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        match counted_by.filter(|_| self.exempt) {
            Some(address) => {
                self.visits.visitors.borrow_mut().pass(now, Network::of(address), &live.limits)
            }
            None => Ok(()),
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visits.visitors.borrow_mut().leave(self.number);
        self.visits.doors.borrow_mut().remove(&self.number);
    }
}

/// The count of one connection at a place, returned when this is dropped.
pub(super) struct Lease {
    shard: Rc<Shard>,
    place: Option<Place>,
}

impl Lease {
    /// Asks the shard that counts there; with the lease comes who owns the room.
    pub(super) async fn take(
        shard: &Rc<Shard>,
        place: Place,
        exempt: bool,
    ) -> Result<(ShardId, Self), Refusal> {
        let owner = shard.place(place.clone(), exempt).await?;
        Ok((owner, Self::adopt(shard, place)))
    }

    /// The lease of a connection that another shard has handed over.
    pub(super) fn adopt(shard: &Rc<Shard>, place: Place) -> Self {
        Self { shard: Rc::clone(shard), place: Some(place) }
    }

    /// It is another shard's now.
    pub(super) fn hand_over(mut self) {
        self.place = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.shard.release(place);
        }
    }
}
