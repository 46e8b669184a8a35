//! A peer in a VideoRoom: one handle that publishes, one that subscribes, each made when it is
//! needed, as Janus's own clients do it.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::{Feedback, LocalEnd, RemoteEnd, Session, Wanted};
use super::sdp::{self, Description};
use super::signaling::{Answer, Client, Handle, JanusError, NO_SUCH_FEED, ROOM_EXISTS};
use crate::peer::Source;
use crate::transport::Offer;

/// When a source must be there that its peer has begun to send.
const FEED_TIMEOUT: Duration = Duration::from_secs(10);

/// Between the first two looks for such a source; each pause is twice the one before.
const FEED_INTERVAL: Duration = Duration::from_millis(5);
const FEED_INTERVAL_MAX: Duration = Duration::from_millis(160);

/// Never reached: who may send is the scenario's to say.
const PUBLISHERS_MAX: u32 = 100_000;

/// A peer's session with Janus.
pub(super) struct JanusSession {
    client: Client,
    room: String,
    name: String,
    /// Made already and used by neither association.
    spare: Option<Handle>,
    tx: Option<Tx>,
    rx: Option<Rx>,
    feedback: Feedback,
}

/// The association that this peer sends by.
struct Tx {
    handle: Handle,
    local: LocalEnd,
    sources: Vec<Source>,
}

/// The one that it receives by.
struct Rx {
    handle: Handle,
    local: LocalEnd,
    /// Subscribed to when it was opened, and not enabled yet.
    opened: HashSet<Wanted>,
}

