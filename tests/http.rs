//! What a browser and an attacker can say over TCP, and what they are answered.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use common::{Client, exchange, get, server, status, tcp, wait_until_empty};
use serde_json::json;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error, Message};

/// `FRAME_MAX` of the server.
const FRAME_MAX: usize = 256 * 1024;

const UPGRADE: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn the_page_is_served() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let page = get(http, "/");
    assert_eq!(status(&page), 200);
    for header in [
        "Content-Type: text/html",
        "Content-Security-Policy: default-src 'self'",
        "X-Content-Type-Options: nosniff",
        "ETag: ",
        "Connection: close",
    ] {
        assert!(page.contains(header), "{header} is missing: {page}");
    }
    let head = exchange(http, "HEAD / HTTP/1.1\r\n\r\n");
    assert_eq!(page.split_once("\r\n\r\n").unwrap().0, head.trim_end());
    assert_eq!(status(&get(http, "/nothing")), 404);
    assert_eq!(status(&get(http, "/../Cargo.toml")), 404);
    let post = exchange(http, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert!(status(&post) == 405 && post.contains("Allow: GET, HEAD"), "{post}");
    server.stop().unwrap();
}

#[test]
fn bad_requests_are_refused_with_a_reason() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let ws = |query: &str| {
        let request = format!("GET /ws?{query} HTTP/1.1\r\n{UPGRADE}\r\n");
        let answer = exchange(http, &request);
        (status(&answer), answer.split("\r\n\r\n").nth(1).unwrap().to_owned())
    };
    for (query, reason) in [
        ("peerName=a", "roomId is missing"),
        ("roomId=a&peerName=", "peerName is empty"),
        ("roomId=%00&peerName=a", "roomId contains a control character"),
        ("roomId=a&peerName=%ff", "peerName is not UTF-8"),
    ] {
        assert_eq!(ws(query), (400, format!("{reason}\n")));
    }
    assert_eq!(status(&get(http, "/ws?roomId=a&peerName=b")), 426);
    assert_eq!(status(&exchange(http, "\x16\x03\x01\x02\x00\r\n\r\n")), 400);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(17 * 1024));
    assert_eq!(status(&exchange(http, &long)), 431);
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn a_head_that_does_not_arrive_is_not_waited_for() {
    let server = server(1, &[]);
    let http = server.http_addr();
    // One that says nothing, one that says a little again and again.
    let silent = std::thread::scope(|scope| {
        let silent = scope.spawn(|| exchange(http, ""));
        let mut slow = tcp(http);
        slow.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut answer = Vec::new();
        for _ in 0..150 {
            let _ = slow.write(b"G");
            let mut chunk = [0; 1024];
            match slow.read(&mut chunk) {
                Ok(0) => break,
                Ok(len) => answer.extend_from_slice(&chunk[..len]),
                Err(_) => {}
            }
        }
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status(&answer), 408);
        silent.join().unwrap()
    });
    assert_eq!(status(&silent), 408);
    server.stop().unwrap();
}

#[test]
fn visitors_that_never_ask_shut_nobody_out() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let mut visitors: Vec<_> = (0..1024).map(|_| tcp(http)).collect();
    assert_eq!(status(&get(http, "/")), 200);
    // Whoever has been silent for longest has gone for it.
    let mut answer = String::new();
    visitors[0].read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 503);
    visitors[1023].write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    answer.clear();
    visitors[1023].read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 200);
    server.stop().unwrap();
}

#[test]
fn each_offence_has_its_close_code() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let mut witness = Client::connect(http, "room", "witness");
    witness.join();
    let text =
        |bytes: Vec<u8>| Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true));
    let big = |len| format!("\"{}\"", "x".repeat(len - 2));
    for (message, code) in [
        (Message::binary(vec![0]), 1003),
        (text(vec![0xff]), 1007),
        (Message::text("{"), 1007),
        (Message::text("{}"), 1002),
        (Message::text(big(FRAME_MAX)), 1002),
        (Message::text(big(FRAME_MAX + 1)), 1009),
    ] {
        let mut client = Client::connect(http, "room", "offender");
        client.join();
        client.socket.send(message).unwrap();
        assert_eq!(client.close_code(), code);
        // The others see it leave, and that is all they notice.
        assert_eq!(witness.expect("newPeer")["name"], "offender");
        assert_eq!(witness.expect("peerLeft")["name"], "offender");
    }
    server.stop().unwrap();
}

