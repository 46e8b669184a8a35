//! What a storm of joins does to a call: the latency that the server adds, without and with clients
//! that connect, join, make a transport, shake hands and leave, hundreds a second. They come from a
//! process of their own, on the generator's core.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use corinth_perf::peer::{Peer, TransportOptions};
use tokio::task::JoinSet;

use crate::case::{quantile, run};
use crate::plan::{Pattern, Plan};
use crate::play::Call;
use crate::server::Server;

/// Viewers of the call beside the storm.
const VIEWERS: usize = 10;

/// Joins that are under way at most: a server that does not keep up is not buried.
const AT_ONCE: usize = 400;

/// Rooms of those that join.
const ROOMS: usize = 50;

/// How long the storm blows before it is measured.
const LEAD: Duration = Duration::from_millis(500);

/// Alternates calm and storm; `rate` joins a second.
pub(crate) fn measure(plan: &Plan, rate: u32) -> anyhow::Result<()> {
    println!("\njoins: a call of 1 x {VIEWERS}, video in bursts; {rate} joins a second beside it");
    println!("         joins/s  busy  p50 µs  p99 µs  lost");
    let server = Server::start(plan, plan.address())?;
    let mut call = Call::set_up(&server.url, "video", 1, VIEWERS)?;
    let schedule = Pattern::Burst.schedule(1, plan.length)?;
    for _ in 0..plan.rounds {
        for storm in [false, true] {
            let joiners = storm.then(|| Joiners::start(&server.url, rate, plan)).transpose()?;
            if storm {
                std::thread::sleep(LEAD);
            }
            let connected = || server.stats().map(|stats| stats["dtlsConnected"].as_u64());
            let (before, start) = (connected()?, Instant::now());
            let run = run(&server, &mut call, &schedule)?;
            let (after, took) = (connected()?, start.elapsed());
            let joined = after.unwrap_or(0) - before.unwrap_or(0);
            drop(joiners);
            let micros = |share| quantile(&run.played.latency, share).as_micros();
            let expected = (schedule.len() * VIEWERS) as u64;
            println!(
                "{}  {:7.0}  {:3.0}%  {:6}  {:6}  {} of {expected}",
                if storm { "storm" } else { "calm " },
                joined as f64 / took.as_secs_f64(),
                100.0 * run.cpu.as_secs_f64() / run.took.as_secs_f64(),
                micros(0.5),
                micros(0.99),
                expected.saturating_sub(run.played.received),
            );
        }
    }
    Ok(())
}

/// The process that joins; ended when it is dropped.
struct Joiners(Child);

impl Joiners {
    fn start(url: &str, rate: u32, plan: &Plan) -> anyhow::Result<Self> {
        let seconds = (plan.length + 4 * LEAD).as_secs_f64();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--joiner", url, "--joins", &rate.to_string()]);
        command.args(["--seconds", &seconds.to_string()]);
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Joiners {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// That process: `rate` joins a second, whether those before have ended or not.
pub(crate) fn storm(url: &str, rate: u32, length: Duration) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        let (start, mut joins) = (Instant::now(), JoinSet::new());
        for i in 0.. {
            ticks.tick().await;
            if start.elapsed() >= length {
                break;
            }
            while joins.try_join_next().is_some() {}
            if joins.len() < AT_ONCE {
                joins.spawn(join(url.to_owned(), i));
            }
        }
        anyhow::Ok(())
    })
}

/// One client comes and goes. What fails is seen by the server's count.
async fn join(url: String, i: usize) -> anyhow::Result<()> {
    let peer = Peer::join(&url, &format!("storm{}", i % ROOMS), &format!("joiner{i}")).await?;
    peer.create_transport(TransportOptions::new(1)).await?;
    Ok(())
}
