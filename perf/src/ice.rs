//! ICE reduced to what an ICE-lite server needs (RFC 8445 §2.5): a controlling agent that sends
//! checks with USE-CANDIDATE to one known address, and nothing that answers checks, since a lite
//! server sends none. What else arrives on the socket is sorted into DTLS and SRTP (RFC 7983).

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use async_trait::async_trait;
use bytes::Bytes;
use rand::Rng;
use rand::distr::Alphanumeric;
use stun::agent::TransactionId;
use stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute,
};
use stun::error_code::ErrorCodeAttribute;
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Getter, Message};
use stun::textattrs::TextAttribute;
use stun::xoraddr::XorMappedAddress;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, interval_at, timeout};

use crate::dtls::RecordSink;

/// Between checks until the first is answered.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Between checks afterwards: keeps the server's consent fresh (RFC 7675 §5.1).
const CONSENT_INTERVAL: Duration = Duration::from_secs(4);

/// When a path that never answers is given up.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks whose answer may still come; with [`CHECK_INTERVAL`] those of the last 1.6 s.
const OUTSTANDING_MAX: usize = 32;

/// Datagrams of one sort waiting to be read; what comes beyond that is lost, as on any network.
const INBOUND_MAX: usize = 4096;

/// Longer than any datagram that is sent to us.
const DATAGRAM_MAX: usize = 2048;

/// PRIORITY of a host candidate (RFC 8445 §5.1.2.1), as the peer-reflexive one it would become.
const PRIORITY: u32 = (110 << 24) | (65535 << 8) | 255;

/// The server's end: its address and the credentials that `createTransport` gave.
#[derive(Debug, Clone)]
pub struct Remote {
    /// A candidate's address, or that of a relay before it.
    pub address: SocketAddr,
    /// `iceParameters.usernameFragment`.
    pub ufrag: String,
    /// `iceParameters.password`.
    pub password: String,
}

/// What arrives that is not STUN, in order of arrival.
#[derive(Debug)]
pub struct Inbound {
    /// DTLS records (first byte 20 to 63).
    pub dtls: mpsc::Receiver<Bytes>,
    /// SRTP and SRTCP (first byte 128 to 191).
    pub media: mpsc::Receiver<Datagram>,
}

/// A datagram of media, as it came.
#[derive(Debug)]
pub struct Datagram {
    /// When it was taken from the socket.
    pub at: Instant,
    /// Sealed.
    pub bytes: Bytes,
}

/// Which socket does what; the same one except while the agent moves to another.
#[derive(Debug, Clone)]
struct Route {
    /// DTLS and media leave by this one.
    sends: Arc<UdpSocket>,
    /// Checks leave by this one; each nominates it.
    checks: Arc<UdpSocket>,
}

/// A controlling agent with one path at a time. Its tasks end when it is dropped.
#[derive(Debug)]
pub struct Agent {
    credentials: Arc<Credentials>,
    route: watch::Sender<Route>,
    sorter: Sorter,
}

impl Agent {
    /// Opens a path to `remote` from a port of its own.
    ///
    /// # Errors
    /// No check is answered in time, or one is answered with an error.
    pub async fn connect(remote: Remote) -> anyhow::Result<(Self, Inbound)> {
        let (dtls_tx, dtls) = mpsc::channel(INBOUND_MAX);
        let (media_tx, media) = mpsc::channel(INBOUND_MAX);
        let socket = bind(remote.address).await?;
        let route = Route { sends: Arc::clone(&socket), checks: Arc::clone(&socket) };
        let agent = Self {
            credentials: Arc::new(Credentials::new(remote)),
            route: watch::Sender::new(route),
            sorter: Sorter { dtls: dtls_tx, media: media_tx },
        };
        agent.open(socket).await?;
        Ok((agent, Inbound { dtls, media }))
    }

