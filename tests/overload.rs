//! Two shards, one of them loaded: where rooms go, and when nobody is let in.

mod common;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use common::flood::Flood;
use common::{Client, get, server, stats, status};
use serde_json::json;

/// Waits until a shard's counter is as wished.
fn wait_for(http: SocketAddr, shard: usize, counter: &str, wished: impl Fn(f64) -> bool) {
    let seen = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(200));
        wished(stats(http)[shard][counter].as_f64().unwrap())
    });
    assert!(seen, "{counter} of shard {shard} is {}", stats(http)[shard][counter]);
}

fn rooms(http: SocketAddr) -> Vec<u64> {
    stats(http).iter().map(|shard| shard["rooms"].as_u64().unwrap()).collect()
}

/// A client, or the answer that refuses it.
fn connect(http: SocketAddr, room: &str, peer: &str) -> Result<Client, String> {
    Client::connect_on(common::tcp(http), http, room, peer)
}

/// One after the other: each needs the cores.
#[test]
fn too_much_work_is_led_elsewhere_or_refused() {
    a_busy_shard_is_avoided_before_it_is_full();
    a_full_shard_takes_nobody();
}

fn a_full_shard_takes_nobody() {
    let server = server(2, &["--busy-max", "0.2"]);
    let http = server.http_addr();
    let media = |shard: usize| server.media_addrs()[shard][0];
    // A room on each shard, and who knows how many more.
    let (mut clients, mut owners) = (Vec::new(), Vec::new());
    while rooms(http).contains(&0) {
        let mut client = Client::connect(http, &format!("room{}", owners.len()), "a");
        client.join();
        let made = client.request("createTransport", json!({"id": 1, "options": {}}));
        let port = made["iceCandidates"][0]["port"].as_u64().unwrap();
        owners.push((0..2).position(|shard| port == u64::from(media(shard).port())).unwrap());
        clients.push(client);
    }
    let room_on =
        |shard: usize| format!("room{}", owners.iter().position(|owner| *owner == shard).unwrap());

    let first = Flood::start(media(0));
    wait_for(http, 0, "pressure", |pressure| pressure >= 1.0);
    assert_eq!(status(&get(http, "/readyz")), 200, "the other takes what comes");
    let before = rooms(http);
    let more: Vec<_> = (0..6).map(|i| connect(http, &format!("more{i}"), "a").unwrap()).collect();
    assert_eq!(rooms(http), [before[0], before[1] + 6]);
    let refused = connect(http, &room_on(0), "b");
    assert!(refused.is_err_and(|error| error.contains("503")), "the room's shard is full");
    connect(http, &room_on(1), "b").expect("this room's shard is not");
    let again = connect(http, &room_on(0), "a").expect("it is in there already");

    let second = Flood::start(media(1));
    wait_for(http, 1, "pressure", |pressure| pressure >= 1.0);
    // Shards tell each other ten times a second.
    wait_for(http, 1, "pressure", |_| status(&get(http, "/readyz")) == 503);
    let new = common::upgrade_request(http, "roomId=new&peerName=a", "");
    let answer = common::exchange(http, &new);
    assert!(status(&answer) == 503 && answer.contains("Retry-After: 30"), "{answer}");
    let page = get(http, "/metrics");
    let refused = page.lines().filter(|line| line.contains("corinth_refused_total{"));
    let refused = refused.filter(|line| line.contains("\"full\""));
    let sum: f64 =
        refused.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(sum, 2.0);

    drop((first, second));
    for shard in [0, 1] {
        wait_for(http, shard, "pressure", |pressure| pressure == 0.0);
    }
    wait_for(http, 0, "pressure", |_| status(&get(http, "/readyz")) == 200);
    connect(http, "new", "a").expect("there is room again");
    drop((more, again, clients));
    server.stop().unwrap();
}

fn a_busy_shard_is_avoided_before_it_is_full() {
    let server = server(2, &["--busy-max", "1"]);
    let http = server.http_addr();
    let _flood = Flood::start(server.media_addrs()[0][0]);
    // More than three tenths of what it may be, which is what nobody minds.
    wait_for(http, 0, "busyShare", |share| share > 0.45);
    // The first measure of both has been told.
    thread::sleep(Duration::from_millis(300));
    let before = rooms(http);
    let clients: Vec<_> =
        (0..4).map(|i| connect(http, &format!("room{i}"), "a").unwrap()).collect();
    assert_eq!((before, rooms(http)), (vec![0, 0], vec![0, 4]));
    drop(clients);
    server.stop().unwrap();
}
