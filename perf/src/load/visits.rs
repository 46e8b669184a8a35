//! Those who come and go while a step is measured, and those who restart ICE.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::stage::{Room, Stage};
use crate::scenario::Churn;

/// Visits that are under way at most: a server that does not keep up is not buried.
const AT_ONCE: usize = 2000;

/// How long those who are there get to leave when it is over.
const LAST_ORDERS: Duration = Duration::from_secs(20);

/// Coming and going; stops when dropped.
pub struct Visits {
    tasks: JoinSet<()>,
    over: watch::Sender<bool>,
}

impl Visits {
    /// As `churn` wants, its rates times `load`, in turn over `rooms`.
    pub fn start(stage: &Arc<Stage>, rooms: &[Arc<Room>], churn: Churn, load: f64) -> Self {
        let mut tasks = JoinSet::new();
        let over = watch::Sender::new(false);
        if churn.joins_per_second > 0.0 && !rooms.is_empty() {
            let period = Duration::from_secs_f64(1.0 / (churn.joins_per_second * load));
            let bar = Bar { stage: Arc::clone(stage), churn, over: over.subscribe() };
            tasks.spawn(bar.come_and_go(rooms.to_vec(), period));
        }
        if churn.restarts_per_second > 0.0 && !rooms.is_empty() {
            let (stage, rooms) = (Arc::clone(stage), rooms.to_vec());
            let period = Duration::from_secs_f64(1.0 / (churn.restarts_per_second * load));
            tasks.spawn(restart(stage, rooms, period, over.subscribe()));
        }
        Self { tasks, over }
    }

    /// Nobody comes any more, and those who are there leave.
    pub async fn end(mut self) {
        self.over.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Who cannot leave in that time is gone with its task.
        timeout(LAST_ORDERS, all).await.ok();
    }
}

/// Where visitors are.
#[derive(Clone)]
struct Bar {
    stage: Arc<Stage>,
    churn: Churn,
    over: watch::Receiver<bool>,
}

impl Bar {
    /// They come at their times, whether those before have been served or not.
    async fn come_and_go(mut self, rooms: Vec<Arc<Room>>, period: Duration) {
        let mut visits = JoinSet::new();
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for room in rooms.iter().cycle() {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = self.over.wait_for(|over| *over) => break,
            }
            while visits.try_join_next().is_some() {}
            if visits.len() < AT_ONCE {
                visits.spawn(self.clone().visit(Arc::clone(room)));
            }
        }
        while visits.join_next().await.is_some() {}
    }

    async fn visit(mut self, room: Arc<Room>) {
        let Self { stage, churn, .. } = &self;
        let began = Instant::now();
        let member = match stage.enter(&room, churn.senders).await {
            Ok(member) => member,
            Err(error) => return stage.record.failed(&error),
        };
        let mut settled = stage.receive(&room, &member).await;
        if settled.is_ok() && churn.senders {
            settled = stage.be_received(&room, &member).await;
        }
        match settled {
            Ok(()) => {
                stage.record.joined(began.elapsed().as_nanos() as u64);
                let stay = Duration::from_secs_f64(churn.stay_seconds);
                timeout(stay, self.over.wait_for(|over| *over)).await.ok();
            }
            Err(error) => stage.record.failed(&error),
        }
        self.stage.leave(&room, &member).await;
    }
}

async fn restart(
    stage: Arc<Stage>,
    rooms: Vec<Arc<Room>>,
    period: Duration,
    mut over: watch::Receiver<bool>,
) {
    let mut ticks = interval(period);
    for n in 0_usize.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = over.wait_for(|over| *over) => return,
        }
        let members = rooms[n % rooms.len()].members();
        if let Some(member) = members.get(n / rooms.len() % members.len().max(1))
            && let Err(error) = member.restart(&stage).await
        {
            stage.record.failed(&error.context("ICE restart"));
        }
    }
}
