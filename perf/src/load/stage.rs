//! What a peer needs to take part, and what it does: enter a room, send, receive, leave.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::connect::Connector;
use super::record::Record;
use crate::engine::log::SourceLog;
use crate::engine::pattern::Pattern;
use crate::engine::source::SourceSpec;
use crate::engine::{Command, Engine, LinkKey};
use crate::peer::Source;
use crate::scenario::{Group, VideoCodec};
use crate::sfu::{Session, Sfu, Wanted};

/// Ids of a peer's sources with the server.
const VIDEO: u32 = 1;
const AUDIO: u32 = 2;

/// What is under way when a source stops gets so much time to arrive.
const LAST_PACKETS: Duration = Duration::from_millis(100);

/// Shared by all peers.
pub struct Stage {
    /// The server.
    pub sfu: Arc<dyn Sfu>,
    /// Where media is sent and received.
    pub engine: Arc<Engine>,
    /// Makes associations.
    pub connector: Connector,
    /// What is counted here.
    pub record: Record,
    probe_share: f64,
    logs: Mutex<Vec<Arc<SourceLog>>>,
    window: AtomicBool,
    next_source: AtomicU32,
    next_name: AtomicUsize,
}

/// What the senders of a group send.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    video: Option<Arc<Pattern>>,
    audio: Option<Arc<Pattern>>,
}

/// A room.
pub struct Room {
    /// Its name.
    pub name: String,
    /// What its senders send.
    pub patterns: Patterns,
    /// Whether they receive each other.
    pub senders_receive: bool,
    members: Mutex<Vec<Arc<Member>>>,
    /// Peers that ever entered: every so many of them is a probe.
    entered: AtomicUsize,
}

/// A peer in a room.
pub struct Member {
    /// Its name.
    pub name: String,
    session: tokio::sync::Mutex<Option<Box<dyn Session>>>,
    tx: Option<LinkKey>,
    rx: Mutex<Option<LinkKey>>,
    sources: Vec<Published>,
    probe: bool,
}

/// A source of a member.
#[derive(Debug, Clone)]
struct Published {
    id: u32,
    kind: &'static str,
    log: Arc<SourceLog>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Patterns {
    /// Of a group.
    ///
    /// # Errors
    /// A trace cannot be read.
    pub fn of(group: &Group) -> anyhow::Result<Self> {
        let video = group.video.as_ref().map(Pattern::video).transpose()?;
        let audio = group.audio.as_ref().map(Pattern::audio).transpose()?;
        Ok(Self { video: video.map(Arc::new), audio: audio.map(Arc::new) })
    }
}

impl Room {
    /// An empty one.
    pub fn new(name: String, patterns: Patterns, senders_receive: bool) -> Self {
        let members = Mutex::new(Vec::new());
        Self { name, patterns, senders_receive, members, entered: AtomicUsize::new(0) }
    }

    /// Who is there, in the order of entering.
    pub fn members(&self) -> Vec<Arc<Member>> {
        lock(&self.members).clone()
    }

    fn remove(&self, member: &Arc<Member>) {
        lock(&self.members).retain(|other| !Arc::ptr_eq(other, member));
    }

    /// The sources of everybody but `member`.
    fn others(&self, member: &Member) -> Vec<(Wanted, Published)> {
        let members = lock(&self.members);
        let others = members.iter().filter(|other| other.name != member.name);
        others
            .flat_map(|other| {
                let wanted =
                    |source: &Published| Wanted { peer: other.name.clone(), kind: source.kind };
                other.sources.iter().map(move |source| (wanted(source), source.clone()))
            })
            .collect()
    }
}

impl Member {
    /// The association that it receives by.
    pub fn rx(&self) -> Option<LinkKey> {
        *lock(&self.rx)
    }

    /// The one that it sends by.
    pub fn tx(&self) -> Option<LinkKey> {
        self.tx
    }

