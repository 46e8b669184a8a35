//! ICE-lite (RFC 8445 §2.5): credentials, the paths that valid checks have opened, where to send,
//! and consent. It answers checks and never sends one. STUN itself is `wire::stun`'s; which
//! transport a check belongs to is the Router's to find.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::protocol::IceState;
use crate::types::limit::{CONSENT_TIMEOUT, PATHS_MAX};
use crate::types::{Path, ShardId, Timestamp};
use crate::wire::stun::IntegrityKey;

/// Letters of credentials: RFC 8445 §5.3's ice-chars without the two that are no alphanumerics.
const ICE_CHARS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 2 letters of the shard and 10 random ones (RFC 8445 §5.3 wants 24 bits; these are 59).
const UFRAG_LEN: usize = 12;
/// RFC 8445 §5.3 wants 128 bits; 24 letters are 142.
const PASSWORD_LEN: usize = 24;

/// The local fragment by which a check finds its transport.
pub type Ufrag = [u8; UFRAG_LEN];

/// Whose transport a fragment names, whichever shard is asked; `None`: it is none of ours.
pub fn shard_of_ufrag(ufrag: &[u8]) -> Option<ShardId> {
    let ufrag = Ufrag::try_from(ufrag).ok()?;
    let digit = |letter: u8| ICE_CHARS.iter().position(|known| *known == letter);
    let index = digit(ufrag[0])? * ICE_CHARS.len() + digit(ufrag[1])?;
    u8::try_from(index).ok().map(ShardId)
}

/// Our side's user name fragment and password of one transport.
#[derive(Clone)]
pub struct Credentials {
    /// Starts with the shard's index, so that any shard can tell whose it is.
    pub ufrag: Ufrag,
    /// Handed to the client in `iceParameters`.
    pub password: String,
    /// The same, ready for MESSAGE-INTEGRITY.
    pub key: IntegrityKey,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag_str()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// New ones for a transport of `shard`. Whoever knew them could have its media sent elsewhere,
    /// so they come from a generator whose output does not tell what it will put out next.
    pub fn generate(shard: ShardId, rng: &mut StdRng) -> Self {
        let mut letter = || ICE_CHARS[rng.random_range(..ICE_CHARS.len())];
        let mut ufrag: Ufrag = std::array::from_fn(|_| letter());
        let index = usize::from(shard.0);
        ufrag[0] = ICE_CHARS[index / ICE_CHARS.len()];
        ufrag[1] = ICE_CHARS[index % ICE_CHARS.len()];
        let password: String = (0..PASSWORD_LEN).map(|_| char::from(letter())).collect();
        let key = IntegrityKey::new(&password);
        Self { ufrag, password, key }
    }

    /// The fragment as text.
    pub fn ufrag_str(&self) -> &str {
        std::str::from_utf8(&self.ufrag).expect("made of ASCII letters and digits")
    }
}

/// What a valid check changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathChange {
    /// The path is new to this transport.
    pub opened: bool,
    /// This one had to make room for it.
    pub evicted: Option<Path>,
    /// First valid check, or the first after a failure.
    pub connected: bool,
}

/// One transport's paths and consent.
#[derive(Debug)]
pub struct Ice {
    /// Ours; checks are verified with them. Apart, as they are large and seldom looked at.
    pub credentials: Box<Credentials>,
    state: IceState,
    /// Least recently checked first, at most `PATHS_MAX`.
    paths: Vec<Path>,
    /// Where to send: the latest nominated path, before any the latest checked.
    selected: Option<Path>,
    nominated: bool,
    alive_at: Option<Timestamp>,
}

