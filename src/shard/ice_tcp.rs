//! Media over TCP, for networks that let no UDP through: a client connects to a passive candidate
//! (RFC 6544) and sends what it would have sent as datagrams, each behind its length (RFC 4571).
//! The connection is a path like any other to the Router; its first message is a check, whose ufrag
//! names the shard that it belongs to.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::future::{FutureExt, poll_fn};
use futures_lite::io::AsyncRead;
use glommio::timer::sleep;

use super::counted::Visit;
use super::framing::{Frames, PREFIX, Wire};
use super::mailbox::Mail;
use super::state::Shard;
use crate::http::HEAD_TIME;
use crate::net::{Detached, Stream};
use crate::sfu::shard_of_ufrag;
use crate::types::limit::{CONSENT_TIMEOUT, DATAGRAM_MAX};
use crate::types::{Path, ShardId};
use crate::wire::stun::BindingRequest;

/// Read at once; lies on the stack while a connection is polled.
const READ_MAX: usize = 16 * 1024;

/// Serves a connection whose first byte is none of HTTP's or TLS's: brings it to its shard.
pub(super) async fn meet(shard: Rc<Shard>, mut stream: Stream, visit: Visit) {
    let late = async {
        sleep(HEAD_TIME).await;
        None
    };
    let owner = async { owner(&mut stream).await.ok().flatten() };
    let Some(owner) = owner.or(late).await else { return };
    if owner == shard.id {
        drop(visit);
        return carry(shard, stream).await;
    }
    if usize::from(owner.0) < shard.common.shards
        && let Ok(detached) = stream.detach()
    {
        // A shard that is too busy to take it gets it again: clients try more than once.
        let _ = shard.post(owner, Mail::Media(Box::new(detached)));
    }
}

/// Which shard has the transport that the first message is a check of.
async fn owner(stream: &mut Stream) -> io::Result<Option<ShardId>> {
    let Some(prefix) = stream.peek(PREFIX).await? else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
    if len > DATAGRAM_MAX {
        return Ok(None);
    }
    let message = stream.peek(PREFIX + len).await?.and_then(|bytes| bytes.get(PREFIX..));
    let check = message.and_then(|message| BindingRequest::parse(message).ok());
    Ok(check.and_then(|check| shard_of_ufrag(check.username_local)))
}

/// Takes a connection that another shard accepted.
pub(super) async fn take_over(shard: Rc<Shard>, detached: Detached) {
    carry(shard, detached.attach()).await;
}

/// Carries messages both ways for as long as the Router knows the path.
async fn carry(shard: Rc<Shard>, mut stream: Stream) {
    let (Ok(_pass), Ok(remote)) = (shard.gate.enter(), stream.peer_addr()) else { return };
    let line = Line::open(&shard, remote);
    let mut frames = Frames::default();
    loop {
        let ended = async {
            let _ = shard.stopping.acquire(1).await;
            Err(io::ErrorKind::Interrupted.into())
        };
        let silent = async {
            sleep(CONSENT_TIMEOUT).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let moved = poll_fn(|context| poll_io(&mut stream, &line.wire, &mut frames, context));
        let moved: io::Result<()> = moved.or(silent).or(ended).await;
        // Without a valid check at its beginning it is nobody's, and so it is when its transport is
        // closed.
        if moved.is_err() || !shard.handle_messages(line.path, &mut frames) {
            break;
        }
        glommio::yield_if_needed().await;
    }
    drop(line);
}

/// A path that the Router may know, and the queue of what it says there.
struct Line {
    shard: Rc<Shard>,
    path: Path,
    wire: Rc<Wire>,
}

impl Line {
    fn open(shard: &Rc<Shard>, remote: std::net::SocketAddr) -> Self {
        let wire = Rc::new(Wire::default());
        let connection = shard.with(|_, _, out| out.connect_wire(Rc::clone(&wire)));
        Self { shard: Rc::clone(shard), path: Path::Tcp { connection, remote }, wire }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shard.with(|router, now, out| {
            out.disconnect_wire(self.path);
            router.handle_path_closed(now, self.path);
        });
    }
}

/// Moves what can be moved. Ready when something was received; an error is the end.
fn poll_io(
    stream: &mut Stream,
    wire: &Wire,
    frames: &mut Frames,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    wire.poll_send(stream, context)?;
    let mut buffer = [0; READ_MAX];
    match Pin::new(stream).poll_read(context, &mut buffer) {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        Poll::Ready(Ok(len)) => {
            frames.push(&buffer[..len]);
            Poll::Ready(Ok(()))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}
