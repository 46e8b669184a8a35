//! Events that wait to be told, so many and no more, in the order in which they happened. Where one
//! is too many, the room loses one that has most of them: what happens in one room, again and
//! again, costs no other room its few. Sans-IO.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Notice;

/// What waits.
#[derive(Debug)]
pub struct Waiting {
    max: usize,
    /// By number, and so in their order.
    events: BTreeMap<u64, Notice>,
    last: u64,
    /// The numbers of each room's; never none.
    rooms: HashMap<Arc<str>, VecDeque<u64>, RandomState>,
    /// The same rooms by how many that are.
    by_count: BTreeSet<(usize, Arc<str>)>,
}

impl Waiting {
    /// Nothing, and room for `max`.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            events: BTreeMap::new(),
            last: 0,
            rooms: HashMap::default(),
            by_count: BTreeSet::new(),
        }
    }

    /// One more. False if one is lost for it: the newest of the room with the most.
    pub fn push(&mut self, notice: Notice) -> bool {
        let own = self.rooms.get(&*notice.room).map_or(0, VecDeque::len);
        let full = self.events.len() >= self.max;
        if full {
            match self.by_count.last() {
                Some((most, room)) if *most > own => {
                    let room = Arc::clone(room);
                    let newest = self.change(&room, VecDeque::pop_back);
                    newest.and_then(|number| self.events.remove(&number));
                }
                _ => return false,
            }
        }
        self.last += 1;
        let (number, room) = (self.last, Arc::from(&*notice.room));
        self.events.insert(number, notice);
        self.change(&room, |numbers| numbers.push_back(number));
        !full
    }

    /// The oldest.
    pub fn pop(&mut self) -> Option<Notice> {
        let (_, notice) = self.events.pop_first()?;
        // What of a room is lost is its newest, so that its first is the oldest that is left.
        self.change(&Arc::from(&*notice.room), VecDeque::pop_front);
        Some(notice)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn change<R>(&mut self, room: &Arc<str>, how: impl FnOnce(&mut VecDeque<u64>) -> R) -> R {
        let (name, mut numbers) = match self.rooms.remove_entry(room) {
            Some((name, numbers)) => (name, numbers),
            None => (Arc::clone(room), VecDeque::new()),
        };
        self.by_count.remove(&(numbers.len(), Arc::clone(&name)));
        let result = how(&mut numbers);
        if !numbers.is_empty() {
            self.by_count.insert((numbers.len(), Arc::clone(&name)));
            self.rooms.insert(name, numbers);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::http::webhook::NoticeKind;

    /// Something in that room; which one it is, is its time.
    fn notice(room: &str, which: u64) -> Notice {
        let (room, at) = (room.into(), Duration::from_secs(which));
        Notice { kind: NoticeKind::PeerJoined, at, room, peer: None, reason: None }
    }

    fn rest(waiting: &mut Waiting) -> Vec<(String, u64)> {
        let told = std::iter::from_fn(|| waiting.pop());
        told.map(|notice| (notice.room.to_string(), notice.at.as_secs())).collect()
    }

    #[test]
    fn one_rooms_many_cost_no_other_room_its_few() {
        let mut waiting = Waiting::new(10);
        assert!(waiting.push(notice("quiet", 0)));
        let kept = (1..100).filter(|which| waiting.push(notice("restless", *which))).count();
        assert_eq!(kept, 9);
        for which in 100..104 {
            assert!(!waiting.push(notice("quiet", which)), "one is lost, but not this");
        }
        let of = |room: &str, which| (room.to_owned(), which);
        let restless = (1..6).map(|which| of("restless", which));
        let quiet = (100..104).map(|which| of("quiet", which));
        let wished: Vec<_> = [of("quiet", 0)].into_iter().chain(restless).chain(quiet).collect();
        assert_eq!(rest(&mut waiting), wished);
        assert!(waiting.rooms.is_empty() && waiting.by_count.is_empty());
    }

    proptest! {
        #[test]
        fn all_are_told_or_lost_in_order_and_by_whom_has_most(
            steps in proptest::collection::vec((0..8_u8, 0..4_u8), 0..400),
        ) {
            let mut waiting = Waiting::new(12);
            let (mut lost, mut told, mut pushed) = (0, Vec::new(), 0);
            for (which, (room, step)) in (0..).zip(steps) {
                // In one room more happens than in all others.
                let room = room.saturating_sub(4).to_string();
                if step == 0 {
                    told.extend(waiting.pop());
                } else {
                    let most = waiting.by_count.last().map_or(0, |(most, _)| *most);
                    let count = |waiting: &Waiting| waiting.rooms.get(&*room).map(VecDeque::len);
                    let own = |waiting: &Waiting| count(waiting).unwrap_or(0);
                    let before = own(&waiting);
                    pushed += 1;
                    lost += usize::from(!waiting.push(notice(&room, which)));
                    prop_assert!(own(&waiting) == before + 1 || before == most);
                }
                prop_assert!(waiting.events.len() <= 12);
                let counts = waiting.rooms.values().map(VecDeque::len).sum::<usize>();
                prop_assert_eq!(counts, waiting.events.len());
                prop_assert_eq!(waiting.by_count.len(), waiting.rooms.len());
            }
            told.extend(std::iter::from_fn(|| waiting.pop()));
            prop_assert_eq!(told.len() + lost, pushed);
            let in_order = |pair: &[Notice]| pair[0].at < pair[1].at;
            prop_assert!(told.windows(2).all(in_order));
        }
    }
}
