//! Who sent a request: the one place where its address, its forwarding headers, its `Host` and the
//! page that it comes from are put together. Whatever may go to this host alone, or is counted by
//! addresses, asks here. In doubt it was somebody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use ipnet::IpNet;

use crate::config::{AllowedOrigin, Origin, authority_of};
use crate::http::Request;
use crate::types::Refusal;

/// Headers that tell of somebody in between, besides `X-Forwarded-…`.
const FORWARDING: &[&str] = &[
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];

/// Whoever runs an open server behind a proxy hears of it once, and finds the rest counted.
static WARNED: Once = Once::new();

/// Whom the configuration names.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Whose word about their clients' addresses is taken.
    pub(super) proxies: Vec<IpNet>,
    /// Pages that may connect besides those that came from here; `None`: all.
    pub(super) origins: Option<Vec<AllowedOrigin>>,
}

/// Who sent a request, as far as that can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    address: Address,
    here: Result<(), Elsewhere>,
    page: Page,
}

/// Where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    /// From here, as nobody stands in between, or a trusted proxy said so.
    Of(IpAddr),
    /// A trusted proxy, which does not say that it asks for anybody else.
    Proxy(IpAddr),
    /// A trusted proxy asks for somebody, and what it says of whom is no address.
    Unknown,
}

/// Why it is not taken for a program on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// Its address is another host's.
    Address,
    /// Somebody stands in between, who is not trusted or does not say for whom.
    Proxy,
    /// It asks for a name that anybody may have made to mean this host.
    Name,
    /// A browser asks, for a page of somebody else's.
    Page,
}

/// The page that a browser asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// None, or one that came from here.
    Own,
    /// One of somebody else's.
    Other,
}

impl Known {
    /// Whether it is a proxy's whose word about its clients is taken.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// Whether this `Host` is the name of an origin that is listed.
    fn lists_host(&self, host: &str) -> bool {
        let mut listed = self.origins.iter().flatten().filter_map(|allowed| match allowed {
            AllowedOrigin::One(origin) => Some(origin.host()),
            _ => None,
        });
        authority_of(host).is_some_and(|(name, _)| listed.any(|listed| listed == name))
    }

    /// Whether the page that the request comes from may connect. Programs other than browsers say
    /// nothing of the kind, and a page that came from here may always.
    pub(super) fn admits_page(&self, client: &Client, request: &Request) -> bool {
        let Some(allowed) = &self.origins else { return true };
        let mut origins = request.values("origin").peekable();
        let listed = |origin: &str| allowed.iter().any(|allowed| allowed.admits(origin));
        client.page == Page::Own || (origins.peek().is_some() && origins.all(listed))
    }
}

impl Client {
    /// Who sent this request over a connection from `peer`.
    pub(super) fn of(known: &Known, peer: SocketAddr, request: &Request) -> Self {
        let peer = peer.ip().to_canonical();
        let address = match (known.trusts(peer), named(known, peer, request)) {
            (false, _) => Address::Of(peer),
            (true, None) => Address::Proxy(peer),
            (true, Some(Ok(client))) => Address::Of(client),
            (true, Some(Err(()))) => Address::Unknown,
        };
        let client =
            Self { address, here: here(known, peer, address, request), page: page(request) };
        if peer.is_loopback() && !known.trusts(peer) && is_forwarded(request) {
            WARNED.call_once(|| {
                tracing::warn!(
                    "a proxy on this host forwards requests and is no trusted-proxy: its clients \
                     are not told apart, and none of them is taken for this host"
                );
            });
        }
        client
    }

    /// Whether it is a program on this host, or a browser on it: for whom a server without keys
    /// is there.
    pub(super) fn is_here(&self) -> Result<(), Elsewhere> {
        self.here
    }

    /// The same, and not on behalf of a page of somebody else's.
    pub(super) fn is_here_for_itself(&self) -> Result<(), Elsewhere> {
        self.here.and(if self.page == Page::Own { Ok(()) } else { Err(Elsewhere::Page) })
    }

    /// What it is counted by; `None`: it may have any number of connections. An error: nobody
    /// knows.
    pub(super) fn counted_by(&self, known: &Known) -> Result<Option<IpAddr>, Elsewhere> {
        match self.address {
            Address::Unknown => Err(Elsewhere::Proxy),
            Address::Proxy(_) => Ok(None),
            Address::Of(_) if self.here.is_ok() => Ok(None),
            Address::Of(address) => Ok(Some(address).filter(|&address| !known.trusts(address))),
        }
    }
}

