//! A server under load: the server, the generator and the crowd, and one step after the other.
//! `run`, `capacity`, `plan` and `compare` are all made of steps.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::engine::{self, Engine};
use crate::load::connect::Connector;
use crate::load::{Crowd, Rudeness, Stage, Visits};
use crate::measures::{ServerInfo, Step};
use crate::meter::{Meter, Reading};
use crate::progress::Progress;
use crate::scenario::{Churn, Scenario};
use crate::sfu::Sfu;
use crate::srtp::Profile;
use crate::step::Window;

/// What is under way at a window's end gets so much time to arrive.
const GRACE: Duration = Duration::from_millis(500);

/// Receive queues hold this much at least, or packets are lost before the generator can look.
const RECEIVE_BUFFER_MIN: usize = 8 << 20;

/// Where the generator runs and as whom.
#[derive(Debug, Clone)]
pub struct Place {
    /// Cores of the media threads; the control side shares them.
    pub generator_cores: Vec<usize>,
    /// Cores that the server was given.
    pub server_cores: Vec<usize>,
    /// Own addresses, from this one on.
    pub base: Ipv4Addr,
    /// How many.
    pub addresses: u32,
    /// What peers negotiate.
    pub profile: Profile,
}

impl Place {
    /// Over loopback: 127.1.0.0 and up are ours.
    pub fn loopback(generator_cores: Vec<usize>, server_cores: Vec<usize>) -> Self {
        Self {
            generator_cores,
            server_cores,
            base: Ipv4Addr::new(127, 1, 0, 1),
            addresses: 0x00f0_0000,
            profile: Profile::Aes256Gcm,
        }
    }
}

/// A server that was too busy turns newcomers away until it has been much less so for a while:
/// corinth for 3 s, and it measures each second. A load is to be judged by itself, whatever came
/// before it.
const CALM_SECONDS: f64 = 5.0;

/// A server under load.
pub struct Rig {
    stage: Arc<Stage>,
    crowd: Crowd,
    scenario: Scenario,
    /// The load of the step before, where that was more than the server could carry.
    too_much: Option<f64>,
    server_cores: usize,
    meter: Option<Meter>,
    rss_empty: u64,
    progress: Progress,
}

impl Rig {
    /// Puts a running server on it; nobody is there yet.
    ///
    /// # Errors
    /// There are no sockets to be had, or the server has ended.
    pub fn new(
        sfu: Arc<dyn Sfu>,
        place: &Place,
        scenario: &Scenario,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let engine = Engine::start(engine::Plan {
            cores: place.generator_cores.clone(),
            base: place.base,
            addresses: place.addresses,
            freeze: (scenario.limits.freeze_ms * 1e6) as u64,
            seed: scenario.seed,
        })?;
        let engine = Arc::new(engine);
        let connector = Connector::new(Arc::clone(&engine), place.profile)?;
        let meter = sfu.pid().map(Meter::new).transpose()?;
        let rss_empty = meter.as_ref().map(Meter::read).transpose()?.map_or(0, |it| it.rss);
        let stage = Arc::new(Stage::new(sfu, engine, connector, scenario.probe_share));
        let crowd = Crowd::new(Arc::clone(&stage), scenario)?;
        let server_cores = place.server_cores.len().max(1);
        Ok(Self {
            stage,
            crowd,
            scenario: scenario.clone(),
            too_much: None,
            server_cores,
            meter,
            rss_empty,
            progress,
        })
    }

    /// The server.
    pub fn server(&self) -> ServerInfo {
        self.stage.sfu.info()
    }

    /// Why the receive queues are too short here, if they are.
    pub fn short_queue(&self) -> Option<String> {
        let granted = self.stage.engine.receive_buffer();
        (granted < RECEIVE_BUFFER_MIN).then(|| {
            format!(
                "the system grants the generator {} KiB of receive queue: as root, or with a \
                 larger net.core.rmem_max, it loses less",
                granted / 1024
            )
        })
    }

