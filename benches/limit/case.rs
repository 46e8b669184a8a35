//! One case measured, and the ramp.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::bare::{Bare, Task};
use crate::ideal::{self, Piece};
use crate::plan::{Case, Pattern, Plan};
use crate::play::{Call, Due, Played, Train};
use crate::report::{Row, median};
use crate::server::Server;

/// What a case sends flat out is cut to this much of its schedule, so that receive queues hold it.
const FLAT_OUT: Duration = Duration::from_millis(400);

/// The ramp ends when the measured core is so busy, or with so many sources.
const RAMP_BUSY: f64 = 0.8;
const RAMP_SOURCES: usize = 24;
const RAMP_RECEIVERS: usize = 200;

impl Case {
    pub(crate) fn measure(&self, plan: &Plan) -> anyhow::Result<Row> {
        let Case { pattern, receivers } = *self;
        let schedule = pattern.schedule(pattern.sources(), plan.length)?;
        let server = Server::start(plan, plan.address())?;
        let mut call = Call::set_up(&server.url, pattern.kind(), pattern.sources(), receivers)?;
        let bare = Bare::start(plan, plan.address(), receivers)?;
        let mut rounds = Vec::new();
        for _ in 0..plan.rounds {
            let run = run(&server, &mut call, &schedule)?;
            rounds.push(Round::measure(self, run, &schedule, &bare)?);
        }
        Ok(Row::new(*self, &rounds))
    }
}

/// The server with one schedule.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) played: Played,
    pub(crate) cpu: Duration,
    pub(crate) took: Duration,
    forwarded: u64,
    dropped: u64,
    overflow: u64,
}

pub(crate) fn run(server: &Server, call: &mut Call, schedule: &[Due]) -> anyhow::Result<Run> {
    call.settle()?;
    let counters = || {
        let stats = server.stats()?;
        let count = |name: &str| stats[name].as_u64().with_context(|| name.to_owned());
        let drops = stats["drops"].as_object().context("drops")?;
        let dropped: u64 = drops.values().filter_map(serde_json::Value::as_u64).sum();
        anyhow::Ok([count("rtpForwarded")?, dropped, count("rxOverflow")?])
    };
    let (before, cpu, start) = (counters()?, server.cpu()?, std::time::Instant::now());
    let played = call.play(schedule)?;
    let (cpu, took) = (server.cpu()? - cpu, start.elapsed());
    let after = counters()?;
    let [forwarded, dropped, overflow] = [0, 1, 2].map(|i| after[i] - before[i]);
    ensure!(forwarded > 0, "nothing was forwarded");
    Ok(Run { played, cpu, took, forwarded, dropped, overflow })
}

/// The server and everything that it is compared with, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// Nanoseconds of CPU a datagram.
    pub(crate) server: f64,
    pub(crate) singly: f64,
    pub(crate) trains: f64,
    pub(crate) singly_flat_out: f64,
    pub(crate) trains_flat_out: f64,
    pub(crate) seal: f64,
    /// Datagrams a train: the server's, and the ideal.
    pub(crate) train: f64,
    pub(crate) ideal: f64,
    /// Of the measured core, 0 to 1.
    pub(crate) busy: f64,
    pub(crate) latency: [Duration; 2],
    pub(crate) late: Duration,
    /// Expected by the receivers, and lost on the way in, in the server, at a receiver's socket,
    /// anywhere.
    pub(crate) expected: u64,
    pub(crate) lost: [u64; 4],
}

