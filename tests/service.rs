//! `scripts/install.sh` and `scripts/corinth.service`: what is installed, what systemd thinks of
//! it, and whether the program runs under the system calls that it leaves. systemd need not run.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use common::files::Folder;
use common::hook::Hook;
use common::program::{Serving, corinth};
use common::{Client, PATIENCE, get, status};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::json;

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/corinth.service");

/// Below this `systemd-analyze security` calls a service OK.
const EXPOSURE_MAX: f64 = 2.0;

/// Output of `systemd-analyze`, of Debian's package systemd.
fn analyze(arguments: &[&str]) -> String {
    let output = Command::new("systemd-analyze").args(arguments).output();
    let output = output.expect("systemd-analyze, of Debian's package systemd");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// The unit with the program where it is here.
fn unit(folder: &Folder) -> String {
    let text = std::fs::read_to_string(UNIT).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/corinth "));
    // Its page in the manual is installed with it.
    let text = text.replace("Documentation=man:corinth(1)\n", "");
    folder
        .write("corinth.service", &text.replace("/usr/bin/corinth", env!("CARGO_BIN_EXE_corinth")))
}

#[test]
fn the_unit_is_in_order_and_exposes_little() {
    let folder = Folder::new("service");
    let unit = unit(&folder);
    assert_eq!(analyze(&["verify", "--man=no", &unit]), "");
    let text = std::fs::read_to_string(&unit).unwrap();
    let reload = text.lines().find_map(|line| line.strip_prefix("ExecReload=")).unwrap();
    assert!(reload.contains(" config check "), "a bad configuration fails the reload: {reload}");
    let report = analyze(&["security", "--no-pager", "--offline=true", &unit]);
    let exposure = report.lines().last().unwrap().rsplit(": ").next().unwrap();
    let exposure: f64 = exposure.split(' ').next().unwrap().parse().unwrap();
    assert!(exposure < EXPOSURE_MAX, "{report}");
}

/// The system calls of a set of systemd's, those of the sets in it included.
fn members(set: &str) -> BTreeSet<String> {
    let listed = analyze(&["syscall-filter", set]);
    let entries = listed.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#'));
    let entries = entries.filter(|line| !line.is_empty());
    entries
        .flat_map(|entry| match entry.starts_with('@') {
            true => members(entry),
            false => BTreeSet::from([entry.to_owned()]),
        })
        .collect()
}

/// What the unit's lines leave, in their order, as systemd reads them.
fn allowed() -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    let text = std::fs::read_to_string(UNIT).unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (denies, names) = match line.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, line),
        };
        for name in names.split_whitespace() {
            let calls = match name.starts_with('@') {
                true => members(name),
                false => BTreeSet::from([name.to_owned()]),
            };
            match denies {
                true => allowed.retain(|call| !calls.contains(call)),
                false => allowed.extend(calls),
            }
        }
    }
    // Always allowed by systemd, so that the program can be started at all.
    allowed.extend(members("@default"));
    allowed.insert("execve".to_owned());
    allowed
}

/// A filter that lets these calls pass and answers EPERM to others, as systemd's would.
fn filter(allowed: &BTreeSet<String>) -> BpfProgram {
    let header = ["x86_64", "aarch64"]
        .map(|arch| format!("/usr/include/{arch}-linux-gnu/asm/unistd_64.h"))
        .into_iter()
        .chain(["/usr/include/asm-generic/unistd.h".to_owned()])
        .find_map(|path| std::fs::read_to_string(path).ok())
        .expect("the kernel's header files, of Debian's package linux-libc-dev");
    let numbers: BTreeMap<&str, i64> = header
        .lines()
        .filter_map(|line| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((name, number.trim().parse().ok()?))
        })
        .collect();
    // Calls of other processors have no number here.
    let numbers = allowed.iter().filter_map(|name| numbers.get(name.as_str()));
    let rules: BTreeMap<_, _> = numbers.map(|number| (*number, Vec::new())).collect();
    assert!(rules.len() > 150, "{rules:?}");
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(1),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into().unwrap(),
    );
    filter.unwrap().try_into().unwrap()
}

/// The program under a filter.
#[allow(unsafe_code, reason = "a filter is put on between fork and exec")]
fn confined(filter: BpfProgram, arguments: &[&str]) -> Command {
    let mut command = corinth(&["--http", "127.0.0.1:0", "--shards", "2", "--log", "warn"]);
    command.args(arguments);
    let confine = move || seccompiler::apply_filter(&filter).map_err(std::io::Error::other);
    // SAFETY: between fork and exec it makes two system calls; an error allocates, and the parent
    // has no other thread in the allocator's way then than this test's own.
    unsafe { command.pre_exec(confine) };
    command
}

