//! Who looks after rooms ends them and puts peers out, with a token for it.

mod common;

use std::net::SocketAddr;

use common::files::Folder;
use common::program::Serving;
use common::{Client, exchange, server, status};
use serde_json::json;

/// Status and body.
fn ask(http: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String) {
    let answer = exchange(http, &format!("{method} {path} HTTP/1.1\r\n{headers}\r\n"));
    (status(&answer), answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn a_peer_is_put_out_and_a_room_ended_on_whichever_shard_it_is() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let delete = |path: &str| ask(http, "DELETE", path, "Host: localhost\r\n");
    // Of eight rooms some are on each shard.
    for i in 0..8 {
        let (room, path) = (format!("a%20%2F{i}"), format!("/admin/rooms/a%20%2F{i}"));
        let mut ada = Client::connect(http, &room, "Ada%2F");
        ada.request("join", json!({"notify": ["roomClosed"]}));
        let mut bob = Client::connect(http, &room, "Bob");
        bob.join();
        assert_eq!(delete(&format!("{path}/peers/Eve")).0, 404);
        assert_eq!(delete(&format!("{path}/peers/Bob")), (200, "{\"peers\":1}".to_owned()));
        assert_eq!(bob.close_code(), 4000);
        assert_eq!(ada.expect("peerLeft")["name"], "Bob");
        // For good, unless it gets in again.
        let mut again = Client::connect(http, &room, "Bob");
        assert_eq!(again.join(), ["Ada/"]);
        assert_eq!(delete(&path), (200, "{\"peers\":2}".to_owned()));
        assert_eq!(ada.expect("roomClosed")["reason"], "room closed");
        assert_eq!((ada.close_code(), again.close_code()), (4000, 4000));
        assert_eq!(delete(&path).0, 404);
    }
    common::wait_until_empty(http);
    server.stop().unwrap();
}

#[test]
fn only_who_may_do_it_does() {
    let folder = Folder::new("moderation");
    let key = format!("main={}", folder.write("main", "0123456789abcdef0123456789abcdef"));
    let serving = Serving::start(&["--token-key", &key, "--shards", "1", "--log", "error"]);
    let http = serving.http;
    let token = |room: &str, rights: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_corinth"));
        command.args(["token", "--token-key", &key, "--room", room, "--rights", rights]);
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim_end().to_owned()
    };
    let peer = format!("room&token={}", token("room", "audio"));
    let mut client = Client::connect(http, "room", &peer.replacen("room", "Ada", 1));
    client.join();
    for path in ["/admin/rooms/room", "/admin/rooms/room/peers/Ada"] {
        let delete = |token: &str| {
            let headers = format!("Host: x\r\nAuthorization: Bearer {token}\r\n");
            ask(http, "DELETE", path, &headers).0
        };
        assert_eq!(ask(http, "DELETE", path, "Host: localhost\r\n").0, 401);
        assert_eq!(delete(&token("room", "audio,video,receive")), 403);
        assert_eq!(delete(&token("other", "admin")), 403);
        let headers = format!("Host: x\r\nAuthorization: Bearer {}\r\n", token("*", "admin"));
        assert_eq!(ask(http, "POST", path, &headers).0, 405);
    }
    client.request("createTransport", json!({"id": 1, "options": {}}));
    let headers = format!("Host: x\r\nAuthorization: Bearer {}\r\n", token("room", "admin"));
    assert_eq!(ask(http, "DELETE", "/admin/rooms/room/peers/Ada", &headers).0, 200);
    assert_eq!(client.close_code(), 4000);
}
