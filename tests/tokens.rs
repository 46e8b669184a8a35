//! Who is let in: tokens as an operator makes them and a client shows them.

mod common;

use std::process::Command;

use common::files::Folder;
use common::program::{Serving, corinth, run};
use common::{Client, refusals, server, status, upgrade};
use serde_json::json;

/// 32 bytes.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The output of `corinth token`.
fn token(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corinth"));
    let output = command.arg("token").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The status of an upgrade, and 101 where it is one.
fn enter(http: std::net::SocketAddr, room: &str, peer: &str, token: &str) -> u16 {
    upgrade(http, &format!("roomId={room}&peerName={peer}&token={token}"), "")
}

#[test]
fn only_a_good_token_for_the_room_and_the_name_lets_in() {
    let folder = Folder::new("tokens");
    let key = format!("main={}", folder.write("main", SECRET));
    let forger = format!("main={}", folder.write("other", &SECRET.replace('0', "1")));
    let server = server(2, &["--token-key", &key]);
    let http = server.http_addr();
    let good = token(&["--token-key", &key, "--room", "r", "--peer", "p"]);
    let any = token(&["--token-key", &key, "--room", "*"]);
    let late = token(&["--token-key", &key, "--room", "r", "--seconds", "0"]);
    let forged = token(&["--token-key", &forger, "--room", "r"]);
    for (room, peer, token, expected) in [
        ("r", "p", &good, 101),
        ("any", "body", &any, 101),
        ("r", "p", &String::new(), 401),
        ("r", "p", &"nonsense".to_owned(), 401),
        ("r", "p", &forged, 401),
        ("s", "p", &good, 403),
        ("r", "q", &good, 403),
        // Clocks may be 10 s apart, and so the token is good yet.
        ("r", "p", &late, 101),
    ] {
        assert_eq!(enter(http, room, peer, token), expected, "{room} {peer} {token}");
    }
    assert_eq!((refusals(http, "token"), refusals(http, "rights")), (3, 2));
    assert_eq!(status(&common::get(http, "/")), 200, "the page is for everybody");
    server.stop().unwrap();
}

#[test]
fn rights_are_carried_to_the_room() {
    let folder = Folder::new("rights");
    let key = format!("main={}", folder.write("main", SECRET));
    let server = server(2, &["--token-key", &key]);
    let http = server.http_addr();
    let viewer = token(&["--token-key", &key, "--room", "*", "--rights", "receive"]);
    // On both shards, so on one that it was handed to.
    for room in 0..4 {
        let peer = format!("p&token={viewer}");
        let mut client = Client::connect(http, &format!("room{room}"), &peer);
        client.join();
        client.request("createTransport", json!({ "id": 1, "options": {} }));
        let opus = json!([{ "name": "opus", "mimeType": "audio/opus", "clockRate": 48000,
            "channels": 2, "payloadType": 111 }]);
        let source = json!({ "muxId": "0", "codecs": opus, "encodings": [{ "ssrc": 7 }] });
        let data = json!({ "id": 1, "kind": "audio", "transportId": 1, "rtpParameters": source });
        let id = client.send_request("createReceiver", data);
        let answer = client.message();
        assert_eq!((&answer["id"], &answer["errorCode"]), (&json!(id), &json!(403)), "{answer}");
    }
    assert_eq!(refusals(http, "rights"), 4);
    server.stop().unwrap();
}

#[test]
fn without_a_key_only_loopback_is_served_unless_it_is_said_at_length() {
    let (code, said) = run(&["--http", "0.0.0.0:0"]);
    assert!(code == 1 && said.starts_with("corinth: --http: "), "{said}");
    assert!(said.contains("anyone-may-join-without-a-token"), "{said}");
    let mut command = corinth(&["--http", "0.0.0.0:0", "--anyone-may-join-without-a-token"]);
    let serving = Serving::spawn(&mut command);
    Client::connect(serving.http, "room", "a").join();
    let folder = Folder::new("open");
    let key = format!("main={}", folder.write("main", SECRET));
    let serving = Serving::spawn(&mut corinth(&["--http", "[::]:0", "--token-key", &key]));
    assert_eq!(enter(serving.http, "r", "p", ""), 401);
}

#[test]
fn a_new_secret_is_taken_by_a_reload_and_who_is_there_stays() {
    let folder = Folder::new("rotation");
    let old = format!("old={}", folder.write("old", SECRET));
    let new = format!("new={}", folder.write("new", &SECRET.replace('0', "1")));
    let text = |keys: &str| format!("http = \"127.0.0.1:0\"\ntoken-key = [{keys}]\n");
    let file = folder.write("corinth.toml", &text(&format!("\"{old}\"")));
    let serving = Serving::spawn(&mut corinth(&["--config", &file, "--log", "error"]));
    let old_token = token(&["--config", &file, "--room", "r"]);
    let peer = format!("p&token={old_token}");
    let mut there = Client::connect(serving.http, "r", &peer);
    folder.write("corinth.toml", &text(&format!("\"{new}\"")));
    let new_token = token(&["--config", &file, "--room", "r"]);
    assert_eq!(enter(serving.http, "r", "q", &new_token), 401);
    serving.signal("HUP");
    let taken = (0..1000).any(|_| enter(serving.http, "r", "q", &new_token) == 101);
    assert!(taken && enter(serving.http, "r", "q", &old_token) == 401);
    there.join();
}

#[test]
fn a_key_that_is_none_is_refused_at_the_start() {
    let folder = Folder::new("bad-keys");
    let short = folder.write("short", "hunter2");
    for (key, reason) in [
        (format!("a={short}"), "32 are the least"),
        ("a=/nowhere/secret".to_owned(), "/nowhere/secret"),
        ("a".to_owned(), "ID=FILE"),
    ] {
        let (code, said) = run(&["--token-key", &key]);
        assert!(code != 0 && said.contains(reason), "{key}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
