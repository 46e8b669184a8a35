//! The peers that are there for a whole step: rooms that grow and shrink with the load.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use futures_util::StreamExt;
use futures_util::stream;

use super::stage::{Member, Patterns, Room, Stage};
use crate::measures::Population;
use crate::progress::Progress;
use crate::scenario::{Group, Scenario};

/// All rooms of a scenario.
pub struct Crowd {
    stage: Arc<Stage>,
    scenario: Scenario,
    /// By group.
    groups: Vec<Vec<Occupied>>,
    patterns: Vec<Patterns>,
}

/// A room with those who stay.
struct Occupied {
    room: Arc<Room>,
    senders: Vec<Arc<Member>>,
    receivers: Vec<Arc<Member>>,
}

impl Crowd {
    /// Nobody yet.
    ///
    /// # Errors
    /// A trace cannot be read.
    pub fn new(stage: Arc<Stage>, scenario: &Scenario) -> anyhow::Result<Self> {
        let patterns: anyhow::Result<_> = scenario.groups.iter().map(Patterns::of).collect();
        let groups = scenario.groups.iter().map(|_| Vec::new()).collect();
        Ok(Self { stage, scenario: scenario.clone(), groups, patterns: patterns? })
    }

    /// All rooms.
    pub fn rooms(&self) -> Vec<Arc<Room>> {
        self.groups.iter().flatten().map(|occupied| Arc::clone(&occupied.room)).collect()
    }

    /// Who is there to stay.
    pub fn population(&self) -> Population {
        let rooms = || self.groups.iter().flatten();
        Population {
            rooms: rooms().count(),
            peers: rooms().map(|it| it.senders.len() + it.receivers.len()).sum(),
            ..Population::default()
        }
    }

    /// Makes the rooms as large and as many as the load wants.
    ///
    /// # Errors
    /// Most of those who should join cannot.
    pub async fn resize(&mut self, load: f64, progress: &Progress) -> anyhow::Result<()> {
        let wanted = self.scenario.at(load);
        for (rooms, group) in self.groups.iter_mut().zip(&wanted) {
            while rooms.len() > group.rooms
                && let Some(occupied) = rooms.pop()
            {
                occupied.clear(&self.stage).await;
            }
            for occupied in rooms.iter_mut() {
                while occupied.receivers.len() > group.receivers
                    && let Some(member) = occupied.receivers.pop()
                {
                    self.stage.leave(&occupied.room, &member).await;
                }
            }
        }
        let here = self.population().peers;
        progress.joining(self.scenario.peers_at(load) - here);
        for (index, group) in wanted.iter().enumerate() {
            while self.groups[index].len() < group.rooms {
                let name = self.stage.name(&format!("{}-", group.name));
                let room = Room::new(name, self.patterns[index].clone(), group.senders_receive);
                let room = Arc::new(room);
                self.groups[index].push(Occupied {
                    room,
                    senders: Vec::new(),
                    receivers: Vec::new(),
                });
            }
        }
        self.fill(&wanted, progress).await
    }

    /// First all who send, so that everybody who receives finds them there.
    async fn fill(&mut self, wanted: &[Group], progress: &Progress) -> anyhow::Result<()> {
        let (stage, at_once) = (Arc::clone(&self.stage), self.scenario.joins_at_once);
        let mut failed = 0;
        for sends in [true, false] {
            let places = self.places(wanted, sends);
            let entering = places.into_iter().map(|place| stage.arrive(place, sends));
            let entered: Vec<_> = stream::iter(entering).buffer_unordered(at_once).collect().await;
            let settling = entered.into_iter().map(|arrival| stage.settle(arrival, sends));
            let mut settled = stream::iter(settling).buffer_unordered(at_once);
            let (mut joined, mut here) = (0, Vec::new());
            while let Some(result) = settled.next().await {
                progress.joined();
                joined += 1;
                match result {
                    Ok(one) => here.push(one),
                    Err(error) => {
                        failed += 1;
                        stage.record.failed(&error);
                        ensure!(2 * failed <= joined + 20, "most cannot join: {error:#}");
                    }
                }
            }
            drop(settled);
            for (place, member) in here {
                let occupied = &mut self.groups[place.group][place.index];
                let list = if sends { &mut occupied.senders } else { &mut occupied.receivers };
                list.push(member);
            }
        }
        Ok(())
    }

    /// One for each peer that is missing.
    fn places(&self, wanted: &[Group], sends: bool) -> Vec<Place> {
        let mut places = Vec::new();
        for (group, (wanted, rooms)) in wanted.iter().zip(&self.groups).enumerate() {
            for (index, occupied) in rooms.iter().enumerate() {
                let missing = match sends {
                    true => wanted.senders.saturating_sub(occupied.senders.len()),
                    false => wanted.receivers.saturating_sub(occupied.receivers.len()),
                };
                let place = Place { group, index, room: Arc::clone(&occupied.room) };
                places.extend(std::iter::repeat_n(place, missing));
            }
        }
        places
    }

    /// Everybody leaves.
    pub async fn clear(&mut self) {
        let rooms = self.groups.iter_mut().flat_map(std::mem::take);
        let stage = &self.stage;
        let leaving = rooms.map(|occupied| async move { occupied.clear(stage).await });
        stream::iter(leaving).buffer_unordered(16).collect::<Vec<()>>().await;
    }
}

/// Where somebody is missing.
#[derive(Clone)]
struct Place {
    group: usize,
    index: usize,
    room: Arc<Room>,
}

/// Somebody who has entered, or could not.
struct Arrival {
    place: Place,
    began: Instant,
    member: anyhow::Result<Arc<Member>>,
}

impl Stage {
    async fn arrive(&self, place: Place, sends: bool) -> Arrival {
        let began = Instant::now();
        let member = self.enter(&place.room, sends).await;
        Arrival { place, began, member }
    }

    async fn settle(&self, arrival: Arrival, sends: bool) -> anyhow::Result<(Place, Arc<Member>)> {
        let Arrival { place, began, member } = arrival;
        let member = member?;
        if (!sends || place.room.senders_receive)
            && let Err(error) = self.receive(&place.room, &member).await
        {
            self.leave(&place.room, &member).await;
            return Err(error);
        }
        self.record.joined(began.elapsed().as_nanos() as u64);
        Ok((place, member))
    }
}

impl Occupied {
    async fn clear(self, stage: &Stage) {
        for member in self.receivers.iter().chain(&self.senders) {
            stage.leave(&self.room, member).await;
        }
    }
}
