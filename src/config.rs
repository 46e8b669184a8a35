//! What the server is told, checked: [`Config`] is made from the command line's [`Args`] and holds
//! nothing that cannot be served, as far as that can be known without trying.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::cli::{Announce, Args, Io};
use crate::types::IoKind;

/// A ping interval outside of this is a slip of the hand.
const PING_INTERVAL: std::ops::RangeInclusive<f64> = 0.01..=3600.0;

/// Media addresses are numbered by a byte, and each costs every shard a socket.
const ADDRESSES_MAX: usize = 16;

/// Everything `shard::serve` wants to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where HTTP is served; port 0 is any.
    pub http: SocketAddr,
    /// UDP port of shard 0; shard i adds i. 0 is any.
    pub media_port: u16,
    /// Where media is served, best candidate first.
    pub media_addresses: Vec<MediaAddress>,
    /// Number of shards; each takes a core, about 10 MB and, with four media addresses, 16
    /// descriptors. `None`: as many as there are cores.
    pub shards: Option<usize>,
    /// How datagrams get into the kernel and out of it. The ring costs each shard 900 KB and two
    /// descriptors.
    pub io: IoKind,
    /// Pad video packets to equal lengths (`RouterConfig::even_trains`).
    pub even_trains: bool,
    /// Between pings on a WebSocket.
    pub ping_interval: Duration,
    /// Filter for the log, as the tracing crates read it.
    pub log: String,
}

/// One address for media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaAddress {
    /// Bound by this host.
    pub local: IpAddr,
    /// Told to clients: the same, or what a NAT maps to it.
    pub public: IpAddr,
    /// Somebody asked for it, so it is an error if it cannot be bound; one that was merely found
    /// is done without.
    pub required: bool,
}