#[test]
fn what_comes_with_the_upgrade_is_not_lost_on_the_way_to_its_shard() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let join = br#"{"request":true,"id":7,"method":"join","data":{}}"#;
    let mut frame = vec![0x81, 0x80 | join.len() as u8, 0, 0, 0, 0];
    frame.extend(join);
    for room in 0..8 {
        let mut bytes =
            format!("GET /ws?roomId={room}&peerName=a HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes();
        bytes.extend(&frame);
        let mut stream = tcp(http);
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(r#""id":7"#) {
            let mut chunk = [0; 4096];
            let len = stream.read(&mut chunk).unwrap();
            assert!(len > 0, "closed: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&chunk[..len]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
    }
    server.stop().unwrap();
}

#[test]
fn a_slow_reader_is_closed_and_the_others_are_served() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let mut slow = Client::slow(http, "room", "slow");
    slow.join();
    let mut talker = Client::connect(http, "room", "talker");
    talker.join();
    // Each of them tells the slow one 16 KB that it does not read.
    let app_data = "x".repeat(15 * 1024);
    let mut comings = 0;
    let left = loop {
        comings += 1;
        assert!(comings < 1000, "the slow reader is still there");
        let mut guest = Client::connect(http, "room", "guest");
        guest.request("join", json!({ "appData": app_data }));
        drop(guest);
        let left = talker.expect("peerLeft")["name"].clone();
        if left != "guest" {
            break left;
        }
    };
    assert_eq!(left, "slow");
    assert!(comings > 1024 / 16, "1 MiB is allowed to wait, {comings} x 16 KB did");
    assert_eq!(slow.close_code(), 1013);
    server.stop().unwrap();
}

#[test]
fn a_flood_of_pings_is_bounded_too() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let mut slow = Client::slow(http, "room", "slow");
    slow.socket.get_ref().set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let ping = Message::Ping(vec![0; 125].into());
    // Its pongs are not read; at some point nothing more is taken, or the connection is gone.
    let end = (0..1_000_000).find_map(|_| slow.socket.send(ping.clone()).err());
    assert!(end.is_some(), "a million pings and no end");
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn a_silent_client_is_given_up_and_one_that_answers_pings_is_not() {
    let server = server(1, &["--ping-interval", "0.2"]);
    let http = server.http_addr();
    let mut awake = Client::connect(http, "room", "awake");
    awake.join();
    // A WebSocket answers pings when it is read; this one is not.
    let mut silent = Client::connect(http, "room", "silent");
    silent.join();
    assert_eq!(awake.expect("newPeer")["name"], "silent");
    assert_eq!(awake.expect("peerLeft")["name"], "silent");
    assert_eq!(silent.close_code(), 1001);
    // It has been silent for longer, but for its pongs.
    let mut late = Client::connect(http, "room", "late");
    assert_eq!(late.join(), ["awake"]);
    server.stop().unwrap();
}

#[test]
fn final_closes_say_so() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let mut older = Client::connect(http, "room", "a");
    older.join();
    let mut newer = Client::connect(http, "room", "a");
    assert_eq!(older.close_code(), 4000);
    newer.join();
    newer.notify("leave", json!({}));
    assert_eq!(newer.close_code(), 4000);
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn a_stop_closes_every_connection() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let mut clients: Vec<_> =
        (0..10).map(|i| Client::connect(http, &format!("room{i}"), "a")).collect();
    // Reading while the server stops, as browsers do: it waits for their answers.
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| client.close_code())).collect();
        server.stop().unwrap();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 1001);
        }
    });
    assert!(matches!(clients[0].socket.read(), Err(Error::ConnectionClosed)));
}

/// JSON knows no integers, and what is written as 1.0 is one.
#[test]
fn a_request_is_answered_however_its_id_is_written() {
    let server = server(1, &[]);
    let mut client = Client::connect(server.http_addr(), "room", "a");
    for (id, method, data) in [
        ("1.0", "join", json!({})),
        ("2e0", "createTransport", json!({"id": 7.0, "options": {}})),
        ("3", "restartTransport", json!({"id": 7})),
    ] {
        let text = format!(r#"{{"request":true,"id":{id},"method":"{method}","data":{data}}}"#);
        client.socket.send(Message::text(text)).unwrap();
        let answer = client.message();
        let whole = id.parse::<f64>().unwrap() as u64;
        assert_eq!((&answer["id"], &answer["ok"]), (&json!(whole), &json!(true)), "{answer}");
    }
    server.stop().unwrap();
}

#[test]
fn a_transport_that_could_have_no_candidate_is_none() {
    let server = server(1, &["--media-tcp", "off"]);
    let mut client = Client::connect(server.http_addr(), "room", "a");
    client.join();
    for (options, reason) in [
        (json!({"udp": false, "tcp": false}), "neither udp nor tcp"),
        (json!({"udp": false}), "no candidate of TCP"),
    ] {
        let id = client.send_request("createTransport", json!({"id": 1, "options": options}));
        let answer = client.message();
        assert_eq!((&answer["id"], &answer["errorCode"]), (&json!(id), &json!(409)), "{answer}");
        assert!(answer["errorReason"].as_str().unwrap().contains(reason), "{answer}");
    }
    // Nothing has come of it.
    client.request("createTransport", json!({"id": 1, "options": {"tcp": false}}));
    server.stop().unwrap();
}

#[test]
fn after_a_stop_nothing_is_left_open() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let media = server.media_addrs().concat();
    let visitor = tcp(http);
    let client = Client::connect(http, "room", "a");
    server.stop().unwrap();
    drop((visitor, client));
    assert!(std::net::TcpStream::connect(http).is_err());
    for address in media {
        // The kernel takes a ring down, and what is in flight on it, in its own time.
        let free = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            std::net::UdpSocket::bind(address).is_ok()
        });
        assert!(free, "{address} is still bound");
    }
}
