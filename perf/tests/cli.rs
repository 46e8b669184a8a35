//! The program as its users meet it: a run against the real server, what it writes, and what it
//! says when something is wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corinth_perf::binary;
use corinth_perf::measures::Run;
use corinth_perf::report;

/// One room of three, for a second.
const SMALL: &str = r#"
name = "small"
about = "one room of three"
load = [1.0, 2.0]
seconds = 1.5
settle_seconds = 0.5

[[groups]]
name = "three"
senders = 3
video = { codec = "h264" }
audio = {}
"#;

fn perf(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corinth-perf"));
    command.args(arguments).output().expect("it can be run")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The server beside this program, built if it is not there.
fn server() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_corinth-perf")).with_file_name("corinth");
    if beside.exists() {
        return beside;
    }
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new("cargo")
        .current_dir(tree)
        .args(["build", "--quiet", "--bin", "corinth"])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the server does not build");
    binary::corinth(Some(&beside)).expect("it was built")
}

#[test]
fn a_run_prints_numbers_and_writes_both_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("small.toml"), SMALL).expect("written");
    let (json, html, server) = (path("run.json"), path("run.html"), server());
    let output = perf(&[
        "run",
        &path("small.toml"),
        "--no-self-check",
        "--quiet",
        "--set",
        "load=[1.0]",
        "--server",
        &server.display().to_string(),
        "--json",
        &json,
        "--html",
        &html,
    ]);
    // 2 says that the load was not carried, which on a machine that others use may be.
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", stderr(&output));
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    let text = stdout(&output);
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains("arr") && first.contains("packets/s"), "{first}");
    let run: Run = report::read_json(Path::new(&json)).expect("a run");
    let [step] = run.steps.as_slice() else { panic!("one load: {run:?}") };
    assert_eq!((step.population.peers, step.population.streams), (3, 12));
    assert_eq!(step.packets.received, step.packets.expected);
    assert!(step.packets.received > 1000, "{:?}", step.packets);
    let page = std::fs::read_to_string(&html).expect("a page");
    assert!(page.contains("<svg") && page.contains("one room of three"));
}

#[test]
fn what_is_wrong_is_one_line() {
    let wrong = |arguments: &[&str], expected: &str| {
        let output = perf(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(expected) && text.lines().count() == 1, "{arguments:?}: {text}");
    };
    wrong(&["run", "nothing"], "canonical");
    wrong(&["run", "webinar", "--set", "second=1"], "second");
    wrong(&["run", "webinar", "--server", "/nowhere/corinth", "--no-self-check"], "/nowhere");
    wrong(&["run", "webinar", "--server-cores", "4095"], "core 4095");
    wrong(&["plan", "--mix", "4x4", "--model", "/nowhere/model.json"], "calibrate");
    wrong(&["compare", "--against", "something"], "janus");
    wrong(&["profiles", "nothing"], "nothing");
}

#[test]
fn profiles_are_listed_and_printed() {
    let list = stdout(&perf(&["profiles"]));
    for name in ["canonical", "meetings-20", "livekit-audio", "churn", "hostile"] {
        assert!(list.lines().any(|line| line.starts_with(name)), "{name} is not in\n{list}");
    }
    let text = stdout(&perf(&["profiles", "webinar"]));
    assert!(text.contains("[[groups]]"), "{text}");
}

#[test]
fn a_plan_answers_by_a_model() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/model.json");
    let model = model.display().to_string();
    let output = perf(&["plan", "--model", &model, "--mix", "40x7", "--mix", "1+2000", "--prices"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("cores") && text.contains("a packet out"), "{text}");
    assert!(text.contains("cannot be carried"), "a webinar of 2000 is more than a core: {text}");
    let output = perf(&["plan", "--model", &model, "--mix", "forty rooms"]);
    assert_eq!(output.status.code(), Some(1));
}