/// Why arguments do not make a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// `--ping-interval` is no reasonable time.
    PingInterval,
    /// There are not that many ports above `--media-port`.
    MediaPort {
        /// The first.
        first: u16,
        /// How many.
        shards: usize,
    },
    /// Media needs one concrete address.
    Wildcard(IpAddr),
    /// The same `--media-address` twice.
    Twice(IpAddr),
    /// More than fit.
    TooManyAddresses,
    /// `--announce` for an address that media does not use.
    NotServed(IpAddr),
    /// Two `--announce` for the same address.
    AnnouncedTwice(IpAddr),
    /// `--announce` tells clients an address that nobody can send to.
    NoAddress(IpAddr),
    /// `--log` does not parse.
    Log(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PingInterval => write!(
                f,
                "--ping-interval: {} to {} seconds are possible",
                PING_INTERVAL.start(),
                PING_INTERVAL.end()
            ),
            Self::MediaPort { first, shards } => write!(
                f,
                "--media-port {first}: {shards} shards need {shards} ports, and 65535 is the last"
            ),
            Self::Wildcard(ip) => write!(
                f,
                "--media-address {ip}: media needs one address of this host, give each that counts"
            ),
            Self::Twice(ip) => write!(f, "--media-address {ip} is given twice"),
            Self::TooManyAddresses => {
                write!(f, "--media-address: {ADDRESSES_MAX} addresses at most")
            }
            Self::NotServed(ip) => {
                write!(f, "--announce {ip}=…: media does not use {ip}; add --media-address {ip}")
            }
            Self::AnnouncedTwice(ip) => {
                write!(f, "--announce {ip}=…: is given twice, and one address can be announced")
            }
            Self::NoAddress(ip) => {
                write!(f, "--announce …={ip}: browsers need the address of one host")
            }
            Self::Log(error) => write!(f, "--log: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Checks arguments. `host` are the addresses for media when none are given, best first.
    pub fn new(args: &Args, host: &[IpAddr]) -> Result<Config, ConfigError> {
        if !PING_INTERVAL.contains(&args.ping_interval) {
            return Err(ConfigError::PingInterval);
        }
        args.log
            .parse::<tracing_subscriber::EnvFilter>()
            .map_err(|error| ConfigError::Log(error.to_string()))?;
        let config = Config {
            http: args.http,
            media_port: args.media_port,
            media_addresses: media_addresses(args, host)?,
            shards: args.shards.map(usize::from),
            io: match args.io {
                Io::Auto | Io::Mmsg => IoKind::Mmsg,
                Io::Ring => IoKind::Ring,
            },
            even_trains: args.even_trains,
            ping_interval: Duration::from_secs_f64(args.ping_interval),
            log: args.log.clone(),
        };
        config.media_ports(config.shards.unwrap_or(1))?;
        Ok(config)
    }

    /// The media port of each of `shards` shards.
    pub fn media_ports(&self, shards: usize) -> Result<Vec<u16>, ConfigError> {
        let first = self.media_port;
        if first == 0 {
            return Ok(vec![0; shards]);
        }
        (0..shards)
            .map(|shard| u16::try_from(shard).ok()?.checked_add(first))
            .collect::<Option<_>>()
            .ok_or(ConfigError::MediaPort { first, shards })
    }
}

fn media_addresses(args: &Args, host: &[IpAddr]) -> Result<Vec<MediaAddress>, ConfigError> {
    let mut addresses: Vec<MediaAddress> = Vec::new();
    for &local in given_or_found(args, host).iter() {
        if local.is_unspecified() {
            return Err(ConfigError::Wildcard(local));
        }
        if addresses.iter().any(|address| address.local == local) {
            return Err(ConfigError::Twice(local));
        }
        let announced = args.announce.iter().find(|announce| announce.local == local);
        addresses.push(MediaAddress {
            local,
            public: announced.map_or(local, |announce| announce.public),
            required: !args.media_address.is_empty() || announced.is_some(),
        });
    }
    if addresses.len() > ADDRESSES_MAX {
        return Err(ConfigError::TooManyAddresses);
    }
    check_announced(&args.announce, &addresses)?;
    Ok(addresses)
}

fn check_announced(all: &[Announce], addresses: &[MediaAddress]) -> Result<(), ConfigError> {
    for (i, &Announce { local, public }) in all.iter().enumerate() {
        if !addresses.iter().any(|address| address.local == local) {
            return Err(ConfigError::NotServed(local));
        }
        if all[..i].iter().any(|earlier| earlier.local == local) {
            return Err(ConfigError::AnnouncedTwice(local));
        }
        if public.is_unspecified() || public.is_multicast() {
            return Err(ConfigError::NoAddress(public));
        }
    }
    Ok(())
}

/// Loopback comes last: Firefox does not use it, and elsewhere it is somebody else's.
fn given_or_found(args: &Args, host: &[IpAddr]) -> Vec<IpAddr> {
    if !args.media_address.is_empty() {
        return args.media_address.clone();
    }
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    host.iter().copied().chain(loopback).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn config(arguments: &[&str]) -> Result<Config, ConfigError> {
        let program = std::iter::once(&"corinth");
        let args = Args::try_parse_from(program.chain(arguments)).unwrap();
        Config::new(&args, &["192.0.2.1".parse().unwrap()])
    }

    fn addresses(arguments: &[&str]) -> Vec<(String, String, bool)> {
        let addresses = config(arguments).unwrap().media_addresses;
        let text =
            |one: &MediaAddress| (one.local.to_string(), one.public.to_string(), one.required);
        addresses.iter().map(text).collect()
    }

    fn row(local: &str, public: &str, required: bool) -> (String, String, bool) {
        (local.to_owned(), public.to_owned(), required)
    }

    #[test]
    fn by_default_the_host_is_served_and_loopback_last() {
        let found = [
            row("192.0.2.1", "192.0.2.1", false),
            row("127.0.0.1", "127.0.0.1", false),
            row("::1", "::1", false),
        ];
        assert_eq!(addresses(&[]), found);
        assert_eq!(config(&[]).unwrap().http, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(config(&[]).unwrap().media_ports(2).unwrap(), [40000, 40001]);
    }

    #[test]
    fn a_nat_is_announced() {
        let found = addresses(&["--announce", "192.0.2.1=198.51.100.1"]);
        assert_eq!(found[0], row("192.0.2.1", "198.51.100.1", true));
        assert_eq!(
            config(&["--announce", "192.0.2.2=198.51.100.1"]),
            Err(ConfigError::NotServed("192.0.2.2".parse().unwrap()))
        );
        assert_eq!(
            config(&["--announce", "192.0.2.1=0.0.0.0"]),
            Err(ConfigError::NoAddress("0.0.0.0".parse().unwrap()))
        );
        let twice = ["--announce", "192.0.2.1=198.51.100.1"].repeat(2);
        assert_eq!(config(&twice), Err(ConfigError::AnnouncedTwice("192.0.2.1".parse().unwrap())));
        assert_eq!(
            addresses(&["--media-address", "::1", "--announce", "::1=2001:db8::1"]),
            [row("::1", "2001:db8::1", true)]
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let error = |arguments: &[&str]| config(arguments).unwrap_err();
        assert_eq!(error(&["--ping-interval", "0"]), ConfigError::PingInterval);
        assert_eq!(error(&["--ping-interval", "NaN"]), ConfigError::PingInterval);
        assert!(matches!(error(&["--media-address", "::"]), ConfigError::Wildcard(_)));
        let twice = ["--media-address", "::1", "--media-address", "::1"];
        assert!(matches!(error(&twice), ConfigError::Twice(_)));
        let ports = ["--media-port", "65535", "--shards", "2"];
        assert_eq!(error(&ports), ConfigError::MediaPort { first: 65535, shards: 2 });
        assert!(matches!(error(&["--log", "corinth=loud"]), ConfigError::Log(_)));
    }
}
