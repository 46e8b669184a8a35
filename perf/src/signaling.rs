//! Signaling: the protoo envelope (requests, responses, notifications) over one WebSocket.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Commands waiting to be written; a caller beyond that waits.
const COMMANDS_MAX: usize = 64;

/// Notifications that nobody has read yet; beyond that the connection's reading waits, and the
/// server sees a slow reader.
const NOTIFICATIONS_MAX: usize = 1024;

/// Bytes that are read at a time.
const READ_BUFFER: usize = 4096;

/// When a response is taken to be missing.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Reply = oneshot::Sender<Result<Value, SignalError>>;

/// Why a request was not answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalError {
    /// `errorCode` of the response; 0 when none came.
    pub code: u16,
    /// `errorReason` of the response.
    pub reason: String,
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.reason)
    }
}

impl std::error::Error for SignalError {}

impl SignalError {
    fn disconnected() -> Self {
        Self { code: 0, reason: "the connection is closed".into() }
    }
}

/// What the server says unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The envelope's `method`.
    pub method: String,
    /// The envelope's `data`: the message whole.
    pub data: Value,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close frame's code; 1006 without a frame (RFC 6455 §7.1.5).
    pub code: u16,
    /// The close frame's reason.
    pub reason: String,
}

enum Command {
    Request { method: String, data: Value, reply: Reply },
    Notify { method: String, data: Value },
    Raw(String),
}

/// One connection of a peer. Requests may be made from several tasks at once. Dropping it closes
/// the socket without a `leave`.
#[derive(Debug)]
pub struct Signaling {
    commands: mpsc::Sender<Command>,
    closed: watch::Receiver<Option<Close>>,
}

impl Signaling {
    /// Connects `peer` to `room` on the server at `url`, the address that it prints when it starts
    /// (`http://HOST:PORT`). Nothing is joined yet. The receiver gets all notifications in order.
    ///
    /// # Errors
    /// The server is not reached, or refuses the upgrade.
    pub async fn connect(
        url: &str,
        room: &str,
        peer: &str,
    ) -> anyhow::Result<(Self, mpsc::Receiver<Notification>)> {
        let socket = open(url, room, peer).await?;
        let (commands, command_rx) = mpsc::channel(COMMANDS_MAX);
        let (notification_tx, notifications) = mpsc::channel(NOTIFICATIONS_MAX);
        let (closed_tx, closed) = watch::channel(None);
        let connection = Connection {
            socket,
            notifications: notification_tx,
            pending: HashMap::new(),
            next_id: 1,
        };
        tokio::spawn(async move {
            let close = connection.run(command_rx).await;
            closed_tx.send_replace(Some(close));
        });
        Ok((Self { commands, closed }, notifications))
    }

    /// Connects and joins, and never reads again what the server says: a slow reader. The
    /// connection ends when what is returned is dropped.
    ///
    /// # Errors
    /// As [`Signaling::connect`].
    pub async fn connect_unread(
        url: &str,
        room: &str,
        peer: &str,
    ) -> anyhow::Result<impl Send + use<>> {
        let mut socket = open(url, room, peer).await?;
        let join = json!({"request": true, "id": 1, "method": "join", "data": {}});
        socket.send(Message::Text(join.to_string().into())).await?;
        Ok(socket)
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// The server's error response, or code 0 when none came: the connection ended first, or ten
    /// seconds went by.
    pub async fn request(&self, method: &str, data: Value) -> Result<Value, SignalError> {
        let (reply, response) = oneshot::channel();
        let command = Command::Request { method: method.into(), data, reply };
        self.commands.send(command).await.map_err(|_| SignalError::disconnected())?;
        match timeout(RESPONSE_TIMEOUT, response).await {
            Ok(response) => response.unwrap_or_else(|_| Err(SignalError::disconnected())),
            Err(_) => Err(SignalError { code: 0, reason: format!("no response to {method}") }),
        }
    }

    /// Sends a notification. Lost without a word if the connection is closed.
    pub async fn notify(&self, method: &str, data: Value) {
        let command = Command::Notify { method: method.into(), data };
        self.commands.send(command).await.ok();
    }

    /// Sends a text frame as it is, for tests of what no proper client says.
    pub async fn raw(&self, text: &str) {
        self.commands.send(Command::Raw(text.into())).await.ok();
    }

    /// Waits for the connection's end.
    pub async fn closed(&self) -> Close {
        let mut closed = self.closed.clone();
        match closed.wait_for(Option::is_some).await {
            Ok(close) => close.clone().unwrap_or_else(lost),
            Err(_) => lost(),
        }
    }
}

/// A WebSocket of `peer` in `room` at `url`.
async fn open(url: &str, room: &str, peer: &str) -> anyhow::Result<Socket> {
    let Some(authority) = url.strip_prefix("http://") else {
        bail!("{url} does not start with http://");
    };
    let authority = authority.trim_end_matches('/');
    let (room, peer) = (percent_encoded(room), percent_encoded(peer));
    let mut request =
        format!("ws://{authority}/ws?roomId={room}&peerName={peer}").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("protoo"));
    // A peer of thousands has little to say at a time.
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let connected = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    let (socket, _) = connected.await.with_context(|| format!("cannot connect to {url}"))?;
    Ok(socket)
}

