//! Connects one association of the engine's: ICE checks until one is answered, then DTLS, over the
//! engine's socket, on the control side. Then the media thread gets the keys.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use crate::dtls::{Handshake, Identity, RecordSink};
use crate::engine::link::Connected;
use crate::engine::{Command, Door, Engine, LinkKey, Outlet, ipv4};
use crate::ice::{self, CHECK_INTERVAL, CONNECT_TIMEOUT, Credentials};
use crate::sfu::{LocalEnd, RemoteEnd};
use crate::srtp::Profile;
use crate::transport::{HANDSHAKE_TIMEOUT, Offer};

/// Records that wait to be read.
const RECORDS: usize = 64;

/// The SSRC that receivers report with.
const OWN_SSRC: u32 = 1;

/// Makes associations.
pub struct Connector {
    engine: Arc<Engine>,
    /// All peers show the same certificate: making one for each would measure us.
    identity: Identity,
    profile: Profile,
}

/// An association that the server is to be told of.
pub struct Prepared {
    /// What it is told.
    pub local: LocalEnd,
    door: Door,
}

impl Prepared {
    /// Which association.
    pub fn key(&self) -> LinkKey {
        self.door.key
    }
}

impl Connector {
    /// For one engine; every association uses `profile`.
    ///
    /// # Errors
    /// No certificate can be made.
    pub fn new(engine: Arc<Engine>, profile: Profile) -> anyhow::Result<Self> {
        Ok(Self { engine, identity: Identity::generate()?, profile })
    }

    /// What sealing adds to a packet of RTP.
    pub fn overhead(&self) -> usize {
        self.profile.rtp_overhead()
    }

    /// A new association.
    ///
    /// # Errors
    /// The engine has no address left.
    pub fn prepare(&self) -> anyhow::Result<Prepared> {
        let door = self.engine.open()?;
        let local = LocalEnd {
            ufrag: ice::fragment(8),
            password: ice::fragment(24),
            fingerprint: self.identity.fingerprint(),
            address: door.local.into(),
        };
        Ok(Prepared { local, door })
    }

    /// Connects it and hands it to the media thread.
    ///
    /// # Errors
    /// ICE or DTLS fails or takes too long; the server's certificate is not the one it told.
    pub async fn connect(
        &self,
        prepared: Prepared,
        remote: RemoteEnd,
        probe: bool,
    ) -> anyhow::Result<LinkKey> {
        let key = prepared.key();
        let connected = self.try_connect(prepared, remote, probe).await;
        if connected.is_err() {
            self.engine.command(key, |slot| Command::Close { slot });
        }
        let connected = Box::new(connected?);
        self.engine.command(key, |slot| Command::Connect { slot, connected });
        Ok(key)
    }

    async fn try_connect(
        &self,
        Prepared { local, door }: Prepared,
        RemoteEnd { offer, role }: RemoteEnd,
        probe: bool,
    ) -> anyhow::Result<Connected> {
        let remote = ipv4(offer.remote.address)?;
        let outlet = door.outlet(remote);
        let (dtls_tx, dtls) = mpsc::channel(RECORDS);
        let credentials = Credentials::with_local(offer.remote, &local.ufrag);
        let check = credentials.check()?.raw;
        let mut arrivals = door.arrivals;
        let password = local.password.clone();
        open_path(&credentials, &outlet, &password, &mut arrivals, &dtls_tx).await?;
        let answers = outlet.clone();
        let sort = tokio::spawn(async move {
            while let Some(datagram) = arrivals.recv().await {
                if !is_dtls(&datagram) {
                    answers.answer(&datagram, &password);
                } else if dtls_tx.send(datagram).await.is_err() {
                    return;
                }
            }
        });
        let handshake = Handshake {
            identity: self.identity.clone(),
            role,
            profile: self.profile,
            remote_fingerprint: offer.fingerprint,
        };
        let result = timeout(HANDSHAKE_TIMEOUT, handshake.run(Arc::new(outlet), dtls)).await;
        sort.abort();
        let (_, sealer, opener) = result.context("DTLS takes too long")??;
        let password = local.password;
        Ok(Connected { remote, check, password, sealer, opener, probe, own_ssrc: OWN_SSRC })
    }

    /// Begins to connect and stops before the handshake's second flight: a client that goes away
    /// at the worst moment.
    ///
    /// # Errors
    /// ICE fails.
    pub async fn connect_half(&self, prepared: Prepared, remote: RemoteEnd) -> anyhow::Result<()> {
        let key = prepared.key();
        let half = async {
            let to = ipv4(remote.offer.remote.address)?;
            let outlet = prepared.door.outlet(to);
            let credentials = Credentials::with_local(remote.offer.remote, &prepared.local.ufrag);
            let (records, dtls) = mpsc::channel(RECORDS);
            let mut arrivals = prepared.door.arrivals;
            let password = &prepared.local.password;
            open_path(&credentials, &outlet, password, &mut arrivals, &records).await?;
            let handshake = Handshake {
                identity: self.identity.clone(),
                role: remote.role,
                profile: self.profile,
                remote_fingerprint: remote.offer.fingerprint,
            };
            // What the server answers is not read: only the first flight leaves.
            timeout(CHECK_INTERVAL, handshake.run(Arc::new(outlet), dtls)).await.ok();
            anyhow::Ok(())
        };
        let result = half.await;
        self.engine.command(key, |slot| Command::Close { slot });
        result
    }

    /// From now on the association's checks are with what a restart of ICE gave.
    ///
    /// # Errors
    /// A check cannot be made of it.
    pub fn restart(&self, key: LinkKey, offer: Offer) -> anyhow::Result<()> {
        let credentials = Credentials::with_local(offer.remote, &ice::fragment(8));
        let check = credentials.check()?.raw;
        self.engine.command(key, |slot| Command::Check { slot, check });
        Ok(())
    }
}

/// RFC 7983 §7.
fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20..=63))
}

/// Checks until one is answered. DTLS that comes meanwhile goes to `records`.
async fn open_path(
    credentials: &Credentials,
    outlet: &Outlet,
    password: &str,
    arrivals: &mut mpsc::Receiver<Bytes>,
    records: &mpsc::Sender<Bytes>,
) -> anyhow::Result<()> {
    let mut outstanding = VecDeque::new();
    let mut ticks = interval(CHECK_INTERVAL);
    let opened = async {
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let check = credentials.check()?;
                    outstanding.push_back(check.transaction_id);
                    outlet.send(&check.raw);
                }
                datagram = arrivals.recv() => {
                    let datagram = datagram.context("the media thread has failed")?;
                    if is_dtls(&datagram) {
                        records.try_send(datagram).ok();
                    } else if let Some(answer) = credentials.answer(&datagram, &outstanding) {
                        return answer;
                    } else {
                        outlet.answer(&datagram, password);
                    }
                }
            }
        }
    };
    timeout(CONNECT_TIMEOUT, opened).await.context("no check was answered")?
}

#[async_trait]
impl RecordSink for Outlet {
    async fn send(&self, records: &[u8]) {
        Outlet::send(self, records);
    }
}
