//! DTLS 1.2 with webrtc-dtls, over datagrams that the ICE agent sorts out; yields SRTP keys.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, mpsc};
use webrtc_dtls::config::{ClientAuthType, Config};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::crypto::Certificate;
use webrtc_util_dtls::{Conn, KeyingMaterialExporter};

use crate::srtp::{self, Opener, Profile, Sealer};

/// First retransmission of a flight: above the round trip of any path that tests make.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(500);

/// RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Who sends the ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This side does.
    Client,
    /// This side waits for it.
    Server,
}

impl Role {
    /// The role's name in `dtlsParameters`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

/// A self-signed certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity(Certificate);

impl Identity {
    /// A new one, ECDSA on P-256.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn generate() -> anyhow::Result<Self> {
        Ok(Self(Certificate::generate_self_signed(["corinth-perf".to_owned()])?))
    }

    /// SHA-256 of the certificate, as `dtlsParameters` has it: upper case, colons between bytes.
    pub fn fingerprint(&self) -> String {
        self.0.certificate.first().map(|der| fingerprint(der)).unwrap_or_default()
    }
}

fn fingerprint(certificate: &[u8]) -> String {
    let bytes: Vec<String> =
        Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// How to shake hands.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// What this side shows.
    pub identity: Identity,
    /// What this side does.
    pub role: Role,
    /// The only SRTP profile that is offered or accepted.
    pub profile: Profile,
    /// SHA-256 fingerprint that the other side's certificate must have; compared without case.
    pub remote_fingerprint: String,
}

/// An association with the handshake behind it. Dropped without a word; see
/// [`Association::close`].
pub struct Association {
    conn: DTLSConn,
}

/// Where records leave by.
#[async_trait]
pub trait RecordSink: Send + Sync {
    /// Sends one datagram of records. A network that takes none loses it.
    async fn send(&self, records: &[u8]);
}

impl Handshake {
    /// Runs the handshake over `sink`, reading from `records`.
    ///
    /// # Errors
    /// The handshake fails, the other side chose no profile, or its certificate is another.
    pub async fn run(
        self,
        sink: Arc<dyn RecordSink>,
        records: mpsc::Receiver<Bytes>,
    ) -> anyhow::Result<(Association, Sealer, Opener)> {
        let is_client = self.role == Role::Client;
        let wire = Arc::new(Wire { sink, records: Mutex::new(records) });
        let conn = DTLSConn::new(wire, self.config(), is_client, None).await?;
        ensure!(
            conn.selected_srtpprotection_profile() == self.profile.for_dtls(),
            "the server did not choose {:?}",
            self.profile
        );
        let state = conn.connection_state().await;
        let certificate = state.peer_certificates.first().context("no certificate was shown")?;
        let shown = fingerprint(certificate);
        if !shown.eq_ignore_ascii_case(&self.remote_fingerprint) {
            bail!("the certificate is {shown}, not {}", self.remote_fingerprint);
        }
        let len = self.profile.keying_material_len();
        let material = state.export_keying_material(EXPORTER_LABEL, &[], len).await?;
        let (sealer, opener) = srtp::contexts(self.profile, &material, is_client)?;
        Ok((Association { conn }, sealer, opener))
    }

    fn config(&self) -> Config {
        // webrtc-dtls lets rustls choose, which it does not where the server's crate, built into
        // the same program, has brought another one. Whoever has chosen before has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Config {
            certificates: vec![self.identity.0.clone()],
            srtp_protection_profiles: vec![self.profile.for_dtls()],
            client_auth: ClientAuthType::RequireAnyClientCert,
            // Self-signed both ways: it is the fingerprint that is checked (RFC 8122 §5).
            insecure_skip_verify: true,
            flight_interval: FLIGHT_INTERVAL,
            ..Config::default()
        }
    }
}

impl Association {
    /// Says close_notify (RFC 5246 §7.2.1).
    pub async fn close(&self) {
        self.conn.close().await.ok();
    }

    /// Waits until the other side says close_notify or a fatal alert. Application data, which
    /// nobody sends, is ignored.
    pub async fn closed(&self) {
        let mut buffer = [0; 2048];
        while self.conn.read(&mut buffer, None).await.is_ok() {}
    }
}

/// The datagrams as webrtc-dtls wants to see them.
struct Wire {
    sink: Arc<dyn RecordSink>,
    records: Mutex<mpsc::Receiver<Bytes>>,
}

type WireResult<T> = Result<T, webrtc_util_dtls::Error>;

fn connected_only<T>() -> WireResult<T> {
    Err(webrtc_util_dtls::Error::Other("a connected wire has no addresses".into()))
}

#[async_trait]
impl Conn for Wire {
    async fn connect(&self, _: SocketAddr) -> WireResult<()> {
        connected_only()
    }

    async fn recv(&self, buffer: &mut [u8]) -> WireResult<usize> {
        let Some(record) = self.records.lock().await.recv().await else {
            // webrtc-dtls asks again at once after an error; it is ended by its own drop.
            return std::future::pending().await;
        };
        let len = record.len().min(buffer.len());
        buffer[..len].copy_from_slice(&record[..len]);
        Ok(len)
    }

    async fn recv_from(&self, _: &mut [u8]) -> WireResult<(usize, SocketAddr)> {
        connected_only()
    }

    async fn send(&self, record: &[u8]) -> WireResult<usize> {
        self.sink.send(record).await;
        Ok(record.len())
    }

    async fn send_to(&self, _: &[u8], _: SocketAddr) -> WireResult<usize> {
        connected_only()
    }

    fn local_addr(&self) -> WireResult<SocketAddr> {
        connected_only()
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> WireResult<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
