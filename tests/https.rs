//! HTTPS and secure WebSockets, by a client on rustls's other side; certificates that change; what
//! proxies and pages of other origins may do.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use common::files::Folder;
use common::namespace::in_namespace;
use common::program::{Serving, corinth, run};
use common::{PATIENCE, exchange, server, status, tcp};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for this host and its key, as PEM, and what a client has to trust.
struct Certificate {
    chain: String,
    key: String,
    roots: RootCertStore,
}

impl Certificate {
    fn new() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), roots }
    }

    /// Written where a server looks for it: the two options that say so.
    fn write(&self, folder: &Folder) -> [String; 4] {
        let chain = folder.write("chain.pem", &self.chain);
        let key = folder.write("key.pem", &self.key);
        ["--certificate".into(), chain, "--private-key".into(), key]
    }

    /// A connection that trusts this certificate and no other.
    fn connect(&self, http: SocketAddr) -> Result<Secure, std::io::Error> {
        self.connect_on(tcp(http))
    }

    fn connect_on(&self, mut stream: TcpStream) -> Result<Secure, std::io::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    fn join(&self, http: SocketAddr, room: &str, peer: &str, data: Value) -> (Peer, Value) {
        self.join_on(tcp(http), room, peer, data)
    }

    fn join_on(&self, stream: TcpStream, room: &str, peer: &str, data: Value) -> (Peer, Value) {
        let uri = format!("wss://localhost/ws?roomId={room}&peerName={peer}");
        let request = ClientRequestBuilder::new(uri.parse().unwrap()).with_sub_protocol("protoo");
        let (socket, _) = tungstenite::client(request, self.connect_on(stream).unwrap()).unwrap();
        let mut peer = Peer(socket);
        let answer = peer.request("join", data);
        (peer, answer)
    }
}

struct Peer(WebSocket<Secure>);

impl Peer {
    fn request(&mut self, method: &str, data: Value) -> Value {
        let request = json!({ "request": true, "id": 1, "method": method, "data": data });
        self.0.send(Message::text(request.to_string())).unwrap();
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["response"] == true {
                    assert_eq!(message["ok"], true, "{message}");
                    return message["data"].clone();
                }
            }
        }
    }
}

fn get(mut stream: Secure, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end with close_notify");
    answer
}

/// A handshake is what a stranger can make a server spend most on, and nobody pays for all of them.
#[test]
fn an_address_shakes_hands_so_often() {
    in_namespace("an_address_shakes_hands_so_often", || {
        let (folder, certificate) = (Folder::new("https-pace"), Certificate::new());
        let own = certificate.write(&folder);
        let pace = ["--shards", "1", "--max-visits-per-address", "1"];
        let options = [&["--http", "10.9.0.1:0", "--anyone-may-join-without-a-token"], &pace[..]];
        let serving = Serving::spawn(corinth(&options.concat()).args(&own));
        let done = (0..100).filter(|_| certificate.connect(serving.http).is_ok()).count();
        // Ten seconds' worth at once; some more while the test runs.
        assert!((10..=30).contains(&done), "{done} of 100");
    });
}

#[test]
fn pages_and_sockets_are_served_over_tls_on_every_shard() {
    let (folder, certificate) = (Folder::new("https"), Certificate::new());
    let options = certificate.write(&folder);
    let server = server(2, &options.each_ref().map(String::as_str));
    let http = server.http_addr();
    let page = get(certificate.connect(http).unwrap(), "/");
    assert!(status(&page) == 200 && page.ends_with("</html>\n"), "{page}");
    // Half of the rooms are on the shard that did not do the handshake.
    let mut peers = Vec::new();
    for room in 0..8 {
        let (peer, answer) = certificate.join(http, &format!("room{room}"), "a", json!({}));
        assert_eq!(answer["peers"], json!([]));
        peers.push(peer);
    }
    for peer in &mut peers {
        peer.request("createTransport", json!({ "id": 1, "options": {} }));
    }
    server.stop().unwrap();
}