impl Elsewhere {
    /// Under which it is counted.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Address => Refusal::Rights,
            Self::Proxy => Refusal::Proxy,
            Self::Name | Self::Page => Refusal::Origin,
        }
    }

    /// What it is told where only this host is served.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Address => "without a token-key only this host is served",
            Self::Proxy => {
                "it came through a proxy that is no trusted-proxy, or does not say for whom, and \
                 without a token-key only this host is served"
            }
            Self::Name => {
                "without a token-key only this host is served, as localhost or by its address"
            }
            Self::Page => "without a token-key, this is not for pages of other origins",
        }
    }
}

/// For whom a trusted proxy asks: of a chain of them, it is the last address that none of them
/// vouches for. `None`: it names nobody. An error: somebody without an address.
fn named(known: &Known, peer: IpAddr, request: &Request) -> Option<Result<IpAddr, ()>> {
    let chains = chains(request);
    let chain = chains.iter().find(|chain| !chain.is_empty())?;
    Some(last_unvouched(known, peer, chain))
}

/// What is said of those in between: each item in its turn, the nearest last.
fn chains(request: &Request) -> [Vec<Option<IpAddr>>; 2] {
    [
        request.list("x-forwarded-for").map(node).collect(),
        request.list("forwarded").map(forwarded_for).collect(),
    ]
}

fn last_unvouched(known: &Known, peer: IpAddr, chain: &[Option<IpAddr>]) -> Result<IpAddr, ()> {
    let mut client = peer;
    for item in chain.iter().rev() {
        if !known.trusts(client) {
            break;
        }
        client = item.ok_or(())?;
    }
    Ok(client)
}

/// The address of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711` or one of them
/// in quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = match text.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => text,
    };
    let bare = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = bare.or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

/// `for` of an element of `Forwarded` (RFC 7239 §4). A quoted comma splits an element, and what is
/// left of it has no address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    node(value)
}

fn here(known: &Known, peer: IpAddr, address: Address, request: &Request) -> Result<(), Elsewhere> {
    match address {
        Address::Of(address) if !address.is_loopback() => return Err(Elsewhere::Address),
        Address::Of(_) => {}
        Address::Proxy(_) | Address::Unknown => return Err(Elsewhere::Proxy),
    }
    // What one header says must not be gainsaid by another.
    let local = |chain: &Vec<_>| {
        chain.is_empty() || last_unvouched(known, peer, chain).is_ok_and(|it| it.is_loopback())
    };
    let vouched = known.trusts(peer) && chains(request).iter().all(local);
    // Proxies that add nothing speak the older version, and hardly anybody else does.
    if !vouched && (is_forwarded(request) || request.is_old()) {
        return Err(Elsewhere::Proxy);
    }
    let own = |host: &str| is_loopback_name(host) || (vouched && known.lists_host(host));
    match request.values("host").all(own) {
        true => Ok(()),
        false => Err(Elsewhere::Name),
    }
}

fn is_forwarded(request: &Request) -> bool {
    request.names().any(|name| name.starts_with("x-forwarded-") || FORWARDING.contains(&name))
}

/// Of a page that is not from here browsers say so, in one of three headers.
fn page(request: &Request) -> Page {
    let own = |url: &str| {
        let origin = url.split_once("://").map(|(scheme, rest)| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{authority}")
        });
        let origin = origin.as_deref().and_then(Origin::parse);
        let host = request.header("host");
        origin.is_some_and(|origin| host.is_some_and(|host| origin.is_of(host)))
    };
    let mut origins = request.values("origin").peekable();
    let own = match origins.peek() {
        Some(_) => origins.all(own),
        None => {
            let site = request.header("sec-fetch-site");
            site.is_none_or(|site| matches!(site, "same-origin" | "none"))
                && request.header("referer").is_none_or(own)
        }
    };
    if own { Page::Own } else { Page::Other }
}

/// `localhost`, `a.localhost`, `127.0.0.1:8080`, `[::1]:8080`: what nobody else can have made to
/// mean this host (RFC 6761 §6.3).
fn is_loopback_name(host: &str) -> bool {
    let Some((name, _)) = authority_of(host) else { return false };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = name.strip_suffix('.').unwrap_or(&name);
    address.is_ok_and(|address| address.to_canonical().is_loopback())
        || name == "localhost"
        || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests;
