//! What one client says to a room, and what a room says to one client: as much as there is, nobody
//! who reads is closed for it, and who does not read costs little.

mod common;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use common::program::Serving;
use common::{Client, get, refusals, server, total, wait_until_empty};
use serde_json::{Value, json};
use tungstenite::Message;

/// In a large room: an answer to `join` has 6.4 MB, of which the kernel takes 4 at most.
const PEERS: u32 = 100;

/// The longest `appData` that there may be.
fn longest() -> Value {
    json!("x".repeat(16 * 1024 - 2))
}

/// Joins and makes a transport.
fn enter(client: &mut Client, app_data: &Value) {
    client.request("join", json!({ "appData": app_data }));
    client.request("createTransport", json!({ "id": 1, "options": {} }));
}

/// Makes a source, as soon as it may.
fn source(client: &mut Client, id: u32, app_data: &Value) {
    let opus = json!([{ "name": "opus", "mimeType": "audio/opus", "clockRate": 48000,
        "channels": 2, "payloadType": 111 }]);
    let encodings = json!([{ "ssrc": id }]);
    let parameters = json!({ "muxId": id.to_string(), "codecs": opus, "encodings": encodings });
    let data = json!({ "id": id, "kind": "audio", "transportId": 1, "rtpParameters": parameters,
        "appData": app_data });
    let made = (0..1000).any(|_| {
        let request = client.send_request("createReceiver", data.clone());
        let mut answers = std::iter::repeat_with(|| client.message());
        let answer = answers.find(|it| it["response"] == true && it["id"] == request);
        let answer = answer.expect("an answer");
        let too_soon = answer["errorCode"] == 429;
        assert!(too_soon || answer["ok"] == true, "{answer}");
        if too_soon {
            thread::sleep(Duration::from_millis(20));
        }
        !too_soon
    });
    assert!(made, "source {id}");
}

/// Everything that comes is read, and thrown away, until the connection ends.
fn drain(client: &Client) {
    let mut stream = client.socket.get_ref().try_clone().unwrap();
    let drain = move || while stream.read(&mut [0; 64 * 1024]).is_ok_and(|len| len > 0) {};
    thread::Builder::new().spawn(drain).unwrap();
}

/// Peers that are described by all that they may be, and read what they are told.
fn crowd(http: SocketAddr, room: &str) -> Vec<Client> {
    let mut crowd: Vec<_> =
        (0..PEERS).map(|peer| Client::connect(http, room, &peer.to_string())).collect();
    crowd.iter_mut().for_each(|client| enter(client, &longest()));
    for id in 1..=3 {
        crowd.iter_mut().for_each(|client| source(client, id, &longest()));
    }
    crowd.iter().for_each(drain);
    crowd
}

/// How often a client is told of a pause or its end before `talker` has left.
fn count_toggles(mut client: Client) -> u32 {
    let mut toggles = 0;
    loop {
        let message = client.message();
        match message["method"].as_str() {
            Some("senderPaused" | "senderResumed") => toggles += 1,
            Some("peerLeft") if message["data"]["name"] == "talker" => return toggles,
            _ => {}
        }
    }
}

#[test]
fn a_burst_of_one_peer_closes_nobody_who_reads() {
    const LISTENERS: usize = 50;
    let server = server(1, &[]);
    let http = server.http_addr();
    let mut talker = Client::connect(http, "room", "talker");
    enter(&mut talker, &Value::Null);
    source(&mut talker, 1, &Value::Null);
    let listeners: Vec<_> = (0..LISTENERS)
        .map(|listener| {
            let mut client = Client::connect(http, "room", &listener.to_string());
            client.join();
            thread::Builder::new().spawn(move || count_toggles(client)).unwrap()
        })
        .collect();
    // All that the budget of messages allows at once.
    let toggle = json!({ "id": 1, "appData": longest() });
    let sent: Vec<_> = (0..390)
        .map(|i| {
            let method = if i % 2 == 0 { "pauseReceiver" } else { "resumeReceiver" };
            talker.send_request(method, toggle.clone())
        })
        .collect();
    let answers: Vec<_> = std::iter::repeat_with(|| talker.message())
        .filter(|message| message["response"] == true)
        .take(sent.len())
        .collect();
    let refused = answers.iter().filter(|answer| answer["errorCode"] == 429).count();
    // A pause that was refused leaves nothing to resume.
    assert!(refused > 100, "{refused} of {}", sent.len());
    assert_eq!(refusals(http, "audience"), refused as u64);
    talker.notify("leave", json!({}));
    let heard: Vec<_> = listeners.into_iter().map(|it| it.join().unwrap()).collect();
    assert!((1..60).contains(&heard[0]), "{heard:?}");
    assert!(heard.iter().all(|it| *it == heard[0]), "{heard:?}");
    wait_until_empty(http);
    server.stop().unwrap();
}

