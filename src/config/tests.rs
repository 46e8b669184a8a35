//! Tests of what settings mean.

use clap::{CommandFactory, Parser};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

fn config(arguments: &[&str]) -> Result<Config, ConfigError> {
    let program = std::iter::once(&"corinth");
    let line = Line::try_parse_from(program.chain(arguments)).unwrap();
    Config::new(&line.settings, &["192.0.2.1".parse().unwrap()])
}

fn error(arguments: &[&str]) -> (&'static str, String) {
    let ConfigError { setting, reason } = config(arguments).unwrap_err();
    (setting, reason)
}

fn addresses(arguments: &[&str]) -> Vec<(String, String, bool)> {
    let addresses = config(arguments).unwrap().media_addresses;
    let text = |one: &MediaAddress| (one.local.to_string(), one.public.to_string(), one.required);
    addresses.iter().map(text).collect()
}

fn row(local: &str, public: &str, required: bool) -> (String, String, bool) {
    (local.to_owned(), public.to_owned(), required)
}

#[test]
fn by_default_the_host_is_served_and_loopback_last() {
    let found = [
        row("192.0.2.1", "192.0.2.1", false),
        row("127.0.0.1", "127.0.0.1", false),
        row("::1", "::1", false),
    ];
    assert_eq!(addresses(&[]), found);
    assert_eq!(config(&[]).unwrap().media_ports(2).unwrap(), [40000, 40001]);
}

#[test]
fn a_nat_is_announced() {
    let found = addresses(&["--announce", "192.0.2.1=198.51.100.1"]);
    assert_eq!(found[0], row("192.0.2.1", "198.51.100.1", true));
    for (announced, reason) in [
        ("192.0.2.2=198.51.100.1", "media does not use 192.0.2.2"),
        ("192.0.2.1=0.0.0.0", "address of one host"),
        ("192.0.2.1=198.51.100.1,192.0.2.1=198.51.100.2", "given twice"),
    ] {
        let (setting, text) = error(&["--announce", announced]);
        assert!(setting == "announce" && text.contains(reason), "{announced}: {text}");
    }
    assert_eq!(
        addresses(&["--media-address", "::1", "--announce", "::1=2001:db8::1"]),
        [row("::1", "2001:db8::1", true)]
    );
}

#[test]
fn what_cannot_be_served_is_refused() {
    for (arguments, setting) in [
        (&["--ping-interval", "0"][..], "ping-interval"),
        (&["--ping-interval", "NaN"], "ping-interval"),
        (&["--media-address", "::"], "media-address"),
        (&["--media-address", "::1,::1"], "media-address"),
        (&["--media-port", "65535", "--shards", "2"], "media-port"),
        (&["--log", "corinth=loud"], "log"),
        (&["--log", "inof"], "log"),
        (&["--log", "info,corinth"], "log"),
        (&["--allowed-origin", "https://app.example/path"], "allowed-origin"),
        (&["--allowed-origin", "https://a.example,app.example"], "allowed-origin"),
        (&["--webhook", "https://a:99999/", "--webhook-secret", "b"], "webhook"),
        (&["--webhook", "https://a.1/", "--webhook-secret", "b"], "webhook"),
        (&["--webhook", "https://a/"], "webhook"),
        (&["--webhook-secret", "b"], "webhook-secret"),
        (&["--webhook", "ftp://a/", "--webhook-secret", "b"], "webhook"),
        (&["--webhook", "/a", "--webhook-secret", "b"], "webhook"),
    ] {
        assert_eq!(error(arguments).0, setting, "{arguments:?}");
    }
}

/// What means the same is the same, however it is written.
#[test]
fn addresses_are_compared_by_what_they_mean() {
    let proxies = |text: &str| {
        let networks = config(&["--trusted-proxy", text]).unwrap().trusted_proxies;
        networks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(proxies("::ffff:10.0.0.1"), ["10.0.0.1/32"]);
    assert_eq!(proxies("::ffff:10.0.0.0/104, 2001:db8::/32"), ["10.0.0.0/8", "2001:db8::/32"]);
    for everybody in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
        assert!(everybody.parse::<settings::Network>().is_err(), "{everybody}");
    }
    let mapped = addresses(&["--announce", "::ffff:192.0.2.1=198.51.100.1"]);
    assert_eq!(mapped[0], row("192.0.2.1", "198.51.100.1", true));
    let http = config(&["--http", "[::ffff:127.0.0.1]:8080"]).unwrap().http;
    assert_eq!(http.to_string(), "127.0.0.1:8080");
    let twice = error(&["--media-address", "192.0.2.1,::ffff:192.0.2.1"]);
    assert_eq!(twice, ("media-address", "192.0.2.1 is given twice".to_owned()));
}

/// A list with nothing in it says as much as none, where that is safe, and else is refused.
#[test]
fn a_list_of_nothing_opens_nothing() {
    let of = |text| Config::new(&file::parse(text).unwrap(), &[]);
    assert_eq!(of("token-key = []").unwrap().allowed_origins, Some(Vec::new()));
    assert_eq!(of("allowed-origin = []").unwrap().allowed_origins, Some(Vec::new()));
    assert_eq!(of("media-address = []").unwrap_err().setting, "media-address");
    let keys = of("token-key = [\"a = /b\"]").unwrap().token_keys;
    assert_eq!((&*keys[0].id, keys[0].file.to_str()), ("a", Some("/b")));
}

/// The example's lines without the comments around them: name and line.
fn example() -> Vec<(&'static str, &'static str)> {
    let lines = file::EXAMPLE.lines().filter_map(|line| line.strip_prefix('#'));
    let settings = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    settings.map(|line| (line.split_once(" = ").unwrap().0, line)).collect()
}

#[test]
fn the_example_shows_every_setting_once() {
    let mut shown: Vec<_> = example().iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut names = Settings::names();
    shown.sort_unstable();
    names.sort_unstable();
    assert_eq!(shown, names);
    let text: Vec<_> = example().iter().map(|(_, line)| *line).collect();
    file::parse(&text.join("\n")).unwrap();
    assert_eq!(file::parse(file::EXAMPLE).unwrap(), Settings::default());
    assert!(file::EXAMPLE.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn help_example_and_program_agree_on_the_defaults() {
    let command = Line::command();
    let mut plain = Vec::new();
    for (name, line) in example() {
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name)).unwrap();
        let help = arg.get_help().unwrap().to_string();
        let default = help.split_once("[default: ").map(|(_, rest)| rest.trim_end_matches(']'));
        let Some(default) = default.filter(|default| !default.contains(' ')) else { continue };
        let value = line.split_once(" = ").unwrap().1.trim_matches('"').replace('_', "");
        assert_eq!(value, default.replace('_', ""), "{name}");
        plain.push(line);
    }
    assert!(plain.len() > 4, "{plain:?}");
    let said = Config::new(&file::parse(&plain.join("\n")).unwrap(), &[]).unwrap();
    assert_eq!(said, Config::new(&Settings::default(), &[]).unwrap());
}

#[test]
fn the_later_place_wins() {
    let from_file = file::parse("shards = 2\nmedia-port = 5000\nmedia-address = [\"::1\"]");
    let line = Line::try_parse_from(["corinth", "--shards", "3", "--even-trains"]).unwrap();
    let all = line.settings.clone().or(from_file.unwrap());
    assert_eq!((all.shards, all.media_port, all.even_trains), (Some(3), Some(5000), Some(true)));
    assert_eq!(all.differing(&line.settings), ["media-port", "media-address"]);
}
