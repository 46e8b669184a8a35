//! Every reason to refuse somebody, caused once on one server, and counted where Prometheus reads
//! it. Who adds a reason has to say here what causes it. What exactly the answers are is held by
//! `limits`, `tokens`, `https`, `overload` and `drain`.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use common::files::Folder;
use common::flood::Flood;
use common::program::{Serving, corinth};
use common::{Client, PATIENCE, exchange, get, stats, status, tcp, total, upgrade_request};
use corinth::types::Refusal;
use serde_json::{Value, json};

/// 32 bytes.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// `max-peers-per-room`.
const PEERS_MAX: usize = 3;

/// Little of everything. Client addresses are as a proxy on this host gives them.
const CONFIG: &str = r#"
    http = "127.0.0.1:0"
    shards = 2
    log = "error"
    trusted-proxy = ["127.0.0.1"]
    allowed-origin = ["https://app.example"]
    max-rooms = 1
    max-peers-per-room = 3
    max-transports-per-peer = 1
    max-receivers-per-peer = 1
    max-requests-per-second = 6
    max-connections-per-address = 1
    max-openings-per-address = 1
    max-visitors = 8
    max-visits-per-address = 10
        max-app-data = 16000
"#;

/// A server with one room, in which somebody is.
struct Scene {
    serving: Serving,
    folder: Folder,
    /// The lines of the configuration.
    config: String,
    /// Good for everything.
    token: String,
    resident: Client,
    /// Where the shard that has the room receives media.
    media: SocketAddr,
    /// Connections that stay until what they cause is counted.
    held: Vec<TcpStream>,
    guests: Vec<Client>,
    names: u32,
}

#[test]
fn each_reason_is_counted_when_it_occurs() {
    let mut scene = Scene::new();
    for refusal in Refusal::ALL {
        let before = scene.count(*refusal);
        scene.cause(*refusal);
        let counted = patiently(|| scene.count(*refusal) > before);
        assert!(counted, "{refusal:?} is not counted");
        (scene.held, scene.guests) = (Vec::new(), Vec::new());
        assert!(patiently(|| total(scene.serving.http, "peers") == 1), "after {refusal:?}");
    }
    // Whoever was there before all that still is.
    scene.resident.request("restartTransport", json!({ "id": 1 }));
}

/// Whether this is so before long.
fn patiently(mut wished: impl FnMut() -> bool) -> bool {
    (0..PATIENCE.as_millis() / 50).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        wished()
    })
}

