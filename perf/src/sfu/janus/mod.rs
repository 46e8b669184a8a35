//! Janus with VideoRoom, by its WebSocket API of version 1, each peer on a connection and session
//! of its own as real clients are.
//!
//! Rooms and peers go by their names, a source by its kind. A peer that only watches has one handle
//! in Janus, one that sends as well has two. What Janus forwards it does not count.
//!
//! What Janus expects of a client's media, as browsers do it:
//! - its checks are answered ([`crate::ice::answer`]): its ICE checks although it is called lite;
//! - RTCP of each stream comes in compound packets of its own, the stream's report first: Janus
//!   takes a packet as one about the stream whose report it finds first, and drops a PLI that
//!   follows none;
//! - reports tell the round trip (LSR and DLSR): before it is a millisecond or more, Janus keeps
//!   nothing to send again. What it sends again comes on the stream's own ssrc, as it was.

mod config;
mod sdp;
mod session;
mod signaling;

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{Launch, ServerProcess, Session, Sfu};
use crate::measures::{Counters, ServerInfo};
use config::Settings;
use session::JanusSession;

/// Descriptors that Janus may have open: a peer needs a WebSocket and, for each handle, a UDP
/// socket and what wakes its thread. More than this only makes the table larger that its WebSocket
/// library keeps.
const DESCRIPTORS: u64 = 65_536;

/// Between two looks whether Janus accepts connections.
const READY_INTERVAL: Duration = Duration::from_millis(20);

/// A Janus of the suite's own.
pub struct Janus {
    url: String,
    info: ServerInfo,
    /// Before the folder, so that it ends before its settings go.
    process: ServerProcess,
    _settings: TempDir,
}

impl Janus {
    /// The program, where it is installed.
    ///
    /// # Errors
    /// It is, and cannot be used: it does not run, or is older than 1.0, whose API is another.
    pub fn find() -> anyhow::Result<Option<PathBuf>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let candidates = std::env::split_paths(&path).map(|folder| folder.join("janus"));
        let Some(program) = candidates.into_iter().find(|program| program.is_file()) else {
            return Ok(None);
        };
        let version = version(&program)?;
        if version.starts_with("0.") {
            bail!("{} is {version}; 1.0 or newer is needed", program.display());
        }
        Ok(Some(program))
    }

    /// Starts `launch.program` on `launch.cores` with settings of its own, a thread for media on
    /// each core. Media is on `address`, which must not be loopback's. The arguments of `launch`
    /// come after those that this needs.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(mut launch: Launch, address: &str) -> anyhow::Result<Self> {
        let media: IpAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        if media.is_loopback() || media.is_unspecified() {
            bail!("Janus sends no media from {media}: it needs an address that is not loopback's");
        }
        let event_loops = match launch.cores.len() {
            0 => std::thread::available_parallelism()?.get(),
            cores => cores,
        };
        let settings = Settings { media, port: free_port()?, event_loops };
        let folder = settings.write()?;
        let path = folder.path().display();
        let more = std::mem::take(&mut launch.arguments);
        let arguments = [
            "-F".to_owned(),
            path.to_string(),
            "-C".to_owned(),
            format!("{path}/janus.jcfg"),
            format!("--interface={media}"),
        ];
        launch.arguments = arguments.into_iter().chain(more).collect();
        raise_descriptors()?;
        let info = ServerInfo {
            sfu: "janus".into(),
            version: version(&launch.program)?,
            how: format!(
                "{} (event_loops = {event_loops})",
                launch.command_line().replace(&path.to_string(), "FOLDER")
            ),
        };
        let mut process = ServerProcess::start(&launch)?;
        tokio::select! {
            () = accepts(settings.port) => {}
            // It says nothing when all is well: this ends with its end, or when it takes too long.
            failed = process.wait_for(|_| None::<()>) => failed?,
        }
        let url = format!("ws://127.0.0.1:{}", settings.port);
        Ok(Self { url, info, process, _settings: folder })
    }
}

/// A port of 127.0.0.1 that nobody has now. Janus cannot choose one and say which.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

async fn accepts(port: u16) {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        sleep(READY_INTERVAL).await;
    }
}

/// Raises this process's limit as far as it may, since a server has that of who starts it.
fn raise_descriptors() -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = DESCRIPTORS.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}

/// `1.1.2` of `Janus version: 1102 (1.1.2)`.
fn version(program: &Path) -> anyhow::Result<String> {
    let output = std::process::Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    // It prints that before it complains that it does not know the option.
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("Janus version: "));
    let version = line.and_then(|line| line.split_once('(')?.1.split_once(')'));
    let (version, _) = version.with_context(|| format!("{} is no Janus", program.display()))?;
    Ok(version.to_owned())
}

#[async_trait]
impl Sfu for Janus {
    fn info(&self) -> ServerInfo {
        self.info.clone()
    }

    fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    async fn join(&self, room: &str, name: &str) -> anyhow::Result<Box<dyn Session>> {
        match JanusSession::join(&self.url, room, name).await {
            Ok(session) => Ok(Box::new(session)),
            Err(error) => match self.process.last_words() {
                words if words.is_empty() => Err(error),
                words => Err(error.context(format!("Janus said last:\n{words}"))),
            },
        }
    }

    async fn counters(&self) -> anyhow::Result<Option<Counters>> {
        Ok(None)
    }
}
