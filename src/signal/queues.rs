//! What the queues of a shard's clients hold, all together.

use std::cell::Cell;
use std::cmp::Reverse;
use std::rc::Rc;

use super::Outgoing;

/// The bound of all queues of a shard.
#[derive(Debug)]
pub struct Queues {
    /// Bytes that are queued; what several queues share counts for each of them.
    queued: Rc<Cell<usize>>,
    /// Bytes of memory that they may hold.
    most: usize,
    /// How many bytes may be queued before it is worth to look what memory they really take.
    look_at: usize,
}

impl Queues {
    /// None yet; they may hold `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { queued: Rc::default(), most, look_at: most }
    }

    /// A queue for one more client.
    pub fn queue(&self) -> Rc<Outgoing> {
        Rc::new(Outgoing::counted_in(&self.queued))
    }

    /// Sees to it that `queues`, all of them, hold no more than they may: those are given up that
    /// hold most. To be called now and then; looking takes time in proportion to what is queued, so
    /// it is done again only when that has grown by a quarter.
    pub fn relieve<'a>(&mut self, queues: impl Iterator<Item = &'a Rc<Outgoing>>) {
        if self.queued.get() > self.look_at {
            self.give_up_the_largest(queues);
            self.look_at = usize::MAX;
        }
        self.look_at = self.look_at.min((self.queued.get() / 4 * 5).max(self.most));
    }

    fn give_up_the_largest<'a>(&self, queues: impl Iterator<Item = &'a Rc<Outgoing>>) {
        let mut queues: Vec<_> = queues.map(|queue| (queue.held(), queue)).collect();
        queues.sort_unstable_by_key(|(held, _)| Reverse(*held));
        let mut all: usize = queues.iter().map(|(held, _)| held).sum();
        for (held, queue) in queues {
            if all <= self.most {
                break;
            }
            queue.give_up();
            all -= held;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::Message;
    use crate::signal::Close;

    fn given_up(queues: &[Rc<Outgoing>]) -> Vec<usize> {
        let closed = queues.iter().map(|queue| queue.closing() == Some(Close::SLOW));
        (0..).zip(closed).filter_map(|(index, closed)| closed.then_some(index)).collect()
    }

    #[test]
    fn whoever_holds_most_makes_room_for_the_others() {
        let mut queues = Queues::new(10_000);
        let clients: Vec<_> = (0..4).map(|_| queues.queue()).collect();
        for (client, bytes) in clients.iter().zip([3000, 4000, 1000, 2000]) {
            client.push("x".repeat(bytes).into());
        }
        queues.relieve(clients.iter());
        assert_eq!(given_up(&clients), [0; 0]);
        clients[2].push("x".to_owned().into());
        queues.relieve(clients.iter());
        assert_eq!(given_up(&clients), [1]);
        clients[0].push("x".repeat(5000).into());
        queues.relieve(clients.iter());
        assert_eq!(given_up(&clients), [0, 1]);
    }

    #[test]
    fn what_they_share_counts_once() {
        let mut queues = Queues::new(20_000);
        let clients: Vec<_> = (0..50).map(|_| queues.queue()).collect();
        for _ in 0..5 {
            let body: Arc<str> = "x".repeat(1000).into();
            clients.iter().for_each(|client| client.push(Message::from(&body)));
            queues.relieve(clients.iter());
        }
        assert_eq!((queues.queued.get(), given_up(&clients)), (250_000, vec![]));
        // One has been told something else, at length.
        clients[7].push("x".repeat(11_000).into());
        queues.look_at = 0;
        queues.relieve(clients.iter());
        assert_eq!(given_up(&clients), [7]);
    }

    #[test]
    fn it_looks_again_when_there_is_more_and_not_before() {
        let mut queues = Queues::new(1000);
        let client = queues.queue();
        let body: Arc<str> = "x".repeat(900).into();
        client.push(Message::from(&body));
        client.push(Message::from(&body));
        let looks = |queues: &mut Queues| {
            let looked = Cell::new(false);
            queues.relieve([&client].into_iter().inspect(|_| looked.set(true)));
            looked.get()
        };
        assert!(looks(&mut queues));
        assert!(!looks(&mut queues), "nothing has changed");
        client.push(Message::from(&body));
        assert!(looks(&mut queues));
        while client.next(1000).is_some() {}
        assert!(!looks(&mut queues));
        client.push(Message::from(&body));
        client.push(Message::from(&body));
        assert!(looks(&mut queues), "it was less meanwhile");
    }
}
