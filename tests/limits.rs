//! Each limit, reached: who is one too many is told so, it is counted, and everybody else goes on.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, refusals, server, tcp, wait_until_empty};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, Message, WebSocket};

/// WebSockets that say nothing.
const IDLE: usize = 2000;

/// How often each answer's time is measured.
const ROUNDS: u32 = 50;

/// The status that an upgrade is refused with.
fn refused(http: SocketAddr, room: &str, peer: &str) -> u16 {
    match Client::connect_on(tcp(http), http, room, peer) {
        Ok(_) => 101,
        Err(error) => {
            let code = error.split_whitespace().find_map(|word| word.parse().ok());
            code.unwrap_or_else(|| panic!("{error}"))
        }
    }
}

/// The error of a request.
fn error_of(client: &mut Client, method: &str, data: Value) -> (u64, String) {
    let id = client.send_request(method, data);
    loop {
        let message = client.message();
        if message["id"] == id {
            assert_eq!(message["ok"], false, "{message}");
            let reason = message["errorReason"].as_str().unwrap().to_owned();
            return (message["errorCode"].as_u64().unwrap(), reason);
        }
    }
}

#[test]
fn rooms_and_peers() {
    let server = server(1, &["--max-rooms", "2", "--max-peers-per-room", "2"]);
    let http = server.http_addr();
    let _a = Client::connect(http, "one", "a");
    let second = Client::connect(http, "two", "a");
    assert_eq!(refused(http, "three", "a"), 503);
    let mut b = Client::connect(http, "one", "b");
    assert_eq!(refused(http, "one", "c"), 429);
    // Not one more, but one in place of another.
    let mut again = Client::connect(http, "one", "b");
    assert_eq!(b.close_code(), 4000);
    again.join();
    assert_eq!((refusals(http, "rooms"), refusals(http, "peers")), (1, 1));
    drop(second);
    let freed = (0..1000).any(|_| refused(http, "three", "a") == 101);
    assert!(freed, "a room that is over makes room");
    server.stop().unwrap();
}

#[test]
fn what_one_peer_may_have_and_say() {
    let limits = ["--max-transports-per-peer", "1", "--max-receivers-per-peer", "1"];
    let more = ["--max-app-data", "10", "--max-requests-per-second", "10"];
    let server = server(1, &[limits, more].concat());
    let http = server.http_addr();
    let mut client = Client::connect(http, "room", "a");
    let (code, reason) = error_of(&mut client, "join", json!({ "appData": "12345678901" }));
    assert!(code == 429 && reason.contains("appData"), "{reason}");
    client.join();
    client.request("createTransport", json!({ "id": 1, "options": {} }));
    let (code, reason) =
        error_of(&mut client, "createTransport", json!({ "id": 2, "options": {} }));
    assert!(code == 429 && reason.contains("transports"), "{reason}");
    let source = |id: u32| {
        let opus = json!([{ "name": "opus", "mimeType": "audio/opus", "clockRate": 48000,
            "channels": 2, "payloadType": 111 }]);
        let encodings = json!([{ "ssrc": 7 + id }]);
        let parameters = json!({ "muxId": id.to_string(), "codecs": opus, "encodings": encodings });
        json!({ "id": id, "kind": "audio", "transportId": 1, "rtpParameters": parameters })
    };
    client.request("createReceiver", source(1));
    let (code, reason) = error_of(&mut client, "createReceiver", source(2));
    assert!(code == 429 && reason.contains("Receivers"), "{reason}");
    let flooded = (0..100).find_map(|_| {
        let (code, reason) = error_of(&mut client, "requestKeyFrame", json!({ "id": 9 }));
        (code != 404).then_some((code, reason))
    });
    let (code, reason) = flooded.expect("a hundred are too many");
    assert!(code == 429 && reason.contains("requests"), "{reason}");
    for label in ["app_data", "transports", "receivers", "requests"] {
        assert_eq!(refusals(http, label), 1, "{label}");
    }
    Client::connect(http, "room", "b").join();
    server.stop().unwrap();
}

/// Clients are who a proxy on this host says; from the host itself any number may come.
const PROXY: [&str; 3] = ["--trusted-proxy", "127.0.0.1", "--anyone-may-join-without-a-token"];

