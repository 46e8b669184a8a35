//! Two shards: rooms are spread, each lives on one of them, and whatever happens at once, a room
//! never lives on both.

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Barrier;

use common::{Client, PATIENCE, server, stats, total, wait_until_empty};
use serde_json::{Value, json};

/// Often enough that each order of events between two shards occurs.
const ROUNDS: usize = 1000;

/// Where a peer of this client's room is told to send media.
fn media_address(client: &mut Client) -> SocketAddr {
    let data = client.request("createTransport", json!({"id": 1, "options": {}}));
    let candidates = data["iceCandidates"].as_array().unwrap();
    let udp = candidates.iter().find(|candidate| candidate["protocol"] == "udp").unwrap();
    let ip = udp["ip"].as_str().unwrap().parse().unwrap();
    SocketAddr::new(ip, udp["port"].as_u64().unwrap() as u16)
}

#[test]
fn twenty_rooms_are_spread_and_each_room_s_packets_stay_on_its_owner() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut expected = [(0, 0); 2]; // rooms and datagrams of each shard
    let mut clients = Vec::new();
    for room in 0..20 {
        let mut client = Client::connect(http, &format!("room{room}"), "a");
        client.join();
        let to = media_address(&mut client);
        let owner = server.media_addrs().iter().position(|shard| shard.contains(&to)).unwrap();
        expected[owner].0 += 1;
        // Not even STUN, but counted like everything that arrives.
        for _ in 0..=room {
            socket.send_to(&[0xff; 20], to).unwrap();
            expected[owner].1 += 1;
        }
        clients.push(client);
    }
    assert!(expected.iter().all(|(rooms, _)| *rooms >= 5), "not spread: {expected:?}");

    let seen = |shards: &[Value]| {
        let count = |shard: &Value, what: &str| shard[what].as_u64().unwrap();
        [0, 1].map(|i| (count(&shards[i], "rooms"), count(&shards[i], "rxDatagrams")))
    };
    // Loopback delivers at once, the shard's thread when it is scheduled.
    let mut now = seen(&stats(http));
    for _ in 0..PATIENCE.as_millis() / 5 {
        if now == expected {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        now = seen(&stats(http));
    }
    assert_eq!(now, expected);
    drop(clients);
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn two_first_connections_at_once_end_in_one_room() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let barrier = Barrier::new(2);
    // Each returns how often it found the other there.
    let peer = |name: &str| {
        let mut found = 0;
        for round in 0..ROUNDS {
            barrier.wait();
            let mut client = Client::connect(http, &format!("room{round}"), name);
            found += client.join().len();
            // Neither leaves before both have joined.
            barrier.wait();
        }
        found
    };
    let found = std::thread::scope(|scope| {
        let a = scope.spawn(|| peer("a"));
        let b = scope.spawn(|| peer("b"));
        a.join().unwrap() + b.join().unwrap()
    });
    assert_eq!(found, ROUNDS, "in each round the later of the two finds the earlier");
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn a_last_leave_and_new_connections_at_once_end_in_one_room() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let barrier = Barrier::new(3);
    let leaver = || {
        for round in 0..ROUNDS {
            let mut client = Client::connect(http, &format!("room{round}"), "last");
            client.join();
            barrier.wait();
            // In turn: it says so, it closes, it vanishes.
            match round % 3 {
                0 => client.notify("leave", json!({})),
                1 => client.socket.close(None).unwrap(),
                _ => {}
            }
            drop(client);
            barrier.wait();
        }
        0
    };
    let comer = |name: &str| {
        let mut found = 0;
        for round in 0..ROUNDS {
            barrier.wait();
            let mut client = Client::connect(http, &format!("room{round}"), name);
            found += client.join().iter().filter(|peer| *peer != "last").count();
            barrier.wait();
        }
        found
    };
    let found = std::thread::scope(|scope| {
        let threads = [scope.spawn(leaver), scope.spawn(|| comer("a")), scope.spawn(|| comer("b"))];
        threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>()
    });
    assert_eq!(found, ROUNDS, "the two that came found each other in each round");
    wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn leases_return_however_a_connection_ends() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let peer = "GET /ws?roomId=ROOM&peerName=a HTTP/1.1\r\nHost: localhost\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for round in 0..200 {
        let room = format!("room{}", round % 8);
        match round % 4 {
            // Gone before it is answered.
            0 => {
                use std::io::Write;
                let request = peer.replace("ROOM", &room);
                common::tcp(http).write_all(request.as_bytes()).unwrap();
            }
            // Upgraded, never joined.
            1 => drop(Client::connect(http, &room, "b")),
            // Closed by the server.
            2 => {
                let mut client = Client::connect(http, &room, "c");
                client.socket.send(tungstenite::Message::text("no JSON")).unwrap();
                assert_eq!(client.close_code(), 1007);
            }
            // Replaced.
            _ => {
                let mut older = Client::connect(http, &room, "d");
                let _newer = Client::connect(http, &room, "d");
                assert_eq!(older.close_code(), 4000);
            }
        }
    }
    wait_until_empty(http);
    assert_eq!(total(http, "transports"), 0);
    server.stop().unwrap();
}