/// A connection whose client's kernel takes little at a time, so that the server's is often full.
fn narrow(http: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.connect(&http.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn what_is_longer_than_any_buffer_arrives_whole() {
    let (folder, certificate) = (Folder::new("long"), Certificate::new());
    let options = certificate.write(&folder);
    let server = server(1, &options.each_ref().map(String::as_str));
    let http = server.http_addr();
    let data = json!({ "appData": "x".repeat(15 * 1024) });
    let mut peers = Vec::new();
    for i in 0..40 {
        let stream = if i == 39 { narrow(http) } else { tcp(http) };
        let (peer, answer) = certificate.join_on(stream, "room", &format!("p{i}"), data.clone());
        let others = answer["peers"].as_array().unwrap();
        assert_eq!(others.len(), i);
        assert!(others.iter().all(|other| other["appData"] == data["appData"]));
        peers.push(peer);
    }
    server.stop().unwrap();
}

#[test]
fn who_comes_without_tls_is_sent_to_it_and_nonsense_is_not_waited_for() {
    let (folder, certificate) = (Folder::new("plain"), Certificate::new());
    let options = certificate.write(&folder);
    let server = server(1, &options.each_ref().map(String::as_str));
    let http = server.http_addr();
    let answer = exchange(http, "GET /a?b HTTP/1.1\r\nHost: corinth.test:1\r\n\r\n");
    assert_eq!(status(&answer), 308);
    assert!(answer.contains("Location: https://corinth.test:1/a?b\r\n"), "{answer}");
    assert_eq!(status(&exchange(http, "GET / HTTP/1.1\r\n\r\n")), 400);
    let mut stream = tcp(http);
    stream.write_all(b"\x16nonsense nonsense nonsense").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    server.stop().unwrap();
}

#[test]
fn a_certificate_is_swapped_in_mid_call_without_a_break() {
    let (folder, old, new) = (Folder::new("swap"), Certificate::new(), Certificate::new());
    let options = old.write(&folder);
    let mut command = corinth(&["--http", "127.0.0.1:0", "--log", "off"]);
    let serving = Serving::spawn(command.args(&options));
    assert!(serving.said.contains("open https://"), "{}", serving.said);
    let (mut peer, _) = old.join(serving.http, "room", "a", json!({}));
    // Its key is missing yet: what there was goes on.
    folder.write("chain.pem", &new.chain);
    std::thread::sleep(Duration::from_secs(3));
    assert!(old.connect(serving.http).is_ok() && new.connect(serving.http).is_err());
    folder.write("key.pem", &new.key);
    let swapped = (0..PATIENCE.as_millis() / 50).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        new.connect(serving.http).is_ok()
    });
    assert!(swapped && old.connect(serving.http).is_err());
    peer.request("createTransport", json!({ "id": 1, "options": {} }));
}

