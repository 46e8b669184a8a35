//! The program in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::PATIENCE;

/// The program, to be run with media on loopback.
pub(crate) fn corinth(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corinth"));
    command.args(["--media-port", "0", "--media-address", "127.0.0.1"]).args(arguments);
    command
}

/// Runs it to its end, which must not be far: exit code and standard error.
pub(crate) fn run(arguments: &[&str]) -> (i32, String) {
    let program = corinth(arguments);
    let mut timed = Command::new("timeout");
    timed.arg(PATIENCE.as_secs().to_string()).arg(program.get_program()).args(program.get_args());
    let Output { status, stderr, .. } = timed.output().unwrap();
    (status.code().expect("it ended by itself"), String::from_utf8(stderr).unwrap())
}

/// A program that serves; killed at the end if it has not ended before.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) http: SocketAddr,
    /// On standard output, to the address to open.
    pub(crate) said: String,
}

impl Serving {
    pub(crate) fn start(arguments: &[&str]) -> Serving {
        Self::spawn(corinth(&["--http", "127.0.0.1:0"]).args(arguments))
    }

    /// Runs a command that will say where it serves.
    pub(crate) fn spawn(command: &mut Command) -> Serving {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !said.contains("corinth: open http") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        let http = said.trim_end().rsplit('/').next().unwrap().parse().unwrap();
        Serving { child, http, said }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The exit code, if it ends in time.
    pub(crate) fn exit_code(&mut self, within: Duration) -> Option<i32> {
        for _ in 0..within.as_millis() / 5 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Stops one thread of it, as a fault would, until what is returned is dropped.
    pub(crate) fn freeze(&self, thread: &str) -> Frozen {
        let tasks = format!("/proc/{}/task", self.child.id());
        let named = |id: &String| {
            let name = std::fs::read_to_string(format!("{tasks}/{id}/comm")).unwrap_or_default();
            name.trim() == thread
        };
        let tasks = std::fs::read_dir(&tasks).unwrap();
        let ids = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
        let id = ids.into_iter().find(named).unwrap_or_else(|| panic!("no thread {thread}"));
        let id = nix::unistd::Pid::from_raw(id.parse().unwrap());
        nix::sys::ptrace::attach(id).unwrap();
        nix::sys::wait::waitpid(id, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
        Frozen(id)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread that does not run; goes on when this is dropped, by the thread that has stopped it.
pub(crate) struct Frozen(nix::unistd::Pid);

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = nix::sys::ptrace::detach(self.0, None);
    }
}

/// What a program writes to standard error.
pub(crate) struct Log(Receiver<String>);

impl Log {
    pub(crate) fn of(serving: &mut Serving) -> Log {
        let log = BufReader::new(serving.child.stderr.take().unwrap());
        let (sender, receiver) = channel();
        let read = move || log.lines().try_for_each(|line| sender.send(line.unwrap()));
        std::thread::Builder::new().spawn(read).unwrap();
        Log(receiver)
    }

    pub(crate) fn wait_for(&self, text: &str) {
        let line = || self.0.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?}"));
        while !line().contains(text) {}
    }
}
