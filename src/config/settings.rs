//! What may be set, under one name each: `media-port` is a line of the file, `CORINTH_MEDIA_PORT`
//! in the environment and `--media-port` on the command line. What a setting means is written here,
//! for the command line's help, and at more length in `example.toml`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Command, ValueEnum};
use ipnet::IpNet;
use serde::Deserialize;

/// Beginning of the names in the environment.
const ENVIRONMENT: &str = "CORINTH_";

/// A struct of settings, all of which may be missing.
macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// What was set in one place: file, environment and command line, or all of them.
        #[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Settings {
            $($(#[$meta])* #[arg(long, verbatim_doc_comment)] pub $name: Option<$type>,)*
        }

        impl Settings {
            /// Where what is not set here is set there.
            #[must_use]
            pub fn or(self, there: Settings) -> Settings {
                Settings { $($name: self.$name.or(there.$name),)* }
            }

            /// The names of what is not the same here and there.
            pub fn differing(&self, there: &Settings) -> Vec<String> {
                let mut names = Vec::new();
                $(if self.$name != there.$name {
                    names.push(name(stringify!($name)));
                })*
                names
            }

            /// The names of everything that may be set.
            pub fn names() -> Vec<String> {
                vec![$(name(stringify!($name)),)*]
            }
        }
    };
}

