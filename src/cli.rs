//! The command line: what may be said, what it means (checked in `config`), and the program that
//! is run by it.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

use crate::config::Config;
use crate::net::host_addresses;
use crate::shard::serve;

/// A WebRTC media router (SFU): browsers join a room over a WebSocket and hear and see each other.
///
/// Without options it serves this machine: open the address that it prints in two tabs.
#[derive(Debug, Clone, Parser)]
#[command(name = "corinth", version)]
pub struct Args {
    /// Where HTTP and WebSockets are served. Browsers give a page camera and microphone only on
    /// 127.0.0.1, localhost or behind TLS. Port 0: any free one
    #[arg(long, verbatim_doc_comment, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,

    /// First UDP port for media: shard i (from 0) uses PORT + i on each media address. Open as
    /// many in the firewall as there are shards. 0: any free ones
    #[arg(long, verbatim_doc_comment, value_name = "PORT", default_value_t = 40000)]
    pub media_port: u16,

    /// Local address on which media is sent and received; may be given several times, and browsers
    /// are told them in that order [default: the first IPv4 and the first IPv6 address of this
    /// host, then 127.0.0.1 and ::1]
    #[arg(long, verbatim_doc_comment, value_name = "IP")]
    pub media_address: Vec<IpAddr>,

    /// Tell browsers PUBLIC in place of the media address LOCAL, where a NAT maps the one to the
    /// other with the same ports; once for each address
    #[arg(long, verbatim_doc_comment, value_name = "LOCAL=PUBLIC")]
    pub announce: Vec<Announce>,

    /// How many shards share the work, each a thread on a core of its own [default: one for each
    /// core that this process may use]
    #[arg(long, verbatim_doc_comment, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub shards: Option<u8>,

    /// How datagrams get into the kernel and out of it: by recvmmsg and sendmmsg, or by an io_uring
    /// of each shard's own (Linux 6.1). auto is what costs less (docs/internals/net.md)
    #[arg(long, verbatim_doc_comment, value_name = "WAY", value_enum, default_value_t = Io::Auto)]
    pub io: Io,

    /// Pad packets of a video frame that are one byte shorter than others of it to their length, so
    /// that more of them leave in one message to the kernel. Costs a viewer a byte now and then
    #[arg(long, verbatim_doc_comment)]
    pub even_trains: bool,

    /// Seconds between the pings on each WebSocket; a client that is silent for two of them is
    /// taken for gone
    #[arg(long, verbatim_doc_comment, value_name = "SECONDS", default_value_t = 20.0)]
    pub ping_interval: f64,

    /// What is logged to standard error: error, warn, info, debug, trace, or by module
    /// (info,corinth::shard=debug)
    #[arg(long, verbatim_doc_comment, value_name = "LEVEL", default_value = "info")]
    pub log: String,
}

/// What `--io` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Io {
    /// What was measured to be better.
    Auto,
    /// recvmmsg and sendmmsg.
    Mmsg,
    /// An io_uring.
    Ring,
}

/// `LOCAL=PUBLIC`: an address of this host and the one that the world knows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// As bound.
    pub local: IpAddr,
    /// As told to clients.
    pub public: IpAddr,
}

impl FromStr for Announce {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (local, public) =
            text.split_once('=').ok_or("LOCAL=PUBLIC is wanted, two IP addresses")?;
        let ip = |text: &str| {
            text.parse::<IpAddr>().map_err(|_| format!("{text:?} is not an IP address"))
        };
        let (local, public) = (ip(local)?, ip(public)?);
        if local.is_ipv4() != public.is_ipv4() {
            return Err("one is IPv4, the other IPv6".to_owned());
        }
        Ok(Self { local, public })
    }
}

/// The whole program: serves as the arguments say until a signal comes. What is wrong is one line
/// on standard error.
pub fn run(args: &Args) -> ExitCode {
    match try_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "corinth: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(args: &Args) -> io::Result<()> {
    let host = host_addresses().unwrap_or_default();
    let config = Config::new(args, &host).map_err(io::Error::other)?;
    // Colours are for people: a journal would keep their codes as text.
    tracing_subscriber::fmt()
        .with_env_filter(&config.log)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let running = serve(&config)?;
    // Before it is said that it serves: whoever waits for that may signal at once.
    running.catch_signals()?;
    // A reader that has gone, as in `corinth | head -1`, is no reason to stop.
    let _ = write!(io::stdout(), "{running}");
    let _ = io::stdout().flush();
    running.wait()
}
