//! Connections of a shard that are no WebSockets (yet): how many there are, where they come from,
//! how fast, and who goes when there are too many. Sans-IO; the shard closes whom this shows out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::{Addresses, Network, Rate, Rates};
use crate::types::limit::VISITS_BURST;
use crate::types::{Limits, Refusal, Timestamp};

/// One shard's. [`Visitors::enter`] is called once for each connection, [`Visitors::leave`] once
/// for each that was let in.
#[derive(Debug, Default)]
pub struct Visitors {
    /// By number, and so in the order in which they came.
    inside: BTreeMap<u64, Visitor>,
    last: u64,
    /// Of those that are counted by where they come from.
    addresses: Addresses,
    visits: Rates<Network>,
}

#[derive(Debug)]
struct Visitor {
    network: Network,
    /// Any number may come from there.
    exempt: bool,
    /// What it wants is not known yet.
    silent: bool,
}

/// Somebody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// Its number.
    pub number: u64,
    /// Who has to go for it; does not count any more.
    pub shown_out: Option<u64>,
}

impl Visitors {
    /// One more, from there. If there are as many as may be, the one of the silent goes that has
    /// been there longest, of the network that has most of them: who holds many connections and
    /// says nothing shuts out himself. Refused where nobody is silent.
    pub fn enter(
        &mut self,
        now: Timestamp,
        network: Network,
        exempt: bool,
        limits: &Limits,
    ) -> Result<Entered, Refusal> {
        if !exempt {
            self.pass(now, network, limits)?;
            self.addresses.enter(network, limits.connections_per_address)?;
        }
        let full = self.inside.len() >= limits.visitors as usize;
        let shown_out = full.then(|| self.most_idle()).flatten();
        if full && shown_out.is_none() {
            if !exempt {
                self.addresses.leave(network);
            }
            return Err(Refusal::Visitors);
        }
        if let Some(number) = shown_out {
            self.leave(number);
        }
        self.last += 1;
        self.inside.insert(self.last, Visitor { network, exempt, silent: true });
        Ok(Entered { number: self.last, shown_out })
    }

    /// Whether somebody from there, whom a proxy has sent perhaps, may be served once more now.
    pub fn pass(
        &mut self,
        now: Timestamp,
        network: Network,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let rate = Rate { per_second: limits.visits_per_address, burst: VISITS_BURST };
        self.visits.take(now, network, rate).then_some(()).ok_or(Refusal::Visits)
    }

    /// It has said what it wants.
    pub fn heard(&mut self, number: u64) {
        if let Some(visitor) = self.inside.get_mut(&number) {
            visitor.silent = false;
        }
    }

    /// It has gone, or is no visitor any more. Of those that were shown out nothing is left.
    pub fn leave(&mut self, number: u64) {
        if let Some(visitor) = self.inside.remove(&number)
            && !visitor.exempt
        {
            self.addresses.leave(visitor.network);
        }
    }

    /// A look at each, which happens only when the shard is full of them.
    fn most_idle(&self) -> Option<u64> {
        let mut networks: HashMap<Network, (usize, Reverse<u64>), RandomState> = HashMap::default();
        for (number, visitor) in self.inside.iter().filter(|(_, visitor)| visitor.silent) {
            networks.entry(visitor.network).or_insert((0, Reverse(*number))).0 += 1;
        }
        networks.into_values().max().map(|(_, Reverse(oldest))| oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        visitors: 4,
        connections_per_address: 3,
        visits_per_address: 2,
        ..Limits::DEFAULT
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1 + seconds * 1_000_000)
    }

    /// Of one visitor after the other: its number, who went for it.
    fn enter(visitors: &mut Visitors, from: &[&str]) -> Vec<Result<(u64, Option<u64>), Refusal>> {
        let each = from.iter().map(|from| {
            let network = Network::of(from.parse().unwrap());
            let entered = visitors.enter(at(0), network, false, &LIMITS);
            entered.map(|entered| (entered.number, entered.shown_out))
        });
        each.collect()
    }

    #[test]
    fn the_oldest_of_the_fullest_network_goes() {
        let mut visitors = Visitors::default();
        let found = enter(&mut visitors, &["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"]);
        assert_eq!(found, [Ok((1, None)), Ok((2, None)), Ok((3, None)), Ok((4, None))]);
        assert_eq!(enter(&mut visitors, &["192.0.2.3"]), [Ok((5, Some(2)))]);
        // Now there is one of each: the oldest goes.
        assert_eq!(enter(&mut visitors, &["192.0.2.4"]), [Ok((6, Some(1)))]);
        // The end of one that was shown out changes nothing.
        visitors.leave(2);
        assert_eq!(enter(&mut visitors, &["192.0.2.5"]), [Ok((7, Some(3)))]);
    }

    #[test]
    fn who_has_been_heard_stays() {
        let mut visitors = Visitors::default();
        let _ = enter(&mut visitors, &["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"]);
        (1..=3).for_each(|number| visitors.heard(number));
        assert_eq!(enter(&mut visitors, &["192.0.2.3"]), [Ok((5, Some(4)))]);
        visitors.heard(5);
        assert_eq!(enter(&mut visitors, &["192.0.2.4"]), [Err(Refusal::Visitors)]);
        // Who was refused is not counted.
        visitors.leave(1);
        assert_eq!(enter(&mut visitors, &["192.0.2.4"]), [Ok((6, None))]);
    }

    #[test]
    fn a_network_has_its_share_and_its_pace() {
        let mut visitors = Visitors::default();
        let from = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"];
        assert_eq!(enter(&mut visitors, &from)[3], Err(Refusal::Connections));
        let mut visitors = Visitors::default();
        let network = |text: &str| Network::of(text.parse().unwrap());
        let mut come = |seconds, from: &str, exempt| {
            let entered = visitors.enter(at(seconds), network(from), exempt, &LIMITS);
            entered.map(|entered| visitors.leave(entered.number))
        };
        // Ten seconds' worth at once, whichever address of the network it is.
        for i in 0..20 {
            come(0, &format!("2001:db8::{i}"), false).unwrap();
        }
        assert_eq!(come(0, "2001:db8::99", false), Err(Refusal::Visits));
        come(0, "2001:db8:0:1::", false).expect("another network");
        come(0, "2001:db8::99", true).expect("any number may come from there");
        come(1, "2001:db8::99", false).unwrap();
    }
}
