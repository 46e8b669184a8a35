//! corinth, by its protocol (docs/PROTOCOL.md): started on given cores, or at a URL.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::{Feedback, Launch, LocalEnd, RemoteEnd, ServerProcess, Session, Sfu, Wanted};
use crate::dtls::Role;
use crate::measures::{Counters, ServerInfo};
use crate::peer::Source;
use crate::signaling::{Notification, Signaling};
use crate::transport::Offer;

/// When a source that was announced by its peer must be known to the others.
const ANNOUNCED_TIMEOUT: Duration = Duration::from_secs(10);

/// Ids of a peer's transports.
const TX: u32 = 1;
const RX: u32 = 2;

/// A corinth.
pub struct Corinth {
    url: String,
    info: ServerInfo,
    /// Held for as long as it is to run.
    _process: Option<ServerProcess>,
    pid: Option<u32>,
    via: Option<SocketAddr>,
}

impl Corinth {
    /// Starts `launch.program` on `launch.cores`, one shard each, all on `address`. The arguments
    /// of `launch` come after those that this needs.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(mut launch: Launch, address: &str) -> anyhow::Result<Self> {
        let shards = launch.cores.len().max(1).to_string();
        let http = format!("{address}:0");
        let mut arguments = vec!["--http", &http, "--media-port", "0", "--shards", &shards];
        arguments.extend(["--media-address", address, "--log", "warn"]);
        if address.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback()) {
            // All peers come from one address here, and nobody else does.
            arguments.extend(["--anyone-may-join-without-a-token"]);
            arguments.extend(["--max-connections-per-address", "65535"]);
            arguments.extend(["--max-openings-per-address", "10000"]);
            arguments.extend(["--max-openings-per-room", "10000"]);
            arguments.extend(["--max-visits-per-address", "10000"]);
        }
        let more = std::mem::take(&mut launch.arguments);
        launch.arguments = arguments.into_iter().map(str::to_owned).chain(more).collect();
        let mut process = ServerProcess::start(&launch)?;
        let url = process
            .wait_for(|line| {
                let (_, url) = line.split_once("corinth: open ")?;
                Some(url.trim().trim_end_matches('/').to_owned())
            })
            .await?;
        let info = ServerInfo {
            sfu: "corinth".into(),
            version: version(&launch).await,
            how: launch.command_line(),
        };
        let pid = process.pid();
        Ok(Self { url, info, _process: Some(process), pid, via: None })
    }

    /// One that runs at `url` (`http://HOST:PORT`) already. `pid` is its process if that is on this
    /// machine.
    pub fn at(url: &str, pid: Option<u32>) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let info = ServerInfo { sfu: "corinth".into(), version: String::new(), how: url.clone() };
        Self { url, info, _process: None, pid, via: None }
    }

    /// Media goes to this address instead of the server's.
    pub fn via(mut self, via: Option<SocketAddr>) -> Self {
        self.via = via;
        self
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn stats(&self) -> anyhow::Result<Value> {
        let authority = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).await?;
        let request =
            format!("GET /stats HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let (head, body) = response.split_once("\r\n\r\n").context("no body")?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("/stats: {}", head.lines().next().unwrap_or_default());
        }
        Ok(serde_json::from_str(body)?)
    }
}

/// What the program calls itself.
async fn version(launch: &Launch) -> String {
    let mut command = tokio::process::Command::new(&launch.program);
    match command.arg("--version").output().await {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.trim().trim_start_matches("corinth ").to_owned()
        }
        Err(_) => String::new(),
    }
}

#[async_trait]
impl Sfu for Corinth {
    fn info(&self) -> ServerInfo {
        self.info.clone()
    }

    fn pid(&self) -> Option<u32> {
        self.pid
    }

    async fn join(&self, room: &str, name: &str) -> anyhow::Result<Box<dyn Session>> {
        let (signaling, notifications) = Signaling::connect(&self.url, room, name).await?;
        let joined = signaling.request("join", json!({})).await?;
        let roster = Arc::new(Roster::default());
        for peer in joined["peers"].as_array().context("no peers in join's response")? {
            let name = peer["name"].as_str().unwrap_or_default();
            for sender in peer["senders"].as_array().into_iter().flatten() {
                roster.add(name, sender);
            }
        }
        tokio::spawn(follow(notifications, Arc::clone(&roster)));
        let via = self.via;
        Ok(Box::new(CorinthSession {
            via,
            signaling,
            roster,
            feedback: Feedback::default(),
            newest: None,
        }))
    }

