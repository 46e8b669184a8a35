//! The tasks that serve TCP connections: HTTP on whichever shard accepted them, WebSockets on the
//! shard that owns the room.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::AsyncWriteExt;
use futures_lite::future::{self, FutureExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::sleep;

use super::admin;
use super::clock::unix_time;
use super::counted::{Lease, Visit, Visits};
use super::host;
use super::ice_tcp;
use super::mailbox::{Entry, HandOver, Mail, Place};
use super::state::Shard;
use crate::http::server::{Received, answer, receive, send};
use crate::http::{HEAD_TIME, Request, Response, Upgrade, asset, health, metrics, stats};
use crate::net::Stream;
use crate::sfu::Newcomer;
use crate::signal::{Close, Connection, End, Outgoing};
use crate::types::{PeerKey, Refusal, ShardId};

/// After a failed accept: out of descriptors, most likely, and that takes time to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections to a listener are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// HTTP, WebSockets, and media over TCP where that is served.
    Everything,
    /// Media over TCP.
    Media,
}

/// Why a peer has left where its client has said nothing.
const DISCONNECTED: &str = "disconnected";

/// First byte of media over TCP: a check is shorter than 256 bytes, so its length begins with a
/// zero. Neither HTTP nor TLS does.
const LENGTH: u8 = 0;

/// Accepts connections for ever, each served by a task of its own.
pub(super) async fn accept(
    shard: Rc<Shard>,
    listener: TcpListener,
    purpose: Purpose,
    visits: Rc<Visits>,
) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                failing = false;
                // One that is gone already has no address.
                let Ok(from) = stream.peer_addr() else { continue };
                match visits.begin(&shard.live(), from.ip().to_canonical()) {
                    Ok(visit) => {
                        let serving = serve(Rc::clone(&shard), stream, purpose, visit);
                        glommio::spawn_local(serving).detach();
                    }
                    Err(refusal) => turn_away(&shard, stream, refusal).await,
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections (see ulimit -n)");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells somebody who is not even listened to that there is no room; as far as that can be done at
/// once, and read without TLS.
async fn turn_away(shard: &Shard, mut stream: TcpStream, refusal: Refusal) {
    shard.refuse(refusal, None);
    if shard.live().tls.is_none() {
        let bytes = refused(refusal).into_bytes();
        let _ = future::poll_once(stream.write_all(&bytes)).await;
    }
}

async fn serve(shard: Rc<Shard>, stream: TcpStream, purpose: Purpose, visit: Visit) {
    let mut stream = Stream::new(stream);
    let live = shard.live();
    if shard.common.tcp_media {
        match (first_byte(&shard, &mut stream).await, purpose) {
            (Some(LENGTH), _) => return ice_tcp::meet(shard, stream, visit).await,
            (Some(_), Purpose::Everything) => {}
            _ => return,
        }
    }
    let stopped = async {
        let _ = shard.stopping.acquire(1).await;
        Err(None)
    };
    let received = receive(&mut stream, live.tls.as_ref()).or(stopped).await;
    match received {
        Ok(received) if live.tls.is_some() && !stream.is_secure() => {
            answer(stream, Response::to_https(&received.request)).await;
        }
        Ok(received) if received.request.path == "/ws" => {
            enter(shard, stream, received, visit).await;
        }
        Ok(received) if received.request.path.starts_with("/admin/") => {
            let Ok(remote) = stream.peer_addr() else { return };
            let response = admin::respond(&shard, &received.request, remote).await;
            answer(stream, response).await;
        }
        Ok(received) => {
            let response = page(&shard, &received.request).await;
            answer(stream, response).await;
        }
        Err(Some(response)) => answer(stream, response).await,
        Err(None) => {}
    }
}

/// What a connection begins with; `None` if it does not.
async fn first_byte(shard: &Shard, stream: &mut Stream) -> Option<u8> {
    let given_up = async {
        let stopped = async { drop(shard.stopping.acquire(1).await) };
        sleep(HEAD_TIME).or(stopped).await;
        None
    };
    let first = async { stream.peek(1).await.ok().flatten().map(|bytes| bytes[0]) };
    first.or(given_up).await
}

async fn page(shard: &Shard, request: &Request) -> Response {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Response::text(405, "only GET and HEAD").header("Allow", "GET, HEAD");
    }
    let response = match request.path.as_str() {
        "/stats" => stats::response(&shard.stats_of_all().await),
        "/metrics" => metrics_page(shard).await,
        "/healthz" => health::health(shard.common.pulse.stuck()),
        "/readyz" => health::readiness(shard.hindrance().as_deref()),
        _ => asset(request).unwrap_or_else(|| Response::text(404, "there is nothing here")),
    };
    match request.method.as_str() {
        "HEAD" => response.without_body(),
        _ => response,
    }
}

