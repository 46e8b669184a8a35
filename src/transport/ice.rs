//! ICE-lite (RFC 8445 §2.5): credentials and their restart, checks and their replay, and consent;
//! where to send is for [`Paths`] to say. It answers checks and never sends one. STUN itself is
//! `wire::stun`'s; which transport a check belongs to is the Router's to find.

use std::collections::VecDeque;
use std::iter;

use rand::RngExt;
use rand::rngs::StdRng;

use super::paths::{PathChange, Paths};
use crate::protocol::IceState;
use crate::types::limit::CHECKS_REMEMBERED;
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

/// What a check's transaction id says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It has not come before.
    Fresh,
    /// It has, on this path: the client did not get its answer (RFC 8489 §6.2.1).
    Again,
    /// It has, on another: somebody plays it again.
    Replayed,
}

/// One transport's credentials, paths and consent.
#[derive(Debug)]
pub struct Ice {
    /// Ours; checks are verified with them. Apart, as they are large and seldom looked at.
    credentials: Box<Credentials>,
    /// A restart's. No valid check was made with them yet; the first one puts the others out.
    pending: Option<Box<Credentials>>,
    state: IceState,
    paths: Paths,
    /// When consent runs out where no path is left.
    lost_until: Option<Timestamp>,
    /// Transactions of valid checks with the paths that they came on, oldest first, at most
    /// `CHECKS_REMEMBERED`.
    checks: VecDeque<(u64, u32)>,
}

