//! What each command of `corinth-perf` can be told.

use std::path::PathBuf;

use clap::Args;

/// `corinth-perf run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// A profile (see `profiles`), or a TOML file like them
    #[arg(default_value = "canonical")]
    pub profile: String,

    /// What is measured, with what.
    #[command(flatten)]
    pub target: Target,

    /// What is written where.
    #[command(flatten)]
    pub output: Output,

    /// Do not measure first what the generator can do alone
    #[arg(long)]
    pub no_self_check: bool,
}

/// `corinth-perf capacity`.
#[derive(Debug, Clone, Args)]
pub struct CapacityArgs {
    /// A profile (see `profiles`), or a TOML file like them; its first load is where it begins
    pub profile: String,

    /// What is measured, with what.
    #[command(flatten)]
    pub target: Target,

    /// Share of the load that is not looked into further, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=50))]
    pub resolution: u8,

    /// Measurements around the edge, once it is found
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub repeats: u8,

    /// Write everything that was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// `corinth-perf calibrate`.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    /// Where the model is written
    #[arg(long, value_name = "FILE", default_value = MODEL)]
    pub model: PathBuf,

    /// Packets a second that a core of the server forwards to an audience, about: the runs ask for
    /// a third of it
    #[arg(long, value_name = "PACKETS", default_value_t = 500_000.0)]
    pub packets_per_core: f64,

    /// What is measured, with what.
    #[command(flatten)]
    pub target: Target,

    /// Write all runs as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// Where the model is if nothing else is said.
const MODEL: &str = "corinth-perf-model.json";

pub(crate) const PLAN_EXAMPLES: &str = "\
Mixes:
  40x7                    40 rooms of 7, everybody sends video and audio
  1+2000                  one room with 1 who sends to 2000
  2x10+500:audio          two rooms, 10 send sound to each other and 500
  1+300:mbit=4,h264       video of 4 Mbit/s
  \"40 rooms of 7 and one webinar of 2000\"";

/// `corinth-perf plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Rooms; may be given several times
    #[arg(long, value_name = "MIX")]
    pub mix: Vec<String>,

    /// Joins a second, over all rooms
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    pub joins: f64,

    /// How busy each core may be, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 70.0)]
    pub target: f64,

    /// What `calibrate` wrote
    #[arg(long, value_name = "FILE", default_value = MODEL)]
    pub model: PathBuf,

    /// Show what things cost, and how well the model holds
    #[arg(long)]
    pub prices: bool,

    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `corinth-perf compare`. Runs in a network namespace of its own.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// A profile (see `profiles`), or a TOML file like them
    #[arg(default_value = "compare")]
    pub profile: String,

    /// The other server: janus (with its VideoRoom; Debian: apt-get install janus)
    #[arg(long, value_name = "SERVER")]
    pub against: String,

    /// Rounds of each that count; one before them is a warm-up
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub rounds: u8,

    /// Do not look for the highest load of each
    #[arg(long)]
    pub no_highest: bool,

    /// Set a value of the profile anew; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Our server's program [default: the corinth of this source tree, built first if need be]
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,

    /// Further arguments for our server, in one string
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    pub server_args: String,

    /// Who runs where.
    #[command(flatten)]
    pub cores: Cores,

    /// What is written where.
    #[command(flatten)]
    pub output: Output,
}

/// `corinth-perf capture`.
#[derive(Debug, Clone, Args)]
pub struct CaptureArgs {
    /// The server's media port (corinth: --media-port, one more for each shard)
    #[arg(long, value_name = "PORT")]
    pub port: u16,

    /// How long, seconds; a trace is played over and over
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    pub seconds: f64,

    /// The trace
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// What is measured, with what.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Set a value of the profile anew (seconds=4, probe_share=1, groups.0.rooms=20); may be given
    /// several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// A server that runs already (http://HOST:PORT), instead of starting one
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The process of the server at --url, if it is on this machine: for its CPU and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pub pid: Option<u32>,

    /// The server's program [default: the corinth of this source tree, built first if need be]
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,

    /// Further arguments for the server, in one string (--server-args "--io ring")
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    pub server_args: String,

    /// Who runs where.
    #[command(flatten)]
    pub cores: Cores,

    /// Addresses that the generator's peers have, A.B.C.D/N: routed to this machine, for a server
    /// on another one [default: of 127.0.0.0/8]
    #[arg(long, value_name = "NETWORK")]
    pub addresses: Option<Network>,

    /// Send media to this address instead of the server's: a relay that is a bad network
    #[arg(long, value_name = "IP:PORT")]
    pub via: Option<std::net::SocketAddr>,
}

/// Who runs where.
#[derive(Debug, Clone, Args)]
pub struct Cores {
    /// Cores of the server, as 0 or 0,2 or 0-3 [default: the first half]
    #[arg(long, value_name = "LIST")]
    pub server_cores: Option<CoreList>,

    /// Cores of the load generator [default: the others]
    #[arg(long, value_name = "LIST")]
    pub generator_cores: Option<CoreList>,
}

/// What is written where.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Write everything that was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write a report with plots, one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// A list of cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreList(pub Vec<usize>);

impl std::str::FromStr for CoreList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| {
                text.trim().parse::<usize>().map_err(|_| format!("{text:?} is no core"))
            };
            let (from, to) = (number(from)?, number(to)?);
            if from > to || to > 4096 {
                return Err(format!("{part:?} is no range of cores"));
            }
            cores.extend(from..=to);
        }
        cores.sort_unstable();
        cores.dedup();
        Ok(Self(cores))
    }
}

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address that may be used.
    pub base: std::net::Ipv4Addr,
    /// How many there are.
    pub addresses: u32,
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = text.split_once('/').ok_or("A.B.C.D/N is wanted")?;
        let address: std::net::Ipv4Addr =
            address.parse().map_err(|_| format!("{address:?} is not an IPv4 address"))?;
        let bits: u32 = bits.parse().map_err(|_| format!("{bits:?} is no number of bits"))?;
        if !(8..=30).contains(&bits) {
            return Err(format!("/{bits}: 8 to 30 bits make a network"));
        }
        let size = 1_u32 << (32 - bits);
        let base = u32::from(address) & !(size - 1);
        Ok(Self { base: (base + 1).into(), addresses: size - 2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_networks_are_read() {
        assert_eq!("0,2-4,3".parse(), Ok(CoreList(vec![0, 2, 3, 4])));
        assert!("".parse::<CoreList>().is_err() && "3-1".parse::<CoreList>().is_err());
        let network: Network = "10.5.0.0/16".parse().unwrap();
        assert_eq!((network.base, network.addresses), ([10, 5, 0, 1].into(), 65_534));
        assert!("10.5.0.0".parse::<Network>().is_err());
        assert!("10.5.0.0/31".parse::<Network>().is_err());
    }
}