    /// Brings the crowd to `load`, lets it settle, and measures.
    ///
    /// # Errors
    /// Most peers cannot join, or the server has ended.
    pub async fn step(&mut self, load: f64) -> anyhow::Result<Step> {
        let seconds = self.scenario.seconds;
        self.step_of(load, seconds).await
    }

    /// The same with a window of another length.
    ///
    /// # Errors
    /// As there.
    pub async fn step_of(&mut self, load: f64, seconds: f64) -> anyhow::Result<Step> {
        if self.too_much.take().is_some_and(|before| load < before) {
            self.crowd.clear().await;
            self.progress.wait("letting the server calm down", CALM_SECONDS).await;
        }
        self.too_much = Some(load);
        self.crowd.resize(load, &self.progress).await?;
        let rooms = self.crowd.rooms();
        let hostile = self.scenario.hostile;
        let rudeness = Rudeness::start(&self.stage, &rooms, hostile, self.scenario.seed).await?;
        // Those who come and go are there before the window begins, so that as many leave as come.
        let churn = self.scenario.churn;
        let visits = Visits::start(&self.stage, &rooms, churn, load);
        let settle = self.scenario.settle_seconds.max(stay(churn));
        self.progress.wait("settling", settle).await;
        if let Some(meter) = &mut self.meter {
            meter.look_again()?;
        }
        let window = self.measure(load, seconds).await?;
        visits.end().await;
        rudeness.end(&rooms).await;
        let step = window.step(&self.scenario);
        if step.passes() {
            self.too_much = None;
        }
        Ok(step)
    }

    /// Peers that are in rooms now.
    pub fn present(&self) -> usize {
        self.crowd.rooms().iter().map(|room| room.members().len()).sum()
    }

    async fn measure(&mut self, load: f64, seconds: f64) -> anyhow::Result<Window> {
        let engine = Arc::clone(&self.stage.engine);
        let mut cycles = self.meter.as_ref().and_then(Meter::count_cycles);
        let overflow = engine.overflow()?;
        let mut asked = Instant::now();
        let counters = self.stage.sfu.counters().await?;
        self.stage.begin_window().await?;
        let mut skew = asked.elapsed();
        let before = self.read()?;
        let cycles_before = cycles.as_mut().and_then(|cycles| cycles.read());
        let began = Instant::now();
        self.progress.wait(&format!("load {load}: measuring"), seconds).await;
        self.stage.end_window();
        let length = began.elapsed();
        let after = self.read()?;
        let cycles_after = cycles.as_mut().and_then(|cycles| cycles.read());
        asked = Instant::now();
        let counters_after = self.stage.sfu.counters().await?;
        skew += asked.elapsed();
        let joins = self.stage.record.end_window();
        tokio::time::sleep(GRACE).await;
        let overflow = engine.overflow()? - overflow;
        let tally = engine.collect().await?;
        Ok(Window {
            load,
            length,
            population: self.crowd.population(),
            tally,
            joins,
            process: before.zip(after).map(|(before, after)| [before, after]),
            cycles: cycles_before.zip(cycles_after).map(|(before, after)| after - before),
            server_cores: self.server_cores,
            rss_empty: self.rss_empty,
            skew,
            counters: counters.zip(counters_after).map(|(before, after)| [before, after]),
            overflow,
        })
    }

    fn read(&self) -> anyhow::Result<Option<Reading>> {
        self.meter.as_ref().map(Meter::read).transpose().context("the server has ended")
    }

    /// Everybody leaves. The server goes with the last owner of it.
    pub async fn end(mut self) {
        self.progress.says("leaving");
        self.crowd.clear().await;
    }
}

/// How long it takes until as many leave as come.
fn stay(churn: Churn) -> f64 {
    if churn.joins_per_second > 0.0 { churn.stay_seconds.min(10.0) } else { 0.0 }
}
