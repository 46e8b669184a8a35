//! What shards ask each other: where a connection may go, and what they have to report.

use super::Shard;
use crate::cluster::{Rate, home};
use crate::shard::mailbox::{Answer, Mail, Place, Question};
use crate::types::limit::{ADDRESS_BURST, ROOM_BURST};
use crate::types::{Refusal, ShardId, ShardStats};

impl Shard {
    /// Sends to another shard; gives the mail back if there is no room for it.
    pub(in crate::shard) fn post(&self, to: ShardId, mail: Mail) -> Result<(), Mail> {
        self.mailbox.post(to, mail)
    }

    /// Counts a connection at a place and says who owns the room; refused when there may be no more
    /// or the shard that knows is too busy. Whoever calls returns the count with
    /// [`Shard::release`].
    pub(in crate::shard) async fn place(
        &self,
        place: Place,
        exempt: bool,
    ) -> Result<ShardId, Refusal> {
        let home = self.home(&place);
        if home == self.id {
            return self.count(&place, exempt);
        }
        match self.mailbox.ask(home, Question::Place { place, exempt }).await {
            Some(Answer::Placed(_, owner)) => owner,
            _ => Err(Refusal::Unanswered),
        }
    }

    /// Counts a connection at a place that this shard knows of.
    fn count(&self, place: &Place, exempt: bool) -> Result<ShardId, Refusal> {
        let (limits, now) = (self.live.borrow().limits, self.clock.now());
        match place {
            Place::Room(room) => {
                let rate = Rate { per_second: limits.openings_per_room, burst: ROOM_BURST };
                let mut rooms = self.openings_by_room.borrow_mut();
                if !exempt && !rooms.take(now, room.as_str().into(), rate) {
                    return Err(Refusal::Openings);
                }
                self.directory.borrow_mut().place(room)
            }
            Place::Address(address) => {
                let mut addresses = self.addresses.borrow_mut();
                addresses.enter(*address, limits.connections_per_address)?;
                let rate = Rate { per_second: limits.openings_per_address, burst: ADDRESS_BURST };
                if !exempt && !self.openings_by_address.borrow_mut().take(now, *address, rate) {
                    addresses.leave(*address);
                    return Err(Refusal::Openings);
                }
                Ok(self.id)
            }
            Place::Media(address) => {
                let mut addresses = self.media_addresses.borrow_mut();
                addresses.enter(*address, limits.connections_per_address).map(|()| self.id)
            }
        }
    }

    /// Returns the count that [`Shard::place`] took.
    pub(in crate::shard) fn release(&self, place: Place) {
        let home = self.home(&place);
        if home != self.id {
            // Refused only when the other shard has ended, and then what it counts has too.
            let _ = self.post(home, Mail::Release(place));
            return;
        }
        match place {
            Place::Room(room) => self.directory.borrow_mut().release(&room),
            Place::Address(address) => self.addresses.borrow_mut().leave(address),
            Place::Media(address) => self.media_addresses.borrow_mut().leave(address),
        }
    }

    fn home(&self, place: &Place) -> ShardId {
        let (shards, seed) = (self.common.shards, self.common.directory_seed);
        match place {
            Place::Room(room) => home(room, shards, seed),
            Place::Address(address) | Place::Media(address) => home(address, shards, seed),
        }
    }

    /// The counters of all shards that answer in time.
    pub(in crate::shard) async fn stats_of_all(&self) -> Vec<(ShardId, ShardStats)> {
        let mut all = Vec::with_capacity(self.common.shards);
        for shard in (0..self.common.shards).map(|shard| ShardId(shard as u8)) {
            if shard == self.id {
                all.push((shard, self.stats()));
            } else if let Some(Answer::Stats(stats)) =
                self.mailbox.ask(shard, Question::Stats).await
            {
                all.push((shard, *stats));
            }
        }
        all
    }

    /// All rooms, as JSON.
    pub(in crate::shard) async fn rooms_of_all(&self) -> String {
        let reports = self.reports(Question::Rooms).await;
        format!("{{\"rooms\":[{}]}}", reports.join(","))
    }

    /// What whichever shard has that room, or peer, answers.
    pub(in crate::shard) async fn report(&self, question: Question) -> Option<String> {
        self.reports(question).await.pop()
    }

    /// What the shards say to this question that is answered with a report, those that say
    /// something in time.
    async fn reports(&self, question: Question) -> Vec<String> {
        let mut reports = Vec::new();
        for shard in (0..self.common.shards).map(|shard| ShardId(shard as u8)) {
            let question = question.clone();
            let answer = match shard == self.id {
                true => Some(self.answer_to(question)),
                false => self.mailbox.ask(shard, question).await,
            };
            if let Some(Answer::Report(Some(report))) = answer {
                reports.push(report);
            }
        }
        reports
    }

    /// Answers a question of another shard.
    pub(in crate::shard) fn answer(&self, from: ShardId, number: u64, question: Question) {
        // Refused only when the asker has ended.
        let _ = self.post(from, Mail::Answer(number, self.answer_to(question)));
    }

    fn answer_to(&self, question: Question) -> Answer {
        match question {
            Question::Place { place, exempt } => {
                let owner = self.count(&place, exempt);
                Answer::Placed(place, owner)
            }
            Question::Stats => Answer::Stats(Box::new(self.stats())),
            Question::Rooms => Answer::Report(self.rooms()),
            Question::Room(room) => {
                let core = self.core.borrow();
                let report = core.router.room_report(&room);
                Answer::Report(report.and_then(|report| serde_json::to_string(&report).ok()))
            }
            Question::End(room) => {
                let peers = self.with(|router, _, out| router.end_room(&room, out));
                Answer::Report(peers.map(|peers| format!("{{\"peers\":{peers}}}")))
            }
            Question::Kick(room, peer) => {
                let was_there = self.with(|router, _, out| router.kick(&room, &peer, out));
                Answer::Report(was_there.then(|| "{\"peers\":1}".to_owned()))
            }
        }
    }

    /// A list, as JSON without its brackets, of this shard's rooms.
    fn rooms(&self) -> Option<String> {
        let core = self.core.borrow();
        let rooms = core.router.room_summaries();
        let rooms = rooms.iter().map(|room| serde_json::to_string(room).unwrap_or_default());
        let rooms: Vec<_> = rooms.collect();
        (!rooms.is_empty()).then(|| rooms.join(","))
    }

    /// Takes an answer. A place that nobody waits for any more is given back.
    pub(in crate::shard) fn answered(&self, number: u64, answer: Answer) {
        if let Err(Answer::Placed(place, Ok(_))) = self.mailbox.answered(number, answer) {
            self.release(place);
        }
    }
}
