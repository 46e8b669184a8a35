//! Janus's own signaling: transactions over a WebSocket, one Janus session on each.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The plugin that everything here talks to.
const PLUGIN: &str = "janus.plugin.videoroom";

/// Requests waiting to be written; a caller beyond that waits.
const COMMANDS_MAX: usize = 64;

/// When a response is taken to be missing.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Janus ends a session that says nothing for 60 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(25);

/// VideoRoom's error: the room to be made is there.
pub(super) const ROOM_EXISTS: u64 = 427;

/// VideoRoom's error: the peer that is asked for does not send (yet).
pub(super) const NO_SUCH_FEED: u64 = 428;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Reply = oneshot::Sender<Result<Value, JanusError>>;

/// Why a request was not answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JanusError {
    /// Janus's or VideoRoom's; 0 when no answer came.
    pub(super) code: u64,
    /// In its words.
    pub(super) reason: String,
}

impl fmt::Display for JanusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Janus: {} {}", self.code, self.reason)
    }
}

impl std::error::Error for JanusError {}

impl JanusError {
    fn disconnected() -> Self {
        Self { code: 0, reason: "the connection is closed".into() }
    }
}

/// VideoRoom's answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// Its message.
    pub(super) data: Value,
    /// The session description that came with it.
    pub(super) sdp: Option<String>,
}

/// One handle of the session: for one association, or for requests alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle(u64);

struct Command {
    message: Value,
    reply: Reply,
}

/// A session on a connection of its own. Dropping it closes the socket, and Janus ends the session
/// with all handles.
#[derive(Debug)]
pub(super) struct Client {
    commands: mpsc::Sender<Command>,
}

impl Client {
    /// Connects to the WebSocket at `url` (`ws://HOST:PORT`) and makes a session.
    ///
    /// # Errors
    /// Janus is not reached or refuses.
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        let mut request = url.into_client_request()?;
        let protocol = HeaderValue::from_static("janus-protocol");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let connected = timeout(RESPONSE_TIMEOUT, async {
            let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
            let session = create_session(&mut socket).await?;
            anyhow::Ok((socket, session))
        });
        let connected = connected.await.context("Janus takes too long")?;
        let (socket, session) =
            connected.with_context(|| format!("cannot connect to Janus at {url}"))?;
        let (commands, command_rx) = mpsc::channel(COMMANDS_MAX);
        let connection = Connection { socket, session, pending: HashMap::new(), next_id: 1 };
        tokio::spawn(connection.run(command_rx));
        Ok(Self { commands })
    }

    /// Makes a handle of VideoRoom.
    ///
    /// # Errors
    /// Janus refuses, or does not answer.
    pub(super) async fn attach(&self) -> Result<Handle, JanusError> {
        let answer = self.request(json!({"janus": "attach", "plugin": PLUGIN})).await?;
        match answer["data"]["id"].as_u64() {
            Some(id) => Ok(Handle(id)),
            None => Err(JanusError { code: 0, reason: format!("no handle's id in {answer}") }),
        }
    }

    /// Says `body` to VideoRoom, with a session description (`offer` or `answer`, and its text)
    /// where it is about one, and waits for what it makes of that.
    ///
    /// # Errors
    /// Janus or VideoRoom refuses, or does not answer.
    pub(super) async fn message(
        &self,
        handle: Handle,
        body: Value,
        sdp: Option<(&str, String)>,
    ) -> Result<Answer, JanusError> {
        let mut message = json!({"janus": "message", "handle_id": handle.0, "body": body});
        if let Some((kind, sdp)) = sdp {
            // All that is known of candidates is in the text.
            message["jsep"] = json!({"type": kind, "sdp": sdp, "trickle": false});
        }
        let mut answer = self.request(message).await?;
        let data = answer["plugindata"]["data"].take();
        if let Some(code) = data["error_code"].as_u64() {
            let reason = data["error"].as_str().unwrap_or_default().to_owned();
            return Err(JanusError { code, reason });
        }
        Ok(Answer { data, sdp: answer["jsep"]["sdp"].as_str().map(str::to_owned) })
    }

    /// Ends the session.
    pub(super) async fn destroy(self) {
        // One that has ended meanwhile is what was wanted.
        self.request(json!({"janus": "destroy"})).await.ok();
    }

    async fn request(&self, message: Value) -> Result<Value, JanusError> {
        let what = || message["body"]["request"].as_str().or(message["janus"].as_str());
        let missing = format!("no response to {}", what().unwrap_or_default());
        let (reply, response) = oneshot::channel();
        let command = Command { message, reply };
        self.commands.send(command).await.map_err(|_| JanusError::disconnected())?;
        match timeout(RESPONSE_TIMEOUT, response).await {
            Ok(response) => response.unwrap_or_else(|_| Err(JanusError::disconnected())),
            Err(_) => Err(JanusError { code: 0, reason: missing }),
        }
    }
}

async fn create_session(socket: &mut Socket) -> anyhow::Result<u64> {
    let create = json!({"janus": "create", "transaction": "create"});
    socket.send(Message::Text(create.to_string().into())).await?;
    while let Some(frame) = socket.next().await {
        let Message::Text(text) = frame? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        if message["transaction"] == "create" {
            return message["data"]["id"].as_u64().with_context(|| format!("no session: {text}"));
        }
    }
    bail!("the connection is closed")
}

/// The task's side of a connection.
struct Connection {
    socket: Socket,
    session: u64,
    pending: HashMap<String, Reply>,
    next_id: u64,
}

impl Connection {
    /// Runs until Janus closes or the client is dropped. What is pending then fails.
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let start = Instant::now() + KEEPALIVE_INTERVAL;
        let mut keepalives = interval_at(start, KEEPALIVE_INTERVAL);
        loop {
            tokio::select! {
                command = commands.recv() => {
                    let Some(Command { message, reply }) = command else {
                        self.socket.close(None).await.ok();
                        return;
                    };
                    let Ok(transaction) = self.send(message).await else { return };
                    self.pending.insert(transaction, reply);
                }
                _ = keepalives.tick() => {
                    if self.send(json!({"janus": "keepalive"})).await.is_err() {
                        return;
                    }
                }
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.handle(&text),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    /// Writes a message; returns the name of its transaction.
    async fn send(&mut self, mut message: Value) -> anyhow::Result<String> {
        let transaction = self.next_id.to_string();
        self.next_id += 1;
        message["transaction"] = transaction.clone().into();
        message["session_id"] = self.session.into();
        self.socket.send(Message::Text(message.to_string().into())).await?;
        Ok(transaction)
    }

    /// Takes a message of Janus. `ack` promises an event with the same transaction; what belongs to
    /// none (news of others, a connection that is up) is nothing that is waited for.
    fn handle(&mut self, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return };
        if message["janus"] == "ack" {
            return;
        }
        let transaction = message["transaction"].as_str();
        if let Some(reply) = transaction.and_then(|name| self.pending.remove(name)) {
            reply.send(response(message)).ok();
        }
    }
}

fn response(message: Value) -> Result<Value, JanusError> {
    if message["janus"] != "error" {
        return Ok(message);
    }
    let error = &message["error"];
    let reason = error["reason"].as_str().unwrap_or_default().to_owned();
    Err(JanusError { code: error["code"].as_u64().unwrap_or(0), reason })
}
