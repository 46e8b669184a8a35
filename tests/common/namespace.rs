//! Tests in a network of their own.

use std::io::Write;
use std::process::{Command, Stdio};

/// Set where a test runs in its namespace.
const INSIDE: &str = "CORINTH_TEST_INSIDE";

/// Runs `test` in a namespace of its own (`scripts/in-netns.sh`): this program again, with the name
/// of the test.
pub(crate) fn in_namespace(name: &str, test: impl Fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/in-netns.sh");
    let mut command = Command::new(script);
    let may = command.arg("true").stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        // Past the test harness, which keeps what passing tests print.
        writeln!(std::io::stderr(), "{name}: skipped: no network namespaces here")
            .expect("standard error");
        return;
    }
    let mut command = Command::new(script);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let output = command.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