async fn metrics_page(shard: &Shard) -> Response {
    let stats = shard.stats_of_all().await;
    let process = {
        let common = &shard.common;
        host::process(common.started, common.descriptors, common.notices.counts())
    };
    let mut page = String::new();
    for piece in metrics::pieces(&stats, &process) {
        page.push_str(&piece);
        glommio::yield_if_needed().await;
    }
    metrics::response(page)
}

/// Brings an upgrade request to the shard that owns its room.
async fn enter(shard: Rc<Shard>, stream: Stream, received: Received, visit: Visit) {
    let upgrade = match Upgrade::parse(&received.request) {
        Ok(upgrade) => upgrade,
        Err(response) => return answer(stream, response).await,
    };
    let Ok(peer) = stream.peer_addr() else { return };
    let (live, request) = (shard.live(), &received.request);
    let client = live.client(peer.ip(), request);
    let rights = match live.admit(client, request, &upgrade, unix_time()) {
        Ok(rights) => rights,
        Err((refusal, denied)) => {
            shard.refuse(refusal, Some(&upgrade));
            return answer(stream, denied.response()).await;
        }
    };
    let address = Some(client).filter(|&client| !live.exempts(client));
    let (owner, leases) = match Leases::take(&shard, &upgrade.room, address).await {
        Ok(taken) => taken,
        Err(refusal) => return refuse(&shard, stream, &upgrade, refusal).await,
    };
    let entry = Entry { read_ahead: received.read_ahead, upgrade, rights };
    if owner == shard.id {
        drop(visit);
        return open(shard, stream, entry, leases).await;
    }
    // Out of descriptors: the connection is closed.
    let Ok(stream) = stream.detach() else { return };
    match shard.post(owner, Mail::HandOver(Box::new(HandOver { stream, entry, address }))) {
        Ok(()) => leases.hand_over(),
        Err(Mail::HandOver(back)) => {
            let HandOver { stream, entry, .. } = *back;
            refuse(&shard, stream.attach(), &entry.upgrade, Refusal::Unanswered).await;
        }
        Err(_) => {}
    }
}

/// Tells a client that it gets no place, and counts it.
async fn refuse(shard: &Shard, stream: Stream, upgrade: &Upgrade, refusal: Refusal) {
    shard.refuse(refusal, Some(upgrade));
    answer(stream, refused(refusal)).await;
}

fn refused(refusal: Refusal) -> Response {
    let unavailable = |reason, seconds| Response::text(503, reason).header("Retry-After", seconds);
    match refusal {
        Refusal::Peers => Response::text(429, "the room is full"),
        Refusal::Connections => Response::text(429, "too many connections from this address"),
        Refusal::Rooms => unavailable("there are as many rooms as may be", "30"),
        Refusal::Visitors => unavailable("too many connections wait to be heard", "5"),
        Refusal::Full => unavailable("the server is full", "30"),
        Refusal::Draining => unavailable("the server is about to stop", "10"),
        Refusal::Unanswered => unavailable("the server is too busy", "5"),
        // Of those the answer says more: `Denied::response`.
        Refusal::Token => Response::text(401, refusal.label()),
        Refusal::Rights | Refusal::Origin => Response::text(403, refusal.label()),
        // Of requests over a WebSocket.
        Refusal::Transports
        | Refusal::Receivers
        | Refusal::Requests
        | Refusal::Audience
        | Refusal::AppData => Response::text(429, refusal.label()),
    }
}

