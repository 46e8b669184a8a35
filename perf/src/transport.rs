//! One transport: ICE, then DTLS, then SRTP both ways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rtcp::receiver_report::ReceiverReport;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};
use webrtc_util::marshal::{Marshal, Unmarshal};

use crate::dtls::{Association, Handshake, Identity, RecordSink, Role};
use crate::ice::{Agent, Datagram, Remote};
use crate::srtp::{Opener, Profile, Sealer};

/// When a handshake is given up.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Any RTCP packet, as the rtcp crate hands them out.
pub type RtcpPacket = Box<dyn rtcp::packet::Packet + Send + Sync>;

/// What the server says about its end of a transport, in `createTransport`'s response.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The first UDP candidate, with the credentials.
    pub remote: Remote,
    /// The certificate's SHA-256 fingerprint.
    pub fingerprint: String,
}

impl Offer {
    /// Reads the response.
    ///
    /// # Errors
    /// Something that is needed is not there.
    pub fn parse(response: &Value) -> anyhow::Result<Self> {
        let text = |value: &Value, what| value.as_str().map(str::to_owned).context(what);
        let candidate = response["iceCandidates"]
            .as_array()
            .and_then(|candidates| candidates.iter().find(|one| one["protocol"] == "udp"))
            .context("no UDP candidate")?;
        let ip: std::net::IpAddr = text(&candidate["ip"], "no candidate ip")?.parse()?;
        let port: u16 = candidate["port"].as_u64().context("no candidate port")?.try_into()?;
        let ice = &response["iceParameters"];
        let fingerprint = response["dtlsParameters"]["fingerprints"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["algorithm"] == "sha-256"))
            .context("no sha-256 fingerprint")?;
        Ok(Self {
            remote: Remote {
                address: SocketAddr::new(ip, port),
                ufrag: text(&ice["usernameFragment"], "no usernameFragment")?,
                password: text(&ice["password"], "no password")?,
            },
            fingerprint: text(&fingerprint["value"], "no fingerprint value")?,
        })
    }
}

/// This side of a transport.
#[derive(Debug, Clone)]
pub struct Config {
    /// The certificate that is shown.
    pub identity: Identity,
    /// Who starts the handshake.
    pub role: Role,
    /// The only SRTP profile that is offered or accepted.
    pub profile: Profile,
}

/// Something that the server sent.
#[derive(Debug)]
pub struct Received {
    /// When it was taken from the socket.
    pub at: Instant,
    /// Its size as a datagram, in bytes.
    pub size: usize,
    /// What was in it.
    pub content: Content,
}

/// What was sealed in a datagram.
#[derive(Debug)]
pub enum Content {
    /// An RTP packet.
    Rtp(rtp::packet::Packet),
    /// What one compound RTCP packet consisted of.
    Rtcp(Vec<RtcpPacket>),
}

/// The receiving end of a transport.
pub struct Receiving {
    datagrams: mpsc::Receiver<Datagram>,
    opener: Opener,
    refused: u64,
}

impl Receiving {
    /// The next packet; `None` once the transport is dropped. What cannot be opened is skipped.
    pub async fn recv(&mut self) -> Option<Received> {
        loop {
            let Datagram { at, bytes } = self.datagrams.recv().await?;
            match self.open(&bytes) {
                Ok(content) => return Some(Received { at, size: bytes.len(), content }),
                Err(_) => self.refused += 1,
            }
        }
    }

    /// How many datagrams were malformed, not authentic, or replays.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn open(&mut self, datagram: &[u8]) -> anyhow::Result<Content> {
        // RFC 5761 §4: with RTCP on the same port, its packet types are 192 to 223.
        if matches!(datagram.get(1), Some(192..=223)) {
            let plain = self.opener.rtcp(datagram)?;
            return Ok(Content::Rtcp(rtcp::packet::unmarshal(&mut &plain[..])?));
        }
        let plain = self.opener.rtp(datagram)?;
        Ok(Content::Rtp(rtp::packet::Packet::unmarshal(&mut &plain[..])?))
    }
}

/// A connected transport without anything that runs.
pub struct Detached {
    /// Connected to the server, not blocking.
    pub socket: std::net::UdpSocket,
    /// Seals what is sent.
    pub sealer: Sealer,
    /// Opens what is received.
    pub opener: Opener,
    /// A STUN check: keeps the server's consent when it is sent every few seconds (RFC 7675).
    pub check: Vec<u8>,
}

/// The sending end of a transport, which also keeps it alive.
pub struct Transport {
    agent: Arc<Agent>,
    association: Association,
    sealer: Mutex<Sealer>,
}

impl Transport {
    /// Connects to the server's end as `offer` has it.
    ///
    /// # Errors
    /// ICE or DTLS fails, or takes too long; the server's certificate is not the one announced.
    pub async fn connect(offer: Offer, config: Config) -> anyhow::Result<(Self, Receiving)> {
        let (agent, inbound) = Agent::connect(offer.remote).await?;
        let agent = Arc::new(agent);
        let handshake = Handshake {
            identity: config.identity,
            role: config.role,
            profile: config.profile,
            remote_fingerprint: offer.fingerprint,
        };
        let handshake = handshake.run(Arc::clone(&agent) as Arc<dyn RecordSink>, inbound.dtls);
        let (association, sealer, opener) =
            timeout(HANDSHAKE_TIMEOUT, handshake).await.context("DTLS takes too long")??;
        let receiving = Receiving { datagrams: inbound.media, opener, refused: 0 };
        Ok((Self { agent, association, sealer: Mutex::new(sealer) }, receiving))
    }

    /// Seals and sends an RTP packet; returns its size as a datagram.
    ///
    /// # Errors
    /// The packet cannot be written.
    pub async fn send_rtp(&self, packet: &rtp::packet::Packet) -> anyhow::Result<usize> {
        let plain = packet.marshal()?;
        let mut sealer = self.sealer.lock().await;
        let sealed = sealer.rtp(&plain)?;
        // Sent under the lock, so that packets leave in the order in which they were sealed.
        self.agent.send(&sealed).await;
        Ok(sealed.len())
    }

    /// Seals and sends one compound RTCP packet.
    ///
    /// # Errors
    /// The packets cannot be written.
    pub async fn send_rtcp(&self, packets: &[RtcpPacket]) -> anyhow::Result<()> {
        let plain = rtcp::packet::marshal(packets)?;
        let mut sealer = self.sealer.lock().await;
        let sealed = sealer.rtcp(&plain)?;
        self.agent.send(&sealed).await;
        Ok(())
    }

    /// Moves to another local port ([`Agent::migrate`]), and reports from there, as every client
    /// soon does: media goes where authentic packets come from.
    ///
    /// # Errors
    /// No check from there is answered.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        self.agent.migrate().await?;
        self.send_rtcp(&[Box::new(ReceiverReport::default())]).await
    }

    /// The local address that is sent from.
    ///
    /// # Errors
    /// The system does not know it.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.agent.local_address()
    }

    /// Ends everything that runs for this transport and hands out what remains: whoever measures
    /// reads the socket without a runtime, thousands of them on one thread.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn detach(self, receiving: Receiving) -> anyhow::Result<Detached> {
        let (socket, check) = self.agent.detach()?;
        let sealer = self.sealer.into_inner();
        Ok(Detached { socket, sealer, opener: receiving.opener, check })
    }

    /// Says close_notify; what the server makes of that is up to it.
    pub async fn close(&self) {
        self.association.close().await;
    }

    /// Waits until the server ends the DTLS association.
    pub async fn closed(&self) {
        self.association.closed().await;
    }
}
