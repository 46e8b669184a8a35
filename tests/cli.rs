//! The program as an operator meets it.

mod common;

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use common::Client;
use common::program::{Serving, corinth, run};
use corinth::config::Settings;

#[test]
fn help_names_every_option() {
    let output = corinth(&["--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for name in Settings::names() {
        assert!(help.contains(&format!("--{name}")), "{name} is missing");
    }
    assert!(help.lines().all(|line| line.len() <= 110), "too wide:\n{help}");
}

#[test]
fn bad_values_are_named() {
    for (arguments, reason) in [
        (&["--http", "nonsense"][..], "--http"),
        (&["--shards", "0"], "--shards"),
        (&["--announce", "127.0.0.1"], "LOCAL=PUBLIC"),
        (&["--announce", "192.0.2.1=198.51.100.1"], "--announce: 192.0.2.1"),
        (&["--ping-interval", "0"], "--ping-interval"),
        (&["--busy-max", "85"], "--busy-max"),
        (&["--media-address", "0.0.0.0"], "--media-address: 0.0.0.0"),
        (&["--log", "corinth=loud"], "--log"),
        (&["--http", "192.0.2.1:0"], "192.0.2.1"),
        (&["--http", "127.0.0.1:0", "--media-address", "198.51.100.1"], "198.51.100.1"),
    ] {
        let (code, said) = run(arguments);
        assert!(code == 1 || code == 2, "{arguments:?}: {code}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let (code, said) = run(&["--http", &address]);
    assert!(code == 1 && said.contains(&address) && said.contains("--http"), "{code}: {said}");

    // Another corinth would share the port if it were asked to.
    let first = Serving::start(&["--shards", "2"]);
    let (code, said) = run(&["--http", &first.http.to_string()]);
    assert!(code == 1 && said.contains("--http"), "{code}: {said}");

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_corinth"));
    command.args(["--http", "127.0.0.1:0", "--media-address", "127.0.0.1"]);
    let output = command.args(["--media-port", &port]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains(&port), "{said}");
    assert!(said.contains("--media-port"), "{said}");
}

#[test]
fn too_little_locked_memory_is_explained() {
    let program = env!("CARGO_BIN_EXE_corinth");
    let script = format!("ulimit -l 64 && exec {program} --http 127.0.0.1:0 --media-port 0");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ulimit -l 8192") && said.lines().count() == 1, "{said}");
}

#[test]
fn it_says_where_it_serves() {
    let serving = Serving::start(&["--shards", "2"]);
    let lines: Vec<_> = serving.said.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.contains("open http")).count(), 1);
    assert!(lines.iter().any(|line| line.starts_with("corinth: shard 1: media on UDP 127.0.0.1:")));
    assert_eq!(common::status(&common::get(serving.http, "/")), 200);
}

#[test]
fn a_signal_closes_the_connections_and_ends_it() {
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(&["--shards", "2", "--drain-time", "0"]);
        let mut clients: Vec<_> =
            (0..4).map(|i| Client::connect(serving.http, &format!("room{i}"), "a")).collect();
        serving.signal(signal);
        for client in &mut clients {
            assert_eq!(client.close_code(), 1001);
        }
        assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0), "{signal}");
    }
}

#[test]
fn clients_that_do_not_answer_do_not_keep_it() {
    let mut serving = Serving::start(&["--drain-time", "0"]);
    let clients: Vec<_> =
        (0..4).map(|i| Client::connect(serving.http, &format!("room{i}"), "a")).collect();
    serving.signal("TERM");
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
    drop(clients);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut serving = Serving::start(&["--drain-time", "0"]);
    let _silent = Client::connect(serving.http, "room", "a");
    serving.signal("TERM");
    // The first is under way once its connections are told.
    std::thread::sleep(Duration::from_millis(300));
    serving.signal("TERM");
    assert_eq!(serving.exit_code(Duration::from_millis(500)), Some(128 + 15));
}

#[test]
fn one_signal_that_comes_twice_is_no_second_one() {
    let mut serving = Serving::start(&["--drain-time", "0"]);
    let mut client = Client::connect(serving.http, "room", "a");
    serving.signal("TERM");
    // As `timeout` does, which signals its child and then its group.
    serving.signal("TERM");
    assert_eq!(client.close_code(), 1001);
    drop(client);
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn a_signal_may_come_as_soon_as_it_says_where_it_serves() {
    for _ in 0..20 {
        let mut serving = Serving::start(&["--shards", "1"]);
        serving.signal("TERM");
        assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
    }
}

#[test]
fn descriptors_are_asked_for_or_missed() {
    let program = env!("CARGO_BIN_EXE_corinth");
    let arguments = "--http 127.0.0.1:0 --media-port 0 --media-address 127.0.0.1 --shards 1";
    // Bounded by a time that it never needs, for it serves where there are enough.
    let with = |limit: &str| {
        let script = format!("ulimit {limit} && exec timeout -k 5 2 {program} {arguments}");
        Command::new("sh").args(["-c", &script]).output().unwrap()
    };
    // The soft limit alone is no want.
    let served = with("-S -n 64");
    let said = String::from_utf8(served.stdout).unwrap();
    assert!(said.contains("open http://") && !said.contains("64 files"), "{said}");
    for few in 12..60 {
        let output = with(&format!("-n {few}"));
        let said = String::from_utf8(output.stdout).unwrap();
        if said.contains("open http://") {
            assert!(said.contains(&format!("only {few} files")), "{said}");
            return;
        }
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{few}: {said}");
        assert!(said.contains("ulimit -n") && said.lines().count() == 1, "{few}: {said}");
    }
    panic!("60 are enough for one shard");
}

#[test]
fn a_log_that_nobody_looks_at_has_no_colours() {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "1", env!("CARGO_BIN_EXE_corinth"), "--http", "127.0.0.1:0"]);
    command.args(["--media-port", "0", "--shards", "1", "--log", "trace"]);
    let output = command.env_remove("NO_COLOR").output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!log.contains('\x1b'), "{log}");
    assert!(!log.is_empty());
}
