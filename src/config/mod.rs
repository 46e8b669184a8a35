//! What the server is told. [`Settings`] are what was said, wherever; [`Config`] is made from them,
//! checked: it holds nothing that cannot be served, as far as that can be known without trying.

mod addresses;
pub mod file;
mod limits;
mod origin;
mod settings;
mod source;

pub use addresses::MediaAddress;
pub use origin::{AllowedOrigin, Origin, authority_of};
pub use settings::{Announce, Io, LogFormat, MediaTcp, Settings, TokenKey, with_environment};
pub use source::{Loaded, Source};

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::types::limit::HISTORY_BYTES;
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
    "webhook",
    "webhook-secret",
    "max-rooms",
    "max-peers-per-room",
    "max-transports-per-peer",
    "max-receivers-per-peer",
    "max-requests-per-second",
    "max-connections-per-address",
    "max-openings-per-address",
    "max-openings-per-room",
    "max-visitors",
    "max-visits-per-address",
    "max-bitrate",
    "max-app-data",
];

/// A ping interval outside of this is a slip of the hand.
const PING_INTERVALS: std::ops::RangeInclusive<f64> = 0.01..=3600.0;

/// A shard is never idle altogether, and less than this would refuse everybody.
const BUSY_MAXIMA: std::ops::RangeInclusive<f64> = 0.05..=1.0;

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
    /// Bytes of media that each shard keeps to send again.
    pub history_bytes: usize,
    /// Where the certificate comes from.
    pub tls: TlsSource,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Pages of which origins may connect, besides those that came from here; `None`: all.
    pub allowed_origins: Option<Vec<AllowedOrigin>>,
    /// What tokens are verified with. None: everybody who reaches the server may join, and only
    /// this host does, or it was said at length that this is meant.
    pub token_keys: Vec<TokenKey>,
    /// Whether that was said.
    pub anyone: bool,
    /// Who is told when rooms and peers come and go.
    pub webhook: Option<Webhook>,
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

/// A web server that is told of rooms and peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `http` or `https`.
    pub url: String,
    /// The file that has what it is signed with.
    pub secret: PathBuf,
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
        let mut http = settings.http.unwrap_or(HTTP);
        http.set_ip(http.ip().to_canonical());
        let config = Config {
            http,
            media_port: settings.media_port.unwrap_or(MEDIA_PORT),
            media_tcp: match settings.media_tcp.unwrap_or(MediaTcp::Auto) {
                MediaTcp::Auto if http.ip().is_loopback() => MediaTcp::Off,
                MediaTcp::Auto => MediaTcp::Http,
                said => said,
            },
            media_addresses: addresses::media_addresses(settings, host)?,
            shards: shards(settings)?,
            io: match settings.io.unwrap_or(Io::Auto) {
                Io::Auto | Io::Mmsg => IoKind::Mmsg,
                Io::Ring => IoKind::Ring,
            },
            even_trains: settings.even_trains.unwrap_or(false),
            history_bytes: match settings.history_megabytes {
                Some(megabytes) => usize::from(megabytes) << 20,
                None => HISTORY_BYTES,
            },
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
            webhook: webhook(settings)?,
            ping_interval: ping_interval(settings)?,
            busy_max: busy_max(settings)?,
            limits: limits::limits(settings)?,
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
fn allowed_origins(settings: &Settings) -> Result<Option<Vec<AllowedOrigin>>, ConfigError> {
    let Some(origins) = &settings.allowed_origin else {
        let anyone = settings.anyone_may_join_without_a_token == Some(true);
        let guarded = anyone || settings.token_key.as_ref().is_some_and(|keys| !keys.is_empty());
        return Ok((!guarded).then(Vec::new));
    };
    let origins = origins.iter().map(|origin| origin.parse());
    let origins: Vec<AllowedOrigin> = origins
        .collect::<Result<_, _>>()
        .map_err(|reason: String| ConfigError::new("allowed-origin", reason))?;
    Ok((!origins.contains(&AllowedOrigin::Every)).then_some(origins))
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

fn webhook(settings: &Settings) -> Result<Option<Webhook>, ConfigError> {
    match (settings.webhook.clone(), settings.webhook_secret.clone()) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::new("webhook", "it needs its webhook-secret too")),
        (None, Some(_)) => Err(ConfigError::new("webhook-secret", "it needs its webhook too")),
        (Some(url), Some(_)) if !is_web_address(&url) => {
            let reason = format!("{url:?}: https://HOST/PATH is wanted (or http)");
            Err(ConfigError::new("webhook", reason))
        }
        (Some(url), Some(secret)) => Ok(Some(Webhook { url, secret })),
    }
}

fn is_web_address(url: &str) -> bool {
    url.parse::<ureq::http::Uri>().is_ok_and(|url| {
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        matches!(url.scheme_str(), Some("http" | "https")) && authority_of(place).is_some()
    })
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

fn log(settings: &Settings) -> Result<String, ConfigError> {
    let log = settings.log.clone().unwrap_or_else(|| LOG.to_owned());
    // The filter takes a word that is no level for a module's name, and then logs nothing else.
    let is_level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let words = log.split(',').map(str::trim).filter(|word| !word.contains(['=', '[', '{', '}']));
    if let Some(word) = words.into_iter().find(|word| !is_level(word)) {
        let reason =
            format!("{word:?}: error, warn, info, debug, trace or off is wanted, or MODULE=LEVEL");
        return Err(ConfigError::new("log", reason));
    }
    match log.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(log),
        Err(error) => Err(ConfigError::new("log", error.to_string())),
    }
}

#[cfg(test)]
mod tests;
