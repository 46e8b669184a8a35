//! What whoever runs the server sees of it.

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::files::Folder;
use common::program::{Log, Serving, corinth};
use common::{Client, exchange, get, server, status, tcp};
use serde_json::{Value, json};

/// What a page of metrics says of its types: `(name, type)`.
fn types(page: &str) -> BTreeSet<(String, String)> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let server = server(2, &[]);
    let page = get(server.http_addr(), "/metrics");
    // That Prometheus reads it, tests/webrtc_rs/metrics.rs shows, of a busy one.
    assert!(status(&page) == 200 && page.contains("text/plain; version=0.0.4"), "{page}");
    let docs = include_str!("../docs/operating/metrics.md");
    // | `name` | type | unit | what |
    let rows = docs.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let documented: BTreeSet<_> = rows
        .filter(|cells| cells.len() == 6 && ["gauge", "counter", "histogram"].contains(&cells[2]))
        .map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2].to_owned()))
        .collect();
    assert_eq!(types(&page), documented);
    let of = |pattern: &str| page.lines().filter(|line| line.contains(pattern)).count();
    assert_eq!(of("shard=\"0\""), of("shard=\"1\""));
    assert!((50..150).contains(&of("shard=\"1\"")), "{page}");
    let by_reason = |line: &&str| {
        line.starts_with("corinth_dropped_total{") || line.starts_with("corinth_refused_total{")
    };
    for reason in page.lines().filter(by_reason) {
        let reason = reason.split('"').nth(3).unwrap();
        assert!(docs.contains(&format!("| `{reason}` |")), "{reason} is not explained");
    }
    server.stop().unwrap();
}

/// Whoever asks all the time costs the shard little: most of what he gets was made for others.
#[test]
fn a_flood_of_questions_is_answered_by_few_collections() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let asked = 3000;
    // Each that is collected has another CPU time in it.
    let pages: BTreeSet<_> = (0..asked).map(|_| get(http, "/metrics")).collect();
    assert!(pages.iter().all(|page| status(page) == 200));
    assert!(pages.len() < asked / 2, "{}", pages.len());
    // A second later it is as it is.
    let before = pages.last().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_ne!(get(http, "/metrics"), *before);
    server.stop().unwrap();
}

/// So many lines a second, but not all of them for one room.
#[test]
fn a_restless_room_does_not_keep_the_others_out_of_the_log() {
    let options = ["--http", "127.0.0.1:0", "--shards", "1", "--log", "info"];
    let mut serving = Serving::spawn(corinth(&options).stderr(Stdio::piped()));
    let (log, http) = (Log::of(&mut serving), serving.http);
    let mut quiet = Vec::new();
    for i in 0..5 {
        (0..100).for_each(|_| drop(Client::connect(http, "restless", "p").join()));
        let mut client = Client::connect(http, &format!("quiet{i}"), "p");
        client.join();
        quiet.push(client);
    }
    (0..5).for_each(|i| log.wait_for(&format!(" joined shard=0 room=\"quiet{i}\"")));
    // What is missing is said, though nothing happens any more.
    log.wait_for("most_of=\"restless\"");
}

#[test]
fn metrics_follow_what_happens() {
    let server = server(1, &[]);
    let http = server.http_addr();
    let value = |name: &str| -> f64 {
        let page = get(http, "/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
    };
    assert_eq!(value("corinth_peers{shard=\"0\"}"), 0.0);
    let mut client = Client::connect(http, "room", "a");
    client.join();
    assert_eq!(value("corinth_peers{shard=\"0\"}"), 1.0);
    assert_eq!(value("corinth_rooms{shard=\"0\"}"), 1.0);
    client.notify("nonsense", json!({}));
    client.request("createTransport", json!({"id": 1, "options": {}}));
    assert_eq!(value("corinth_transports{shard=\"0\"}"), 1.0);
    assert_eq!(value("corinth_dropped_total{shard=\"0\",reason=\"signal_ignored\"}"), 1.0);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&[0xff; 20], server.media_addrs()[0][0]).unwrap();
    let arrived = (0..common::PATIENCE.as_millis() / 5).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        value("corinth_dropped_total{shard=\"0\",reason=\"unknown\"}") == 1.0
    });
    assert!(arrived && value("corinth_rx_bytes_total{shard=\"0\"}") == 20.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_open_fds") > 10.0 && value("process_max_fds") > 60.0);
    server.stop().unwrap();
}

