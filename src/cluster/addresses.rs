//! How many connections each client's network has. Cut in as many parts as there are shards, like
//! the directory of rooms; or one shard's own count. Sans-IO.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;

use super::Network;
use crate::types::Refusal;

/// Counts connections by network; what has none costs nothing.
#[derive(Debug, Default)]
pub struct Addresses(HashMap<Network, u32, RandomState>);

impl Addresses {
    /// Counts one connection more, unless there are `max` already.
    pub fn enter(&mut self, network: Network, max: u32) -> Result<(), Refusal> {
        let count = self.0.get(&network).copied().unwrap_or(0);
        if count >= max {
            return Err(Refusal::Connections);
        }
        self.0.insert(network, count + 1);
        Ok(())
    }

    /// Counts one less that [`Addresses::enter`] has counted.
    pub fn leave(&mut self, network: Network) {
        let Entry::Occupied(mut entry) = self.0.entry(network) else {
            debug_assert!(false, "left without having entered");
            return;
        };
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_share_and_no_more() {
        let mut addresses = Addresses::default();
        let [a, b] = ["192.0.2.1", "::1"].map(|text| Network::of(text.parse().unwrap()));
        addresses.enter(a, 2).unwrap();
        addresses.enter(a, 2).unwrap();
        assert_eq!(addresses.enter(a, 2), Err(Refusal::Connections));
        addresses.enter(b, 2).unwrap();
        addresses.leave(a);
        addresses.enter(a, 2).unwrap();
        for network in [a, a, b] {
            addresses.leave(network);
        }
        assert!(addresses.0.is_empty());
    }
}