#[test]
fn the_program_runs_under_the_units_system_calls() {
    let (filter, folder) = (filter(&allowed()), Folder::new("confined"));
    for io in ["mmsg", "ring"] {
        let hook = Hook::listen();
        let mut options = hook.options(&folder);
        // A name, which has to be looked up.
        options[1] = hook.url.replace("127.0.0.1", "localhost");
        let mut command = confined(filter.clone(), &["--io", io]);
        let mut serving = Serving::spawn(command.args(options));
        let mut clients: Vec<_> =
            (0..4).map(|i| Client::connect(serving.http, &format!("room{i}"), "a")).collect();
        for client in &mut clients {
            client.join();
            let made = client.request("createTransport", json!({"id": 1, "options": {}}));
            let port = made["iceCandidates"][0]["port"].as_u64().unwrap() as u16;
            // Not even STUN, but it is received.
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(&[0xff; 20], ("127.0.0.1", port)).unwrap();
        }
        let seen = (0..PATIENCE.as_millis() / 5).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            common::total(serving.http, "rxDatagrams") == 4
        });
        assert!(seen, "{io}: media does not come in");
        for path in ["/", "/metrics", "/healthz", "/readyz"] {
            assert_eq!(status(&get(serving.http, path)), 200, "{io} {path}");
        }
        hook.events(8);
        serving.signal("HUP");
        drop(clients);
        serving.signal("TERM");
        assert_eq!(serving.exit_code(Duration::from_secs(5)), Some(0), "{io}");
    }
}

#[test]
fn without_io_uring_it_says_so() {
    let mut allowed = allowed();
    allowed.retain(|call| !call.starts_with("io_uring_"));
    let output = confined(filter(&allowed), &[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("seccomp profile"), "{said}");
}

#[test]
fn it_is_installed_and_taken_away_again() {
    let folder = Folder::new("install");
    let root = std::path::Path::new(&folder.write("x", "")).parent().unwrap().join("root");
    let script = |argument: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install.sh");
        let output = Command::new(script).arg(argument).env("DESTDIR", &root).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
    };
    let read = |path: &str| std::fs::read_to_string(root.join(path));
    script(env!("CARGO_BIN_EXE_corinth"));
    assert!(root.join("usr/bin/corinth").exists());
    assert!(read("etc/systemd/system/corinth.service").unwrap().contains("Type=notify"));
    assert!(root.join("usr/share/corinth/tune-host.sh").exists());
    let manual = read("usr/share/man/man1/corinth.1").unwrap();
    for word in ["drain\\-time", "busy\\-max", "CORINTH TOKEN", "private\\-key"] {
        assert!(manual.contains(word), "{word} is not in the manual");
    }
    let completions = read("usr/share/bash-completion/completions/corinth").unwrap();
    assert!(completions.contains("--media-address"));
    let key = read("etc/corinth/token.key").unwrap();
    assert_eq!(key.len(), 64);
    let config = read("etc/corinth/corinth.toml").unwrap();
    assert!(config.ends_with("token-key = [\"main=/etc/corinth/token.key\"]\n"), "{config}");
    // Its key is not where it will be, so a copy that says where it is now is checked.
    let here = root.join("etc/corinth/token.key").display().to_string();
    let copy = folder.write("corinth.toml", &config.replace("/etc/corinth/token.key", &here));
    let mut check = Command::new(root.join("usr/bin/corinth"));
    let checked = check.args(["config", "check", &copy]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    // An upgrade keeps what is the operator's.
    std::fs::write(root.join("etc/corinth/corinth.toml"), "http = \"[::1]:8080\"\n").unwrap();
    script(env!("CARGO_BIN_EXE_corinth"));
    assert_eq!(read("etc/corinth/corinth.toml").unwrap(), "http = \"[::1]:8080\"\n");
    assert_eq!(read("etc/corinth/token.key").unwrap(), key);
    assert!(read("usr/share/doc/corinth/operating/tuning.md").is_ok(), "the doctor names it");
    for _ in 0..2 {
        script("--uninstall");
        assert!(!root.join("usr/bin/corinth").exists());
        assert!(!root.join("usr/share/doc/corinth").exists());
    }
    assert!(read("etc/corinth/corinth.toml").is_ok());
}