/// Asks for `path` again and again until an answer begins like this and contains that. Each
/// connection may have gone to a shard that says nothing, or late: none is waited for alone.
fn wait_for(http: SocketAddr, path: &str, status: &str, text: &str) {
    let mut asked = Vec::new();
    for _ in 0..common::PATIENCE.as_millis() / 50 {
        let mut stream = tcp(http);
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        asked.push((stream, String::new()));
        std::thread::sleep(Duration::from_millis(50));
        for (stream, answer) in &mut asked {
            // What there is so far.
            let _ = stream.read_to_string(answer);
            if answer.starts_with(status) && answer.contains(text) {
                return;
            }
        }
    }
    panic!("{path}: {:?}", asked.iter().map(|(_, answer)| answer).collect::<BTreeSet<_>>());
}

#[test]
fn a_shard_that_is_stuck_is_seen() {
    let (well, sick) = ("HTTP/1.1 200 ", "HTTP/1.1 503 ");
    let serving = Serving::start(&["--shards", "2", "--log", "warn"]);
    wait_for(serving.http, "/healthz", well, "");
    wait_for(serving.http, "/readyz", well, "");
    let frozen = serving.freeze("shard-1");
    wait_for(serving.http, "/healthz", sick, "shard 1 has not moved for ");
    wait_for(serving.http, "/readyz", sick, "shard 1 has not moved for ");
    drop(frozen);
    wait_for(serving.http, "/healthz", well, "");
    wait_for(serving.http, "/readyz", well, "");
}

#[test]
fn rooms_are_shown_to_who_runs_the_server() {
    let server = server(2, &[]);
    let http = server.http_addr();
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = exchange(http, &request);
        (status(&answer), serde_json::from_str::<Value>(body(&answer)).unwrap_or_default())
    };
    assert_eq!(ask("/admin/rooms"), (200, json!({"rooms": []})));
    // Rooms on both shards, one of them with a name that has to be written otherwise in a path.
    let mut clients: Vec<_> =
        (0..8).map(|i| Client::connect(http, &format!("room%20{i}/x"), "a")).collect();
    clients.iter_mut().for_each(|client| drop(client.join()));
    clients[3].request("createTransport", json!({"id": 7, "options": {}}));
    let source = json!({
        "id": 5, "kind": "audio", "transportId": 7, "paused": true,
        "rtpParameters": {"muxId": "m", "codecs": [{"name": "opus", "mimeType": "audio/opus",
            "clockRate": 48000, "payloadType": 100, "channels": 2}],
            "encodings": [{"ssrc": 1}], "rtcp": {"cname": "c"}},
    });
    clients[3].request("createReceiver", source);
    let (_, list) = ask("/admin/rooms");
    let rooms = list["rooms"].as_array().unwrap();
    let shards: BTreeSet<_> = rooms.iter().map(|room| room["shard"].as_u64().unwrap()).collect();
    assert_eq!((rooms.len(), shards.len()), (8, 2), "{list}");
    let (code, room) = ask("/admin/rooms/room%203%2Fx");
    assert_eq!((code, &room["room"]), (200, &json!("room 3/x")), "{room}");
    assert_eq!(room["peers"], 1);
    let member = &room["members"][0];
    assert_eq!(member["peer"], "a");
    assert_eq!(member["joined"], true);
    assert_eq!(
        member["transports"],
        json!([{"id": 7, "ice": "new", "dtls": "new", "remote": null, "senders": 0}])
    );
    assert_eq!(
        member["receivers"],
        json!([{"id": 5, "transportId": 7, "kind": "audio", "codec": "opus", "paused": true,
            "packets": 0, "lost": 0, "recovered": 0, "resent": 0, "jitterMs": 0.0, "senders": 0}])
    );
    assert_eq!(ask("/admin/rooms/nobody").0, 404);
    assert_eq!(ask("/admin/nothing").0, 404);
    let foreign = "GET /admin/rooms HTTP/1.1\r\nHost: corinth\r\n\r\n";
    assert_eq!(status(&exchange(http, foreign)), 403, "its Host is no loopback");
    server.stop().unwrap();
}

