//! What is counted of connections, and given back however they end.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use super::live::Live;
use super::mailbox::Place;
use super::state::Shard;
use crate::cluster::{Addresses, Network};
use crate::types::{Refusal, ShardId};

/// Connections of a shard that are no WebSockets (yet).
#[derive(Debug, Default)]
pub(super) struct Visits {
    count: Cell<u32>,
    /// Those of them that do not come from where any number may.
    addresses: RefCell<Addresses>,
}

/// One of them.
pub(super) struct Visit {
    visits: Rc<Visits>,
    address: Option<Network>,
}

impl Visits {
    /// One more, from this address.
    pub(super) fn begin(self: &Rc<Self>, live: &Live, from: IpAddr) -> Result<Visit, Refusal> {
        if self.count.get() >= live.limits.visitors {
            return Err(Refusal::Visitors);
        }
        let address = Some(from).filter(|&from| !live.exempts(from)).map(Network::of);
        if let Some(address) = address {
            self.addresses.borrow_mut().enter(address, live.limits.connections_per_address)?;
        }
        self.count.set(self.count.get() + 1);
        Ok(Visit { visits: Rc::clone(self), address })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visits.count.set(self.visits.count.get() - 1);
        if let Some(address) = self.address {
            self.visits.addresses.borrow_mut().leave(address);
        }
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
