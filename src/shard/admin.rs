//! `/admin`: what those who run the server may ask of it over HTTP, and who they are.

use super::client::Client;
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

/// Answers a request below `/admin/` that `client` sent.
pub(super) async fn respond(shard: &Shard, request: &Request, client: &Client) -> Response {
    let resource = Resource::of(&request.path);
    let room = resource.as_ref().and_then(Resource::room);
    if let Err(refused) = check(shard, request, room, client) {
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
/// whoever is on this host, and not a page of somebody else's that a browser here has open.
fn check(
    shard: &Shard,
    request: &Request,
    room: Option<&str>,
    client: &Client,
) -> Result<(), Response> {
    let live = shard.live();
    if live.has_keys() {
        return live.admit_admin(request, room, unix_time()).map_err(|denied| {
            shard.refuse(denied.refusal(), None);
            denied.response()
        });
    }
    client.is_here_for_itself().map_err(|elsewhere| {
        shard.refuse(elsewhere.refusal(), None);
        Response::text(403, elsewhere.reason())
    })
}