    async fn join_unread(&self, room: &str, name: &str) -> anyhow::Result<Box<dyn Send>> {
        Ok(Box::new(Signaling::connect_unread(&self.url, room, name).await?))
    }

    async fn counters(&self) -> anyhow::Result<Option<Counters>> {
        let stats = self.stats().await?;
        let shards = stats["shards"].as_array().context("no shards in /stats")?;
        Ok(Some(counters(shards)))
    }
}

/// All shards together.
fn counters(shards: &[Value]) -> Counters {
    let sum = |name: &str| shards.iter().filter_map(|shard| shard[name].as_u64()).sum::<u64>();
    let mut counters = Counters {
        received: Some(sum("rtpReceived")),
        forwarded: Some(sum("rtpForwarded")),
        queue_overflow: Some(sum("rxOverflow")),
        key_frame_requests: Some(sum("keyFrameRequests")),
        ..Counters::default()
    };
    for (reason, count) in shards.iter().filter_map(|shard| shard["drops"].as_object()).flatten() {
        *counters.drops.entry(reason.clone()).or_default() += count.as_u64().unwrap_or(0);
    }
    let datagrams = sum("txDatagrams");
    let mut messages = 0;
    for trains in shards.iter().filter_map(|shard| shard["txTrains"].as_array()) {
        messages += trains.iter().filter_map(Value::as_u64).sum::<u64>();
    }
    if datagrams > 0 && messages > 0 {
        counters.train_share = Some(sum("txInTrains") as f64 / datagrams as f64);
        counters.mean_train = Some(datagrams as f64 / messages as f64);
    }
    let largest =
        |of: &dyn Fn(&Value) -> Option<f64>| shards.iter().filter_map(of).max_by(f64::total_cmp);
    counters.busy = largest(&|shard| shard["busyShare"].as_f64());
    let time = |name: &'static str| largest(&|shard| shard["forwardTime"][name].as_f64());
    counters.forward_us = time("p50").zip(time("p99"));
    counters
}

/// Senders that the server has announced to one peer.
#[derive(Default)]
struct Roster {
    /// By the source's peer and kind.
    senders: Mutex<HashMap<(String, String), Announced>>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Announced {
    id: u64,
    feedback: Feedback,
}

impl Roster {
    fn add(&self, peer: &str, sender: &Value) {
        let Some((id, kind)) = sender["id"].as_u64().zip(sender["kind"].as_str()) else {
            return;
        };
        let announced = Announced { id, feedback: feedback(&sender["rtpParameters"]) };
        self.lock().insert((peer.to_owned(), kind.to_owned()), announced);
        self.changed.notify_waiters();
    }

