//! The end of a server, and what it says to systemd on the way.

mod common;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use common::files::Folder;
use common::program::{Serving, corinth};
use common::{Client, exchange, get, status, upgrade_request};
use serde_json::json;

/// What a client is told that wants to open a room.
fn new_room(serving: &Serving) -> String {
    exchange(serving.http, &upgrade_request(serving.http, "roomId=new&peerName=a", ""))
}

/// Waits until the server says that it takes no new rooms.
fn wait_until_draining(serving: &Serving) {
    let draining = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        let answer = get(serving.http, "/readyz");
        status(&answer) == 503 && answer.contains("draining")
    });
    assert!(draining, "it takes new rooms all the same");
}

#[test]
fn rooms_go_on_to_their_end_and_no_new_ones_begin() {
    let mut serving = Serving::start(&["--shards", "2"]);
    let mut rooms: Vec<_> = (0..4)
        .map(|i| {
            let mut client = Client::connect(serving.http, &format!("room{i}"), "a");
            client.join();
            client
        })
        .collect();
    serving.signal("TERM");
    wait_until_draining(&serving);
    assert_eq!(status(&get(serving.http, "/healthz")), 200, "it is well");
    let refused = new_room(&serving);
    assert!(status(&refused) == 503 && refused.contains("Retry-After: "), "{refused}");
    // Each room works as before, for newcomers too.
    for (i, client) in rooms.iter_mut().enumerate() {
        let mut late = Client::connect(serving.http, &format!("room{i}"), "late");
        assert_eq!(late.join(), ["a"]);
        assert_eq!(client.expect("newPeer")["name"], "late");
        client.request("createTransport", json!({"id": 1, "options": {}}));
    }
    let last = rooms.pop();
    drop(rooms);
    assert_eq!(serving.exit_code(Duration::from_millis(500)), None, "one room is left");
    drop(last);
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn after_the_time_is_over_rooms_are_closed() {
    let mut serving = Serving::start(&["--shards", "2", "--drain-time", "1"]);
    let mut told = Client::connect(serving.http, "room", "told");
    told.request("join", json!({"notify": ["roomClosed"]}));
    let mut plain = Client::connect(serving.http, "room", "plain");
    plain.join();
    serving.signal("TERM");
    assert_eq!(serving.exit_code(Duration::from_millis(700)), None, "they have a second");
    assert_eq!(told.expect("roomClosed")["reason"], "server going away");
    assert_eq!(told.close_code(), 1001);
    // Who knows the seed alone gets the seed alone.
    loop {
        match plain.socket.read().unwrap() {
            tungstenite::Message::Close(frame) => {
                assert_eq!(u16::from(frame.unwrap().code), 1001);
                break;
            }
            message => assert!(!message.to_string().contains("roomClosed"), "{message}"),
        }
    }
    drop((told, plain));
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let mut serving = Serving::start(&[]);
    let _client = Client::connect(serving.http, "room", "a");
    serving.signal("TERM");
    wait_until_draining(&serving);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(serving.exit_code(Duration::from_millis(100)), None);
    serving.signal("TERM");
    assert_eq!(serving.exit_code(Duration::from_millis(500)), Some(128 + 15));
}

#[test]
fn a_drain_can_be_asked_for_by_this_host() {
    let mut serving = Serving::start(&["--shards", "2"]);
    let client = Client::connect(serving.http, "room", "a");
    let post = |headers: &str| {
        exchange(serving.http, &format!("POST /admin/drain HTTP/1.1\r\n{headers}\r\n"))
    };
    assert_eq!(status(&post("Host: localhost\r\nOrigin: http://evil.example\r\n")), 403);
    assert_eq!(status(&post("Host: evil.example\r\n")), 403);
    let head = "GET /admin/drain HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(&exchange(serving.http, head)), 405);
    assert_eq!(status(&get(serving.http, "/readyz")), 200);
    assert_eq!(status(&post("Host: localhost\r\nContent-Length: 0\r\n")), 202);
    wait_until_draining(&serving);
    assert_eq!(status(&post("Host: localhost\r\n")), 202, "again changes nothing");
    drop(client);
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn with_keys_a_drain_takes_a_token_for_it() {
    let folder = Folder::new("drain");
    let key = format!("main={}", folder.write("main", "0123456789abcdef0123456789abcdef"));
    let mut serving = Serving::start(&["--token-key", &key]);
    let token = |room: &str, rights: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_corinth"));
        command.args(["token", "--token-key", &key, "--room", room, "--rights", rights]);
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim_end().to_owned()
    };
    let post = |token: &str| {
        let authorization = format!("Host: x\r\nAuthorization: Bearer {token}\r\n");
        status(&exchange(
            serving.http,
            &format!("POST /admin/drain HTTP/1.1\r\n{authorization}\r\n"),
        ))
    };
    assert_eq!(status(&exchange(serving.http, "POST /admin/drain HTTP/1.1\r\n\r\n")), 401);
    assert_eq!(post("nonsense"), 401);
    assert_eq!(post(&token("*", "audio")), 403);
    assert_eq!(post(&token("room", "admin")), 403);
    assert_eq!(post(&token("*", "admin")), 202);
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
}

/// Stands in for systemd: receives what a service says.
struct Systemd {
    socket: UnixDatagram,
    path: String,
    _folder: Folder,
}

impl Systemd {
    fn new(name: &str) -> Systemd {
        let folder = Folder::new(name);
        let path = folder.write("notify", "");
        std::fs::remove_file(&path).unwrap();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Systemd { socket, path, _folder: folder }
    }

    fn start(&self, arguments: &[&str]) -> Serving {
        let mut command = corinth(&["--http", "127.0.0.1:0", "--log", "off"]);
        command.args(arguments).env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "600000");
        Serving::spawn(&mut command)
    }

    fn message(&self) -> String {
        let mut bytes = [0; 1024];
        let len = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    /// The next message that has this line. There is a message five times a second.
    fn expect(&self, line: &str) -> String {
        let mut messages = (0..100).map(|_| self.message());
        let found = messages.find(|it| it.lines().any(|found| found.starts_with(line)));
        found.unwrap_or_else(|| panic!("no {line}"))
    }
}

#[test]
fn systemd_is_told_how_things_stand() {
    let systemd = Systemd::new("systemd");
    let mut serving = systemd.start(&["--shards", "2"]);
    let client = Client::connect(serving.http, "room", "a");
    assert!(systemd.message().contains("READY=1"), "before anything else");
    systemd.expect("WATCHDOG=1");
    serving.signal("HUP");
    assert!(systemd.expect("RELOADING=1").contains("MONOTONIC_USEC="));
    systemd.expect("READY=1");
    serving.signal("TERM");
    assert!(systemd.expect("STOPPING=1").contains("STATUS=draining"));
    systemd.expect("WATCHDOG=1");
    systemd.expect("EXTEND_TIMEOUT_USEC=");
    drop(client);
    systemd.expect("STOPPING=1");
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn systemd_hears_nothing_while_a_shard_is_stuck() {
    let systemd = Systemd::new("watchdog");
    let serving = systemd.start(&["--shards", "2"]);
    systemd.expect("WATCHDOG=1");
    let frozen = serving.freeze("shard-0");
    // It is stuck after three seconds; what was sent before then is heard first.
    systemd.socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut bytes = [0; 1024];
    let silent = (0..100).any(|_| systemd.socket.recv(&mut bytes).is_err());
    assert!(silent, "it says that all is well");
    drop(frozen);
    systemd.socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    systemd.expect("WATCHDOG=1");
}