    /// Restarts ICE.
    ///
    /// # Errors
    /// The server refuses, or the peer has left.
    pub async fn restart(&self, stage: &Stage) -> anyhow::Result<()> {
        let offer = {
            let mut session = self.session.lock().await;
            session.as_mut().context("the peer has left")?.restart().await?
        };
        let key = self.rx().or(self.tx).context("nothing is connected")?;
        stage.connector.restart(key, offer)?;
        stage.record.restarted();
        Ok(())
    }
}

impl Stage {
    /// For one server.
    pub fn new(
        sfu: Arc<dyn Sfu>,
        engine: Arc<Engine>,
        connector: Connector,
        probe_share: f64,
    ) -> Self {
        Self {
            sfu,
            engine,
            connector,
            record: Record::default(),
            probe_share,
            logs: Mutex::new(Vec::new()),
            window: AtomicBool::new(false),
            next_source: AtomicU32::new(1),
            next_name: AtomicUsize::new(0),
        }
    }

    /// A name that nobody has yet.
    pub fn name(&self, what: &str) -> String {
        format!("{what}{}", self.next_name.fetch_add(1, Ordering::Relaxed))
    }

    /// Begins a window with all sources that there are and will be.
    ///
    /// # Errors
    /// A media thread has failed.
    pub async fn begin_window(&self) -> anyhow::Result<()> {
        let logs = self.running();
        self.engine.begin_window(&logs).await?;
        self.record.begin_window();
        self.window.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Nothing that leaves from now on counts.
    pub fn end_window(&self) {
        self.window.store(false, Ordering::Relaxed);
        lock(&self.logs).iter().for_each(|log| log.end_window());
    }

    /// Sources that have not stopped.
    fn running(&self) -> Vec<Arc<SourceLog>> {
        let mut logs = lock(&self.logs);
        logs.retain(|log| log.is_running());
        logs.clone()
    }

    /// A peer enters a room and sends, if it is to. It does not receive yet.
    ///
    /// # Errors
    /// The server refuses, or nothing can be connected.
    pub async fn enter(&self, room: &Room, sends: bool) -> anyhow::Result<Arc<Member>> {
        let name = self.name(if sends { "sender" } else { "viewer" });
        let mut session = self.sfu.join(&room.name, &name).await.context("join")?;
        let n = room.entered.fetch_add(1, Ordering::Relaxed) as f64;
        let share = self.probe_share;
        let probe = n == 0.0 || ((n + 1.0) * share).floor() > (n * share).floor();
        let mut member = Member {
            name,
            session: tokio::sync::Mutex::new(None),
            tx: None,
            rx: Mutex::new(None),
            sources: Vec::new(),
            probe,
        };
        if sends {
            self.publish(&mut member, session.as_mut(), &room.patterns).await?;
        }
        *member.session.get_mut() = Some(session);
        let member = Arc::new(member);
        lock(&room.members).push(Arc::clone(&member));
        Ok(member)
    }

    async fn publish(
        &self,
        member: &mut Member,
        session: &mut dyn Session,
        patterns: &Patterns,
    ) -> anyhow::Result<()> {
        let mut sources = Vec::new();
        let mut specs = Vec::new();
        let kinds = [(VIDEO, &patterns.video), (AUDIO, &patterns.audio)];
        for (id, pattern) in kinds {
            let Some(pattern) = pattern else { continue };
            let number = self.next_source.fetch_add(1, Ordering::Relaxed);
            let cname = member.name.clone();
            let source = Source { cname, ..source(id, number, pattern) };
            let log = Arc::new(SourceLog::new(pattern.video.is_some()));
            let kind = source.kind;
            member.sources.push(Published { id: number, kind, log: Arc::clone(&log) });
            specs.push(SourceSpec {
                id: number,
                log,
                pattern: Arc::clone(pattern),
                origin: self.engine.now().saturating_sub(out_of_step(number, pattern.period)),
                ssrc: source.ssrc,
                payload_type: source.payload_type,
                overhead: self.connector.overhead(),
                cname: source.cname.clone(),
            });
            sources.push(source);
        }
        let prepared = self.connector.prepare()?;
        let remote = session.open_tx(&prepared.local, &sources).await.context("open_tx")?;
        let key = self.connector.connect(prepared, remote, member.probe).await.context("tx")?;
        session.announce(&sources).await.context("announce")?;
        member.tx = Some(key);
        for spec in specs {
            if self.window.load(Ordering::Relaxed) {
                spec.log.begin_window();
            }
            lock(&self.logs).push(Arc::clone(&spec.log));
            self.engine.command(key, |slot| Command::Send { slot, spec });
        }
        Ok(())
    }

    /// A member receives everybody else who is there.
    ///
    /// # Errors
    /// The server refuses, or nothing can be connected.
    pub async fn receive(&self, room: &Room, member: &Member) -> anyhow::Result<()> {
        let others = room.others(member);
        if others.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> = others.iter().map(|(wanted, _)| wanted.clone()).collect();
        let mut session = member.session.lock().await;
        let session = session.as_mut().context("the peer has left")?;
        let prepared = self.connector.prepare()?;
        let key = prepared.key();
        let asked_at = self.engine.now();
        let remote = session.open_rx(&prepared.local, &wanted).await.context("open_rx")?;
        self.expect(key, &others, asked_at);
        self.connector.connect(prepared, remote, member.probe).await.context("rx")?;
        *lock(&member.rx) = Some(key);
        session.enable(&wanted).await.context("enable")?;
        let feedback = session.feedback();
        self.engine.command(key, |slot| Command::Feedback { slot, feedback });
        Ok(())
    }

    fn expect(&self, key: LinkKey, others: &[(Wanted, Published)], asked_at: u64) {
        let sources = others.iter().map(|(_, source)| (source.id, Arc::clone(&source.log)));
        let wanted = sources.collect();
        self.engine.command(key, |slot| Command::Expect { slot, wanted, asked_at });
    }

    /// Those who are there already receive a member that has come to send.
    ///
    /// # Errors
    /// The server refuses one of them.
    pub async fn be_received(&self, room: &Room, sender: &Member) -> anyhow::Result<()> {
        for member in room.members() {
            let receives = member.name != sender.name && member.rx().is_some();
            let Some(key) = member.rx().filter(|_| receives) else { continue };
            let one = |source: &Published| {
                (Wanted { peer: sender.name.clone(), kind: source.kind }, source.clone())
            };
            let all: Vec<_> = sender.sources.iter().map(one).collect();
            let wanted: Vec<_> = all.iter().map(|(wanted, _)| wanted.clone()).collect();
            let mut session = member.session.lock().await;
            let Some(session) = session.as_mut() else { continue };
            self.expect(key, &all, self.engine.now());
            session.enable(&wanted).await.context("enable")?;
        }
        Ok(())
    }

    /// A member leaves.
    pub async fn leave(&self, room: &Room, member: &Arc<Member>) {
        room.remove(member);
        if !member.sources.is_empty() {
            for source in &member.sources {
                self.engine.command_all(|| Command::StopSending { source: source.id });
            }
            tokio::time::sleep(LAST_PACKETS).await;
            for other in room.members() {
                let Some(key) = other.rx() else { continue };
                for source in &member.sources {
                    let source = source.id;
                    self.engine.command(key, |slot| Command::Forget { slot, source });
                }
            }
        }
        for key in [member.rx(), member.tx].into_iter().flatten() {
            self.engine.command(key, |slot| Command::Close { slot });
        }
        let session = member.session.lock().await.take();
        if let Some(session) = session {
            session.leave().await;
        }
    }
}

/// How far into its pattern a source is when the first one begins: they are spread evenly, by the
/// golden ratio.
fn out_of_step(number: u32, period: u64) -> u64 {
    let part = f64::from(number) * 0.618_033_988_749_894_8;
    (part.fract() * period as f64) as u64
}

/// As the server is told of it.
fn source(id: u32, number: u32, pattern: &Pattern) -> Source {
    let ssrc = 0x1000_0000 + number;
    let Some(video) = pattern.video else { return Source::opus(id, ssrc) };
    let (codec, parameters) = match video.codec {
        VideoCodec::Vp8 => ("VP8", json!({})),
        VideoCodec::Vp9 => ("VP9", json!({"profile-id": 0})),
        VideoCodec::H264 => (
            "H264",
            json!({
                "profile-level-id": "42e01f",
                "packetization-mode": 1,
                "level-asymmetry-allowed": 1,
            }),
        ),
        VideoCodec::Av1 => ("AV1", json!({"profile": 0, "level-idx": 5, "tier": 0})),
    };
    Source { codec, parameters, ..Source::vp8(id, ssrc) }
}
