//! L2: one client association. [`Transport`] joins ICE-lite ([`ice`]), DTLS ([`dtls`]) and SRTP
//! ([`srtp`]) of one BUNDLE group. `sfu::Router` drives it: verified checks, records and time come
//! in; datagrams, events and deadlines are polled.
//!
//! RFC 8445 §2.5 (lite), RFC 7675 (consent), RFC 5764 (DTLS-SRTP), PROTOCOL section 5. One
//! transport costs about 20 KiB, nearly all of it the DTLS engine's.

pub mod dtls;
pub mod ice;
pub mod srtp;

use std::time::Instant;

use dtls::{Dtls, DtlsEvent, DtlsFailure, Identity, SrtpKeys};
use ice::{Credentials, Ice, PathChange};
use srtp::{SrtpRx, SrtpTx};

use crate::protocol::{DtlsParameters, DtlsRole, DtlsState, Fingerprint};
use crate::types::limit::DTLS_ROLE_WAIT;
use crate::types::{Deadline, DropReason, Path, Reason, Timestamp};

/// What the Router must know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// There are SRTP keys: media may flow.
    Connected,
    /// DTLS is over and the transport with it.
    Failed(DtlsFailure),
    /// The peer closed DTLS.
    Closed,
}

/// One client association.
///
/// Order: `handle_*` or a command, then [`Transport::poll_transmit`] until `None`, then
/// [`Transport::poll_event`], then [`Transport::poll_deadline`].
#[derive(Debug)]
pub struct Transport {
    ice: Ice,
    /// Apart, for it is large and seldom looked at: the fan-out reads transports one by one, and
    /// what it reads of each should be all that it fetches.
    dtls: Box<Dtls>,
    dtls_state: DtlsState,
    keys: Option<Box<SrtpKeys>>,
    remote: Option<Vec<Fingerprint>>,
    first_check_at: Option<Timestamp>,
    /// When the client said that it is the DTLS server.
    client_is_server_at: Option<Timestamp>,
}

impl Transport {
    /// Waits for checks and a ClientHello. `epoch` is where `Timestamp`s count from.
    pub fn new(
        credentials: Credentials,
        identity: &Identity,
        epoch: Instant,
        now: Timestamp,
    ) -> Self {
        Self {
            ice: Ice::new(credentials),
            dtls: Box::new(Dtls::new(identity, epoch, now)),
            dtls_state: DtlsState::New,
            keys: None,
            remote: None,
            first_check_at: None,
            client_is_server_at: None,
        }
    }

    /// Paths, credentials and consent.
    pub fn ice(&self) -> &Ice {
        &self.ice
    }

    /// The same, to change.
    pub fn ice_mut(&mut self) -> &mut Ice {
        &mut self.ice
    }

    /// Where DTLS stands. From `Failed` and `Closed` there is no way back: the Router closes the
    /// transport.
    pub fn dtls_state(&self) -> DtlsState {
        self.dtls_state
    }

    /// The client's DTLS parameters. `false` if others were stated before: those stay.
    pub fn set_remote(&mut self, now: Timestamp, parameters: DtlsParameters) -> bool {
        if let Some(stated) = &self.remote {
            return *stated == parameters.fingerprints;
        }
        self.remote = Some(parameters.fingerprints.clone());
        self.dtls.expect(parameters.fingerprints);
        if parameters.role == Some(DtlsRole::Server) {
            self.client_is_server_at = Some(now);
        }
        true
    }

    /// A check on `path` whose integrity held.
    pub fn handle_check(&mut self, now: Timestamp, path: Path, nominate: bool) -> PathChange {
        self.first_check_at.get_or_insert(now);
        self.ice.handle_check(now, path, nominate)
    }

    /// A datagram of DTLS records from one of the paths.
    pub fn handle_dtls(&mut self, now: Timestamp, datagram: &[u8]) -> Result<(), DropReason> {
        match self.dtls_state {
            DtlsState::Failed | DtlsState::Closed => return Err(DropReason::DtlsUnexpected),
            DtlsState::New => self.dtls_state = DtlsState::Connecting,
            DtlsState::Connecting | DtlsState::Connected => {}
        }
        self.dtls.handle_datagram(now, datagram);
        Ok(())
    }

    /// Time has come. `true` if consent just ran out.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        if self.role_deadline().is_some_and(|at| at <= now) {
            self.dtls_state = DtlsState::Connecting;
            self.dtls.start_client(now);
        } else if self.dtls.poll_deadline().is_some_and(|at| at <= now) {
            self.dtls.handle_timeout(now);
        }
        self.ice.handle_timeout(now)
    }

    /// Says goodbye: a close_notify waits for [`Transport::poll_transmit`] if DTLS is connected.
    pub fn close(&mut self) {
        self.dtls.close();
    }

    /// Writes the next DTLS datagram into `slot`; its length, or `None` when there is none.
    pub fn poll_transmit(&mut self, slot: &mut [u8]) -> Option<usize> {
        self.dtls.poll_transmit(slot)
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        let (state, event) = match self.dtls.poll_event()? {
            DtlsEvent::Connected(keys) => {
                self.keys = Some(keys);
                (DtlsState::Connected, Event::Connected)
            }
            DtlsEvent::Failed(failure) => (DtlsState::Failed, Event::Failed(failure)),
            DtlsEvent::Closed => (DtlsState::Closed, Event::Closed),
        };
        self.dtls_state = state;
        Some(event)
    }

    /// When to call [`Transport::handle_timeout`].
    pub fn poll_deadline(&self) -> Option<Deadline> {
        let deadline = |at: Option<Timestamp>, reason| at.map(|at| Deadline { at, reason });
        [
            deadline(self.role_deadline(), Reason::DtlsRole),
            deadline(self.dtls.poll_deadline(), Reason::Dtls),
            deadline(self.ice.poll_deadline(), Reason::Consent),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Where to send, as long as there is consent.
    pub fn send_path(&self) -> Option<Path> {
        self.ice.send_path()
    }

    /// Opens what comes from the client, once there are keys.
    pub fn rx(&mut self) -> Option<&mut SrtpRx> {
        self.keys.as_mut().map(|keys| &mut keys.rx)
    }

    /// Seals what goes to the client, and where it goes; `None` without keys or consent.
    pub fn tx(&mut self) -> Option<(Path, &mut SrtpTx)> {
        let path = self.ice.send_path()?;
        self.keys.as_mut().map(|keys| (path, &mut keys.tx))
    }

    /// Clients that say `server` may still start the handshake themselves (PROTOCOL section 5), and
    /// a ClientHello that crosses ours kills theirs: wait for it, from the first check or, where
    /// the role came later than that, from there.
    fn role_deadline(&self) -> Option<Timestamp> {
        if self.dtls_state != DtlsState::New {
            return None;
        }
        Some(self.client_is_server_at?.max(self.first_check_at?) + DTLS_ROLE_WAIT)
    }
}

#[cfg(test)]
mod tests;
