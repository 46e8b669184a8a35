//! What the server is told. [`Settings`] are what was said, wherever; [`Config`] is made from them,
//! checked: it holds nothing that cannot be served, as far as that can be known without trying.

pub mod file;
mod settings;
mod source;

pub use settings::{Announce, Io, LogFormat, MediaTcp, Settings, TokenKey, with_environment};
pub use source::{Loaded, Source};

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::types::limit::{APP_DATA_MAX, RECEIVERS_PER_PEER_MAX};
use crate::types::{IoKind, Limits};

/// What is so when nothing is said. The help and `example.toml` say it too.
const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const MEDIA_PORT: u16 = 40000;
const PING_INTERVAL: f64 = 20.0;
const BUSY_MAX: f64 = 0.85;
const DRAIN_TIME: u32 = 60;
const LOG: &str = "info";

/// What a reload changes; everything else waits for a restart.
pub const LIVE: &[&str] = &[
    "ping-interval",
    "busy-max",
    "drain-time",
    "log",
    "certificate",
    "private-key",
    "token-key",
    "trusted-proxy",
    "allowed-origin",
    "max-rooms",
    "max-peers-per-room",
    "max-transports-per-peer",
    "max-receivers-per-peer",
    "max-requests-per-second",
    "max-connections-per-address",
    "max-visitors",
    "max-bitrate",
    "max-app-data",
];

/// A ping interval outside of this is a slip of the hand.
const PING_INTERVALS: std::ops::RangeInclusive<f64> = 0.01..=3600.0;

/// A shard is never idle altogether, and less than this would refuse everybody.
const BUSY_MAXIMA: std::ops::RangeInclusive<f64> = 0.05..=1.0;

/// More than this is no limit, and would not be counted right.
const TRANSPORTS_MAX: usize = 256;
const REQUESTS_MAX: u32 = 100_000;

/// Media addresses are numbered by a byte, and each costs every shard a socket.
const ADDRESSES_MAX: usize = 16;

/// Everything `shard::serve` wants to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where HTTP is served; port 0 is any.
    pub http: SocketAddr,
    /// UDP port of shard 0; shard i adds i. 0 is any.
    pub media_port: u16,
    /// Where media comes over TCP; never `Auto`.
    pub media_tcp: MediaTcp,
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
    /// Where the certificate comes from.
    pub tls: TlsSource,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Pages of which origins may connect, besides those that came from here; `None`: all.
    pub allowed_origins: Option<Vec<String>>,
    /// What tokens are verified with. None: everybody who reaches the server may join, and only
    /// this host does, or it was said at length that this is meant.
    pub token_keys: Vec<TokenKey>,
    /// Whether that was said.
    pub anyone: bool,
    /// Between pings on a WebSocket.
    pub ping_interval: Duration,
    /// From which share of its core on, in thousandths, a shard takes no new rooms and peers.
    pub busy_max: u64,
    /// Bounds of what clients may have and do.
    pub limits: Limits,
    /// How long rooms may go on when the server is told to stop.
    pub drain_time: Duration,
    /// How the log is written.
    pub log_format: LogFormat,
    /// Filter for the log, as the tracing crates read it.
    pub log: String,
}

