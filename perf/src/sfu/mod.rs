//! Servers under load, as the suite sees them: how to start one, sign in, send, receive, and what
//! it counts. Another SFU is one more implementation of [`Sfu`] and [`Session`]; everything that
//! measures is the same for all of them.

mod corinth;
mod janus;
mod process;

use std::net::SocketAddr;

use async_trait::async_trait;

use crate::dtls::Role;
use crate::measures::{Counters, ServerInfo};
use crate::peer::Source;
use crate::transport::Offer;

pub use corinth::Corinth;
pub use janus::Janus;
pub use process::{Launch, ServerProcess};

/// A running server. Dropping it ends what was started.
#[async_trait]
pub trait Sfu: Send + Sync {
    /// What it is.
    fn info(&self) -> ServerInfo;

    /// The process whose CPU time is measured, where it is on this machine.
    fn pid(&self) -> Option<u32>;

    /// Signs a peer in: its signaling connection stands and it is in the room.
    ///
    /// # Errors
    /// The server refuses or is not reached.
    async fn join(&self, room: &str, name: &str) -> anyhow::Result<Box<dyn Session>>;

    /// Signs a peer in whose connection is held and never read from then on: a slow reader. It is
    /// gone when what is returned is dropped.
    ///
    /// # Errors
    /// The server refuses or is not reached, or this kind of server has no such test.
    async fn join_unread(&self, room: &str, name: &str) -> anyhow::Result<Box<dyn Send>> {
        anyhow::bail!("no slow reader for {} ({room}, {name})", self.info().sfu)
    }

    /// Its counters since its start; `None` if it has none.
    ///
    /// # Errors
    /// It has, and they cannot be read.
    async fn counters(&self) -> anyhow::Result<Option<Counters>>;
}

/// This side of an ICE + DTLS association, as it is told to the server.
#[derive(Debug, Clone)]
pub struct LocalEnd {
    /// ICE username fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// SHA-256 of the certificate, as `dtlsParameters` has it.
    pub fingerprint: String,
    /// The address that media comes from, for a server that wants to be told a candidate.
    pub address: SocketAddr,
}

/// The server's side, and who starts the handshake.
#[derive(Debug, Clone)]
pub struct RemoteEnd {
    /// Address, credentials, fingerprint.
    pub offer: Offer,
    /// What this side does in DTLS.
    pub role: Role,
}

/// A source of another peer that is to be received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Whose.
    pub peer: String,
    /// `audio` or `video`.
    pub kind: &'static str,
}

/// A peer in a room. It sends by one association and receives by another, as browsers' libraries
/// do; the caller connects them ([`crate::load`]). Dropping it drops its signaling connection.
///
/// The order of calls: [`open_tx`](Session::open_tx), connect, [`announce`](Session::announce), for
/// who sends; [`open_rx`](Session::open_rx), connect, [`enable`](Session::enable), for who
/// receives.
#[async_trait]
pub trait Session: Send {
    /// Makes the association that these sources are to be sent by.
    ///
    /// # Errors
    /// The server refuses.
    async fn open_tx(&mut self, local: &LocalEnd, sources: &[Source]) -> anyhow::Result<RemoteEnd>;

    /// Tells the server, where that is a step of its own, that the sources may be received.
    ///
    /// # Errors
    /// The server refuses.
    async fn announce(&mut self, sources: &[Source]) -> anyhow::Result<()>;

    /// Makes the association that these sources of others are to be received by.
    ///
    /// # Errors
    /// The server refuses, or does not know a source in time.
    async fn open_rx(&mut self, local: &LocalEnd, wanted: &[Wanted]) -> anyhow::Result<RemoteEnd>;

    /// Has the server send these sources, of those that [`Session::open_rx`] named or of ones that
    /// came later.
    ///
    /// # Errors
    /// The server refuses, does not know a source in time, or cannot add to an association.
    async fn enable(&mut self, wanted: &[Wanted]) -> anyhow::Result<()>;

    /// What the server understands of feedback on what it sends: from what it says of a stream.
    fn feedback(&self) -> Feedback;

    /// Restarts ICE on the receiving association, or on the sending one if there is no other.
    ///
    /// # Errors
    /// The server refuses or does not have it.
    async fn restart(&mut self) -> anyhow::Result<Offer>;

    /// Says goodbye.
    async fn leave(self: Box<Self>);
}

/// Feedback from viewers that makes sense to a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Feedback {
    /// It sends again what a NACK names.
    pub nack: bool,
    /// Its id for the transport-wide-cc header extension, where it sends that.
    pub transport_cc: Option<u8>,
}