    /// Moves to a new local port, as a client does whose network changes: checks leave from there
    /// at once, everything else once the first is answered. The old port is closed then.
    ///
    /// # Errors
    /// As [`Agent::connect`]; the old path is used on then.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        let old = self.route.borrow().clone();
        let socket = bind(self.credentials.remote.address).await?;
        self.route.send_modify(|route| route.checks = Arc::clone(&socket));
        let opened = self.open(Arc::clone(&socket)).await;
        self.route.send_modify(|route| match opened {
            Ok(()) => route.sends = socket,
            Err(_) => *route = old,
        });
        opened
    }

    /// Sends one datagram to the server. A network that takes none loses it.
    pub async fn send(&self, datagram: &[u8]) {
        let socket = Arc::clone(&self.route.borrow().sends);
        socket.send(datagram).await.ok();
    }

    /// The local address that is sent from.
    ///
    /// # Errors
    /// The system does not know it.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.route.borrow().sends.local_addr()
    }

    /// A second descriptor of the socket that is sent from, not blocking, and a check that may be
    /// sent there over and over. The agent reads on as long as it lives.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn detach(&self) -> anyhow::Result<(std::net::UdpSocket, Vec<u8>)> {
        let socket = self.route.borrow().sends.as_fd().try_clone_to_owned()?;
        Ok((socket.into(), self.credentials.check()?.raw))
    }

    async fn open(&self, socket: Arc<UdpSocket>) -> anyhow::Result<()> {
        let (opened_tx, opened) = oneshot::channel();
        let path = Path {
            credentials: Arc::clone(&self.credentials),
            socket,
            sorter: self.sorter.clone(),
            outstanding: VecDeque::with_capacity(OUTSTANDING_MAX),
            opened: Some(opened_tx),
        };
        tokio::spawn(path.run(self.route.subscribe()));
        timeout(CONNECT_TIMEOUT, opened).await.context("no check was answered")??
    }
}

#[async_trait]
impl RecordSink for Agent {
    async fn send(&self, records: &[u8]) {
        Agent::send(self, records).await;
    }
}

/// A socket that talks to `remote` alone, on a port and address that the system chooses.
async fn bind(remote: SocketAddr) -> anyhow::Result<Arc<UdpSocket>> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(remote).await?;
    Ok(Arc::new(socket))
}

/// What every check of an agent says.
#[derive(Debug)]
pub(crate) struct Credentials {
    remote: Remote,
    username: String,
    tie_breaker: u64,
}

impl Credentials {
    fn new(remote: Remote) -> Self {
        Self::with_local(remote, &fragment(8))
    }

    /// For a side that has told its own username fragment.
    pub(crate) fn with_local(remote: Remote, local: &str) -> Self {
        // RFC 8445 §7.2.2: the fragment of the side that is asked comes first.
        let username = format!("{}:{local}", remote.ufrag);
        Self { remote, username, tie_breaker: rand::random() }
    }

    fn integrity(&self) -> MessageIntegrity {
        MessageIntegrity::new_short_term_integrity(self.remote.password.clone())
    }

    /// A check that nominates its path.
    pub(crate) fn check(&self) -> Result<Message, stun::Error> {
        let raw = |typ, value: &[u8]| {
            Box::new(RawAttribute { typ, length: value.len() as u16, value: value.to_vec() })
        };
        let mut check = Message::new();
        check.build(&[
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(TextAttribute::new(ATTR_USERNAME, self.username.clone())),
            raw(ATTR_PRIORITY, &PRIORITY.to_be_bytes()),
            raw(ATTR_ICE_CONTROLLING, &self.tie_breaker.to_be_bytes()),
            raw(ATTR_USE_CANDIDATE, &[]),
            Box::new(self.integrity()),
            Box::new(FINGERPRINT),
        ])?;
        Ok(check)
    }

    /// Judges an answer to the check `id`: `None` if it is none or is not authentic.
    pub(crate) fn answer(
        &self,
        datagram: &[u8],
        outstanding: &VecDeque<TransactionId>,
    ) -> Option<Answer> {
        let mut message = Message::new();
        message.unmarshal_binary(datagram).ok()?;
        if !outstanding.contains(&message.transaction_id) {
            return None;
        }
        FINGERPRINT.check(&message).ok()?;
        self.integrity().check(&mut message).ok()?;
        if message.typ == BINDING_SUCCESS {
            return Some(Ok(()));
        }
        let mut code = ErrorCodeAttribute::default();
        (message.typ == BINDING_ERROR && code.get_from(&message).is_ok())
            .then(|| Err(anyhow!("the check was refused: {code}")))
    }
}

pub(crate) type Answer = anyhow::Result<()>;

/// Random characters for a username fragment (RFC 8445 §5.3: 4 or more) or a password (22 or
/// more).
pub(crate) fn fragment(len: usize) -> String {
    rand::rng().sample_iter(&Alphanumeric).take(len).map(char::from).collect()
}

/// One local port's task: checks, judges the answers, sorts the rest.
struct Path {
    credentials: Arc<Credentials>,
    socket: Arc<UdpSocket>,
    sorter: Sorter,
    outstanding: VecDeque<TransactionId>,
    /// There until the first answer.
    opened: Option<oneshot::Sender<Answer>>,
}