    fn remove(&self, gone: impl Fn(&(String, String), &Announced) -> bool) {
        self.lock().retain(|key, announced| !gone(key, announced));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Announced>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the source is announced.
    async fn find(&self, wanted: &Wanted) -> anyhow::Result<Announced> {
        let key = (wanted.peer.clone(), wanted.kind.to_owned());
        let found = async {
            loop {
                // Before the look, so that nothing announced after it is missed.
                let changed = self.changed.notified();
                if let Some(announced) = self.lock().get(&key).copied() {
                    return announced;
                }
                changed.await;
            }
        };
        timeout(ANNOUNCED_TIMEOUT, found)
            .await
            .with_context(|| format!("no Sender of {}'s {}", wanted.peer, wanted.kind))
    }
}

/// What is said of a stream that the server sends.
fn feedback(rtp_parameters: &Value) -> Feedback {
    let all = rtp_parameters["codecs"][0]["rtcpFeedback"].as_array();
    let nack = all.into_iter().flatten().any(|one| {
        one["type"] == "nack" && one["parameter"].as_str().unwrap_or_default().is_empty()
    });
    let extensions = rtp_parameters["headerExtensions"].as_array().into_iter().flatten();
    let transport_cc = extensions
        .filter(|one| one["uri"].as_str().is_some_and(|uri| uri.ends_with("cc-extensions-01")))
        .find_map(|one| one["id"].as_u64()?.try_into().ok());
    Feedback { nack, transport_cc }
}

/// Keeps the roster; ends with the connection.
async fn follow(mut notifications: mpsc::Receiver<Notification>, roster: Arc<Roster>) {
    while let Some(Notification { method, data }) = notifications.recv().await {
        match method.as_str() {
            "newPeer" => {
                let name = data["name"].as_str().unwrap_or_default();
                for sender in data["senders"].as_array().into_iter().flatten() {
                    roster.add(name, sender);
                }
            }
            "newSender" => roster.add(data["peerName"].as_str().unwrap_or_default(), &data),
            "senderClosed" => {
                let id = data["id"].as_u64();
                roster.remove(|_, announced| Some(announced.id) == id);
            }
            "peerLeft" => {
                let name = data["name"].as_str().unwrap_or_default();
                roster.remove(|(peer, _), _| peer == name);
            }
            _ => {}
        }
    }
}

struct CorinthSession {
    signaling: Signaling,
    roster: Arc<Roster>,
    /// Of the last Sender that was enabled.
    feedback: Feedback,
    via: Option<SocketAddr>,
    /// The transport that was made last, and what the server said of it.
    newest: Option<(u32, Offer)>,
}

impl CorinthSession {
    async fn create_transport(
        &mut self,
        id: u32,
        direction: &str,
        local: &LocalEnd,
    ) -> anyhow::Result<RemoteEnd> {
        let fingerprint = json!({"algorithm": "sha-256", "value": local.fingerprint});
        let data = json!({
            "id": id,
            "direction": direction,
            "options": {},
            "dtlsParameters": {"role": "client", "fingerprints": [fingerprint]},
        });
        let response = self.signaling.request("createTransport", data).await?;
        let mut offer = Offer::parse(&response)?;
        offer.remote.address = self.via.unwrap_or(offer.remote.address);
        self.newest = Some((id, offer.clone()));
        Ok(RemoteEnd { offer, role: Role::Client })
    }
}

#[async_trait]
impl Session for CorinthSession {
    async fn open_tx(&mut self, local: &LocalEnd, _: &[Source]) -> anyhow::Result<RemoteEnd> {
        self.create_transport(TX, "send", local).await
    }

    async fn announce(&mut self, sources: &[Source]) -> anyhow::Result<()> {
        for source in sources {
            let data = json!({
                "id": source.id,
                "kind": source.kind,
                "transportId": TX,
                "rtpParameters": source.rtp_parameters(),
                "paused": false,
            });
            self.signaling.request("createReceiver", data).await?;
        }
        Ok(())
    }

    async fn open_rx(&mut self, local: &LocalEnd, _: &[Wanted]) -> anyhow::Result<RemoteEnd> {
        self.create_transport(RX, "recv", local).await
    }

    async fn enable(&mut self, wanted: &[Wanted]) -> anyhow::Result<()> {
        for wanted in wanted {
            let Announced { id, feedback } = self.roster.find(wanted).await?;
            self.feedback = feedback;
            let data =
                json!({"id": id, "transportId": RX, "rtpSettings": {"useRtx": feedback.nack}});
            self.signaling.request("enableSender", data).await?;
        }
        Ok(())
    }

    fn feedback(&self) -> Feedback {
        self.feedback
    }

    async fn restart(&mut self) -> anyhow::Result<Offer> {
        let (id, mut offer) = self.newest.clone().context("nothing is connected")?;
        let response = self.signaling.request("restartTransport", json!({"id": id})).await?;
        let ice = &response["iceParameters"];
        let text = |name: &str| ice[name].as_str().map(str::to_owned).context("no new credentials");
        offer.remote.ufrag = text("usernameFragment")?;
        offer.remote.password = text("password")?;
        Ok(offer)
    }

    async fn leave(self: Box<Self>) {
        self.signaling.notify("leave", json!({})).await;
        // The server closes.
        timeout(ANNOUNCED_TIMEOUT, self.signaling.closed()).await.ok();
    }
}
