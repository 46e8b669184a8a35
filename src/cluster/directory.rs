//! The directory of rooms, cut in as many parts as there are shards: the part of shard
//! [`home`]`(room)` knows where that room lives. Sans-IO; the shard that holds the part calls it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::{FixedState, RandomState};

use crate::types::{Load, Refusal, ShardId};

/// The shard that counts the connections of a room, or of an address; the same on every shard of a
/// process.
pub fn home(key: impl Hash, shards: usize, seed: u64) -> ShardId {
    let hash = FixedState::with_seed(seed).hash_one(key);
    ShardId((hash % shards as u64) as u8)
}

/// One shard's part of the directory.
///
/// [`Directory::place`] is called once for each connection and [`Directory::release`] once for
/// each that was placed. Between the two the room stays where it is.
#[derive(Debug)]
pub struct Directory {
    own: ShardId,
    rooms_max: usize,
    rooms: HashMap<Box<str>, Room, RandomState>,
    /// What each shard last said, and among the peers what has been placed and released here since.
    loads: Vec<Load>,
    /// Where the search for the least busy shard starts, so that equals take turns.
    turn: usize,
    /// No new rooms.
    closed: bool,
}

#[derive(Debug)]
struct Room {
    owner: ShardId,
    /// Never zero.
    connections: usize,
}

impl Directory {
    /// The empty part of shard `own` among `shards`, for at most `rooms_max` rooms in all parts.
    pub fn new(own: ShardId, shards: usize, rooms_max: usize) -> Self {
        Self {
            own,
            rooms_max,
            rooms: HashMap::default(),
            loads: vec![Load::default(); shards],
            turn: 0,
            closed: false,
        }
    }

    /// Counts one more connection to `room` and says which shard owns it: the least busy one if
    /// this is the first. Refused, and not counted, where a new room would have to be made and
    /// cannot.
    pub fn place(&mut self, room: &str) -> Result<ShardId, Refusal> {
        let owner = match self.rooms.get_mut(room) {
            Some(entry) => {
                entry.connections += 1;
                entry.owner
            }
            None => {
                let owner = self.choose()?;
                let entry = Room { owner, connections: 1 };
                self.rooms.insert(room.into(), entry);
                owner
            }
        };
        self.loads[usize::from(owner.0)].peers += 1;
        Ok(owner)
    }

    /// Counts one connection less; the entry goes with the last. The owner has forgotten that
    /// connection's peer before this is called.
    pub fn release(&mut self, room: &str) {
        let Entry::Occupied(mut entry) = self.rooms.entry(room.into()) else {
            debug_assert!(false, "a release without a place");
            return;
        };
        // A shard publishes changes only: one whose visitors come and go between two of its looks
        // must not seem busier with each.
        let peers = &mut self.loads[usize::from(entry.get().owner.0)].peers;
        *peers = peers.saturating_sub(1);
        entry.get_mut().connections -= 1;
        if entry.get().connections == 0 {
            entry.remove();
        }
    }

    /// A shard says how it stands.
    pub fn publish(&mut self, shard: ShardId, load: Load) {
        self.loads[usize::from(shard.0)] = load;
    }

    /// Whether no shard takes a new room.
    pub fn is_full(&self) -> bool {
        self.loads.iter().all(|load| load.full)
    }

    /// Another bound of the rooms in all parts.
    pub fn set_rooms_max(&mut self, rooms_max: usize) {
        self.rooms_max = rooms_max;
    }

