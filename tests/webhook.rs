//! What the operator's web server is told of rooms and peers, and what becomes of the server when
//! nobody listens there.

mod common;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::files::Folder;
use common::hook::Hook;
use common::program::{Log, Serving, corinth};
use common::{Client, get, server};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

/// The value of a metric that the whole process has.
fn metric(http: std::net::SocketAddr, name: &str) -> f64 {
    let page = get(http, "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
}

fn options(given: &[String]) -> Vec<&str> {
    given.iter().map(String::as_str).collect()
}

#[test]
fn rooms_and_peers_are_told_of_in_their_order() {
    let (folder, hook) = (Folder::new("hook"), Hook::listen());
    let server = server(2, &options(&hook.options(&folder)));
    let http = server.http_addr();
    let mut ada = Client::connect(http, "red%20room", "Ada");
    ada.join();
    let mut bob = Client::connect(http, "red%20room", "Bob");
    bob.join();
    // Who never joins is nobody's business.
    drop(Client::connect(http, "red%20room", "Eve"));
    let mut again = Client::connect(http, "red%20room", "Bob");
    again.join();
    again.notify("leave", json!({}));
    again.close_code();
    drop(ada);
    let told = hook.events(8);
    assert_eq!(
        told,
        [
            "roomStarted red room",
            "peerJoined red room Ada",
            "peerJoined red room Bob",
            "peerLeft red room Bob replaced",
            "peerJoined red room Bob",
            "peerLeft red room Bob left",
            "peerLeft red room Ada disconnected",
            "roomEnded red room",
        ]
    );
    common::wait_until_empty(http);
    let delivered = "corinth_webhook_events_total{result=\"delivered\"}";
    assert_eq!(metric(http, delivered), 8.0);
    assert_eq!(metric(http, "corinth_webhook_waiting"), 0.0);
    server.stop().unwrap();
    assert!(hook.is_quiet());
}

#[test]
fn what_is_not_taken_is_told_again_and_what_came_meanwhile_after_it() {
    let (folder, hook) = (Folder::new("hook-again"), Hook::listen());
    hook.refusals.store(1, Ordering::Relaxed);
    let server = server(1, &options(&hook.options(&folder)));
    let http = server.http_addr();
    let mut peers: Vec<_> = (0..150).map(|i| Client::connect(http, &format!("{i}"), "p")).collect();
    peers.iter_mut().for_each(|peer| drop(peer.join()));
    let (mut events, mut ids, mut runs) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    while events.len() < 300 {
        let told = hook.next();
        assert!(ids.insert(told.id.clone()), "{} twice", told.id);
        assert_eq!(told.lost, 0);
        runs.insert(told.run);
        events.extend(told.events);
    }
    // In the order in which it happened, though the first of it was refused.
    let of = |kind: &str| {
        let events = events.iter().filter_map(|event| event.strip_prefix(kind));
        events.map(|room| room.replace(" p", "")).collect::<Vec<_>>()
    };
    let rooms: Vec<_> = (0..150).map(|i| format!(" {i}")).collect();
    assert_eq!((of("roomStarted"), of("peerJoined")), (rooms.clone(), rooms));
    assert_eq!(runs.len(), 1);
    assert_eq!(metric(http, "corinth_webhook_failures_total"), 1.0);
    server.stop().unwrap();
}

/// Everybody's goodbye is told too, and what was refused before it gets another try.
#[test]
fn the_end_of_the_server_is_told() {
    let (folder, hook) = (Folder::new("hook-end"), Hook::listen());
    let server = server(2, &options(&hook.options(&folder)));
    let mut peers: Vec<_> =
        (0..4).map(|i| Client::connect(server.http_addr(), &format!("{i}"), "p")).collect();
    peers.iter_mut().for_each(|peer| drop(peer.join()));
    hook.events(8);
    hook.refusals.store(1, Ordering::Relaxed);
    let leaving = std::thread::scope(|scope| {
        let closed = peers.into_iter().map(|mut peer| scope.spawn(move || peer.close_code()));
        let closed: Vec<_> = closed.collect();
        server.stop().unwrap();
        closed.into_iter().map(|code| code.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(leaving, [1001; 4]);
    let events = hook.events(8);
    let ended = events.iter().filter(|event| event.starts_with("roomEnded ")).count();
    let left = events.iter().filter(|e| e.ends_with("p server going away")).count();
    assert_eq!((ended, left), (4, 4), "{events:?}");
}

#[test]
fn a_web_server_that_never_answers_holds_nobody_up() {
    // The kernel takes connections for it, and that is all.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new("hook-deaf");
    let secret = folder.write("secret", common::hook::SECRET);
    let url = format!("http://{}/", deaf.local_addr().unwrap());
    let options = ["--webhook", &url, "--webhook-secret", &secret, "--drain-time", "0"];
    let mut serving =
        Serving::start(&[&options[..], &["--shards", "1", "--log", "error"]].concat());
    let http = serving.http;
    let mut peer = Client::connect(http, "first", "p");
    peer.join();
    // More events than may wait.
    for i in 0..4200 {
        let mut peer = Client::connect(http, &format!("{i}"), "p");
        peer.join();
    }
    assert_eq!(metric(http, "corinth_webhook_events_total{result=\"delivered\"}"), 0.0);
    let lost = metric(http, "corinth_webhook_events_total{result=\"lost\"}");
    let waiting = metric(http, "corinth_webhook_waiting");
    assert!(lost > 1000.0 && waiting > 8000.0 && waiting < 8400.0, "{lost} lost, {waiting} wait");
    peer.request("createTransport", json!({"id": 1, "options": {}}));
    serving.signal("TERM");
    assert_eq!(serving.exit_code(Duration::from_secs(10)), Some(0));
}

/// As web servers do that have been idle for long, or are restarted.
#[test]
fn a_connection_that_the_web_server_closes_costs_nothing() {
    let folder = Folder::new("hook-close");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let secret = folder.write("secret", common::hook::SECRET);
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = server(1, &["--webhook", &url, "--webhook-secret", &secret]);
    let http = server.http_addr();
    for round in 0..3 {
        let mut peer = Client::connect(http, &format!("{round}"), "p");
        peer.join();
        peer.notify("leave", json!({}));
        peer.close_code();
        common::wait_until_empty(http);
        let enough = 4.0 * f64::from(round + 1);
        let delivered = || metric(http, "corinth_webhook_events_total{result=\"delivered\"}");
        for _ in 0..2000 {
            if delivered() >= enough {
                break;
            }
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            // It says that it keeps the connection, and then does not.
            let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
            std::io::Write::write_all(&mut stream, answer).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let delivered = metric(http, "corinth_webhook_events_total{result=\"delivered\"}");
    assert_eq!((delivered, metric(http, "corinth_webhook_failures_total")), (12.0, 0.0));
    server.stop().unwrap();
}

#[test]
fn a_restless_room_costs_no_other_room_its_events() {
    let (folder, hook) = (Folder::new("hook-shares"), Hook::listen());
    let options = hook.options(&folder);
    let text = format!(
        "http = \"127.0.0.1:0\"\nshards = 2\nwebhook = {:?}\nwebhook-secret = {:?}\n",
        options[1], options[3]
    );
    let file = folder.write("corinth.toml", &text);
    let mut serving = Serving::spawn(&mut corinth(&["--config", &file, "--log", "error"]));
    let http = serving.http;
    // It does not take anything for a while.
    hook.refusals.store(usize::MAX, Ordering::Relaxed);
    let mut early = Client::connect(http, "early", "p");
    early.join();
    // One client's coming and going, more often than events may wait.
    for _ in 0..4200 {
        Client::connect(http, "restless", "p").join();
    }
    let lost = metric(http, "corinth_webhook_events_total{result=\"lost\"}");
    assert!(lost > 0.0);
    let mut late = Client::connect(http, "late", "p");
    late.join();
    late.notify("leave", json!({}));
    late.close_code();
    early.notify("leave", json!({}));
    early.close_code();
    common::wait_until_empty(http);
    hook.refusals.store(0, Ordering::Relaxed);
    // It is told at once, not when its next turn comes.
    serving.signal("HUP");
    let mut quiet = Vec::new();
    while quiet.len() < 8 {
        let told = hook.next().events;
        quiet.extend(told.into_iter().filter(|event| !event.contains("restless")));
    }
    let of = |room: &str| {
        ["roomStarted {}", "peerJoined {} p", "peerLeft {} p left", "roomEnded {}"]
            .map(|event| event.replace("{}", room))
    };
    let (early, late): (Vec<_>, Vec<_>) = quiet.into_iter().partition(|it| it.contains("early"));
    assert_eq!((&early[..], &late[..]), (&of("early")[..], &of("late")[..]));
    assert_eq!(serving.child.try_wait().unwrap(), None);
}

#[test]
fn a_reload_turns_it_on_and_to_another_place_and_off() {
    let (folder, first, second) = (Folder::new("hook-reload"), Hook::listen(), Hook::listen());
    let write = |hook: Option<&Hook>| {
        let mut text = "http = \"127.0.0.1:0\"\nshards = 1\n".to_owned();
        if let Some(hook) = hook {
            let [_, url, _, secret] = hook.options(&folder);
            text.push_str(&format!("webhook = {url:?}\nwebhook-secret = {secret:?}\n"));
        }
        folder.write("corinth.toml", &text)
    };
    let file = write(None);
    let mut serving = Serving::spawn(corinth(&["--config", &file]).stderr(Stdio::piped()));
    let log = Log::of(&mut serving);
    let http = serving.http;
    let reload = |hook: Option<&Hook>| {
        write(hook);
        serving.signal("HUP");
        log.wait_for("has been read again");
        // What the shard was told before this, it has heard after it.
        get(http, "/stats");
    };
    let visit = |room: &str| {
        let mut client = Client::connect(http, room, "p");
        client.join();
        client.notify("leave", json!({}));
        client.close_code();
        common::wait_until_empty(http);
        ["roomStarted {}", "peerJoined {} p", "peerLeft {} p left", "roomEnded {}"]
            .map(|event| event.replace("{}", room))
    };
    visit("a");
    reload(Some(&first));
    assert_eq!(visit("b")[..], first.events(4));
    reload(Some(&second));
    assert_eq!(visit("c")[..], second.events(4));
    reload(None);
    visit("d");
    reload(Some(&first));
    assert_eq!(visit("e")[..], first.events(4));
    assert!(first.is_quiet() && second.is_quiet());
}

#[test]
fn over_https_only_whom_the_host_trusts_is_told() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let hook = Hook::listen_with(move |stream| {
        StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream)
    });
    let folder = Folder::new("hook-tls");
    let (roots, nobody) = (folder.write("roots.pem", &made.cert.pem()), folder.write("none", ""));
    let mut options = hook.options(&folder);
    options[1] = hook.url.replace("http://", "https://");
    let start = |trusted: &str| {
        let mut command = corinth(&["--http", "127.0.0.1:0", "--shards", "1"]);
        Serving::spawn(command.args(&options).env("SSL_CERT_FILE", trusted).stderr(Stdio::null()))
    };
    let trusting = start(&roots);
    Client::connect(trusting.http, "room", "p").join();
    assert_eq!(hook.events(4)[0], "roomStarted room");
    let doubting = start(&nobody);
    Client::connect(doubting.http, "room", "p").join();
    let failed = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        metric(doubting.http, "corinth_webhook_failures_total") > 0.0
    });
    assert!(failed && hook.is_quiet());
}