fn lost() -> Close {
    Close { code: 1006, reason: String::new() }
}

/// The task's side of a connection.
struct Connection {
    socket: Socket,
    notifications: mpsc::Sender<Notification>,
    pending: HashMap<u64, Reply>,
    next_id: u64,
}

impl Connection {
    /// Runs until the server closes or the handle is dropped. What is pending then fails.
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Close {
        loop {
            tokio::select! {
                command = commands.recv() => {
                    let Some(command) = command else {
                        self.socket.close(None).await.ok();
                        return Close { code: 1000, reason: "closed by this side".into() };
                    };
                    let text = self.encode(command);
                    if self.socket.send(Message::Text(text.into())).await.is_err() {
                        return lost();
                    }
                }
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.handle(&text).await,
                    Some(Ok(Message::Close(frame))) => {
                        return frame.map_or_else(lost, |frame| Close {
                            code: frame.code.into(),
                            reason: frame.reason.to_string(),
                        });
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return lost(),
                },
            }
        }
    }

    fn encode(&mut self, command: Command) -> String {
        match command {
            Command::Request { method, data, reply } => {
                let id = self.next_id;
                self.next_id += 1;
                self.pending.insert(id, reply);
                json!({"request": true, "id": id, "method": method, "data": data}).to_string()
            }
            Command::Notify { method, data } => {
                json!({"notification": true, "method": method, "data": data}).to_string()
            }
            Command::Raw(text) => text,
        }
    }

    async fn handle(&mut self, text: &Utf8Bytes) {
        let Ok(mut message) = serde_json::from_str::<Value>(text) else {
            return;
        };
        if message["response"] == true {
            let reply = message["id"].as_u64().and_then(|id| self.pending.remove(&id));
            if let Some(reply) = reply {
                reply.send(response(&mut message)).ok();
            }
        } else if message["notification"] == true {
            let method = message["method"].as_str().unwrap_or_default().to_owned();
            let data = message["data"].take();
            self.notifications.send(Notification { method, data }).await.ok();
        }
    }
}

fn response(message: &mut Value) -> Result<Value, SignalError> {
    if message["ok"] == true {
        return Ok(message["data"].take());
    }
    Err(SignalError {
        code: message["errorCode"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or(0),
        reason: message["errorReason"].as_str().unwrap_or_default().to_owned(),
    })
}

/// `text` as a value in a URL's query (RFC 3986 §2.1).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_for_the_query() {
        assert_eq!(percent_encoded("a-b.c_d~9"), "a-b.c_d~9");
        assert_eq!(percent_encoded("é &/"), "%C3%A9%20%26%2F");
    }

    #[test]
    fn a_response_is_data_or_error() {
        let mut ok = json!({"response": true, "id": 1, "ok": true, "data": {"a": 1}});
        assert_eq!(response(&mut ok), Ok(json!({"a": 1})));
        let mut refused =
            json!({"response": true, "id": 1, "ok": false, "errorCode": 404, "errorReason": "no"});
        assert_eq!(response(&mut refused), Err(SignalError { code: 404, reason: "no".into() }));
    }
}