/// What a WebSocket counts as: one in its room, and one from its address.
struct Leases {
    room: Lease,
    address: Option<Lease>,
}

impl Leases {
    async fn take(
        shard: &Rc<Shard>,
        room: &str,
        address: Option<IpAddr>,
    ) -> Result<(ShardId, Self), Refusal> {
        let address = match address {
            Some(address) => Some(Lease::take(shard, Place::Address(address)).await?.1),
            None => None,
        };
        let (owner, room) = Lease::take(shard, Place::Room(room.to_owned())).await?;
        Ok((owner, Self { room, address }))
    }

    fn adopt(shard: &Rc<Shard>, room: &str, address: Option<IpAddr>) -> Self {
        let adopt = |place| Lease::adopt(shard, place);
        let address = address.map(|address| adopt(Place::Address(address)));
        Self { room: adopt(Place::Room(room.to_owned())), address }
    }

    fn hand_over(self) {
        self.room.hand_over();
        if let Some(address) = self.address {
            address.hand_over();
        }
    }
}

/// Takes a connection that another shard accepted, and its leases with it.
pub(super) async fn take_over(shard: Rc<Shard>, hand_over: HandOver) {
    let HandOver { stream, entry, address } = hand_over;
    let leases = Leases::adopt(&shard, &entry.upgrade.room, address);
    open(shard, stream.attach(), entry, leases).await;
}

/// Serves a WebSocket in a room of this shard from its upgrade to its end.
async fn open(shard: Rc<Shard>, mut stream: Stream, entry: Entry, leases: Leases) {
    let Entry { read_ahead, upgrade, rights } = entry;
    let Leases { room: lease, address: _address } = leases;
    let Ok(_pass) = shard.gate.enter() else {
        return answer(stream, Response::text(503, "the server is going away")).await;
    };
    if shard.is_full() && !shard.has_peer(&upgrade.room, &upgrade.peer) {
        drop(lease);
        return refuse(&shard, stream, &upgrade, Refusal::Full).await;
    }
    let outgoing = shard.with(|_, _, out| out.queue());
    let newcomer = Newcomer { room: &upgrade.room, peer: &upgrade.peer, rights };
    let session = match Session::open(&shard, &newcomer, &outgoing, lease) {
        Ok(session) => session,
        // The Router has counted it.
        Err(refusal) => {
            shard.log_refused(refusal, &upgrade);
            return answer(stream, refused(refusal)).await;
        }
    };
    if !send(&mut stream, upgrade.response()).await {
        return;
    }
    let interval = shard.live().ping_interval;
    let mut connection = Connection::new(stream, &read_ahead, outgoing, interval);
    let end = connection.run(|text| session.hear(text)).await;
    // The peer is gone before the goodbye, which may take its time.
    session.end(end);
    connection.finish(end).await;
}

/// A peer that the Router knows, for as long as this lives; then the Router forgets it, and after
/// that the directory counts one connection less. In this order a room never has two owners.
struct Session {
    shard: Rc<Shard>,
    peer: PeerKey,
    /// Why it ends.
    reason: &'static str,
    /// Dropped after `drop` has run.
    _lease: Lease,
}

impl Session {
    fn open(
        shard: &Rc<Shard>,
        newcomer: &Newcomer<'_>,
        outgoing: &Rc<Outgoing>,
        lease: Lease,
    ) -> Result<Self, Refusal> {
        let peer = shard.with(|router, now, out| {
            let peer = router.handle_open(now, newcomer, out)?;
            out.connect(peer, Rc::clone(outgoing));
            Ok(peer)
        })?;
        Ok(Self { shard: Rc::clone(shard), peer, reason: DISCONNECTED, _lease: lease })
    }

    fn end(mut self, end: End) {
        if let End::Ours(close) = end {
            self.reason = close.reason;
            if close == Close::SLOW {
                self.shard.with(|router, _, _| router.stats_mut().slow_readers += 1);
            }
        }
    }

    fn hear(&self, text: &str) {
        self.shard.with(|router, now, out| router.handle_text(now, self.peer, text, out));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shard.with(|router, _, out| {
            out.disconnect(self.peer);
            router.handle_closed(self.peer, self.reason, out);
        });
    }
}