settings! {
    /// Where HTTP and WebSockets are served. Browsers give a page camera and microphone only on
    /// 127.0.0.1, localhost or behind TLS. Port 0: any free one [default: 127.0.0.1:8080]
    #[arg(value_name = "IP:PORT")]
    http: SocketAddr,

    /// The server's certificate, and those that lead to its root, in PEM. With it HTTPS and secure
    /// WebSockets are served in place of plain ones. Read again when it changes
    #[arg(value_name = "FILE")]
    certificate: PathBuf,

    /// The certificate's private key in PEM
    #[arg(value_name = "FILE")]
    private_key: PathBuf,

    /// Serve HTTPS with a certificate made at the start, which browsers warn of: for a trial
    #[arg(value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    self_signed: bool,

    /// A reverse proxy, or a network of them, whose X-Forwarded-For is believed
    #[arg(value_name = "IP[/BITS]", value_delimiter = ',')]
    trusted_proxy: Vec<Network>,

    /// Let pages of this origin connect, besides those that came from here; https://*.HOST is every
    /// name below that one, null pages of files, * all
    /// [default: all where a token is needed, otherwise none]
    #[arg(value_name = "https://HOST[:PORT]", value_delimiter = ',')]
    allowed_origin: Vec<String>,

    /// A key that tokens are signed with: its id, which the head of a token names, and the file
    /// that has it, a secret of at least 32 bytes (HS256) or a public key in PEM (P-256: ES256,
    /// Ed25519: EdDSA). Several, so that one can follow another. With any, nobody joins without
    /// a token (`corinth token` makes one)
    #[arg(value_name = "ID=FILE", value_delimiter = ',')]
    token_key: Vec<TokenKey>,

    /// Serve on other addresses than loopback though there is no --token-key
    #[arg(value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    anyone_may_join_without_a_token: bool,

    /// Tell this web server when rooms and peers come and go; needs --webhook-secret
    /// (docs/operating/webhooks.md)
    #[arg(value_name = "URL")]
    webhook: String,

    /// The file with the secret that what it is told is signed with, in base64
    #[arg(value_name = "FILE")]
    webhook_secret: PathBuf,

    /// First UDP port for media: shard i (from 0) uses PORT + i on each media address. Open as
    /// many in the firewall as there are shards. 0: any free ones [default: 40000]
    #[arg(value_name = "PORT")]
    media_port: u16,

    /// Local address on which media is sent and received; may be given several times, and browsers
    /// are told them in that order [default: the first IPv4 and the first IPv6 address of this
    /// host, then 127.0.0.1 and ::1]
    #[arg(value_name = "IP", value_delimiter = ',')]
    media_address: Vec<IpAddr>,

    /// Where media comes over TCP, from networks that let no UDP through: on the port of --http
    /// (http), on a port of its own on each media address (PORT), or not (off). auto is http, but
    /// off where that is loopback [default: auto]
    #[arg(value_name = "WHERE")]
    media_tcp: MediaTcp,

    /// Tell browsers PUBLIC in place of the media address LOCAL, where a NAT maps the one to the
    /// other with the same ports; once for each address
    #[arg(value_name = "LOCAL=PUBLIC", value_delimiter = ',')]
    announce: Vec<Announce>,

    /// How many shards share the work, each a thread on a core of its own [default: one for each
    /// core that this process may use]
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    shards: u8,

    /// How datagrams get into the kernel and out of it: by recvmmsg and sendmmsg, or by an io_uring
    /// of each shard's own (Linux 6.1). auto is what costs less (docs/internals/net.md)
    /// [default: auto]
    #[arg(value_name = "WAY", value_enum)]
    io: Io,

    /// Pad packets of a video frame that are one byte shorter than others of it to their length, so
    /// that more of them leave in one message to the kernel. Costs a viewer a byte now and then
    #[arg(value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    even_trains: bool,

    /// Megabytes of media that each shard keeps, so that it can send again what viewers have lost:
    /// what its sources send in about a second [default: 32]
    #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16_384))]
    history_megabytes: u16,

    /// Seconds between the pings on each WebSocket; a client that is silent for two of them is
    /// taken for gone [default: 20]
    #[arg(value_name = "SECONDS")]
    ping_interval: f64,

    /// How busy a shard may be, as a share of its core: from there on it takes no new rooms and
    /// peers (503), until it has been below four fifths of that for three seconds [default: 0.85]
    #[arg(value_name = "SHARE")]
    busy_max: f64,

    /// Rooms of the server; one more gets 503 [default: 10000]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_rooms: u32,

    /// Peers of one room; one more gets 429 [default: 10000]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_peers_per_room: u32,

    /// Transports of one peer, some 20 KiB each; one more gets 429 [default: 16]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_transports_per_peer: u32,

    /// Sources of one peer, 32 at most; one more gets 429 [default: 32]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_receivers_per_peer: u32,

    /// Requests of one peer in a second, four times as many in a burst; more get 429, and a flood
    /// ends the connection [default: 100]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_requests_per_second: u32,

    /// WebSockets of one client address (of IPv6 its /64), connections of it for media over TCP,
    /// and on each shard those that are neither yet, each counted by itself; one more gets 429.
    /// Loopback and trusted proxies may have any number [default: 256]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_connections_per_address: u32,

    /// WebSockets that one client address opens in a second, in a burst as many as in a minute;
    /// more get 429. Loopback and trusted proxies may open any number [default: 5]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_openings_per_address: u32,

    /// WebSockets that are opened to one room in a second, in a burst as many as in 15 seconds;
    /// more get 429 [default: 20]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_openings_per_room: u32,

    /// Connections of each shard that are no WebSockets (yet); for one more one that has said
    /// nothing yet goes, with 503 [default: 1024]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_visitors: u32,

    /// Connections from one client address that each shard takes in a second, in a burst as many as
    /// in ten; more get 429. Loopback and trusted proxies may make any number [default: 50]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_visits_per_address: u32,

    /// What one transport may bring, in kilobits a second; what is more is dropped [default: 50000]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_bitrate: u32,

    /// Bytes of an appData, 16384 at most; a longer one gets 429 [default: 16384]
    #[arg(value_name = "N", help_heading = "Limits")]
    max_app_data: u32,

    /// How long rooms may go on when the server is told to stop (SIGTERM, or POST /admin/drain): it
    /// takes no new ones, and ends with the last of them or after this time [default: 60]
    #[arg(value_name = "SECONDS")]
    drain_time: u32,

    /// How the log is written: lines for people, or each an object of JSON with the ids of room and
    /// peer, for programs [default: text]
    #[arg(value_name = "FORMAT", value_enum)]
    log_format: LogFormat,

    /// What is logged to standard error: error, warn, info, debug, trace, or by module
    /// (info,corinth::shard=debug) [default: info]
    #[arg(value_name = "LEVEL")]
    log: String,
}

