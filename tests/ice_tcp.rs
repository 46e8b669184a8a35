//! Media over TCP, at its door: checks are answered wherever they are asked, and who brings none is
//! shown out. Whole calls are made by Chromium (`tests/interop/calls/secure.test.mjs`).

mod common;
#[path = "sim/stun.rs"]
mod stun;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::namespace::in_namespace;
use common::program::{Serving, corinth};
use common::{Client, PATIENCE, drops, refusals, server, status, tcp, total, wait_until_empty};
use corinth::types::limit::PATHS_MAX;
use serde_json::{Value, json};
use stun::{Answer, Check, read_answer};

/// A transport as its client was told of it.
#[derive(Clone)]
struct Transport {
    ufrag: String,
    password: String,
    candidates: Vec<Value>,
}

impl Transport {
    fn create(client: &mut Client, options: Value) -> Self {
        let made = client.request("createTransport", json!({ "id": 1, "options": options }));
        let text = |name: &str| made["iceParameters"][name].as_str().unwrap().to_owned();
        let candidates = made["iceCandidates"].as_array().unwrap().clone();
        Self { ufrag: text("usernameFragment"), password: text("password"), candidates }
    }

    /// Where to connect to.
    fn address(&self) -> SocketAddr {
        let tcp = self.candidates.iter().find(|one| one["protocol"] == "tcp").unwrap();
        assert_eq!((&tcp["tcpType"], &tcp["type"]), (&json!("passive"), &json!("host")));
        let (ip, port) = (tcp["ip"].as_str().unwrap(), tcp["port"].as_u64().unwrap());
        format!("{ip}:{port}").parse().unwrap()
    }

    fn check(&self) -> Vec<u8> {
        self.check_of([7; 12])
    }

    /// A transaction is good on one path only.
    fn check_of(&self, id: [u8; 12]) -> Vec<u8> {
        let username = format!("{}:them", self.ufrag);
        let (username, password) = (username.as_str(), self.password.as_str());
        Check { id, username, password, nominate: true, controlled: false, more: &[] }.encode()
    }

    fn read_answer(&self, stream: &mut TcpStream) -> SocketAddr {
        match read_answer(&read_message(stream), &self.password) {
            Answer::Success { mapped, .. } => mapped,
            Answer::Error { code, .. } => panic!("{code}"),
        }
    }
}

fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut prefix = [0; 2];
    stream.read_exact(&mut prefix).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(prefix))];
    stream.read_exact(&mut message).unwrap();
    message
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
    bytes.extend(message);
    bytes
}