#[test]
fn a_trial_needs_no_certificate_and_a_wrong_one_is_named() {
    let serving = Serving::start(&["--self-signed", "--log", "off"]);
    assert!(serving.said.contains("open https://"), "{}", serving.said);
    let untrusted = Certificate::new().connect(serving.http).unwrap_err().to_string();
    assert!(untrusted.contains("UnknownIssuer") || untrusted.contains("invalid"), "{untrusted}");
    let folder = Folder::new("wrong");
    let [_, chain, _, _] = Certificate::new().write(&folder);
    let key = folder.write("other.pem", &Certificate::new().key);
    for (options, reason) in [
        (&["--certificate", &chain][..], "private-key"),
        (&["--certificate", &chain, "--private-key", &key], "not the key of"),
        (&["--certificate", &chain, "--private-key", &chain], "chain.pem"),
        (&["--certificate", &key, "--private-key", &key], "no certificate"),
        (&["--certificate", "/nowhere", "--private-key", &key], "/nowhere"),
    ] {
        let (code, said) = run(options);
        assert!(code == 1 && said.contains(reason), "{options:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// The status of an upgrade with these headers.
fn upgrade(http: SocketAddr, headers: &str) -> u16 {
    common::upgrade(http, "roomId=r&peerName=p", headers)
}

#[test]
fn a_proxy_that_is_trusted_says_who_comes_and_others_do_not() {
    let server_trusting = server(1, &["--trusted-proxy", "127.0.0.0/8"]);
    let http = server_trusting.http_addr();
    assert_eq!(upgrade(http, "X-Forwarded-For: 127.0.0.1\r\n"), 101);
    // There is no token-key, so a stranger is not let in, whatever form he comes in.
    for from in ["192.0.2.1", "198.51.100.7:5123", "[2001:db8::7]:5123", "unknown", "", "\"::1"] {
        assert_eq!(upgrade(http, &format!("X-Forwarded-For: {from}\r\n")), 403, "{from:?}");
    }
    assert_eq!(upgrade(http, "Forwarded: for=192.0.2.1\r\n"), 403);
    assert_eq!(upgrade(http, ""), 403, "a proxy that says nothing");
    server_trusting.stop().unwrap();
}

/// The status of what only this host may have, by these headers beside `Host: localhost`.
fn of_this_host(http: SocketAddr, path: &str, headers: &str) -> u16 {
    status(&exchange(http, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n")))
}

#[test]
fn what_comes_through_a_proxy_or_by_a_name_of_a_strangers_is_not_of_this_host() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let paths = ["/admin/rooms", "/stats", "/metrics"];
    for path in paths {
        assert_eq!(of_this_host(http, path, "Host: localhost\r\n"), 200, "{path}");
    }
    for header in [
        "X-Forwarded-For: 192.0.2.1\r\n",
        "X-Forwarded-Proto: https\r\n",
        "Forwarded: for=192.0.2.1\r\n",
        "X-Real-IP: 192.0.2.1\r\n",
        "Via: 1.1 proxy\r\n",
    ] {
        assert_eq!(upgrade(http, header), 403, "{header}");
        for path in paths {
            let headers = format!("Host: localhost\r\n{header}");
            assert_eq!(of_this_host(http, path, &headers), 403, "{path} {header}");
        }
    }
    assert_eq!(common::refusals(http, "proxy"), 20);
    // A name of a stranger's that is made to mean this host, and a page that came from there.
    let rebound = "GET /ws?roomId=r&peerName=p HTTP/1.1\r\nHost: evil.example\r\nOrigin: \
        http://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(status(&exchange(http, rebound)), 403);
    for path in paths {
        assert_eq!(of_this_host(http, path, "Host: evil.example\r\n"), 403, "{path}");
    }
    // What a proxy sends that was told nothing but where to send it.
    let bare = "GET /admin/rooms HTTP/1.0\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&exchange(http, bare)), 403);
    server.stop().unwrap();
}

#[test]
fn pages_of_other_origins_may_not_use_this_host() {
    let server = server(1, &[]);
    let http = server.http_addr();
    assert_eq!(upgrade(http, &format!("Origin: http://{http}\r\n")), 101);
    assert_eq!(upgrade(http, "Origin: https://evil.example\r\n"), 403);
    assert_eq!(common::refusals(http, "origin"), 1);
    server.stop().unwrap();
    let list = ["--allowed-origin", "https://App.Example:443/,https://*.example.org"];
    let server = common::server(1, &list);
    let http = server.http_addr();
    assert_eq!(upgrade(http, "Origin: https://app.example\r\n"), 101);
    assert_eq!(upgrade(http, "Origin: https://a.example.org\r\n"), 101);
    assert_eq!(upgrade(http, "Origin: https://evil.example\r\n"), 403);
    server.stop().unwrap();
}