    /// From now on no new rooms are placed.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Rooms with an entry.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// The least busy shard that is not full. How busy their threads are counts more than how many
    /// peers they have: a hundred who watch each other are more work than a hundred who wait.
    fn choose(&mut self) -> Result<ShardId, Refusal> {
        if self.closed {
            return Err(Refusal::Draining);
        }
        // Of the other parts what they last said: it may be exceeded by what a moment brings.
        let others = (0..).zip(&self.loads).filter(|(shard, _)| *shard != self.own.0);
        let others: usize = others.map(|(_, load)| load.rooms).sum();
        if self.rooms.len() + others >= self.rooms_max {
            return Err(Refusal::Rooms);
        }
        let shards = self.loads.len();
        let turns = (0..shards).map(|i| (self.turn + i) % shards);
        let open = turns.filter(|&shard| !self.loads[shard].full);
        let rank = |shard: &usize| (self.loads[*shard].strain, self.loads[*shard].peers);
        let shard = open.min_by_key(rank).ok_or(Refusal::Full)?;
        self.turn = (shard + 1) % shards;
        Ok(ShardId(shard as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(shards: usize) -> Directory {
        Directory::new(ShardId(0), shards, 1000)
    }

    fn peers(peers: u64) -> Load {
        Load { peers, ..Load::default() }
    }

    #[test]
    fn a_room_stays_until_its_last_connection() {
        let mut directory = directory(2);
        let owner = directory.place("a").unwrap();
        for _ in 0..9 {
            assert_eq!(directory.place("a"), Ok(owner));
        }
        for _ in 0..9 {
            directory.release("a");
        }
        assert_eq!(directory.place("a"), Ok(owner));
        directory.release("a");
        assert_eq!(directory.rooms(), 1);
        directory.release("a");
        assert_eq!(directory.rooms(), 0);
    }

    #[test]
    fn rooms_go_where_fewest_are() {
        let mut directory = directory(3);
        directory.publish(ShardId(0), peers(5));
        directory.publish(ShardId(1), peers(1));
        directory.publish(ShardId(2), peers(3));
        let owners: Vec<_> = (0..6).map(|i| directory.place(&i.to_string()).unwrap().0).collect();
        let count = |shard| owners.iter().filter(|&&owner| owner == shard).count();
        assert_eq!((count(0), count(1), count(2)), (0, 4, 2));
    }

    #[test]
    fn a_busy_shard_is_avoided_and_a_full_one_gets_nothing() {
        let mut directory = directory(3);
        directory.publish(ShardId(0), Load { strain: 1, ..peers(0) });
        directory.publish(ShardId(1), Load { full: true, ..peers(0) });
        directory.publish(ShardId(2), peers(100));
        let place = |directory: &mut Directory, room| directory.place(room).map(|owner| owner.0);
        assert_eq!(place(&mut directory, "a"), Ok(2));
        assert_eq!(place(&mut directory, "b"), Ok(2));
        directory.publish(ShardId(2), Load { full: true, ..peers(100) });
        assert_eq!(place(&mut directory, "c"), Ok(0));
        directory.publish(ShardId(0), Load { full: true, ..peers(0) });
        assert!(directory.is_full());
        assert_eq!(place(&mut directory, "d"), Err(Refusal::Full));
        assert_eq!(directory.rooms(), 3, "what was refused is not counted");
        assert_eq!(place(&mut directory, "a"), Ok(2), "where it is, it stays");
    }

    #[test]
    fn a_closed_directory_keeps_what_it_has() {
        let mut directory = directory(1);
        directory.place("a").unwrap();
        directory.close();
        assert_eq!(directory.place("b"), Err(Refusal::Draining));
        assert_eq!(directory.place("a"), Ok(ShardId(0)));
        directory.release("a");
        directory.release("a");
        assert_eq!(directory.rooms(), 0);
        assert_eq!(directory.place("a"), Err(Refusal::Draining));
    }

    #[test]
    fn a_connection_that_is_gone_weighs_nothing() {
        let mut directory = directory(2);
        let owner = directory.place("restless");
        for _ in 0..100 {
            directory.place("restless").unwrap();
            directory.release("restless");
        }
        // Nobody has published anything: as many peers as before when it looked.
        let others: Vec<_> = (0..3).map(|i| directory.place(&i.to_string())).collect();
        assert!(others.contains(&owner), "{others:?} and {owner:?}");
    }

    #[test]
    fn equals_take_turns() {
        let mut directory = directory(2);
        for i in 0..10 {
            let owner = directory.place(&i.to_string()).unwrap();
            directory.publish(owner, peers(0));
            assert_eq!(owner, ShardId(i % 2));
        }
    }

    #[test]
    fn every_shard_is_home_to_some_rooms() {
        let homes: Vec<_> = (0..64).map(|i| home(i.to_string(), 4, 7).0).collect();
        for shard in 0..4 {
            assert!(homes.contains(&shard), "{homes:?}");
        }
    }

    #[test]
    fn rooms_of_all_parts_count() {
        let mut directory = Directory::new(ShardId(1), 2, 3);
        directory.publish(ShardId(0), Load { rooms: 1, ..Load::default() });
        directory.publish(ShardId(1), Load { rooms: 1000, ..Load::default() });
        directory.place("a").unwrap();
        directory.place("b").unwrap();
        assert_eq!(directory.place("c"), Err(Refusal::Rooms));
        directory.place("a").expect("a room that is there");
        directory.release("b");
        directory.place("c").unwrap();
        directory.set_rooms_max(4);
        directory.place("d").unwrap();
    }
}
