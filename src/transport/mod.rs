//! L2: one client association. [`Transport`] joins ICE-lite ([`ice`], [`paths`]), DTLS ([`dtls`])
//! and SRTP ([`srtp`]) of one BUNDLE group. `sfu::Router` drives it: verified checks, records and
//! time come in; datagrams, events and deadlines are polled.
//!
//! RFC 8445 §2.5 (lite), RFC 7675 (consent), RFC 5764 (DTLS-SRTP), PROTOCOL section 5. One
//! transport costs about 20 KiB, nearly all of it the DTLS engine's.

pub mod dtls;
pub mod ice;
pub mod paths;
pub mod srtp;

use std::collections::VecDeque;
use std::time::Instant;

use dtls::{Dtls, DtlsEvent, DtlsFailure, Identity, SrtpKeys};
use ice::{Credentials, Ice};
use paths::PathChange;
use srtp::{SrtpRx, SrtpTx};

use crate::protocol::{DtlsParameters, DtlsRole, DtlsState, Fingerprint};
use crate::types::limit::{DTLS_ROLE_PATIENCE, DTLS_ROLE_WAIT, FLIGHT_HELD_MAX};
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

/// A valid check that had not come before.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Where it came from.
    pub path: Path,
    /// 64 bits of its transaction id.
    pub transaction: u64,
    /// It says USE-CANDIDATE.
    pub nominate: bool,
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
    /// Where the latest record of a handshake that is under way came from.
    dtls_path: Option<Path>,
    /// What of a handshake may not go there yet, oldest first.
    held: VecDeque<Box<[u8]>>,
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
            dtls_path: None,
            held: VecDeque::new(),
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

    /// A valid check that had not come before.
    pub fn handle_check(&mut self, now: Timestamp, check: Check) -> PathChange {
        self.first_check_at.get_or_insert(now);
        let Check { path, transaction, nominate } = check;
        self.ice.handle_check(now, path, transaction, nominate)
    }

    /// A datagram of DTLS records from one of the paths.
    pub fn handle_dtls(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        match self.dtls_state {
            DtlsState::Failed | DtlsState::Closed => return Err(DropReason::DtlsUnexpected),
            DtlsState::New | DtlsState::Connecting | DtlsState::Connected => {}
        }
        if !self.dtls.is_done() {
            self.dtls_path = Some(path);
        }
        self.dtls.handle_datagram(now, datagram);
        if self.dtls_state == DtlsState::New && self.dtls.has_begun() {
            self.dtls_state = DtlsState::Connecting;
        }
        Ok(())
    }

    /// To be called when DTLS has been polled: where a handshake has just ended, the one who ended
    /// it is at the end of his path, for he has read what we sent there.
    pub fn note_handshake(&mut self, now: Timestamp) {
        if self.dtls.is_done()
            && let Some(path) = self.dtls_path.take()
        {
            self.held.clear();
            self.ice.handle_authentic(now, path);
        }
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

    /// Keeps what may not be sent yet, until something comes from where it is to go: who has lost
    /// the flight and says so should not have to say it three times. `false`: another made room.
    pub fn hold(&mut self, datagram: &[u8]) -> bool {
        let has_room = self.held.len() < FLIGHT_HELD_MAX;
        if !has_room {
            self.held.pop_front();
        }
        self.held.push_back(datagram.into());
        has_room
    }

    /// The next of what was held that may be sent now.
    pub fn poll_held(&mut self) -> Option<(Path, Box<[u8]>)> {
        let (path, next) = (self.dtls_path()?, self.held.front()?);
        let may = self.ice.paths_mut().may_send(path, next.len());
        if may { self.held.pop_front().map(|datagram| (path, datagram)) } else { None }
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

    /// Where reports and media go, or would go; for people to read.
    pub fn send_path(&self) -> Option<Path> {
        self.ice.media_path().or(self.ice.send_path())
    }

    /// Where DTLS goes: a handshake to where it comes from.
    pub fn dtls_path(&self) -> Option<Path> {
        let path = self.ice.send_path()?;
        let known = self.dtls_path.filter(|path| self.ice.paths().get(*path).is_some());
        Some(known.unwrap_or(path))
    }

    /// Opens what comes from the client, once there are keys.
    pub fn rx(&mut self) -> Option<&mut SrtpRx> {
        self.keys.as_mut().map(|keys| &mut keys.rx)
    }

    /// Seals what goes to the client, and where it goes; `None` without keys, or where nobody has
    /// shown that he is the client and consents.
    pub fn tx(&mut self) -> Option<(Path, &mut SrtpTx)> {
        let path = self.ice.media_path()?;
        self.keys.as_mut().map(|keys| (path, &mut keys.tx))
    }

    /// Clients that say `server` may still start the handshake themselves (PROTOCOL section 5), and
    /// a ClientHello that crosses ours kills theirs: wait for it, from the first check or, where
    /// the role came later than that, from there. If one has come, which need not be theirs, it has
    /// longer to lead somewhere.
    fn role_deadline(&self) -> Option<Timestamp> {
        if self.dtls.is_client() || self.dtls.is_done() {
            return None;
        }
        let wait = if self.dtls.has_begun() { DTLS_ROLE_PATIENCE } else { DTLS_ROLE_WAIT };
        Some(self.client_is_server_at?.max(self.first_check_at?) + wait)
    }
}

#[cfg(test)]
mod tests;
