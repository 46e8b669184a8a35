//! A server's process: started on given cores, its output read, ended when dropped.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// When a server that says nothing is given up.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a server may take to end when it is asked to.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// The last lines of output that are kept to tell why a server failed.
const LINES_KEPT: usize = 20;

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Cores that it is tied to; empty: any.
    pub cores: Vec<usize>,
}

impl Launch {
    /// As a person would type it; where the program lies on this machine is nobody's business.
    pub fn command_line(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        let mut words = vec![name.to_string_lossy().into_owned()];
        words.extend(self.arguments.iter().cloned());
        words.join(" ")
    }
}

/// A running server.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    lines: mpsc::Receiver<String>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl ServerProcess {
    /// Starts it.
    ///
    /// # Errors
    /// The program, or `taskset` where it is to be tied to cores, cannot be run.
    pub fn start(launch: &Launch) -> anyhow::Result<Self> {
        let mut command = match launch.cores.as_slice() {
            [] => Command::new(&launch.program),
            cores => {
                // It becomes the program, so that the process is the server's.
                let list: Vec<_> = cores.iter().map(usize::to_string).collect();
                let mut command = Command::new("taskset");
                command.args(["-c", &list.join(",")]).arg(&launch.program);
                command
            }
        };
        command.args(&launch.arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", launch.program.display()))?;
        let (tx, lines) = mpsc::channel(LINES_KEPT);
        let last = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(output) = child.stdout.take() {
            tokio::spawn(read(output, tx.clone(), Arc::clone(&last)));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(read(output, tx, Arc::clone(&last)));
        }
        Ok(Self { child, lines, last })
    }

    /// Waits for the line of its output in which `find` finds something.
    ///
    /// # Errors
    /// It ends or says nothing in time; the message has its last words.
    pub async fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let found = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(found) = find(&line) {
                    return Some(found);
                }
            }
            None
        };
        match timeout(START_TIMEOUT, found).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => bail!("the server ended:\n{}", self.last_words()),
            Err(_) => bail!("the server does not get ready:\n{}", self.last_words()),
        }
    }

    /// Its process id; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The last lines that it wrote.
    pub fn last_words(&self) -> String {
        let last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Vec::from_iter(last.iter().cloned()).join("\n")
    }

    /// Asks it to end, and ends it if it does not.
    pub async fn end(mut self) {
        if let Some(pid) = self.child.id() {
            let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
            // One that has gone meanwhile is what was wanted.
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        }
        if timeout(END_TIMEOUT, self.child.wait()).await.is_err() {
            self.child.kill().await.ok();
        }
    }
}

/// Reads to the end, so that a full pipe never stops the server.
async fn read(
    output: impl AsyncRead + Unpin,
    lines: mpsc::Sender<String>,
    last: Arc<Mutex<VecDeque<String>>>,
) {
    let mut reader = BufReader::new(output).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        {
            let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.len() == LINES_KEPT {
                last.pop_front();
            }
            last.push_back(line.clone());
        }
        // Nobody waits for a line any more once it serves.
        lines.try_send(line).ok();
    }
}