/// Whether the server ends a connection on which this is said; to wait in vain is none.
fn is_closed(mut stream: TcpStream, bytes: &[u8]) -> bool {
    let _ = stream.write_all(bytes);
    match stream.read(&mut [0; 64]) {
        Ok(len) => len == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Whether the server ends a connection on which nothing is said, sooner than for its silence;
/// something may come before.
fn ends(stream: &mut TcpStream) -> bool {
    for _ in 0..10 {
        match stream.read(&mut [0; 4096]) {
            Ok(1..) => {}
            Ok(0) => return true,
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
    false
}

#[test]
fn a_path_that_is_forgotten_for_newer_ones_is_closed() {
    let server = server(2, &["--media-tcp", "http"]);
    let http = server.http_addr();
    let mut client = Client::connect(http, "room", "a");
    client.join();
    let transport = Transport::create(&mut client, json!({}));
    let connect = |id| {
        let mut stream = tcp(http);
        stream.write_all(&framed(&transport.check_of([id; 12]))).unwrap();
        transport.read_answer(&mut stream);
        stream
    };
    let mut first = connect(0);
    let mut others: Vec<_> = (1..=PATHS_MAX).map(|id| connect(id as u8)).collect();
    assert!(ends(&mut first));
    // The others go on.
    let last = others.last_mut().unwrap();
    last.write_all(&framed(&transport.check_of([100; 12]))).unwrap();
    transport.read_answer(last);
    server.stop().unwrap();
}

#[test]
fn an_address_has_so_many_connections_for_as_long_as_they_are_carried() {
    in_namespace("an_address_has_so_many_connections_for_as_long_as_they_are_carried", || {
        let options = ["--http", "10.9.0.1:0", "--shards", "2", "--media-tcp", "http"];
        let limit = ["--max-connections-per-address", "3", "--anyone-may-join-without-a-token"];
        let serving = Serving::spawn(corinth(&options).args(limit));
        let http = serving.http;
        let mut client = Client::connect(http, "room", "a");
        client.join();
        let transport = Transport::create(&mut client, json!({}));
        let checks = Cell::new(0_u32);
        // The answer to a check, if the connection is carried.
        let connect = || {
            let mut stream = tcp(http);
            checks.set(checks.get() + 1);
            let id = [checks.get().to_be_bytes(); 3].concat().try_into().unwrap();
            let _ = stream.write_all(&framed(&transport.check_of(id)));
            let mut prefix = [0; 2];
            stream.read_exact(&mut prefix).is_ok().then_some(stream)
        };
        let patiently = || {
            (0..PATIENCE.as_millis() / 20).find_map(|_| {
                std::thread::sleep(Duration::from_millis(20));
                connect()
            })
        };
        let mut carried: Vec<_> = (0..3).map(|_| connect().unwrap()).collect();
        for count in 1..=8 {
            assert!(connect().is_none(), "whichever shard it comes to");
            assert_eq!(refusals(http, "connections"), count);
        }
        // One that ends makes room for another.
        for _ in 0..4 {
            drop(carried.remove(0));
            carried.push(patiently().expect("there is room again"));
        }
        // And so does one that is refused by the Router, after it was counted.
        client.notify("closeTransport", json!({ "id": 1 }));
        carried.iter_mut().for_each(|stream| assert!(ends(stream)));
        for _ in 0..8 {
            assert!(connect().is_none(), "its transport is closed");
        }
        let data = json!({ "id": 2, "options": {} });
        let made = client.request("createTransport", data);
        let text = |name: &str| made["iceParameters"][name].as_str().unwrap().to_owned();
        let (ufrag, password) = (text("usernameFragment"), text("password"));
        let transport = Transport { ufrag, password, candidates: Vec::new() };
        let mut again = tcp(http);
        again.write_all(&framed(&transport.check())).unwrap();
        transport.read_answer(&mut again);
    });
}

#[test]
fn a_check_is_answered_whichever_shard_it_comes_to() {
    let server = server(2, &["--media-tcp", "http"]);
    let http = server.http_addr();
    let mut clients = Vec::new();
    // Rooms on both shards, and connections to both.
    for room in 0..8 {
        let mut client = Client::connect(http, &format!("room{room}"), "a");
        client.join();
        let transport = Transport::create(&mut client, json!({}));
        assert_eq!(transport.address(), http);
        let mut stream = tcp(transport.address());
        let check = framed(&transport.check());
        // In pieces, as TCP likes it.
        for piece in check.chunks(3) {
            stream.write_all(piece).unwrap();
        }
        assert_eq!(transport.read_answer(&mut stream), stream.local_addr().unwrap());
        // And again on the same connection, with another message in one write.
        stream.write_all(&[check.clone(), check].concat()).unwrap();
        for _ in 0..2 {
            transport.read_answer(&mut stream);
        }
        clients.push((client, stream));
    }
    assert_eq!(total(http, "transports"), 8);
    assert_eq!(status(&common::get(http, "/")), 200, "HTTP is served there too");
    // A transport that is closed takes its connections with it, though they say nothing.
    for (client, stream) in &mut clients {
        client.notify("closeTransport", json!({ "id": 1 }));
        assert!(ends(stream));
    }
    drop(clients);
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn a_port_of_its_own_serves_media_and_nothing_else() {
    let server = server(2, &["--media-tcp", "0"]);
    let http = server.http_addr();
    let mut client = Client::connect(http, "room", "a");
    client.join();
    let transport = Transport::create(&mut client, json!({}));
    assert_ne!(transport.address(), http);
    let udp = transport.candidates.iter().filter(|one| one["protocol"] == "udp");
    let worst = udp.map(|one| one["priority"].as_u64().unwrap()).min().unwrap();
    let tcp_candidate = transport.candidates.last().unwrap();
    assert!(tcp_candidate["priority"].as_u64().unwrap() < worst, "UDP is better");
    let mut stream = tcp(transport.address());
    stream.write_all(&framed(&transport.check())).unwrap();
    transport.read_answer(&mut stream);
    assert!(is_closed(tcp(transport.address()), b"GET / HTTP/1.1\r\n\r\n"));
    // Who wants one kind only is told of that only.
    let data = json!({ "id": 2, "options": { "udp": false } });
    let made = client.request("createTransport", data);
    let candidates = made["iceCandidates"].as_array().unwrap();
    assert!(candidates.iter().all(|one| one["protocol"] == "tcp") && !candidates.is_empty());
    let data = json!({ "id": 3, "options": { "tcp": false } });
    let made = client.request("createTransport", data);
    let candidates = made["iceCandidates"].as_array().unwrap();
    assert!(candidates.iter().all(|one| one["protocol"] == "udp") && !candidates.is_empty());
    server.stop().unwrap();
}

#[test]
fn who_brings_no_check_that_holds_is_shown_out() {
    let server = server(2, &["--media-tcp", "http"]);
    let http = server.http_addr();
    let mut client = Client::connect(http, "room", "a");
    client.join();
    let transport = Transport::create(&mut client, json!({}));
    let good = transport.check();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let other = Transport { ufrag: "99aaaaaaaaaa".into(), ..transport.clone() };
    let nobody =
        Transport { ufrag: format!("{}aaaaaaaaaa", &transport.ufrag[..2]), ..transport.clone() };
    for (what, bytes) in [
        ("forged", framed(&forged)),
        ("no shard's", framed(&other.check())),
        ("nobody's", framed(&nobody.check())),
        ("no STUN", framed(&[0x80; 100])),
        ("empty", framed(&[])),
    ] {
        assert!(is_closed(tcp(http), &bytes), "{what}");
    }
    // Half of a message, and then nothing: it is not waited for longer than for a request.
    let mut slow = tcp(http);
    slow.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    slow.write_all(&framed(&good)[..20]).unwrap();
    assert!(matches!(slow.read(&mut [0]), Ok(0)));
    // Every datagram that a client may send is counted, and none of them did any harm.
    let mut stream = tcp(http);
    stream.write_all(&framed(&good)).unwrap();
    transport.read_answer(&mut stream);
    let too_long = [framed(&vec![0x80; 1501]), framed(&good)].concat();
    stream.write_all(&too_long).unwrap();
    transport.read_answer(&mut stream);
    assert_eq!(drops(http, "truncated"), 1);
    server.stop().unwrap();
}

#[test]
fn who_does_not_read_loses_what_finds_no_room_and_others_nothing() {
    let server = server(1, &["--media-tcp", "http"]);
    let http = server.http_addr();
    let mut client = Client::connect(http, "room", "a");
    client.join();
    let transport = Transport::create(&mut client, json!({}));
    let (mut deaf, mut other) = (tcp(http), tcp(http));
    let many = framed(&transport.check()).repeat(1000);
    // The kernels on both sides take megabytes of answers before the server's own queue fills.
    let sent = (1..200).find(|_| {
        deaf.write_all(&many).unwrap();
        drops(http, "send_blocked") > 0
    });
    let sent = 1000 * sent.expect("everything found room");
    other.write_all(&framed(&transport.check_of([8; 12]))).unwrap();
    transport.read_answer(&mut other);
    // Whoever reads again gets whole messages, as many as found room.
    let heard = (0..PATIENCE.as_millis() / 5).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        total(http, "rxDatagrams") == sent + 1
    });
    assert!(heard, "{} of {sent}", total(http, "rxDatagrams"));
    let mut answers = sent - drops(http, "send_blocked");
    while answers > 1 {
        answers -= 1;
        read_message(&mut deaf);
    }
    transport.read_answer(&mut deaf);
    deaf.set_nonblocking(true).unwrap();
    assert!(deaf.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    server.stop().unwrap();
}
