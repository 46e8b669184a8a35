//! `/admin`: what those who run the server may ask of it over HTTP, and who they are.

use std::net::{IpAddr, SocketAddr};

use super::clock::unix_time;
use super::mailbox::Question;
use super::state::Shard;
use crate::http::{Request, Response};

/// What a request below `/admin/` is about.
enum Resource {
    Drain,
    Rooms,
    Room(String),
    Peer(String, String),
}

impl Resource {
    /// Names are as in a URL: a `/` in one is `%2F`.
    fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/admin/")? {
            "drain" => Some(Self::Drain),
            "rooms" => Some(Self::Rooms),
            below => match below.strip_prefix("rooms/")?.split_once("/peers/") {
                None => Some(Self::Room(Request::decode(below.strip_prefix("rooms/")?)?)),
                Some((room, peer)) => {
                    Some(Self::Peer(Request::decode(room)?, Request::decode(peer)?))
                }
            },
        }
    }

    fn room(&self) -> Option<&str> {
        match self {
            Self::Room(room) | Self::Peer(room, _) => Some(room),
            Self::Drain | Self::Rooms => None,
        }
    }
}

/// Answers a request below `/admin/` that came from `remote`.
pub(super) async fn respond(shard: &Shard, request: &Request, remote: SocketAddr) -> Response {
    let resource = Resource::of(&request.path);
    let room = resource.as_ref().and_then(Resource::room);
    if let Err(refused) = check(shard, request, room, remote) {
        return refused;
    }
    let Some(resource) = resource else { return Response::text(404, "there is nothing here") };
    match request.method.as_str() {
        "HEAD" => act(shard, "GET", resource).await.without_body(),
        method => act(shard, method, resource).await,
    }
}

async fn act(shard: &Shard, method: &str, resource: Resource) -> Response {
    let only = |methods| Response::text(405, &format!("only {methods}")).header("Allow", methods);
    let or_404 = |report: Option<String>, what| match report {
        Some(report) => json(report),
        None => Response::text(404, &format!("there is no such {what}")),
    };
    match (method, resource) {
        ("POST", Resource::Drain) => {
            shard.ask_for_drain();
            Response::text(202, "draining")
        }
        (_, Resource::Drain) => only("POST"),
        ("GET", Resource::Rooms) => json(shard.rooms_of_all().await),
        (_, Resource::Rooms) => only("GET, HEAD"),
        ("GET", Resource::Room(room)) => or_404(shard.report(Question::Room(room)).await, "room"),
        ("DELETE", Resource::Room(room)) => or_404(shard.report(Question::End(room)).await, "room"),
        (_, Resource::Room(_)) => only("GET, HEAD, DELETE"),
        ("DELETE", Resource::Peer(room, peer)) => {
            or_404(shard.report(Question::Kick(room, peer)).await, "peer")
        }
        (_, Resource::Peer(..)) => only("DELETE"),
    }
}

fn json(body: String) -> Response {
    Response::new(200, "application/json", body).header("Cache-Control", "no-store")
}

/// With keys, whoever has a token for it (or for the one room that is asked about); without,
/// whoever is on this host.
fn check(
    shard: &Shard,
    request: &Request,
    room: Option<&str>,
    remote: SocketAddr,
) -> Result<(), Response> {
    let live = shard.live();
    if live.has_keys() {
        return live.admit_admin(request, room, unix_time()).map_err(|denied| {
            shard.refuse(denied.refusal(), None);
            denied.response()
        });
    }
    if !is_local(request, remote) {
        return Err(Response::text(403, "without a token-key, this is for the server's host only"));
    }
    Ok(())
}

/// Sent by a program on this host for itself: not through a proxy, and not by a web page of
/// somebody else's that a browser here has open (another Origin, or a name that was made to mean
/// this host).
fn is_local(request: &Request, remote: SocketAddr) -> bool {
    let proxied = ["x-forwarded-for", "forwarded", "x-real-ip"];
    let host = request.header("host");
    let own_page = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == host
    };
    remote.ip().to_canonical().is_loopback()
        && proxied.iter().all(|name| request.header(name).is_none())
        && host.is_none_or(is_loopback_name)
        && request.header("origin").is_none_or(own_page)
}

/// `localhost`, `127.0.0.1:8080`, `[::1]:8080`.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(remote: &str, headers: &str) -> bool {
        let text = format!("POST /admin/drain HTTP/1.1\r\n{headers}\r\n");
        let request = Request::parse(text.as_bytes()).unwrap().unwrap().0;
        is_local(&request, remote.parse().unwrap())
    }

    #[test]
    fn a_program_on_this_host_is_local_and_a_strangers_page_in_its_browser_is_not() {
        let here = "127.0.0.1:4000";
        for headers in [
            "",
            "Host: localhost:8080\r\n",
            "Host: [::1]:8080\r\n",
            "Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n",
        ] {
            assert!(local(here, headers), "{headers:?}");
            assert!(local("[::ffff:127.0.0.1]:4000", headers), "{headers:?}");
            assert!(!local("192.0.2.1:4000", headers), "{headers:?}");
        }
        for headers in [
            "Host: evil.example\r\n",
            "Host: 127.0.0.1:8080\r\nOrigin: http://evil.example\r\n",
            "Host: 127.0.0.1:8080\r\nOrigin: null\r\n",
            "Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8081\r\n",
            "Host: 127.0.0.1:8080\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "Host: 127.0.0.1.evil.example\r\n",
        ] {
            assert!(!local(here, headers), "{headers:?}");
        }
    }
}