/// Resident memory in bytes.
fn memory(serving: &Serving) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn who_joins_a_large_room_and_does_not_read_costs_little() {
    let serving = Serving::start(&["--shards", "1", "--log", "error"]);
    let http = serving.http;
    let _crowd = crowd(http, "room");
    let before = memory(&serving);
    let deaf: Vec<_> = (0..30)
        .map(|peer| {
            let mut client = Client::slow(http, "room", &format!("deaf{peer}"));
            client.send_request("join", json!({}));
            client
        })
        .collect();
    // Whoever comes last hears of all of them: they have joined.
    let mut last = Client::connect(http, "room", "last");
    let peers = (0..1000).find_map(|_| {
        let peers = last.join();
        last = Client::connect(http, "room", "last");
        thread::sleep(Duration::from_millis(10));
        (peers.len() == PEERS as usize + deaf.len()).then_some(peers)
    });
    assert!(peers.is_some(), "they joined and are not closed");
    let grown = memory(&serving).saturating_sub(before);
    // Each was answered.
    assert!(grown < 24 << 20, "{} KiB for {} of them", grown >> 10, deaf.len());
}

/// And what happens while it reads is told after that.
#[test]
fn a_large_room_can_be_joined_by_whoever_reads_at_its_pace() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let _crowd = crowd(http, "room");
    let mut slow = Client::slow(http, "room", "slow");
    let id = slow.send_request("join", json!({}));
    // A few of its bytes have come when somebody else joins, and leaves.
    assert_eq!(slow.socket.get_ref().peek(&mut [0; 100]).unwrap(), 100);
    let mut guest = Client::connect(http, "room", "guest");
    guest.join();
    guest.notify("leave", json!({}));
    guest.close_code();
    let mut waits = 0;
    let mut pace = || {
        waits += 1;
        thread::sleep(Duration::from_micros(200));
    };
    let answer = loop {
        pace();
        match slow.socket.read().unwrap() {
            Message::Text(text) => break serde_json::from_str::<Value>(&text).unwrap(),
            other => assert!(matches!(other, Message::Ping(_)), "{other:?}"),
        }
    };
    assert_eq!((&answer["id"], &answer["ok"]), (&json!(id), &json!(true)));
    let peers = answer["data"]["peers"].as_array().unwrap();
    assert_eq!(peers.len() as u32, PEERS, "the guest came later");
    assert!(peers.iter().all(|peer| peer["senders"].as_array().unwrap().len() == 3));
    let told = [slow.message(), slow.message()];
    let told = told.map(|it| (it["method"].clone(), it["data"]["name"].clone()));
    let expected = ["newPeer", "peerLeft"].map(|method| (json!(method), json!("guest")));
    assert_eq!(told, expected);
    server.stop().unwrap();
}

/// So many bytes of a client's words may wait for as long as it takes some of them now and then;
/// one that takes none is given up.
#[test]
fn slow_is_who_takes_nothing_and_not_whoever_is_told_much() {
    let server = server(1, &["--ping-interval", "100"]);
    let http = server.http_addr();
    let mut deaf = Client::slow(http, "room", "deaf");
    deaf.join();
    let mut slow = Client::slow(http, "room", "slow");
    slow.join();
    let mut witness = Client::connect(http, "room", "witness");
    witness.join();
    // 6.5 MB, of which the kernel takes 4 at most: newcomers say who they are, and leave.
    for _ in 0..400 {
        let mut guest = Client::connect(http, "room", "guest");
        guest.request("join", json!({ "appData": longest() }));
        guest.notify("leave", json!({}));
        guest.close_code();
        while witness.expect("peerLeft")["name"] != "guest" {}
    }
    assert_eq!(total(http, "slowReaders"), 0, "nobody is slow yet");
    // One takes a little every second, for much longer than the other has.
    let mut raw = slow.socket.get_ref().try_clone().unwrap();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let reads = thread::Builder::new().spawn(move || {
        let mut taken = 0;
        while ended.recv_timeout(Duration::from_millis(500)).is_err() {
            taken += raw.read(&mut [0; 20_000]).unwrap();
        }
        taken
    });
    assert_eq!(witness.expect("peerLeft")["name"], "deaf");
    assert_eq!(deaf.close_code(), 1013);
    done.send(()).unwrap();
    let taken = reads.unwrap().join().unwrap();
    assert!(taken < 1 << 20, "most waits for it: {taken} bytes were taken");
    assert_eq!(total(http, "slowReaders"), 1);
    let page = get(http, "/metrics");
    assert!(page.contains("corinth_slow_readers_total{shard=\"0\"} 1\n"), "{page}");
    assert_eq!(total(http, "peers"), 2, "it is still there");
    let _ = slow.socket.get_mut().flush();
    server.stop().unwrap();
}
