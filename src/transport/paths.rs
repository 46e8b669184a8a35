//! The paths that reach one transport: what each has shown, and which of them media takes.
//!
//! A check opens a path, and moves nothing: whoever has the credentials, or a recording, can make
//! one from any address that he can forge. What only the client can have sent is *authentic*: SRTP,
//! SRTCP, and the end of the DTLS handshake. Media goes where that comes from. A nomination is a
//! wish, which counts from the path's next authentic packet on. docs/internals/paths.md has the
//! table of states.

use std::time::Duration;

use crate::types::limit::{CONSENT_TIMEOUT, PATHS_MAX, UNVERIFIED_FACTOR};
use crate::types::{Path, Timestamp};

/// How long packets have to come from another path, and none from the one in use, before media
/// follows them without a nomination: longer than a network keeps packets in disorder.
const SETTLED: Duration = Duration::from_millis(200);

/// One path.
#[derive(Debug, Clone, Copy)]
pub struct PathState {
    /// Between which ends.
    pub path: Path,
    /// Tells it from any other that this transport has had.
    pub serial: u32,
    /// When its latest fresh check came.
    pub checked_at: Timestamp,
    /// The latest packet that only the client can have sent.
    authentic_at: Option<Timestamp>,
    /// Counts up with every nomination of the transport; 0: it never was the one.
    nomination: u32,
    /// Bytes that came from it, and went to it, before anything authentic came.
    received: usize,
    sent: usize,
}

impl PathState {
    /// When its own consent runs out (RFC 7675 §5.1).
    fn alive_until(&self) -> Timestamp {
        self.authentic_at.unwrap_or(self.checked_at).max(self.checked_at) + CONSENT_TIMEOUT
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        self.alive_until() > now
    }

    /// Whether something authentic has come from it.
    pub fn is_proved(&self) -> bool {
        self.authentic_at.is_some()
    }
}

/// All paths of one transport.
#[derive(Debug, Default)]
pub struct Paths {
    /// At most `PATHS_MAX`.
    all: Vec<PathState>,
    /// The one in use.
    selected: Option<Path>,
    /// Whether media may go there. The fan-out asks for each Sender, so it is not looked up.
    takes_media: bool,
    /// Authentic packets come from this one since then, and none from the one in use.
    contender: Option<(Path, Timestamp)>,
    /// That of the latest nomination.
    nominations: u32,
    serials: u32,
}

/// What a check changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathChange {
    /// The path is new to this transport.
    pub opened: bool,
    /// This one had to make room for it.
    pub evicted: Option<Path>,
    /// First valid check, or the first after a failure.
    pub connected: bool,
}

impl Paths {
    /// A valid check that had not come before. It counts as a sign of life of its path, and decides
    /// where the handshake goes as long as nothing better is known.
    pub fn handle_check(&mut self, now: Timestamp, path: Path, nominate: bool) -> PathChange {
        let mut change = PathChange::default();
        if self.get(path).is_none() {
            change.opened = true;
            change.evicted = self.make_room(now);
            self.serials += 1;
            self.all.push(PathState {
                path,
                serial: self.serials,
                checked_at: now,
                authentic_at: None,
                nomination: 0,
                received: 0,
                sent: 0,
            });
        }
        self.nominations += u32::from(nominate);
        let nominations = self.nominations;
        if let Some(state) = self.get_mut(path) {
            state.checked_at = now;
            if nominate {
                state.nomination = nominations;
            }
        }
        if !self.selected.is_some_and(|selected| self.is_proved(selected, now)) {
            self.select(now);
        }
        change
    }

    /// Something authentic came from a path.
    #[inline]
    pub fn handle_authentic(&mut self, now: Timestamp, path: Path) {
        let selected = self.selected;
        let Some(state) = self.get_mut(path) else { return };
        state.authentic_at = Some(now);
        if selected == Some(path) {
            self.contender = None;
            self.takes_media = true;
        } else {
            self.contend(now, path);
        }
    }