/// Opens a WebSocket as a proxy does for `address`; or the status of the answer.
fn enter(
    http: SocketAddr,
    address: &str,
    room: &str,
    peer: &str,
) -> Result<WebSocket<TcpStream>, u16> {
    let uri = format!("ws://{http}/ws?roomId={room}&peerName={peer}");
    let mut request = uri.into_client_request().unwrap();
    request.headers_mut().insert("X-Forwarded-For", address.parse().unwrap());
    match tungstenite::client(request, tcp(http)) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
            assert!(answer.headers().contains_key("Retry-After") || answer.status() != 503);
            Err(answer.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whoever connects and leaves, again and again, is slowed down, however many rooms it takes for
/// that and however few connections it has at a time.
#[test]
fn an_address_opens_so_many_a_minute_and_others_as_before() {
    let server = server(2, &[&PROXY[..], &["--max-openings-per-address", "1"]].concat());
    let http = server.http_addr();
    let churn = |address: fn(usize) -> String| {
        let refused = (0..100).filter(|i| {
            let opened = enter(http, &address(*i), &format!("room{}", i % 7), "a");
            opened.is_err_and(|status| {
                assert_eq!(status, 429);
                true
            })
        });
        refused.count()
    };
    // A minute's worth at once; some more while the test runs.
    let refused = churn(|_| "192.0.2.1".to_owned());
    assert!((20..=40).contains(&refused), "{refused} of 100");
    assert_eq!(refusals(http, "openings"), refused as u64);
    let refused = churn(|i| format!("2001:db8::{i}"));
    assert!((20..=40).contains(&refused), "{refused} of 100 out of one network");
    assert_eq!(churn(|i| format!("198.51.100.{i}")), 0);
    (0..100).for_each(|i| drop(Client::connect(http, "here", &i.to_string())));
    let answer = common::exchange(
        http,
        &common::upgrade_request(http, "roomId=a&peerName=a", "X-Forwarded-For: 192.0.2.1\r\n"),
    );
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn a_room_is_opened_so_often_and_the_next_one_as_before() {
    let server = server(2, &[&PROXY[..], &["--max-openings-per-room", "4"]].concat());
    let http = server.http_addr();
    // Each from an address of its own, as a crowd does, or a botnet.
    let rush = |room: &str| {
        let enter = |i: &usize| enter(http, &format!("10.0.0.{i}"), room, &i.to_string()).is_ok();
        (0..100).filter(enter).count()
    };
    // 15 seconds' worth at once; some more while the test runs.
    let entered = rush("full");
    assert!((60..=80).contains(&entered), "{entered} of 100");
    assert!(rush("other") >= 60);
    assert_eq!(refused(http, "full", "local"), 101, "this host is not counted");
    wait_until_empty(http);
    server.stop().unwrap();
}

/// Whatever is asked for; of a client that a proxy sends it is known when its request is there.
#[test]
fn an_address_asks_so_often_and_others_as_before() {
    let server = server(2, &[&PROXY[..], &["--max-visits-per-address", "1"]].concat());
    let http = server.http_addr();
    let ask = |address: &str, path: &str| {
        let headers = format!("Host: corinth\r\nX-Forwarded-For: {address}\r\n");
        common::exchange(http, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n"))
    };
    let statuses = |address: &str| {
        let paths =
            ["/metrics", "/", "/stats", "/admin/rooms", "/ws?roomId=a&peerName=a"].repeat(20);
        paths.iter().map(|path| common::status(&ask(address, path))).collect::<Vec<_>>()
    };
    // On each shard ten seconds' worth at once; some more while the test runs.
    let found = statuses("192.0.2.1");
    let refused = found.iter().filter(|status| **status == 429).count();
    assert!((60..=80).contains(&refused), "{found:?}");
    assert_eq!(refusals(http, "visits"), refused as u64);
    let neighbours = (0..100).filter(|i| {
        let answer = ask(&format!("2001:db8::{i}"), "/metrics");
        common::status(&answer) == 429 && answer.contains("\r\nRetry-After: ")
    });
    assert!((60..=80).contains(&neighbours.count()));
    assert!((0..100).all(|i| common::status(&ask(&format!("198.51.100.{i}"), "/")) == 200));
    assert!((0..100).all(|_| common::status(&common::get(http, "/")) == 200), "this host");
    server.stop().unwrap();
}

#[test]
fn an_address_has_so_many_connections_on_all_shards_together() {
    let server = server(2, &[&PROXY[..], &["--max-connections-per-address", "3"]].concat());
    let http = server.http_addr();
    let enter = |address: &str, room: usize| enter(http, address, &room.to_string(), "a");
    let mut first: Vec<_> = (0..3).map(|room| enter("192.0.2.1", room).unwrap()).collect();
    for room in 3..7 {
        assert_eq!(enter("192.0.2.1", room).err(), Some(429));
    }
    assert_eq!(refusals(http, "connections"), 4);
    let others: Vec<_> = (0..3).map(|room| enter("192.0.2.2", 10 + room).unwrap()).collect();
    assert_eq!(enter("::ffff:192.0.2.2", 13).err(), Some(429), "it is the same address");
    // Whoever has one address of IPv6 has all that begin as it does.
    let site = |i: usize| enter(&format!("2001:db8::{i}:1"), 30 + i);
    let sites: Vec<_> = (0..3).map(|i| site(i).unwrap()).collect();
    assert_eq!(site(3).err(), Some(429));
    let neighbour = enter("2001:db8:0:1::1", 34).unwrap();
    let here: Vec<_> = (0..8).map(|i| Client::connect(http, &format!("h{i}"), "a")).collect();
    // One that ends makes room for another, whichever shard it was on.
    for _ in 0..6 {
        let mut over = first.remove(0);
        over.close(None).unwrap();
        while !matches!(over.read(), Err(_) | Ok(Message::Close(_))) {}
        drop(over);
        let deadline = PATIENCE.as_millis() / 5;
        let next = (0..deadline).find_map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            enter("192.0.2.1", 20).ok()
        });
        first.push(next.expect("there is room again"));
    }
    drop((first, others, sites, neighbour, here));
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn who_waits_to_be_heard_has_a_limit_too() {
    let server = server(1, &["--max-visitors", "2"]);
    let http = server.http_addr();
    let mut oldest = tcp(http);
    let _other = tcp(http);
    // Whoever comes then and says what he wants gets it. The one that has been silent for longest
    // has gone for it.
    assert_eq!(refusals(http, "visitors"), 1);
    let mut answer = String::new();
    let read = oldest.read_to_string(&mut answer);
    assert!(read.is_ok() && answer.starts_with("HTTP/1.1 503 "), "{read:?} {answer}");
    // And a crowd that says nothing shuts nobody out.
    let crowd: Vec<_> = (0..50).map(|_| tcp(http)).collect();
    Client::connect(http, "room", "a").join();
    assert!(refusals(http, "visitors") >= 50);
    drop(crowd);
    server.stop().unwrap();
}

/// How long it takes until all clients have an answer, as a rule: the median of some rounds, each
/// right after `before`.
#[expect(clippy::disallowed_methods, reason = "how long an answer takes is what is measured")]
fn answer_time(clients: &mut [Client], mut before: impl FnMut()) -> Duration {
    let mut times = Vec::new();
    for id in 0..ROUNDS {
        before();
        let began = Instant::now();
        for client in &mut *clients {
            client.send_request("createTransport", json!({ "id": id, "options": {} }));
        }
        clients.iter_mut().for_each(|client| assert_eq!(client.message()["ok"], true));
        times.push(began.elapsed());
        clients.iter_mut().for_each(|it| it.notify("closeTransport", json!({ "id": id })));
    }
    times.sort();
    times[times.len() / 2]
}

/// Rooms of both shards go on beside everything that a server has to bear with.
#[test]
fn idle_slow_and_deaf_clients_disturb_nobody() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let join = |room: &str, peer: &str| {
        let mut client = Client::connect(http, room, peer);
        client.join();
        client
    };
    let mut quiet: Vec<_> = (0..4).map(|i| join(&format!("quiet{i}"), "a")).collect();
    let alone = answer_time(&mut quiet, || {});
    let idle: Vec<_> = (0..IDLE)
        .map(|i| Client::connect(http, &format!("idle{}", i % 100), &i.to_string()))
        .collect();
    // Heads that never end, a byte at a time.
    let mut slow: Vec<_> = (0..200).map(|_| tcp(http)).collect();
    // One that joins a room and reads nothing that is said there.
    let mut deaf = Client::connect(http, "room", "deaf");
    deaf.send_request("join", json!({}));
    let beside = answer_time(&mut quiet, || {
        let mut guest = Client::connect(http, "room", "guest");
        guest.request("join", json!({ "appData": "x".repeat(10_000) }));
        for stream in &mut slow {
            let _ = stream.write_all(b"G");
        }
    });
    assert!(beside < 10 * alone + Duration::from_millis(10), "{beside:?}, and {alone:?} alone");
    assert!(common::total(http, "peers") >= IDLE as u64 + 5, "nobody was sent away for it");
    drop((idle, slow, deaf, quiet));
    wait_until_empty(http);
    server.stop().unwrap();
}