impl Ice {
    /// Waits for checks that these credentials sign.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials: Box::new(credentials),
            state: IceState::New,
            paths: Vec::new(),
            selected: None,
            nominated: false,
            alive_at: None,
        }
    }

    /// A check on `path` whose integrity held.
    pub fn handle_check(&mut self, now: Timestamp, path: Path, nominate: bool) -> PathChange {
        let known = self.paths.iter().position(|p| *p == path);
        let mut change = PathChange { opened: known.is_none(), ..PathChange::default() };
        if let Some(index) = known {
            self.paths.remove(index);
        } else if self.paths.len() == PATHS_MAX {
            // The selected path stays, however long ago it was checked: media may depend on it.
            let oldest = self.paths.iter().position(|p| Some(*p) != self.selected).unwrap_or(0);
            change.evicted = Some(self.paths.remove(oldest));
        }
        self.paths.push(path);
        if nominate || !self.nominated || self.state == IceState::Failed {
            self.selected = Some(path);
            self.nominated = nominate;
        }
        change.connected = self.state != IceState::Connected;
        self.state = IceState::Connected;
        self.alive_at = Some(now);
        change
    }

    /// Authentic media came: consent lasts (PROTOCOL section 5). It revives nothing.
    pub fn handle_authentic(&mut self, now: Timestamp) {
        if self.state == IceState::Connected {
            self.alive_at = Some(now);
        }
    }

    /// Another transport has taken this path over.
    pub fn forget(&mut self, path: Path) {
        self.paths.retain(|p| *p != path);
        if self.selected == Some(path) {
            self.selected = self.paths.last().copied();
            self.nominated = false;
        }
    }

    /// Ends consent when it ran out; `true` if it just did.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        let ran_out = self.poll_deadline().is_some_and(|at| at <= now);
        if ran_out {
            self.state = IceState::Failed;
        }
        ran_out
    }

    /// When consent runs out unless something comes.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        match self.state {
            IceState::Connected => self.alive_at.map(|at| at + CONSENT_TIMEOUT),
            IceState::New | IceState::Failed | IceState::Closed => None,
        }
    }

    /// Where to send; `None` before the first check and after consent ran out.
    pub fn send_path(&self) -> Option<Path> {
        if self.state == IceState::Connected { self.selected } else { None }
    }

    /// Every path that reaches this transport.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Where the association stands.
    pub fn state(&self) -> IceState {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use rand::SeedableRng;

    use super::*;
    use crate::types::SocketId;

    fn path(port: u16) -> Path {
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Path::Udp { socket: SocketId(0), remote }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn ice() -> Ice {
        Ice::new(Credentials::generate(ShardId(3), &mut StdRng::from_seed([1; 32])))
    }

    #[test]
    fn credentials_name_their_shard_and_differ() {
        let mut rng = StdRng::from_seed([1; 32]);
        let a = Credentials::generate(ShardId(63), &mut rng);
        let b = Credentials::generate(ShardId(63), &mut rng);
        assert_eq!(&a.ufrag[..2], b"BB", "63 = 1 * 62 + 1");
        assert_eq!(shard_of_ufrag(&a.ufrag), Some(ShardId(63)));
        assert_eq!(shard_of_ufrag(b"99aaaaaaaaaa"), None, "there are 256 at most");
        assert_eq!(shard_of_ufrag(b"BB"), None);
        assert_ne!(a.ufrag, b.ufrag);
        assert_ne!(a.password, b.password);
    }

    #[test]
    fn sends_to_the_latest_nominated_path_and_before_any_to_the_latest_checked() {
        let mut ice = ice();
        assert_eq!(ice.send_path(), None);
        ice.handle_check(at(1), path(1), false);
        ice.handle_check(at(1), path(2), false);
        assert_eq!(ice.send_path(), Some(path(2)));
        ice.handle_check(at(1), path(1), true);
        ice.handle_check(at(1), path(3), false);
        assert_eq!(ice.send_path(), Some(path(1)), "a plain check does not move it");
        ice.handle_check(at(2), path(3), true);
        assert_eq!(ice.send_path(), Some(path(3)));
    }

    #[test]
    fn remembers_eight_paths_and_never_forgets_the_one_it_sends_to() {
        let mut ice = ice();
        ice.handle_check(at(1), path(100), true);
        for port in 1..PATHS_MAX as u16 {
            assert_eq!(ice.handle_check(at(1), path(port), false).evicted, None);
        }
        let change = ice.handle_check(at(1), path(50), false);
        assert_eq!(change.evicted, Some(path(1)));
        assert_eq!(ice.paths().len(), PATHS_MAX);
        assert_eq!(ice.send_path(), Some(path(100)));
        assert!(!ice.handle_check(at(1), path(2), false).opened, "2 is known");
        assert_eq!(ice.handle_check(at(1), path(51), false).evicted, Some(path(3)), "2 is newer");
    }

    #[test]
    fn consent_runs_out_after_30_s_and_a_check_revives_it() {
        let mut ice = ice();
        assert!(ice.handle_check(at(1), path(1), true).connected);
        ice.handle_authentic(at(10));
        assert!(!ice.handle_timeout(at(39)));
        assert!(ice.handle_timeout(at(40)));
        assert_eq!((ice.state(), ice.send_path()), (IceState::Failed, None));
        ice.handle_authentic(at(41));
        assert_eq!(ice.state(), IceState::Failed, "only a check revives");
        assert!(ice.handle_check(at(42), path(2), false).connected);
        assert_eq!(ice.send_path(), Some(path(2)), "the old nomination died with consent");
        assert_eq!(ice.poll_deadline(), Some(at(42) + Duration::from_secs(30)));
    }
}
