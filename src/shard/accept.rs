//! The tasks that serve TCP connections: HTTP on whichever shard accepted them, WebSockets on the
//! shard that owns the room.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::AsyncWriteExt;
use futures_lite::future::{self, FutureExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::sleep;

use super::admin;
use super::client::Client;
use super::clock::unix_time;
use super::counted::{Lease, Visit, Visits};
use super::ice_tcp;
use super::mailbox::{Entry, HandOver, Mail, Place};
use super::pages;
use super::state::Shard;
use crate::cluster::Network;
use crate::http::server::{Received, answer, receive, send};
use crate::http::{HEAD_TIME, Response, Upgrade};
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
                let from = from.ip().to_canonical();
                match visits.begin(shard.now(), &shard.live(), from) {
                    Ok(visit) => {
                        let serving = serve(Rc::clone(&shard), stream, purpose, visit);
                        glommio::spawn_local(serving).detach();
                    }
                    Err(refusal) => turn_away(&shard, Stream::new(stream), refusal).await,
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

/// Tells somebody who is not listened to why, and counts it; as far as that can be done at once,
/// and read without TLS.
async fn turn_away(shard: &Shard, mut stream: Stream, refusal: Refusal) {
    shard.refuse(refusal, None);
    if shard.live().tls.is_none() {
        let bytes = refused(refusal).into_bytes();
        let _ = future::poll_once(stream.write_all(&bytes)).await;
    }
}

/// What a connection turns out to be.
enum Arrival {
    /// One for media, of a transport of this shard.
    Media(ShardId),
    /// A request; or what is wrong with it.
    Request(Result<Received, Option<Response>>),
    /// Nothing; it has to go for somebody else.
    ShownOut,
    /// Nothing.
    Nothing,
}

async fn serve(shard: Rc<Shard>, stream: TcpStream, purpose: Purpose, visit: Visit) {
    let mut stream = Stream::new(stream);
    let stopped = async {
        let _ = shard.stopping.acquire(1).await;
        Arrival::Nothing
    };
    let shown_out = async {
        visit.shown_out().await;
        Arrival::ShownOut
    };
    let arrival = arrive(&shard, &mut stream, purpose).or(shown_out).or(stopped).await;
    visit.heard();
    match arrival {
        Arrival::Media(owner) => ice_tcp::bring(shard, stream, owner, visit).await,
        Arrival::Request(Ok(received)) => respond(shard, stream, received, visit).await,
        Arrival::Request(Err(Some(response))) => answer(stream, response).await,
        Arrival::ShownOut => turn_away(&shard, stream, Refusal::Visitors).await,
        Arrival::Request(Err(None)) | Arrival::Nothing => {}
    }
}

/// Waits, within bounds, for what a connection says first.
async fn arrive(shard: &Shard, stream: &mut Stream, purpose: Purpose) -> Arrival {
    if shard.common.tcp_media {
        match (first_byte(stream).await, purpose) {
            (Some(LENGTH), _) => {
                return ice_tcp::owner(stream).await.map_or(Arrival::Nothing, Arrival::Media);
            }
            (Some(_), Purpose::Everything) => {}
            _ => return Arrival::Nothing,
        }
    }
    let tls = shard.live().tls.clone();
    Arrival::Request(receive(stream, tls.as_ref()).await)
}

/// What a connection begins with; `None` if it does not.
async fn first_byte(stream: &mut Stream) -> Option<u8> {
    let given_up = async {
        sleep(HEAD_TIME).await;
        None
    };
    let first = async { stream.peek(1).await.ok().flatten().map(|bytes| bytes[0]) };
    first.or(given_up).await
}

/// Answers a request, or makes a WebSocket of it.
async fn respond(shard: Rc<Shard>, stream: Stream, received: Received, visit: Visit) {
    let Ok(remote) = stream.peer_addr() else { return };
    let (live, request) = (shard.live(), &received.request);
    let client = Client::of(&live.known, remote, request);
    let counted = client.counted_by(&live.known).map_err(|_| Refusal::Proxy);
    if let Err(refusal) = counted.and_then(|by| visit.pass(shard.now(), &live, by)) {
        shard.refuse(refusal, None);
        return answer(stream, refused(refusal)).await;
    }
    if matches!(request.path.as_str(), "/stats" | "/metrics")
        && let Err(elsewhere) = live.shows_counters(&client)
    {
        shard.refuse(elsewhere.refusal(), None);
        return answer(stream, Response::text(403, elsewhere.reason())).await;
    }
    let response = match request.path.as_str() {
        _ if live.tls.is_some() && !stream.is_secure() => Response::to_https(request),
        "/ws" => return enter(shard, stream, received, &client, visit).await,
        path if path.starts_with("/admin/") => admin::respond(&shard, request, &client).await,
        _ => pages::respond(&shard, request).await,
    };
    answer(stream, response).await;
}

/// Brings an upgrade request to the shard that owns its room.
async fn enter(
    shard: Rc<Shard>,
    stream: Stream,
    received: Received,
    client: &Client,
    visit: Visit,
) {
    let upgrade = match Upgrade::parse(&received.request) {
        Ok(upgrade) => upgrade,
        Err(response) => return answer(stream, response).await,
    };
    let (live, request) = (shard.live(), &received.request);
    let rights = match live.admit(client, request, &upgrade, unix_time()) {
        Ok(rights) => rights,
        Err((refusal, denied)) => {
            shard.refuse(refusal, Some(&upgrade));
            return answer(stream, denied.response()).await;
        }
    };
    let Ok(address) = client.counted_by(&live.known) else {
        return refuse(&shard, stream, &upgrade, Refusal::Proxy).await;
    };
    let address = address.map(Network::of);
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
        Refusal::Openings | Refusal::Visits => {
            Response::text(429, "too many have come too fast").header("Retry-After", "5")
        }
        Refusal::Rooms => unavailable("there are as many rooms as may be", "30"),
        Refusal::Visitors => unavailable("too many connections wait to be heard", "5"),
        Refusal::Full => unavailable("the server is full", "30"),
        Refusal::Draining => unavailable("the server is about to stop", "10"),
        Refusal::Unanswered => unavailable("the server is too busy", "5"),
        // Of those the answer says more: `Denied::response`.
        Refusal::Token => Response::text(401, refusal.label()),
        Refusal::Rights | Refusal::Origin => Response::text(403, refusal.label()),
        Refusal::Proxy => Response::text(403, "the proxy does not say for whom it asks"),
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
        address: Option<Network>,
    ) -> Result<(ShardId, Self), Refusal> {
        let address = match address {
            Some(address) => Some(Lease::take(shard, Place::Address(address), false).await?.1),
            None => None,
        };
        let place = Place::Room(room.to_owned());
        let (owner, room) = Lease::take(shard, place, address.is_none()).await?;
        Ok((owner, Self { room, address }))
    }

    fn adopt(shard: &Rc<Shard>, room: &str, address: Option<Network>) -> Self {
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
