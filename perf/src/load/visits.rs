//! Those who come and go while a step is measured, and those who restart ICE.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::stage::{Room, Stage};
use crate::scenario::Churn;

/// Visits that are under way at most: a server that does not keep up is not buried.
const AT_ONCE: usize = 2000;

/// Coming and going; stops when dropped.
pub struct Visits {
    tasks: JoinSet<()>,
}

impl Visits {
    /// As `churn` wants, its rates times `load`, in turn over `rooms`.
    pub fn start(stage: &Arc<Stage>, rooms: &[Arc<Room>], churn: Churn, load: f64) -> Self {
        let mut tasks = JoinSet::new();
        if churn.joins_per_second > 0.0 && !rooms.is_empty() {
            let (stage, rooms) = (Arc::clone(stage), rooms.to_vec());
            let period = Duration::from_secs_f64(1.0 / (churn.joins_per_second * load));
            tasks.spawn(come_and_go(stage, rooms, churn, period));
        }
        if churn.restarts_per_second > 0.0 && !rooms.is_empty() {
            let (stage, rooms) = (Arc::clone(stage), rooms.to_vec());
            let period = Duration::from_secs_f64(1.0 / (churn.restarts_per_second * load));
            tasks.spawn(restart(stage, rooms, period));
        }
        Self { tasks }
    }

    /// Nobody comes any more; those who are there leave in time.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

/// At their times, whether those before have been served or not.
async fn come_and_go(stage: Arc<Stage>, rooms: Vec<Arc<Room>>, churn: Churn, period: Duration) {
    let mut visits = JoinSet::new();
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for room in rooms.iter().cycle() {
        ticks.tick().await;
        while visits.try_join_next().is_some() {}
        if visits.len() < AT_ONCE {
            visits.spawn(visit(Arc::clone(&stage), Arc::clone(room), churn));
        }
    }
}

async fn visit(stage: Arc<Stage>, room: Arc<Room>, churn: Churn) {
    let began = Instant::now();
    let member = match stage.enter(&room, churn.senders).await {
        Ok(member) => member,
        Err(error) => return stage.record.failed(&error),
    };
    // Should the visit be cut off, the peer is gone with it: a socket that drops.
    let mut settled = stage.receive(&room, &member).await;
    if settled.is_ok() && churn.senders {
        settled = stage.be_received(&room, &member).await;
    }
    match settled {
        Ok(()) => {
            stage.record.joined(began.elapsed().as_nanos() as u64);
            tokio::time::sleep(Duration::from_secs_f64(churn.stay_seconds)).await;
        }
        Err(error) => stage.record.failed(&error),
    }
    stage.leave(&room, &member).await;
}

async fn restart(stage: Arc<Stage>, rooms: Vec<Arc<Room>>, period: Duration) {
    let mut ticks = interval(period);
    for n in 0_usize.. {
        ticks.tick().await;
        let members = rooms[n % rooms.len()].members();
        if let Some(member) = members.get(n / rooms.len() % members.len().max(1))
            && let Err(error) = member.restart(&stage).await
        {
            stage.record.failed(&error.context("ICE restart"));
        }
    }
}