#[test]
fn the_log_says_what_happened_where_to_whom() {
    let log = |format: &str, level: &str| {
        let mut command = corinth(&["--http", "127.0.0.1:0", "--shards", "2"]);
        command.args(["--log-format", format, "--log", level, "--max-peers-per-room", "1"]);
        let mut serving = Serving::spawn(command.stderr(Stdio::piped()));
        let mut client = Client::connect(serving.http, "my%20room", "Ada");
        client.join();
        let other = Client::connect_on(tcp(serving.http), serving.http, "my%20room", "Bob");
        assert!(other.is_err(), "the room is full");
        client.request("createTransport", json!({"id": 17, "options": {}}));
        client.notify("leave", json!({}));
        client.close_code();
        serving.signal("TERM");
        assert_eq!(serving.exit_code(Duration::from_secs(10)), Some(0));
        let mut text = String::new();
        serving.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    };
    let text = log("text", "info");
    assert!(text.contains("connected shard="), "{text}");
    assert!(text.contains("room=\"my room\" peer=\"Ada\""), "{text}");
    assert!(!text.contains("transport closed"), "that is a detail: {text}");
    let lines = log("json", "info,corinth::shard=debug");
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let of_the_room: Vec<_> = lines.iter().filter(|line| line["room"] == "my room").collect();
    let said = |line: &&Value| {
        let ids = ["message", "peer", "transport", "reason", "why"].map(|id| line[id].to_string());
        ids.join(" ").replace(" null", "").replace('"', "")
    };
    let wished = [
        "connected Ada",
        "room started",
        "joined Ada",
        "refused Bob peers",
        "transport closed Ada 17",
        "gone Ada left",
        "room ended",
    ];
    assert_eq!(of_the_room.iter().map(said).collect::<Vec<_>>(), wished);
    assert!(of_the_room.iter().all(|line| line["shard"].is_u64() && line["level"].is_string()));
}

#[test]
fn the_journal_is_told_how_grave_a_line_is_and_no_time() {
    let folder = Folder::new("journal");
    let path = folder.write("journal", "");
    let read = || std::fs::read_to_string(&path).unwrap();
    // Whose standard error is that file; the journal's stream is another where `off` is not 0.
    let command = |off: u64, arguments: &[&str]| {
        let file = std::fs::File::create(&path).unwrap();
        let about = file.metadata().unwrap();
        let journal = format!("{}:{}", about.dev(), about.ino() + off);
        let mut command = corinth(&["--http", "127.0.0.1:0", "--shards", "1"]);
        command.args(arguments).env("JOURNAL_STREAM", journal).stderr(file);
        command
    };
    for off in [0, 1] {
        let mut serving = Serving::spawn(&mut command(off, &[]));
        serving.signal("TERM");
        assert_eq!(serving.exit_code(Duration::from_secs(10)), Some(0));
        let bare = read().starts_with("<6> INFO corinth::server::attend: draining");
        assert_eq!(bare, off == 0, "{}", read());
    }
    assert_eq!(command(0, &["--ping-interval", "0"]).status().unwrap().code(), Some(1));
    assert!(read().starts_with("<3>corinth: --ping-interval"), "{}", read());
}

/// Asserts that promtool has nothing against it.
fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).output();
    let output = output.expect("promtool, of Debian's package prometheus");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
}

/// Asserts that the server has each metric that these expressions ask for; how many that are.
fn assert_there<'a>(expressions: impl Iterator<Item = &'a str>) -> usize {
    let words = expressions.flat_map(|e| e.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let ours = |word: &&str| word.starts_with("corinth_") || word.starts_with("process_");
    let asked: BTreeSet<_> = words.filter(ours).collect();
    let server = server(1, &[]);
    let page = get(server.http_addr(), "/metrics");
    for name in &asked {
        let there = page.lines().any(|line| line.split(['{', ' ']).next() == Some(name));
        assert!(there, "{name} is no metric");
    }
    server.stop().unwrap();
    asked.len()
}

#[test]
fn the_dashboard_can_be_imported_and_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(include_str!("../scripts/grafana.json")).unwrap();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36) && dashboard["uid"].is_string());
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Now", "Load", "Media", "Drops", "Refusals and joins", "Webhook"]);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|of| of["type"] == "datasource" && of["name"] == "source"));

    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut rules = "groups: [{name: dashboard, rules: [\n".to_owned();
    let mut expressions = Vec::new();
    for target in targets {
        assert_eq!(target["datasource"]["uid"], "${source}", "{target}");
        let expression = target["expr"].as_str().unwrap();
        expressions.push(expression);
        let expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
        rules += &format!("{{record: a{}, expr: {}}},\n", expressions.len(), json!(expression));
    }
    let folder = Folder::new("dashboard");
    promtool(&["check", "rules", &folder.write("rules.yml", &(rules + "]}]\n"))]);
    assert!(assert_there(expressions.into_iter()) > 10);
}

#[test]
fn the_alerts_are_raised_by_what_is_wrong_and_ask_for_what_there_is() {
    let file = |path: &str| format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    promtool(&["check", "rules", "--lint-fatal", &file("scripts/alerts.yml")]);
    promtool(&["test", "rules", &file("tests/alerts.yml")]);
    let alerts = include_str!("../scripts/alerts.yml");
    assert!(assert_there(alerts.lines().filter(|line| !line.contains('#'))) > 8);
    let docs = include_str!("../docs/operating/metrics.md");
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(docs.contains(&format!("| `{name}` |")), "{name} is not in the docs");
    }
}
