//! What can change while the server runs: made from a configuration, handed to each shard. Who a
//! client is and whether it may come in is decided by it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

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
    /// Whose word about their clients' addresses is taken.
    trusted_proxies: Vec<IpNet>,
    /// `None`: every page may connect.
    allowed_origins: Option<Vec<String>>,
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
            trusted_proxies: config.trusted_proxies.clone(),
            allowed_origins: config.allowed_origins.clone(),
            files,
        })
    }

    /// Files that are worth a look now and then: when one has changed, it is to be loaded again.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether an address may have any number of connections.
    pub(super) fn exempts(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.trusts(address)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Who sent a request that came from `peer`: a proxy that is trusted says for whom. Of a chain
    /// of them it is the last address that none of them vouches for.
    pub(super) fn client(&self, peer: IpAddr, request: &Request) -> IpAddr {
        let mut client = peer;
        for address in request.list("x-forwarded-for").rev() {
            if !self.trusts(client) {
                break;
            }
            match address.parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }

    /// What this client may do; `now` is in seconds since 1970.
    pub(super) fn admit(
        &self,
        client: IpAddr,
        request: &Request,
        upgrade: &Upgrade,
        now: u64,
    ) -> Result<Rights, (Refusal, Denied)> {
        if !self.knows_origin(request) {
            let denied = Denied::Rights("pages of this origin may not connect");
            return Err((Refusal::Origin, denied));
        }
        if self.keys.is_empty() {
            let here = self.anyone || client.is_loopback();
            let denied = Denied::Rights("without a token-key only this host is served");
            return here.then_some(Rights::PARTICIPANT).ok_or((Refusal::Rights, denied));
        }
        let token = of_request(request).ok_or(Denied::Token("a token is needed"));
        let grant = token.and_then(|token| self.keys.verify(&token, now));
        let rights = grant.and_then(|grant| grant.admits(&upgrade.room, &upgrade.peer));
        rights.map_err(|denied| (denied.refusal(), denied))
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

    /// Whether the page that the request comes from may connect. Programs other than browsers say
    /// nothing of the kind, and a page that came from here may always.
    fn knows_origin(&self, request: &Request) -> bool {
        let (Some(allowed), Some(origin)) = (&self.allowed_origins, request.header("origin"))
        else {
            return true;
        };
        let own = origin.split_once("://").map(|(_, host)| host);
        own.is_some_and(|own| request.header("host").is_some_and(|h| h.eq_ignore_ascii_case(own)))
            || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(trusted: &[&str], origins: Option<&[&str]>) -> Live {
        Live {
            ping_interval: Duration::from_secs(1),
            busy_max: 850,
            limits: Limits::DEFAULT,
            drain_time: Duration::ZERO,
            tls: None,
            webhook: None,
            keys: Keys::default(),
            anyone: false,
            trusted_proxies: trusted.iter().map(|text| text.parse().unwrap()).collect(),
            allowed_origins: origins.map(|all| all.iter().map(|&one| one.to_owned()).collect()),
            files: Vec::new(),
        }
    }

    fn request(headers: &str) -> Request {
        let text = format!("GET / HTTP/1.1\r\n{headers}\r\n");
        Request::parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn only_trusted_proxies_say_who_their_client_is() {
        let live = live(&["127.0.0.1/32", "10.0.0.0/8"], None);
        for (peer, forwarded, client) in [
            ("127.0.0.1", "", "127.0.0.1"),
            ("192.0.2.1", "X-Forwarded-For: 127.0.0.1\r\n", "192.0.2.1"),
            ("127.0.0.1", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
            // What the client itself has written stands on the left.
            ("127.0.0.1", "X-Forwarded-For: 127.0.0.1, 192.0.2.7, 10.1.1.1\r\n", "192.0.2.7"),
            (
                "10.9.9.9",
                "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: ::ffff:192.0.2.7\r\n",
                "192.0.2.7",
            ),
            ("127.0.0.1", "X-Forwarded-For: 192.0.2.7, unknown\r\n", "127.0.0.1"),
        ] {
            let found = live.client(peer.parse().unwrap(), &request(forwarded));
            assert_eq!(found.to_string(), client, "{peer} {forwarded}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_let_in_only_where_it_is_listed() {
        let list = live(&[], Some(&["https://app.example.org"]));
        for (headers, known) in [
            ("Host: a\r\n", true),
            ("Host: a:1\r\nOrigin: http://a:1\r\n", true),
            ("Host: a:1\r\nOrigin: http://a:2\r\n", false),
            ("Host: a\r\nOrigin: https://app.example.org\r\n", true),
            ("Host: a\r\nOrigin: http://app.example.org\r\n", false),
            ("Host: a\r\nOrigin: null\r\n", false),
        ] {
            assert_eq!(list.knows_origin(&request(headers)), known, "{headers}");
        }
        assert!(live(&[], None).knows_origin(&request("Origin: https://elsewhere\r\n")));
    }
}