impl Path {
    async fn run(mut self, mut route: watch::Receiver<Route>) {
        let mut checks = interval_at(Instant::now(), CHECK_INTERVAL);
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            tokio::select! {
                changed = route.changed() => {
                    let used = |route: &Route| {
                        [&route.sends, &route.checks].iter().any(|s| Arc::ptr_eq(s, &self.socket))
                    };
                    if changed.is_err() || !used(&route.borrow_and_update()) {
                        return;
                    }
                }
                _ = checks.tick() => {
                    let nominated = Arc::ptr_eq(&route.borrow().checks, &self.socket);
                    if nominated && self.check().await.is_err() {
                        return;
                    }
                }
                received = self.socket.recv(&mut buffer) => {
                    // An error is an ICMP message about something sent before: no end of a path.
                    let Ok(len) = received else { continue };
                    if self.handle(&buffer[..len]) {
                        let start = Instant::now() + CONSENT_INTERVAL;
                        checks = interval_at(start, CONSENT_INTERVAL);
                    }
                }
            }
        }
    }

    async fn check(&mut self) -> anyhow::Result<()> {
        if self.opened.as_ref().is_some_and(oneshot::Sender::is_closed) {
            bail!("given up");
        }
        let check = self.credentials.check()?;
        if self.outstanding.len() == OUTSTANDING_MAX {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(check.transaction_id);
        self.socket.send(&check.raw).await.ok();
        Ok(())
    }

    /// Takes one datagram; true if it opened the path.
    fn handle(&mut self, datagram: &[u8]) -> bool {
        if !matches!(datagram.first(), Some(0..=3)) {
            self.sorter.sort(datagram);
            return false;
        }
        let Some(answer) = self.credentials.answer(datagram, &self.outstanding) else {
            return false;
        };
        match self.opened.take() {
            Some(opened) => opened.send(answer).is_ok(),
            None => false,
        }
    }
}

/// Tells DTLS from SRTP (RFC 7983 §7) and drops the rest.
#[derive(Debug, Clone)]
struct Sorter {
    dtls: mpsc::Sender<Bytes>,
    media: mpsc::Sender<Datagram>,
}

impl Sorter {
    fn sort(&self, datagram: &[u8]) {
        let bytes = Bytes::copy_from_slice(datagram);
        match datagram.first() {
            Some(20..=63) => self.dtls.try_send(bytes).ok(),
            Some(128..=191) => self.media.try_send(Datagram { at: Instant::now(), bytes }).ok(),
            _ => None,
        };
    }
}

/// What is said to a check of the server's own, for servers whose lite ICE checks all the same
/// (libnice); `None` if `datagram` is no check, or was not made with this side's `password`. `from`
/// is where it came from. Must be asked as long as the association lives.
pub fn answer(datagram: &[u8], from: SocketAddr, password: &str) -> Option<Vec<u8>> {
    if !matches!(datagram.first(), Some(0..=3)) {
        return None;
    }
    let mut check = Message::new();
    check.unmarshal_binary(datagram).ok()?;
    let integrity = MessageIntegrity::new_short_term_integrity(password.to_owned());
    integrity.check(&mut check).ok()?;
    if check.typ != BINDING_REQUEST {
        return None;
    }
    let mut answer = Message::new();
    let mapped = XorMappedAddress { ip: from.ip(), port: from.port() };
    let built = answer.build(&[
        Box::new(BINDING_SUCCESS),
        Box::new(check.transaction_id),
        Box::new(mapped),
        Box::new(integrity),
        Box::new(FINGERPRINT),
    ]);
    built.ok().map(|()| answer.raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_answered_where_its_password_is_ours() {
        let remote = Remote {
            address: (Ipv4Addr::LOCALHOST, 1).into(),
            ufrag: "ours".into(),
            password: "a-password-of-enough-letters".into(),
        };
        let credentials = Credentials::new(remote);
        let check = credentials.check().expect("a check");
        let from = (Ipv4Addr::LOCALHOST, 2).into();
        assert_eq!(answer(&check.raw, from, "another-password-of-enough-letters"), None);
        assert_eq!(answer(b"\x00\x01no message", from, "a-password-of-enough-letters"), None);
        let answer = answer(&check.raw, from, "a-password-of-enough-letters").expect("an answer");
        let outstanding = VecDeque::from([check.transaction_id]);
        let judged = credentials.answer(&answer, &outstanding).expect("authentic");
        judged.expect("a success");
        let mut message = Message::new();
        message.unmarshal_binary(&answer).expect("a message");
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&message).expect("our address");
        assert_eq!((mapped.ip, mapped.port), (from.ip(), from.port()));
    }
}