/// `media-port` of `media_port`.
fn name(field: &str) -> String {
    field.replace('_', "-")
}

/// Lets every setting, and which file there is, be given by the environment too, in this command
/// and those below it.
#[must_use]
pub fn with_environment(command: Command) -> Command {
    let names = Settings::names();
    let command = command.mut_args(|arg| match arg.get_long() {
        Some(long) if long == "config" || names.iter().any(|name| name == long) => {
            let variable = format!("{ENVIRONMENT}{}", long.replace('-', "_").to_uppercase());
            // An empty one says nothing, as where a template had nothing to put in.
            let said = std::env::var_os(&variable).is_some_and(|value| !value.is_empty());
            if said { arg.env(variable).hide_env(true) } else { arg }
        }
        _ => arg,
    });
    command.mut_subcommands(with_environment)
}

/// What `log-format` may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What `io` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Io {
    /// What was measured to be better.
    Auto,
    /// recvmmsg and sendmmsg.
    Mmsg,
    /// An io_uring.
    Ring,
}

/// An address, or with `/BITS` the network that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    /// IPv4 in IPv6's clothes is IPv4, as clients' addresses are compared.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let one = text.parse::<IpAddr>().map(IpNet::from).ok();
        let network = one.or_else(|| text.parse().ok()).map(plain);
        match network {
            Some(network) if network.prefix_len() == 0 => {
                Err(format!("{text:?} is everybody, and so would be believed"))
            }
            Some(network) => Ok(Self(network)),
            None => Err(format!("{text:?} is neither an address nor a network")),
        }
    }
}

/// `10.0.0.0/8` of `::ffff:10.0.0.0/104`.
fn plain(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(MAPPED)) {
        (IpAddr::V4(address), Some(bits)) if matches!(network, IpNet::V6(_)) => {
            IpNet::new(address.into(), bits).unwrap_or(network)
        }
        _ => network,
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// `ID=FILE`: a key for tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TokenKey {
    /// `kid` in the head of a token.
    pub id: String,
    /// What has it.
    pub file: PathBuf,
}

impl FromStr for TokenKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').map(|(id, file)| (id.trim(), file.trim()));
        match parts {
            Some((id, file)) if !id.is_empty() && !file.is_empty() => {
                Ok(Self { id: id.to_owned(), file: file.into() })
            }
            _ => Err("ID=FILE is wanted, a name for the key and the file that has it".to_owned()),
        }
    }
}

impl TryFrom<String> for TokenKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What `media-tcp` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PortOrWord")]
pub enum MediaTcp {
    /// `Http` unless that is on loopback.
    Auto,
    /// Nowhere.
    Off,
    /// Where HTTP is.
    Http,
    /// On this port of each media address.
    Port(u16),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PortOrWord {
    Port(u16),
    Word(String),
}

impl FromStr for MediaTcp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            "http" => Ok(Self::Http),
            text => text
                .parse()
                .map(Self::Port)
                .map_err(|_| "auto, off, http or a port is wanted".to_owned()),
        }
    }
}

impl TryFrom<PortOrWord> for MediaTcp {
    type Error = String;

    fn try_from(value: PortOrWord) -> Result<Self, String> {
        match value {
            PortOrWord::Port(port) => Ok(Self::Port(port)),
            PortOrWord::Word(word) => word.parse(),
        }
    }
}

/// `LOCAL=PUBLIC`: an address of this host and the one that the world knows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
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
            let address = text.trim().parse::<IpAddr>();
            let address = address.map_err(|_| format!("{text:?} is not an IP address"))?;
            Ok::<_, String>(address.to_canonical())
        };
        let (local, public) = (ip(local)?, ip(public)?);
        if local.is_ipv4() != public.is_ipv4() {
            return Err("one is IPv4, the other IPv6".to_owned());
        }
        Ok(Self { local, public })
    }
}

impl TryFrom<String> for Announce {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