impl Round {
    fn measure(case: &Case, run: Run, schedule: &[Due], bare: &Bare) -> anyhow::Result<Self> {
        let Run { played, cpu, took, forwarded, dropped, overflow } = run;
        let server = cpu.as_nanos() as f64 / forwarded as f64;
        let trains = &played.trains;
        ensure!(!trains.is_empty(), "the first probe has received nothing");
        let until = trains[0].at + FLAT_OUT;
        let some: Vec<Train> = trains.iter().take_while(|it| it.at <= until).cloned().collect();
        let cost = |task, trains: &[Train]| {
            let cost = bare.run(task, trains)?;
            ensure!(cost.unsent == 0, "{} datagrams of the bare sender did not leave", cost.unsent);
            anyhow::Ok(cost.nanos)
        };
        let busy_for = Duration::from_nanos((server * case.receivers as f64) as u64);
        let piece = |due: &Due| Piece { at: due.at, size: due.size, source: due.source };
        let pieces: Vec<_> = schedule.iter().map(piece).collect();
        let expected = (schedule.len() * case.receivers) as u64;
        let packets: usize = trains.iter().map(|train| train.sizes.len()).sum();
        Ok(Self {
            server,
            singly: cost(Task::SendSingly { paced: true }, trains)?,
            trains: cost(Task::SendTrains { paced: true }, trains)?,
            singly_flat_out: cost(Task::SendSingly { paced: false }, &some)?,
            trains_flat_out: cost(Task::SendTrains { paced: false }, &some)?,
            seal: cost(Task::Seal, &some)?,
            train: packets as f64 / trains.len() as f64,
            ideal: ideal::mean_train(&pieces, busy_for),
            busy: cpu.as_secs_f64() / took.as_secs_f64(),
            latency: [0.5, 0.99].map(|share| quantile(&played.latency, share)),
            late: quantile(&played.late, 0.99),
            expected,
            lost: [overflow, dropped, played.overflow, expected.saturating_sub(played.received)],
        })
    }
}

/// Of ascending values.
pub(crate) fn quantile(values: &[Duration], share: f64) -> Duration {
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// More and more sources to the same receivers, until the server's core is busy.
pub(crate) fn ramp(plan: &Plan) -> anyhow::Result<()> {
    println!("\nramp: burst, {RAMP_RECEIVERS} receivers of each source, {:?} each", plan.length);
    println!("sources  forwarded/s  ns/packet  busy  p50 µs  p99 µs  late p99 µs  lost");
    let server = Server::start(plan, plan.address())?;
    let mut call = Call::set_up(&server.url, "video", RAMP_SOURCES, RAMP_RECEIVERS)?;
    for sources in (1..=RAMP_SOURCES).filter(|n| *n < 4 || n.is_multiple_of(2)) {
        let schedule = Pattern::Burst.schedule(sources, plan.length)?;
        let run = run(&server, &mut call, &schedule)?;
        let busy = run.cpu.as_secs_f64() / run.took.as_secs_f64();
        let expected = (schedule.len() * RAMP_RECEIVERS) as u64;
        let micros = |duration: Duration| duration.as_micros();
        println!(
            "{sources:7}  {:11.0}  {:9.0}  {:3.0}%  {:6}  {:6}  {:11}  {} of {expected} \
             (in {}, server {}, receivers {})",
            run.forwarded as f64 / plan.length.as_secs_f64(),
            run.cpu.as_nanos() as f64 / run.forwarded as f64,
            100.0 * busy,
            micros(quantile(&run.played.latency, 0.5)),
            micros(quantile(&run.played.latency, 0.99)),
            micros(quantile(&run.played.late, 0.99)),
            expected.saturating_sub(run.played.received),
            run.overflow,
            run.dropped,
            run.played.overflow,
        );
        if busy >= RAMP_BUSY {
            return Ok(());
        }
        if quantile(&run.played.late, 0.99) > Duration::from_millis(2) || run.played.overflow > 0 {
            println!("the generator is the limit now, not the server");
            return Ok(());
        }
    }
    Ok(())
}

impl Row {
    fn new(case: Case, rounds: &[Round]) -> Self {
        let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
        Self {
            case,
            server: of(|it| it.server),
            seal: of(|it| it.seal),
            to_singly: of(|it| it.server / it.singly),
            to_trains: of(|it| it.server / (it.trains + it.seal)),
            to_trains_flat_out: of(|it| it.server / (it.trains_flat_out + it.seal)),
            singly: of(|it| it.singly),
            trains: of(|it| it.trains),
            singly_flat_out: of(|it| it.singly_flat_out),
            trains_flat_out: of(|it| it.trains_flat_out),
            train: of(|it| it.train),
            ideal: of(|it| it.ideal),
            busy: of(|it| it.busy),
            latency: [of(|it| it.latency[0].as_secs_f64()), of(|it| it.latency[1].as_secs_f64())],
            late: of(|it| it.late.as_secs_f64()),
            expected: rounds.iter().map(|it| it.expected).sum(),
            lost: [0, 1, 2, 3].map(|i| rounds.iter().map(|it| it.lost[i]).sum()),
        }
    }
}
