//! The paths that valid checks have opened: which transports a datagram may be for. Which of its
//! paths a transport uses is `transport::paths`'s to say.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use slotmap::SlotMap;

use super::association::Association;
use crate::protocol::DtlsState;
use crate::transport::dtls::is_hello;
use crate::types::limit::{DATAGRAM_MAX, TRANSPORTS_PER_PATH_MAX};
use crate::types::{DropReason, Path, Timestamp, TransportKey};

/// Whom each path leads to. Nearly always to one transport. To more where a client has several on
/// one socket, or where somebody forges another's address: no check takes a path from a transport
/// that has shown to be at its end.
#[derive(Debug)]
pub(super) struct Paths {
    owners: HashMap<Path, Owners, FixedState>,
}

/// The transports that a path leads to, at most [`TRANSPORTS_PER_PATH_MAX`].
#[derive(Debug)]
struct Owners {
    /// The one that something authentic came for last, or the first.
    first: TransportKey,
    /// In the order in which they came, as far as nothing authentic came for them.
    others: Vec<TransportKey>,
}

impl Owners {
    fn all(&self) -> impl Iterator<Item = TransportKey> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }
}

impl Paths {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self { owners: HashMap::with_hasher(hasher) }
    }

    /// Step 3: finds whose a datagram is, by opening it. On a path that leads to several the one
    /// that it fits is the one.
    #[inline]
    pub(super) fn open<'a, T>(
        &mut self,
        path: Path,
        datagram: &mut [u8],
        transports: &'a mut SlotMap<TransportKey, Association>,
        open: impl Fn(&mut Association, &mut [u8]) -> Result<T, DropReason>,
    ) -> Result<(TransportKey, &'a mut Association, T), DropReason> {
        let owners = self.owners.get_mut(&path).ok_or(DropReason::NoPath)?;
        if !owners.others.is_empty() {
            return owners.open(datagram, transports, open);
        }
        let association = transports.get_mut(owners.first).ok_or(DropReason::NoPath)?;
        let opened = open(association, datagram)?;
        Ok((owners.first, association, opened))
    }

    /// Whom a DTLS datagram on this path may be for: no record says whose it is. A ClientHello is
    /// for one that has not shaken hands; of several the one that has known the path longest, for
    /// checks that are forged from a client's address come after its own. What follows is for it if
    /// it has begun, else for those that have shaken hands: their last flight may be asked for
    /// again.
    pub(super) fn for_dtls(
        &self,
        path: Path,
        datagram: &[u8],
        transports: &SlotMap<TransportKey, Association>,
    ) -> Vec<TransportKey> {
        let Some(owners) = self.owners.get(&path) else { return Vec::new() };
        if owners.others.is_empty() {
            return vec![owners.first];
        }
        let state = |key| transports.get(key).map(|it| it.transport.dtls_state());
        let shaking = owners.all().find(|key| state(*key) != Some(DtlsState::Connected));
        match shaking {
            Some(key) if is_hello(datagram) || state(key) == Some(DtlsState::Connecting) => {
                vec![key]
            }
            _ if is_hello(datagram) => vec![owners.first],
            _ => owners.all().filter(|key| shaking != Some(*key)).collect(),
        }
    }

    /// Whether a path may lead to this transport too. Where it leads to as many as may be, one that
    /// has shown nothing there makes room.
    pub(super) fn admit(
        &mut self,
        now: Timestamp,
        path: Path,
        key: TransportKey,
        transports: &mut SlotMap<TransportKey, Association>,
    ) -> bool {
        let Some(owners) = self.owners.get(&path) else { return true };
        if owners.others.len() + 1 < TRANSPORTS_PER_PATH_MAX || owners.all().any(|it| it == key) {
            return true;
        }
        let is_idle = |owner: &TransportKey| {
            let ice = transports.get(*owner).map(|association| association.transport.ice());
            !ice.is_some_and(|ice| ice.paths().is_proved(path, now))
        };
        // A client is there before those who forge its address: it may be shaking hands.
        let Some(evicted) = owners.all().filter(is_idle).last() else { return false };
        if let Some(association) = transports.get_mut(evicted) {
            association.transport.ice_mut().forget(now, path);
        }
        self.remove(path, evicted);
        true
    }

    /// A path leads to this transport, too.
    pub(super) fn add(&mut self, path: Path, key: TransportKey) {
        match self.owners.get_mut(&path) {
            None => drop(self.owners.insert(path, Owners { first: key, others: Vec::new() })),
            Some(owners) if owners.all().any(|owner| owner == key) => {}
            Some(owners) => owners.others.push(key),
        }
    }

    /// A path leads to this transport no more.
    pub(super) fn remove(&mut self, path: Path, key: TransportKey) {
        let Some(owners) = self.owners.get_mut(&path) else { return };
        owners.others.retain(|owner| *owner != key);
        if owners.first != key {
            return;
        }
        if owners.others.is_empty() {
            self.owners.remove(&path);
        } else {
            owners.first = owners.others.remove(0);
        }
    }

    /// Whether a path leads anywhere.
    pub(super) fn has(&self, path: Path) -> bool {
        self.owners.contains_key(&path)
    }

    /// Forgets a path; whom it has led to.
    pub(super) fn close(&mut self, path: Path) -> Vec<TransportKey> {
        self.owners.remove(&path).iter().flat_map(Owners::all).collect()
    }

    /// Pairs of a path and a transport that it leads to.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Path, TransportKey)> {
        self.owners.iter().flat_map(|(path, owners)| owners.all().map(|key| (*path, key)))
    }
}

impl Owners {
    #[cold]
    fn open<'a, T>(
        &mut self,
        datagram: &mut [u8],
        transports: &'a mut SlotMap<TransportKey, Association>,
        open: impl Fn(&mut Association, &mut [u8]) -> Result<T, DropReason>,
    ) -> Result<(TransportKey, &'a mut Association, T), DropReason> {
        // What does not fit is spoilt by the attempt.
        let mut copy = [0; DATAGRAM_MAX];
        let copy = copy.get_mut(..datagram.len()).ok_or(DropReason::Truncated)?;
        copy.copy_from_slice(datagram);
        let mut failed = None;
        for at in 0..=self.others.len() {
            let key = if at == 0 { self.first } else { self.others[at - 1] };
            let Some(association) = transports.get_mut(key) else { continue };
            match open(association, datagram) {
                // Numbers are each key's own: a replay of one may be news to another.
                Err(
                    reason @ (DropReason::SrtpBadTag
                    | DropReason::SrtpReplay
                    | DropReason::IndexSpent
                    | DropReason::NoKeys),
                ) => {
                    failed.get_or_insert(reason);
                    datagram.copy_from_slice(copy);
                }
                Err(reason) => return Err(reason),
                Ok(opened) => {
                    if at > 0 {
                        let behind = std::mem::replace(&mut self.first, self.others.remove(at - 1));
                        self.others.insert(0, behind);
                    }
                    return Ok((key, &mut transports[key], opened));
                }
            }
        }
        Err(failed.unwrap_or(DropReason::NoPath))
    }
}
