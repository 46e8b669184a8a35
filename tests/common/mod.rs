//! A server in this process and blocking clients for it. Everything is on loopback, every wait
//! ends.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod files;
pub(crate) mod flood;
pub(crate) mod hook;
pub(crate) mod namespace;
pub(crate) mod program;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Parser;
use corinth::cli::Args;
use corinth::config::Config;
use corinth::server::{Running, serve};
use corinth::shard::Live;
use serde_json::{Value, json};
use tungstenite::{ClientRequestBuilder, Error, Message, WebSocket};

/// Longer than anything that works takes, on a loaded machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server with `shards` shards on free ports.
pub(crate) fn server(shards: usize, more: &[&str]) -> Running {
    let shards = shards.to_string();
    let mut arguments = vec!["corinth", "--http", "127.0.0.1:0", "--media-port", "0"];
    arguments.extend(["--media-address", "127.0.0.1", "--shards", &shards]);
    // Which way media takes, if somebody wants to know of one.
    let io = std::env::var("CORINTH_IO").unwrap_or_else(|_| "auto".to_owned());
    arguments.extend(["--io", &io]);
    arguments.extend(more);
    let args = Args::try_parse_from(arguments).unwrap();
    let config = Config::new(&args.source.settings, &[]).unwrap();
    serve(&config, Live::load(&config, None).unwrap()).unwrap()
}

/// A connection that gives up rather than hang.
pub(crate) fn tcp(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `request` as it is and returns all that comes back.
pub(crate) fn exchange(server: SocketAddr, request: &str) -> String {
    let mut stream = tcp(server);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}"));
    code.parse().unwrap()
}

pub(crate) fn get(server: SocketAddr, path: &str) -> String {
    exchange(server, &format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n"))
}

/// The status of an upgrade with this query, and with further headers (lines with their ends).
pub(crate) fn upgrade(server: SocketAddr, query: &str, headers: &str) -> u16 {
    let mut stream = tcp(server);
    stream.write_all(upgrade_request(server, query, headers).as_bytes()).unwrap();
    let mut answer = [0; 64];
    let len = stream.read(&mut answer).unwrap();
    status(std::str::from_utf8(&answer[..len]).unwrap())
}

/// The head of its request.
pub(crate) fn upgrade_request(server: SocketAddr, query: &str, headers: &str) -> String {
    format!(
        "GET /ws?{query} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// `/stats`, one entry a shard.
pub(crate) fn stats(server: SocketAddr) -> Vec<Value> {
    let answer = get(server, "/stats");
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let stats: Value = serde_json::from_str(body).unwrap();
    stats["shards"].as_array().unwrap().clone()
}

/// The sum of a counter over all shards.
pub(crate) fn total(server: SocketAddr, counter: &str) -> u64 {
    stats(server).iter().map(|shard| shard[counter].as_u64().unwrap()).sum()
}

/// How often somebody was refused for this, on all shards together.
pub(crate) fn refusals(server: SocketAddr, label: &str) -> u64 {
    stats(server).iter().filter_map(|shard| shard["refusals"][label].as_u64()).sum()
}

/// How often something was dropped for this, on all shards together.
pub(crate) fn drops(server: SocketAddr, label: &str) -> u64 {
    stats(server).iter().filter_map(|shard| shard["drops"][label].as_u64()).sum()
}

/// Waits until nothing is left of any room.
pub(crate) fn wait_until_empty(server: SocketAddr) {
    let counters = ["rooms", "peers", "directoryRooms"];
    for _ in 0..PATIENCE.as_millis() / 5 {
        if counters.iter().all(|counter| total(server, counter) == 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("something stayed: {:?}", stats(server));
}

/// One peer's WebSocket.
pub(crate) struct Client {
    pub(crate) socket: WebSocket<TcpStream>,
    next_id: u64,
}

impl Client {
    pub(crate) fn connect(server: SocketAddr, room: &str, peer: &str) -> Client {
        Self::connect_on(tcp(server), server, room, peer).unwrap()
    }

    /// One whose kernel takes little before it says stop.
    pub(crate) fn slow(server: SocketAddr, room: &str, peer: &str) -> Client {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&server.into()).unwrap();
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::connect_on(stream, server, room, peer).unwrap()
    }

    pub(crate) fn connect_on(
        stream: TcpStream,
        server: SocketAddr,
        room: &str,
        peer: &str,
    ) -> Result<Client, String> {
        let uri = format!("ws://{server}/ws?roomId={room}&peerName={peer}");
        let request = ClientRequestBuilder::new(uri.parse().unwrap()).with_sub_protocol("protoo");
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Client { socket, next_id: 0 }),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends a request and does not wait.
    pub(crate) fn send_request(&mut self, method: &str, data: Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let request = json!({"request": true, "id": id, "method": method, "data": data});
        self.socket.send(Message::text(request.to_string())).unwrap();
        id
    }

    /// Sends a request and returns the response's data. What else comes is thrown away.
    pub(crate) fn request(&mut self, method: &str, data: Value) -> Value {
        let id = self.send_request(method, data);
        loop {
            let message = self.message();
            if message["id"] == id && message["response"] == true {
                assert_eq!(message["ok"], true, "{method}: {message}");
                return message["data"].clone();
            }
        }
    }

    /// Joins and returns the names of the peers that were there before.
    pub(crate) fn join(&mut self) -> Vec<String> {
        let data = self.request("join", json!({}));
        let peers = data["peers"].as_array().unwrap();
        peers.iter().map(|peer| peer["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn notify(&mut self, method: &str, data: Value) {
        let notification = json!({"notification": true, "method": method, "data": data});
        self.socket.send(Message::text(notification.to_string())).unwrap();
    }

    /// The next text message.
    pub(crate) fn message(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// The data of the next notification of this method.
    pub(crate) fn expect(&mut self, method: &str) -> Value {
        loop {
            let message = self.message();
            if message["method"] == method {
                return message["data"].clone();
            }
        }
    }

    /// Reads to the Close frame and returns its code; whatever comes before is thrown away.
    pub(crate) fn close_code(&mut self) -> u16 {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return frame.expect("a code").code.into(),
                Ok(_) => {}
                Err(Error::ConnectionClosed) => panic!("closed without a frame"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
