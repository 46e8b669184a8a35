//! Those who misbehave while a step is measured: datagrams that make no sense, handshakes that end
//! half way, connections that are never read, viewers that ask for key frames all the time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::stage::{Room, Stage};
use crate::engine::{Command, ipv4};
use crate::scenario::Hostile;
use crate::sfu::Wanted;

/// Junk leaves in portions.
const JUNK_EVERY: Duration = Duration::from_millis(5);

/// The longest piece of junk.
const JUNK_MAX: usize = 1200;

/// Misbehaviour; stops when dropped.
pub struct Rudeness {
    tasks: JoinSet<()>,
    stage: Arc<Stage>,
    /// Connections that nobody reads.
    _unread: Vec<Box<dyn Send>>,
}

impl Rudeness {
    /// As `hostile` wants.
    ///
    /// # Errors
    /// The server refuses those who will not read.
    pub async fn start(
        stage: &Arc<Stage>,
        rooms: &[Arc<Room>],
        hostile: Hostile,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let (uplink, downlink) = (hostile.uplink_loss, hostile.downlink_loss);
        stage.engine.command_all(|| Command::Lose { uplink, downlink });
        let mut unread = Vec::new();
        for n in 0..hostile.slow_readers {
            let Some(room) = rooms.get(n % rooms.len().max(1)) else { break };
            let name = stage.name("slow");
            unread.push(stage.sfu.join_unread(&room.name, &name).await.context("slow reader")?);
        }
        if hostile.key_frame_requests_per_second > 0.0 {
            let every = (1e9 / hostile.key_frame_requests_per_second) as u64;
            let viewers = rooms.iter().filter_map(|room| room.members().last()?.rx());
            viewers.for_each(|key| stage.engine.command(key, |slot| Command::Ask { slot, every }));
        }
        let mut tasks = JoinSet::new();
        if hostile.junk_per_second > 0.0 {
            let portion = hostile.junk_per_second * JUNK_EVERY.as_secs_f64();
            tasks.spawn(junk(Arc::clone(stage), rooms.to_vec(), portion, seed));
        }
        if hostile.half_open_per_second > 0.0 {
            let period = Duration::from_secs_f64(1.0 / hostile.half_open_per_second);
            tasks.spawn(open_half(Arc::clone(stage), rooms.to_vec(), period));
        }
        Ok(Self { tasks, stage: Arc::clone(stage), _unread: unread })
    }

    /// Peace again.
    pub async fn end(mut self, rooms: &[Arc<Room>]) {
        self.tasks.shutdown().await;
        self.stage.engine.command_all(|| Command::Lose { uplink: 0.0, downlink: 0.0 });
        for key in rooms.iter().flat_map(|room| room.members()).filter_map(|member| member.rx()) {
            self.stage.engine.command(key, |slot| Command::Ask { slot, every: 0 });
        }
    }
}

/// One portion after the other, half of it from addresses that the server has never heard of.
async fn junk(stage: Arc<Stage>, rooms: Vec<Arc<Room>>, portion: f64, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    // An address of our own that never becomes an association.
    let Ok(stranger) = stage.engine.open() else { return };
    let mut ticks = interval(JUNK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut due = 0.0;
    loop {
        ticks.tick().await;
        due += portion;
        while due >= 1.0 {
            due -= 1.0;
            let members = rooms[rng.random_range(0..rooms.len())].members();
            let Some(member) = members.get(rng.random_range(0..members.len().max(1))) else {
                continue;
            };
            let Some(key) = member.rx().or(member.tx()) else { continue };
            let mut bytes = vec![0; rng.random_range(1..=JUNK_MAX)];
            rng.fill(&mut bytes[..]);
            // So that it gets as far as it can: STUN, DTLS, RTP, RTCP, or nothing known.
            bytes[0] = [0, 22, 0x80, 0x80, 0xff][rng.random_range(0..5)];
            match rng.random_bool(0.5) {
                true => stage.engine.command(key, |slot| Command::Junk { slot, from: None, bytes }),
                false => stage.engine.send_as(&stranger, key, bytes),
            }
        }
    }
}

async fn open_half(stage: Arc<Stage>, rooms: Vec<Arc<Room>>, period: Duration) {
    let mut ticks = interval(period);
    let mut halves = JoinSet::new();
    for room in rooms.iter().cycle() {
        ticks.tick().await;
        while halves.try_join_next().is_some() {}
        let (stage, room) = (Arc::clone(&stage), Arc::clone(room));
        halves.spawn(async move {
            if let Err(error) = half(&stage, &room).await {
                stage.record.failed(&error.context("half a handshake"));
            }
        });
    }
}

async fn half(stage: &Stage, room: &Room) -> anyhow::Result<()> {
    let name = stage.name("half");
    let mut session = stage.sfu.join(&room.name, &name).await?;
    let prepared = stage.connector.prepare()?;
    let wanted: Vec<Wanted> = Vec::new();
    let remote = session.open_rx(&prepared.local, &wanted).await?;
    ipv4(remote.offer.remote.address)?;
    stage.connector.connect_half(prepared, remote).await
}
