//! What can change while the server runs: made from a configuration, handed to each shard. Who a
//! client is and whether it may come in is decided by it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::client::{Client, Elsewhere, Known};
use crate::config::{Config, TlsSource};
use crate::http::token::{Denied, Keys, of_request};
use crate::http::webhook;
use crate::http::{Request, Upgrade};
use crate::net::{Tls, own_names};
use crate::types::{Limits, Refusal, Rights};

/// What a reload replaces, as a whole.
#[derive(Debug, Clone)]
pub struct Live {
    /// Between pings on a WebSocket.
    pub(super) ping_interval: Duration,
    /// Bounds of what clients may have and do.
    pub(super) limits: Limits,
    /// What connections are encrypted with; `None`: plain HTTP is served.
    pub(crate) tls: Option<Tls>,
    /// From which share of its core on, in thousandths, a shard is full.
    pub(super) busy_max: u64,
    /// How long rooms may go on when the server is told to stop.
    pub(crate) drain_time: Duration,
    /// Who is told when rooms and peers come and go.
    pub(crate) webhook: Option<webhook::Target>,
    /// What tokens are verified with.
    keys: Keys,
    /// Without keys, whether others than this host may join.
    anyone: bool,
    /// Proxies and pages that are named.
    pub(super) known: Known,
    /// Files that are read again when they change.
    files: Vec<PathBuf>,
}

impl Live {
    /// Reads what the configuration names. Errors name the file and what is wrong with it. A
    /// certificate of our own making is kept from `before`, so that nobody is asked about it twice.
    pub fn load(config: &Config, before: Option<&Live>) -> io::Result<Live> {
        let own = || before.and_then(|before| before.tls.clone());
        let (tls, files) = match &config.tls {
            TlsSource::None => (None, Vec::new()),
            TlsSource::SelfSigned => {
                let addresses = config.media_addresses.iter().flat_map(|a| [a.local, a.public]);
                let names = own_names(addresses.chain([config.http.ip()]));
                (Some(own().map_or_else(|| Tls::self_signed(names), Ok)?), Vec::new())
            }
            TlsSource::Files { certificate, key } => {
                (Some(Tls::load(certificate, key)?), vec![certificate.clone(), key.clone()])
            }
        };
        let keys = config.token_keys.iter().map(|key| (&*key.id, &*key.file));
        let told = config.webhook.as_ref();
        let told = told.map(|told| webhook::Target::load(&told.url, &told.secret));
        Ok(Live {
            ping_interval: config.ping_interval,
            busy_max: config.busy_max,
            limits: config.limits,
            drain_time: config.drain_time,
            tls,
            webhook: told.transpose()?,
            keys: Keys::load(keys)?,
            anyone: config.anyone,
            known: Known {
                proxies: config.trusted_proxies.clone(),
                origins: config.allowed_origins.clone(),
            },
            files,
        })
    }

    /// Files that are worth a look now and then: when one has changed, it is to be loaded again.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether an address may have any number of connections that have not said anything yet.
    pub(super) fn exempts(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.known.trusts(address)
    }

    /// What this client may do; `now` is in seconds since 1970.
    pub(super) fn admit(
        &self,
        client: &Client,
        request: &Request,
        upgrade: &Upgrade,
        now: u64,
    ) -> Result<Rights, (Refusal, Denied)> {
        if !self.known.admits_page(client, request) {
            let denied = Denied::Rights("pages of this origin may not connect");
            return Err((Refusal::Origin, denied));
        }
        if self.keys.is_empty() {
            return match client.is_here() {
                _ if self.anyone => Ok(Rights::PARTICIPANT),
                Ok(()) => Ok(Rights::PARTICIPANT),
                Err(elsewhere) => Err((elsewhere.refusal(), Denied::Rights(elsewhere.reason()))),
            };
        }
        let token = of_request(request).ok_or(Denied::Token("a token is needed"));
        let grant = token.and_then(|token| self.keys.verify(&token, now));
        let rights = grant.and_then(|grant| grant.admits(&upgrade.room, &upgrade.peer));
        rights.map_err(|denied| (denied.refusal(), denied))
    }

    /// Whether this client may read the server's counters. Without keys they are this host's, as
    /// all the rest is.
    pub(super) fn shows_counters(&self, client: &Client) -> Result<(), Elsewhere> {
        match self.anyone || self.has_keys() {
            true => Ok(()),
            false => client.is_here(),
        }
    }

    /// Whether tokens are asked for.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether the token of this request is for whoever looks after `room`, or after all of them.
    pub(super) fn admit_admin(
        &self,
        request: &Request,
        room: Option<&str>,
        now: u64,
    ) -> Result<(), Denied> {
        let token = of_request(request).ok_or(Denied::Token("a token is needed"))?;
        let grant = self.keys.verify(&token, now)?;
        let for_it = grant.room.as_deref().is_none_or(|own| Some(own) == room);
        match for_it && grant.rights.admin {
            true => Ok(()),
            false => Err(Denied::Rights("the token is for other rooms, or not for admin")),
        }
    }
}