impl Ice {
    /// Waits for checks that these credentials sign.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials: Box::new(credentials),
            pending: None,
            state: IceState::New,
            paths: Paths::default(),
            lost_until: None,
            checks: VecDeque::new(),
        }
    }

    /// Those in force: one set, or two while a restart's wait to be used.
    pub fn credentials(&self) -> impl Iterator<Item = &Credentials> {
        iter::once(&*self.credentials).chain(self.pending.as_deref())
    }

    /// RFC 8445 §9: checks may be made with these too from now on, and only with these once one
    /// was. Paths and consent stay. `Some`: the fragment of an earlier restart, which is over.
    pub fn restart(&mut self, credentials: Credentials) -> Option<Ufrag> {
        let replaced = self.pending.replace(Box::new(credentials));
        replaced.map(|replaced| replaced.ufrag)
    }

    /// A valid check was made with the credentials of this fragment. `Some`: they are a restart's,
    /// used for the first time, and this is the fragment that is over now.
    pub fn confirm(&mut self, used: &Ufrag) -> Option<Ufrag> {
        let credentials = self.pending.take_if(|pending| pending.ufrag == *used)?;
        Some(std::mem::replace(&mut self.credentials, credentials).ufrag)
    }

    /// Whether a valid check of this transaction has come before. 64 bits of the id are looked at:
    /// the check's integrity covers it, so nobody makes two that agree but who has the password.
    pub fn freshness(&self, transaction: u64, path: Path) -> Freshness {
        let known = self.checks.iter().rev().find(|(id, _)| *id == transaction);
        match known {
            None => Freshness::Fresh,
            Some((_, serial)) if self.serial(path) == Some(*serial) => Freshness::Again,
            Some(_) => Freshness::Replayed,
        }
    }

    /// A valid and fresh check on `path`.
    pub fn handle_check(
        &mut self,
        now: Timestamp,
        path: Path,
        transaction: u64,
        nominate: bool,
    ) -> PathChange {
        let mut change = self.paths.handle_check(now, path, nominate);
        if self.checks.len() == CHECKS_REMEMBERED {
            self.checks.pop_front();
        }
        if let Some(serial) = self.serial(path) {
            self.checks.push_back((transaction, serial));
        }
        change.connected = self.state != IceState::Connected;
        self.state = IceState::Connected;
        change
    }

    /// Something that only the client can have sent came on `path`: media goes there, and consent
    /// lasts (PROTOCOL section 5). It revives nothing.
    pub fn handle_authentic(&mut self, now: Timestamp, path: Path) {
        if self.state == IceState::Connected {
            self.paths.handle_authentic(now, path);
        }
    }

    /// A path leads here no more.
    pub fn forget(&mut self, now: Timestamp, path: Path) {
        self.lost_until = self.paths.alive_until();
        self.paths.forget(now, path);
    }

    /// Leaves paths whose consent ran out; `true` if none is left.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        if self.state != IceState::Connected {
            return false;
        }
        self.paths.handle_timeout(now);
        let until = self.paths.alive_until().or(self.lost_until);
        let ran_out = until.is_none_or(|at| at <= now);
        if ran_out {
            self.state = IceState::Failed;
        }
        ran_out
    }

    /// When the path in use has to be left, or there is none any more.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        match self.state {
            IceState::Connected => {
                let used = self.paths.poll_deadline();
                used.or(self.paths.alive_until()).or(self.lost_until)
            }
            IceState::New | IceState::Failed | IceState::Closed => None,
        }
    }

    /// Where to send what is not media; `None` before the first check and after consent ran out.
    pub fn send_path(&self) -> Option<Path> {
        self.paths.selected().filter(|_| self.state == IceState::Connected)
    }

    /// Where to send media.
    pub fn media_path(&self) -> Option<Path> {
        if self.state == IceState::Connected { self.paths.media_path() } else { None }
    }

    /// Every path that reaches this transport.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The same, to count what comes and goes there.
    pub fn paths_mut(&mut self) -> &mut Paths {
        &mut self.paths
    }

    /// Where the association stands.
    pub fn state(&self) -> IceState {
        self.state
    }

    fn serial(&self, path: Path) -> Option<u32> {
        self.paths.get(path).map(|state| state.serial)
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
    fn a_restarts_credentials_put_the_others_out_once_they_are_used() {
        let mut rng = StdRng::from_seed([1; 32]);
        let [first, second, third] = [(); 3].map(|()| Credentials::generate(ShardId(3), &mut rng));
        let ufrags = [&first, &second, &third].map(|credentials| credentials.ufrag);
        let in_force = |ice: &Ice| ice.credentials().map(|it| it.ufrag).collect::<Vec<_>>();
        let mut ice = Ice::new(first);
        assert_eq!(ice.confirm(&ufrags[0]), None);
        assert_eq!(ice.restart(second), None);
        assert_eq!(ice.restart(third), Some(ufrags[1]), "nobody used those of the second");
        assert_eq!(ice.confirm(&ufrags[0]), None);
        assert_eq!(ice.confirm(&ufrags[1]), None);
        assert_eq!(in_force(&ice), [ufrags[0], ufrags[2]]);
        assert_eq!(ice.confirm(&ufrags[2]), Some(ufrags[0]));
        assert_eq!(ice.confirm(&ufrags[2]), None, "once");
        assert_eq!(in_force(&ice), [ufrags[2]]);
    }

    #[test]
    fn a_transaction_is_good_once_and_again_on_its_own_path_only() {
        let mut ice = ice();
        ice.handle_check(at(1), path(1), 7, true);
        assert_eq!(ice.freshness(7, path(1)), Freshness::Again);
        assert_eq!(ice.freshness(7, path(2)), Freshness::Replayed);
        assert_eq!(ice.freshness(8, path(2)), Freshness::Fresh);
        for transaction in 100..100 + CHECKS_REMEMBERED as u64 {
            ice.handle_check(at(1), path(2), transaction, false);
        }
        assert_eq!(ice.freshness(7, path(2)), Freshness::Fresh, "not for ever");
        assert_eq!(ice.checks.len(), CHECKS_REMEMBERED);
    }

    #[test]
    fn consent_runs_out_after_30_s_and_a_check_revives_it() {
        let mut ice = ice();
        assert!(ice.handle_check(at(1), path(1), 1, true).connected);
        ice.handle_authentic(at(10), path(1));
        assert!(!ice.handle_timeout(at(39)));
        assert!(ice.handle_timeout(at(40)));
        assert_eq!((ice.state(), ice.send_path()), (IceState::Failed, None));
        ice.handle_authentic(at(41), path(1));
        assert_eq!(ice.state(), IceState::Failed, "only a check revives");
        assert!(ice.handle_check(at(42), path(2), 2, true).connected);
        assert_eq!(ice.send_path(), Some(path(2)), "the other one has no consent");
        assert_eq!(ice.media_path(), None, "and this one has shown nothing");
        assert_eq!(ice.poll_deadline(), Some(at(42) + Duration::from_secs(30)));
    }

    #[test]
    fn a_transport_without_paths_fails_in_its_time() {
        let mut ice = ice();
        ice.handle_check(at(1), path(1), 1, true);
        ice.forget(at(2), path(1));
        assert_eq!(ice.poll_deadline(), Some(at(31)));
        assert!(!ice.handle_timeout(at(30)));
        assert!(ice.handle_timeout(at(31)));
    }
}