/// What `corinth token` makes for a room, by this configuration.
fn token(config: &str, room: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corinth"));
    let made = command.args(["token", "--config", config, "--room", room]).output().unwrap();
    String::from_utf8(made.stdout).unwrap().trim_end().to_owned()
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new("refused");
        let key = folder.write("main", SECRET);
        let config = format!("{CONFIG}token-key = [\"main={key}\"]\n");
        let file = folder.write("corinth.toml", &config);
        let serving = Serving::spawn(&mut corinth(&["--config", &file]));
        let token = token(&file, "*");
        let mut resident = Client::connect(serving.http, "here", &format!("r&token={token}"));
        resident.join();
        let made = resident.request("createTransport", json!({ "id": 1, "options": {} }));
        let port = made["iceCandidates"][0]["port"].as_u64().unwrap();
        let media = SocketAddr::from(([127, 0, 0, 1], port as u16));
        let (held, guests) = (Vec::new(), Vec::new());
        Self { serving, folder, config, token, resident, media, held, guests, names: 0 }
    }

    /// What the server says that it has counted.
    fn count(&self, refusal: Refusal) -> u64 {
        let label = format!("reason=\"{}\"", refusal.label());
        let page = get(self.serving.http, "/metrics");
        let lines = page.lines().filter(|line| line.starts_with("corinth_refused_total{"));
        let own = lines.filter(|line| line.contains(&label));
        own.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Does something that is refused for this reason; in the order of all of them, for from `Full`
    /// on nobody new is let in.
    fn cause(&mut self, refusal: Refusal) {
        let good = self.token.clone();
        match refusal {
            Refusal::Token => self.ask("here", "nonsense", ""),
            Refusal::Rights => {
                let file = self.folder.write("corinth.toml", &self.config);
                self.ask("here", &token(&file, "elsewhere"), "");
            }
            Refusal::Origin => self.ask("here", &good, "Origin: https://evil.example\r\n"),
            Refusal::Proxy => self.ask("here", &good, "X-Forwarded-For: unknown\r\n"),
            Refusal::Peers => (0..PEERS_MAX).for_each(|_| self.ask("here", &good, "")),
            Refusal::Rooms => self.ask("another", &good, ""),
            Refusal::Connections => {
                (0..2).for_each(|_| self.ask("here", &good, "X-Forwarded-For: 192.0.2.1\r\n"));
            }
            Refusal::Openings => {
                // More than a minute's worth; one after the other, as there may be one at a time.
                for _ in 0..100 {
                    self.ask("here", &good, "X-Forwarded-For: 192.0.2.2\r\n");
                    self.held.pop().unwrap().read_exact(&mut [0; 12]).unwrap();
                }
            }
            Refusal::Visitors => {
                let visitors: Vec<_> = (0..40).map(|_| tcp(self.serving.http)).collect();
                visitors.iter().for_each(|visitor| visitor.set_nonblocking(true).unwrap());
                // They have said nothing, so an answer is a goodbye.
                let answered = |visitor: &TcpStream| visitor.peek(&mut [0]).is_ok_and(|it| it > 0);
                assert!(patiently(|| visitors.iter().any(answered)));
                drop(visitors);
                self.wait_for_visitors_to_be_taken();
            }
            Refusal::Visits => {
                let head = "GET /healthz HTTP/1.1\r\nX-Forwarded-For: 192.0.2.3\r\n\r\n";
                (0..300).for_each(|_| drop(exchange(self.serving.http, head)));
            }
            Refusal::Transports => {
                let transport = |id: u32| json!({ "id": id, "options": {} });
                self.say([("createTransport", transport(1)), ("createTransport", transport(2))]);
            }
            Refusal::Receivers => self.say([
                ("createTransport", json!({ "id": 1, "options": {} })),
                ("createReceiver", source(1)),
                ("createReceiver", source(2)),
            ]),
            Refusal::Requests => self.say([(); 30].map(|()| ("requestKeyFrame", json!({})))),
            Refusal::AppData => {
                let data = json!({ "id": 1, "options": {}, "appData": "x".repeat(16_000) });
                self.say([("createTransport", data)]);
            }
            Refusal::Audience => {
                let toggle = json!({ "id": 1, "appData": "x".repeat(15_000) });
                let toggles = ["pauseReceiver", "resumeReceiver"].map(|it| (it, toggle.clone()));
                let mut requests: [_; 22] = std::array::from_fn(|i| toggles[i % 2].clone());
                requests[0] = ("createTransport", json!({ "id": 1, "options": {} }));
                requests[1] = ("createReceiver", source(1));
                self.say(requests);
            }
            Refusal::Full => self.overload(),
            Refusal::Draining => {
                self.serving.signal("TERM");
                assert!(patiently(|| status(&get(self.serving.http, "/readyz")) == 503));
                self.ask("late", &good, "");
            }
            Refusal::Unanswered => {
                let frozen = self.serving.freeze("shard-1");
                // Half of them are taken by the shard that moves; of half of these the other one
                // knows the room, and it has two seconds to answer.
                (0..24).for_each(|i| self.ask(&format!("unknown{i}"), &good, ""));
                std::thread::sleep(Duration::from_secs(3));
                drop(frozen);
                // More have come to it meanwhile than it takes.
                self.wait_for_visitors_to_be_taken();
            }
        }
    }

    /// On whichever shard, for the next who asks.
    fn wait_for_visitors_to_be_taken(&self) {
        assert!(patiently(|| (0..10).all(|_| self.takes_visitors())));
    }

    fn takes_visitors(&self) -> bool {
        let mut stream = tcp(self.serving.http);
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200 ")
    }

    /// Asks for an upgrade under a new name, and does not wait for the answer.
    fn ask(&mut self, room: &str, token: &str, headers: &str) {
        self.names += 1;
        let query = format!("roomId={room}&peerName={}&token={token}", self.names);
        let request = upgrade_request(self.serving.http, &query, headers);
        let mut stream = tcp(self.serving.http);
        stream.write_all(request.as_bytes()).unwrap();
        self.held.push(stream);
    }

    /// Joins under a new name and makes these requests.
    fn say<const N: usize>(&mut self, requests: [(&str, Value); N]) {
        self.names += 1;
        let peer = format!("{}&token={}", self.names, self.token);
        let mut guest = Client::connect(self.serving.http, "here", &peer);
        guest.join();
        for (method, data) in requests {
            guest.send_request(method, data);
        }
        self.guests.push(guest);
    }

    /// From now on a shard may do next to nothing, and it has something to do.
    fn overload(&mut self) {
        self.folder.write("corinth.toml", &format!("{}busy-max = 0.05\n", self.config));
        self.serving.signal("HUP");
        let _flood = Flood::start(self.media);
        let http = self.serving.http;
        let full = |shard: &Value| shard["rooms"] == 1 && shard["pressure"] != 0;
        assert!(patiently(|| stats(http).iter().any(full)), "{:?}", stats(http));
        let good = self.token.clone();
        self.ask("here", &good, "");
    }
}

/// `createReceiver`'s data.
fn source(id: u32) -> Value {
    let opus = json!([{ "name": "opus", "mimeType": "audio/opus", "clockRate": 48000,
        "channels": 2, "payloadType": 111 }]);
    let encodings = json!([{ "ssrc": id }]);
    let parameters = json!({ "muxId": id.to_string(), "codecs": opus, "encodings": encodings });
    json!({ "id": id, "kind": "audio", "transportId": 1, "rtpParameters": parameters })
}