/// Where the certificate of HTTPS comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// There is none: plain HTTP is served.
    None,
    /// Made at the start.
    SelfSigned,
    /// PEM files.
    Files {
        /// The certificate and those that lead to its root.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
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

/// Why settings do not make a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The name of the one that is wrong.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl ConfigError {
    fn new(setting: &'static str, reason: impl Into<String>) -> Self {
        Self { setting, reason: reason.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.reason)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Checks settings. `host` are the addresses for media when none are given, best first.
    pub fn new(settings: &Settings, host: &[IpAddr]) -> Result<Config, ConfigError> {
        let config = Config {
            http: settings.http.unwrap_or(HTTP),
            media_port: settings.media_port.unwrap_or(MEDIA_PORT),
            media_tcp: match settings.media_tcp.unwrap_or(MediaTcp::Auto) {
                MediaTcp::Auto if settings.http.unwrap_or(HTTP).ip().is_loopback() => MediaTcp::Off,
                MediaTcp::Auto => MediaTcp::Http,
                said => said,
            },
            media_addresses: media_addresses(settings, host)?,
            shards: shards(settings)?,
            io: match settings.io.unwrap_or(Io::Auto) {
                Io::Auto | Io::Mmsg => IoKind::Mmsg,
                Io::Ring => IoKind::Ring,
            },
            even_trains: settings.even_trains.unwrap_or(false),
            tls: tls(settings)?,
            trusted_proxies: settings
                .trusted_proxy
                .iter()
                .flatten()
                .map(|network| network.0)
                .collect(),
            allowed_origins: allowed_origins(settings)?,
            token_keys: token_keys(settings)?,
            anyone: settings.anyone_may_join_without_a_token.unwrap_or(false),
            ping_interval: ping_interval(settings)?,
            busy_max: busy_max(settings)?,
            limits: limits(settings)?,
            drain_time: Duration::from_secs(settings.drain_time.unwrap_or(DRAIN_TIME).into()),
            log_format: settings.log_format.unwrap_or_default(),
            log: log(settings)?,
        };
        check_open(&config)?;
        config.media_ports(config.shards.unwrap_or(1))?;
        Ok(config)
    }

    /// The media port of each of `shards` shards.
    pub fn media_ports(&self, shards: usize) -> Result<Vec<u16>, ConfigError> {
        let first = self.media_port;
        if first == 0 {
            return Ok(vec![0; shards]);
        }
        let ports = (0..shards).map(|shard| u16::try_from(shard).ok()?.checked_add(first));
        ports.collect::<Option<_>>().ok_or_else(|| {
            let reason = format!("{shards} shards from {first} on, and 65535 is the last port");
            ConfigError::new("media-port", reason)
        })
    }
}

fn shards(settings: &Settings) -> Result<Option<usize>, ConfigError> {
    match settings.shards {
        Some(0) => Err(ConfigError::new("shards", "at least one is needed")),
        shards => Ok(shards.map(usize::from)),
    }
}

fn tls(settings: &Settings) -> Result<TlsSource, ConfigError> {
    let self_signed = settings.self_signed == Some(true);
    match (settings.certificate.clone(), settings.private_key.clone()) {
        (None, None) if self_signed => Ok(TlsSource::SelfSigned),
        (None, None) => Ok(TlsSource::None),
        (Some(_), _) if self_signed => {
            Err(ConfigError::new("self-signed", "there is a certificate already"))
        }
        (Some(certificate), Some(key)) => Ok(TlsSource::Files { certificate, key }),
        (Some(_), None) => Err(ConfigError::new("certificate", "it needs its private-key too")),
        (None, Some(_)) => Err(ConfigError::new("private-key", "it needs its certificate too")),
    }
}

/// Where nobody needs a token, being on this host is what lets in, and every page that a browser
/// of this host shows would be: then only those that came from here may connect.
fn allowed_origins(settings: &Settings) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(origins) = settings.allowed_origin.clone() else {
        let anyone = settings.anyone_may_join_without_a_token == Some(true);
        let guarded = anyone || settings.token_key.is_some();
        return Ok((!guarded).then(Vec::new));
    };
    if origins.iter().any(|origin| origin == "*") {
        return Ok(None);
    }
    let is_origin = |origin: &&String| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
    };
    match origins.iter().find(|origin| !is_origin(origin)) {
        None => Ok(Some(origins)),
        Some(bad) => {
            let reason = format!("{bad:?}: https://HOST or https://HOST:PORT is wanted, or *");
            Err(ConfigError::new("allowed-origin", reason))
        }
    }
}

fn token_keys(settings: &Settings) -> Result<Vec<TokenKey>, ConfigError> {
    let keys = settings.token_key.clone().unwrap_or_default();
    for (i, TokenKey { id, .. }) in keys.iter().enumerate() {
        if keys[..i].iter().any(|earlier| earlier.id == *id) {
            return Err(ConfigError::new("token-key", format!("{id}=…: is given twice")));
        }
    }
    Ok(keys)
}

/// That everybody may come in is never so by mistake.
fn check_open(config: &Config) -> Result<(), ConfigError> {
    if config.http.ip().is_loopback() || !config.token_keys.is_empty() || config.anyone {
        return Ok(());
    }
    let reason = format!(
        "{} is not loopback, and without a token-key whoever reaches it may join every room: name \
         a key, or say anyone-may-join-without-a-token",
        config.http
    );
    Err(ConfigError::new("http", reason))
}

fn ping_interval(settings: &Settings) -> Result<Duration, ConfigError> {
    let seconds = settings.ping_interval.unwrap_or(PING_INTERVAL);
    if PING_INTERVALS.contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    let (min, max) = (PING_INTERVALS.start(), PING_INTERVALS.end());
    Err(ConfigError::new("ping-interval", format!("{min} to {max} seconds are possible")))
}

fn busy_max(settings: &Settings) -> Result<u64, ConfigError> {
    let share = settings.busy_max.unwrap_or(BUSY_MAX);
    if BUSY_MAXIMA.contains(&share) {
        return Ok((1000.0 * share) as u64);
    }
    let (min, max) = (BUSY_MAXIMA.start(), BUSY_MAXIMA.end());
    Err(ConfigError::new("busy-max", format!("{min} to {max} is possible")))
}

fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    // A limit of nothing would be a server of nothing.
    let pick = |setting, value: Option<u32>, default: u64, max: u64| match value.map(u64::from) {
        None => Ok(default),
        Some(value) if (1..=max).contains(&value) => Ok(value),
        Some(_) => Err(ConfigError::new(setting, format!("1 to {max} are possible"))),
    };
    let (of, most) = (Limits::DEFAULT, u64::from(u32::MAX));
    let size = |setting, value, default: usize, max: usize| {
        pick(setting, value, default as u64, max as u64).map(|value| value as usize)
    };
    let count = |setting, value, default: u32, max: u32| {
        pick(setting, value, default.into(), max.into()).map(|value| value as u32)
    };
    let it = settings;
    Ok(Limits {
        rooms: size("max-rooms", it.max_rooms, of.rooms, most as usize)?,
        peers_per_room: size(
            "max-peers-per-room",
            it.max_peers_per_room,
            of.peers_per_room,
            most as usize,
        )?,
        transports_per_peer: size(
            "max-transports-per-peer",
            it.max_transports_per_peer,
            of.transports_per_peer,
            TRANSPORTS_MAX,
        )?,
        receivers_per_peer: size(
            "max-receivers-per-peer",
            it.max_receivers_per_peer,
            of.receivers_per_peer,
            RECEIVERS_PER_PEER_MAX,
        )?,
        requests_per_second: count(
            "max-requests-per-second",
            it.max_requests_per_second,
            of.requests_per_second,
            REQUESTS_MAX,
        )?,
        connections_per_address: count(
            "max-connections-per-address",
            it.max_connections_per_address,
            of.connections_per_address,
            u32::MAX,
        )?,
        visitors: count("max-visitors", it.max_visitors, of.visitors, u32::MAX)?,
        bitrate: 1000 * pick("max-bitrate", it.max_bitrate, of.bitrate / 1000, most)?,
        app_data: size("max-app-data", it.max_app_data, of.app_data, APP_DATA_MAX)?,
    })
}

fn log(settings: &Settings) -> Result<String, ConfigError> {
    let log = settings.log.clone().unwrap_or_else(|| LOG.to_owned());
    match log.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(log),
        Err(error) => Err(ConfigError::new("log", error.to_string())),
    }
}

fn media_addresses(settings: &Settings, host: &[IpAddr]) -> Result<Vec<MediaAddress>, ConfigError> {
    let announced = settings.announce.as_deref().unwrap_or_default();
    let mut addresses: Vec<MediaAddress> = Vec::new();
    for local in given_or_found(settings, host) {
        if local.is_unspecified() {
            let reason = format!(
                "{local}: media needs one address of this host, give each that \
                counts"
            );
            return Err(ConfigError::new("media-address", reason));
        }
        if addresses.iter().any(|address| address.local == local) {
            return Err(ConfigError::new("media-address", format!("{local} is given twice")));
        }
        let announce = announced.iter().find(|announce| announce.local == local);
        addresses.push(MediaAddress {
            local,
            public: announce.map_or(local, |announce| announce.public),
            required: settings.media_address.is_some() || announce.is_some(),
        });
    }
    if addresses.len() > ADDRESSES_MAX {
        return Err(ConfigError::new("media-address", format!("{ADDRESSES_MAX} at most")));
    }
    check_announced(announced, &addresses)?;
    Ok(addresses)
}

fn check_announced(all: &[Announce], addresses: &[MediaAddress]) -> Result<(), ConfigError> {
    for (i, &Announce { local, public }) in all.iter().enumerate() {
        let wrong = if !addresses.iter().any(|address| address.local == local) {
            format!("{local}=…: media does not use {local}; add it to media-address")
        } else if all[..i].iter().any(|earlier| earlier.local == local) {
            format!("{local}=…: is given twice, and one address can be announced")
        } else if public.is_unspecified() || public.is_multicast() {
            format!("…={public}: browsers need the address of one host")
        } else {
            continue;
        };
        return Err(ConfigError::new("announce", wrong));
    }
    Ok(())
}

/// Loopback comes last: Firefox does not use it, and elsewhere it is somebody else's.
fn given_or_found(settings: &Settings, host: &[IpAddr]) -> Vec<IpAddr> {
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let found = || host.iter().copied().chain(loopback).collect();
    settings.media_address.clone().unwrap_or_else(found)
}

#[cfg(test)]
mod tests;