impl JanusSession {
    /// Makes a session and, if nobody has yet, the room.
    ///
    /// # Errors
    /// Janus is not reached or refuses.
    pub(super) async fn join(url: &str, room: &str, name: &str) -> anyhow::Result<Self> {
        let client = Client::connect(url).await?;
        let handle = client.attach().await?;
        match client.message(handle, create(room), None).await {
            Ok(_) => {}
            Err(JanusError { code: ROOM_EXISTS, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            client,
            room: room.to_owned(),
            name: name.to_owned(),
            spare: Some(handle),
            tx: None,
            rx: None,
            feedback: Feedback::default(),
        })
    }

    async fn handle(&mut self) -> Result<Handle, JanusError> {
        match self.spare.take() {
            Some(handle) => Ok(handle),
            None => self.client.attach().await,
        }
    }

    /// Says `body` until the sources that it names are there. A source is once Janus has finished
    /// the handshake with its peer, which ends there a moment later than here.
    async fn ask_for_feeds(&self, handle: Handle, body: &Value) -> anyhow::Result<Answer> {
        let give_up_at = Instant::now() + FEED_TIMEOUT;
        let mut pause = FEED_INTERVAL;
        loop {
            match self.client.message(handle, body.clone(), None).await {
                Err(error) if error.code == NO_SUCH_FEED && Instant::now() < give_up_at => {
                    sleep(pause).await;
                    pause = (2 * pause).min(FEED_INTERVAL_MAX);
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Answers an offer of Janus, which then sends what it offered.
    async fn start(
        &mut self,
        handle: Handle,
        local: &LocalEnd,
        offer: Answer,
    ) -> anyhow::Result<RemoteEnd> {
        let sdp = offer.sdp.with_context(|| format!("no offer with {}", offer.data))?;
        let description = Description::parse(&sdp)?;
        let remote = description.remote()?;
        let answer = description.answer(local);
        self.client.message(handle, json!({"request": "start"}), Some(("answer", answer))).await?;
        self.feedback = description.feedback();
        Ok(remote)
    }

    /// Offers what this peer sends, with `body` as the request.
    async fn offer(&self, tx: &Tx, body: Value) -> anyhow::Result<RemoteEnd> {
        let offer = sdp::offer(&tx.local, &tx.sources);
        let answer = self.client.message(tx.handle, body, Some(("offer", offer))).await?;
        let sdp = answer.sdp.with_context(|| format!("no answer with {}", answer.data))?;
        let description = Description::parse(&sdp)?;
        description.takes(&tx.sources)?;
        description.remote()
    }
}

#[async_trait]
impl Session for JanusSession {
    async fn open_tx(&mut self, local: &LocalEnd, sources: &[Source]) -> anyhow::Result<RemoteEnd> {
        let kinds: HashSet<_> = sources.iter().map(|source| source.kind).collect();
        ensure!(kinds.len() == sources.len(), "a peer sends one source of each kind");
        let handle = self.handle().await?;
        let tx = Tx { handle, local: local.clone(), sources: sources.to_vec() };
        let join = json!({
            "request": "joinandconfigure",
            "ptype": "publisher",
            "room": self.room,
            "id": self.name,
            "display": self.name,
        });
        let remote = self.offer(&tx, join).await?;
        self.tx = Some(tx);
        Ok(remote)
    }

    /// Nothing to do: Janus tells the others once the association stands.
    async fn announce(&mut self, _: &[Source]) -> anyhow::Result<()> {
        Ok(())
    }

    async fn open_rx(&mut self, local: &LocalEnd, wanted: &[Wanted]) -> anyhow::Result<RemoteEnd> {
        ensure!(!wanted.is_empty(), "Janus makes no association to receive nothing by");
        let handle = self.handle().await?;
        let join = json!({
            "request": "join",
            "ptype": "subscriber",
            "room": self.room,
            "streams": streams(wanted),
            // Of a peer that left, only the packets end: no new offer for each that stays.
            "autoupdate": false,
        });
        let offer = self.ask_for_feeds(handle, &join).await?;
        let remote = self.start(handle, local, offer).await?;
        let opened = wanted.iter().cloned().collect();
        self.rx = Some(Rx { handle, local: local.clone(), opened });
        Ok(remote)
    }

    async fn enable(&mut self, wanted: &[Wanted]) -> anyhow::Result<()> {
        let rx = self.rx.as_mut().context("nothing to receive by yet")?;
        let new: Vec<_> = wanted.iter().filter(|one| !rx.opened.remove(one)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let (handle, local) = (rx.handle, rx.local.clone());
        let subscribe = json!({"request": "subscribe", "streams": streams(&new)});
        let offer = self.ask_for_feeds(handle, &subscribe).await?;
        self.start(handle, &local, offer).await?;
        Ok(())
    }

    fn feedback(&self) -> Feedback {
        self.feedback
    }

    async fn restart(&mut self) -> anyhow::Result<Offer> {
        if let Some(rx) = &mut self.rx {
            rx.local = renewed(&rx.local);
            let (handle, local) = (rx.handle, rx.local.clone());
            let body = json!({"request": "configure", "restart": true});
            let offer = self.client.message(handle, body, None).await?;
            return Ok(self.start(handle, &local, offer).await?.offer);
        }
        let Some(mut tx) = self.tx.take() else { bail!("nothing to restart yet") };
        tx.local = renewed(&tx.local);
        let offered = self.offer(&tx, json!({"request": "configure"})).await;
        self.tx = Some(tx);
        Ok(offered?.offer)
    }

    async fn leave(self: Box<Self>) {
        self.client.destroy().await;
    }
}

/// Makes a room. What is not named is as VideoRoom has it: the header extensions for audio level,
/// orientation, playout delay and transport-wide-cc are taken where a source has them, nothing is
/// recorded, who comes and goes is told to nobody but by what they send.
fn create(room: &str) -> Value {
    json!({
        "request": "create",
        "room": room,
        "publishers": PUBLISHERS_MAX,
        // No REMB to sources, no key frames asked for by the clock.
        "bitrate": 0,
        "fir_freq": 0,
        // Each source offers one; the first of these that it does is taken.
        "audiocodec": "opus,pcmu,pcma",
        "videocodec": "vp8,vp9,h264,av1,h265",
        "require_pvtid": false,
        "notify_joining": false,
        "audiolevel_event": false,
        "record": false,
    })
}

/// Sections of a peer's offer are named after the kind ([`sdp::offer`]).
fn streams(wanted: &[Wanted]) -> Vec<Value> {
    wanted.iter().map(|Wanted { peer, kind }| json!({"feed": peer, "mid": kind})).collect()
}

/// The same end with another username fragment, which alone asks for an ICE restart (RFC 8839
/// §4.4.3.1.1): whoever answers Janus's checks goes on with the password that it has.
fn renewed(local: &LocalEnd) -> LocalEnd {
    let ufrag = rand::rng().sample_iter(&Alphanumeric).take(8).map(char::from).collect();
    LocalEnd { ufrag, ..local.clone() }
}
