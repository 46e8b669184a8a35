//! The configuration as an operator meets it: file, environment, options, what they say about
//! mistakes, and what a reload changes.

mod common;

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::Client;
use common::files::Folder;
use common::program::{Log, Serving, corinth};
use tungstenite::Message;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corinth"));
    command.args(arguments);
    command
}

/// Exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn the_example_is_in_order() {
    let (code, example, _) = outcome(&mut program(&["config", "example"]));
    assert_eq!(code, Some(0));
    let folder = Folder::new("example");
    let file = folder.write("corinth.toml", &example);
    let (code, said, error) = outcome(&mut program(&["config", "check", &file]));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(said.contains("in order"), "{said}");
}

#[test]
fn a_bad_file_is_refused_with_line_and_reason() {
    let folder = Folder::new("bad");
    for (text, line, reason) in [
        ("shards = 1\nmedia_port = 1\n", 2, "is \"media-port\" meant?"),
        ("\nhttp = 8080\n", 2, "http: invalid type"),
        ("log = \"info\"\nping-interval = 0\n", 2, "ping-interval: 0.01 to 3600 seconds"),
        ("media-address = [\"::\"]\n", 1, "media-address: ::"),
    ] {
        let file = folder.write("corinth.toml", text);
        let expected = format!("corinth: {}:{line}: ", &file);
        for arguments in [&["config", "check", &file][..], &["--config", &file]] {
            let (code, _, said) = outcome(&mut program(arguments));
            assert_eq!(code, Some(1), "{text:?}");
            assert!(said.starts_with(&expected) && said.contains(reason), "{text:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    let (code, _, said) = outcome(&mut program(&["config", "check", "/nowhere/corinth.toml"]));
    assert!(code == Some(1) && said.contains("/nowhere/corinth.toml"), "{said}");
}

#[test]
fn the_environment_counts_more_than_the_file_and_options_most() {
    let folder = Folder::new("order");
    let text = "shards = 3\nhttp = \"127.0.0.1:0\"\nlog = \"warn\"\n";
    let file = folder.write("corinth.toml", text);
    let start = |environment: &[(&str, &str)], more: &[&str]| {
        let mut command = corinth(&["--config", &file]);
        Serving::spawn(command.envs(environment.iter().copied()).args(more))
    };
    let shards = |serving: &Serving| serving.said.matches("media on UDP").count();
    assert_eq!(shards(&start(&[], &[])), 3);
    assert_eq!(shards(&start(&[("CORINTH_SHARDS", "2")], &[])), 2);
    assert_eq!(shards(&start(&[("CORINTH_SHARDS", "2")], &["--shards", "1"])), 1);
    let mut command = corinth(&["--http", "127.0.0.1:0"]);
    assert_eq!(shards(&Serving::spawn(command.env("CORINTH_CONFIG", &file))), 3);
    // An empty variable says nothing, of whichever setting.
    let mut command = corinth(&["--config", &file]);
    for name in corinth::config::Settings::names() {
        command.env(format!("CORINTH_{}", name.replace('-', "_").to_uppercase()), "");
    }
    assert_eq!(shards(&Serving::spawn(&mut command)), 3);
    // Where the mistake is not the file's, the file is not blamed.
    let mut command = program(&["config", "check", &file]);
    let (code, _, said) = outcome(command.env("CORINTH_LOG", "corinth=loud"));
    assert!(code == Some(1) && said.starts_with("corinth: --log: "), "{said}");
}

/// Waits for a ping; false if the connection ends, or its patience.
fn is_pinged(client: &mut Client) -> bool {
    matches!(client.socket.read(), Ok(Message::Ping(_)))
}

#[test]
fn a_reload_takes_what_can_change_and_names_what_cannot() {
    let text = |ping: &str, log: &str, shards: u8| {
        format!(
            "http = \"127.0.0.1:0\"\nping-interval = {ping}\nlog = \"{log}\"\nshards = {shards}\n"
        )
    };
    let folder = Folder::new("reload");
    let file = folder.write("corinth.toml", &text("3600", "warn", 1));
    let mut command = corinth(&["--config", &file]);
    let mut serving = Serving::spawn(command.stderr(Stdio::piped()));
    let log = Log::of(&mut serving);
    let mut before = Client::connect(serving.http, "room", "before");
    before.join();

    folder.write("corinth.toml", "nonsense = 1\n");
    serving.signal("HUP");
    log.wait_for("everything stays as it was");

    folder.write("corinth.toml", &text("0.1", "info", 2));
    serving.signal("HUP");
    log.wait_for("shards has changed, which takes a restart");
    // Not said at the level that it started with.
    log.wait_for("has been read again");
    // What the shard was told before this, it has heard after it.
    common::get(serving.http, "/stats");
    let mut after = Client::connect(serving.http, "room", "after");
    assert!(is_pinged(&mut after));
    after.join();
    assert_eq!(before.expect("newPeer")["name"], "after", "the call went on");

    drop((before, after));
    serving.signal("TERM");
    assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0));
}
