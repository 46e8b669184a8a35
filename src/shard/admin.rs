//! `/admin`: what those who run the server may ask of it over HTTP, and who they are.

use std::net::{IpAddr, SocketAddr};

use super::clock::unix_time;
use super::state::Shard;
use crate::http::{Request, Response};

/// Answers a request below `/admin/` that came from `remote`.
pub(super) async fn respond(shard: &Shard, request: &Request, remote: SocketAddr) -> Response {
    let room = request.path_below("/admin/rooms/");
    if let Err(refused) = check(shard, request, room.as_deref(), remote) {
        return refused;
    }
    let response = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/admin/drain") => {
            shard.ask_for_drain();
            Response::text(202, "draining")
        }
        (_, "/admin/drain") => Response::text(405, "only POST").header("Allow", "POST"),
        ("GET" | "HEAD", "/admin/rooms") => json(shard.rooms_of_all().await),
        ("GET" | "HEAD", _) => match room {
            None => Response::text(404, "there is nothing here"),
            Some(room) => match shard.room_of_all(&room).await {
                Some(report) => json(report),
                None => Response::text(404, "there is no such room"),
            },
        },
        _ => Response::text(405, "only GET and HEAD").header("Allow", "GET, HEAD"),
    };
    match request.method.as_str() {
        "HEAD" => response.without_body(),
        _ => response,
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
            shard.refuse(denied.refusal());
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