    /// Something authentic came from a path that is not in use: whether media follows it.
    #[cold]
    fn contend(&mut self, now: Timestamp, path: Path) {
        let settled = match self.contender {
            Some((contender, since)) if contender == path => now.since(since) >= SETTLED,
            _ => {
                self.contender = Some((path, now));
                false
            }
        };
        let in_use = self.selected.filter(|selected| self.is_proved(*selected, now));
        let moves = match in_use {
            None => true,
            Some(in_use) => settled || self.nomination(path) > self.nomination(in_use),
        };
        if moves {
            // The wish that is left behind has had its time: only a later one outranks this path.
            let outdated = in_use.map_or(0, |in_use| self.nomination(in_use));
            if let Some(state) = self.get_mut(path) {
                state.nomination = state.nomination.max(outdated);
            }
            self.selected = Some(path);
            self.takes_media = true;
            self.contender = None;
        }
    }

    /// A path leads to this transport no more.
    pub fn forget(&mut self, now: Timestamp, path: Path) {
        self.all.retain(|state| state.path != path);
        if self.selected == Some(path) {
            self.select(now);
        }
    }

    /// Leaves a path in use whose consent has run out.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let selected = self.selected.and_then(|selected| self.get(selected));
        if !selected.is_some_and(|state| state.is_alive(now)) {
            self.select(now);
        }
    }

    /// Until when any path has consent; `None`: there are none.
    pub fn alive_until(&self) -> Option<Timestamp> {
        self.all.iter().map(PathState::alive_until).max()
    }

    /// When the path in use has to be left, unless something comes from it.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        self.selected.and_then(|selected| self.get(selected)).map(PathState::alive_until)
    }

    /// Where a handshake and reports of the transport's own go.
    pub fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// Where media goes: to nobody who has not shown that he is the client. A TCP connection cannot
    /// be made from a forged address.
    #[inline]
    pub fn media_path(&self) -> Option<Path> {
        if self.takes_media { self.selected } else { None }
    }

    /// Bytes came from a path that say nothing about who sent them.
    pub fn note_received(&mut self, path: Path, bytes: usize) {
        if let Some(state) = self.get_mut(path) {
            state.received = state.received.saturating_add(bytes);
        }
    }

    /// Whether so many bytes may go to a path, which then counts as done: before anything authentic
    /// has come from it, three times what came (RFC 9000 §8.1).
    pub fn may_send(&mut self, path: Path, bytes: usize) -> bool {
        let Some(state) = self.get_mut(path) else { return false };
        if state.is_proved() || matches!(path, Path::Tcp { .. }) {
            return true;
        }
        let fits = state.sent + bytes <= UNVERIFIED_FACTOR.saturating_mul(state.received);
        if fits {
            state.sent += bytes;
        }
        fits
    }

    /// All of them.
    pub fn all(&self) -> &[PathState] {
        &self.all
    }

    /// One of them.
    pub fn get(&self, path: Path) -> Option<&PathState> {
        self.all.iter().find(|state| state.path == path)
    }

    fn get_mut(&mut self, path: Path) -> Option<&mut PathState> {
        self.all.iter_mut().find(|state| state.path == path)
    }

    fn nomination(&self, path: Path) -> u32 {
        self.get(path).map_or(0, |state| state.nomination)
    }

    /// Whether something authentic has come from a path, and its consent lasts.
    pub fn is_proved(&self, path: Path, now: Timestamp) -> bool {
        self.get(path).is_some_and(|state| state.is_proved() && state.is_alive(now))
    }

    /// The best of those with consent: one that has proved itself, the latest to do so; else the
    /// latest nominated one, or the latest checked.
    fn select(&mut self, now: Timestamp) {
        let alive = self.all.iter().filter(|state| state.is_alive(now));
        let best =
            alive.max_by_key(|it| (it.authentic_at, it.nomination, it.checked_at, it.serial));
        self.takes_media =
            best.is_some_and(|it| it.is_proved() || matches!(it.path, Path::Tcp { .. }));
        self.selected = best.map(|state| state.path);
        self.contender = None;
    }

    /// The path in use stays, however long it was silent; of the others one that has proved nothing
    /// goes first, then the one that was silent longest.
    fn make_room(&mut self, now: Timestamp) -> Option<Path> {
        if self.all.len() < PATHS_MAX {
            return None;
        }
        let others = self.all.iter().filter(|state| Some(state.path) != self.selected);
        let rank =
            |it: &&PathState| (it.is_proved() && it.is_alive(now), it.alive_until(), it.serial);
        let evicted = others.min_by_key(rank)?.path;
        self.all.retain(|state| state.path != evicted);
        Some(evicted)
    }
}

#[cfg(test)]
mod tests;
