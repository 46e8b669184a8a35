//! The server under test: the binary that users run, on free ports of loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server with two shards; killed when dropped.
pub(crate) struct Server {
    /// `http://IP:PORT`.
    pub(crate) url: String,
    child: Child,
}

impl Server {
    /// Starts one and waits until it says where it is.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), &[]).await
    }

    /// The same with everything on `ip`, and with further arguments.
    pub(crate) async fn start_on(ip: IpAddr, more: &[&str]) -> anyhow::Result<Self> {
        let http = SocketAddr::new(ip, 0).to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_corinth"))
            .args(["--http", &http, "--media-port", "0", "--shards", "2"])
            .args(["--media-address", &ip.to_string(), "--log", "warn"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let url = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, url)) = line.split_once("corinth: open ") {
                    return Ok(url.trim().to_owned());
                }
            }
            bail!("it ended without saying where it serves")
        };
        let url = timeout(START_TIMEOUT, url).await.context("it does not start")??;
        // Nobody reads on, and a full pipe must not stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { url, child })
    }

    /// What all shards together have counted as `name` (`GET /stats`).
    pub(crate) async fn count(&self, name: &str) -> anyhow::Result<u64> {
        self.sum(|shard| shard[name].as_u64().with_context(|| format!("no {name}"))).await
    }

    /// What each shard has counted as `name`.
    pub(crate) async fn by_shard(&self, name: &str) -> anyhow::Result<Vec<u64>> {
        let shards = self.shards().await?;
        let count = |shard: &Value| shard[name].as_u64().with_context(|| format!("no {name}"));
        shards.iter().map(count).collect()
    }

    /// All that each shard has counted.
    pub(crate) async fn shards(&self) -> anyhow::Result<Vec<Value>> {
        let stats: Value = serde_json::from_str(&self.text("/stats").await?)?;
        stats["shards"].as_array().cloned().context("no shards")
    }

    /// What all shards together have dropped for `reason`; a reason that never occurred is not
    /// listed.
    pub(crate) async fn drops(&self, reason: &str) -> anyhow::Result<u64> {
        self.sum(|shard| Ok(shard["drops"][reason].as_u64().unwrap_or(0))).await
    }

    async fn sum(&self, of: impl Fn(&Value) -> anyhow::Result<u64>) -> anyhow::Result<u64> {
        self.shards().await?.iter().map(of).sum()
    }

    /// The status of what is answered.
    pub(crate) async fn status(&self, method: &str, path: &str) -> anyhow::Result<u16> {
        let response = self.ask(method, path).await?;
        let status = response.split(' ').nth(1).context("no status")?;
        Ok(status.parse()?)
    }

    /// What is served there.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let response = self.ask("GET", path).await?;
        let (_, body) = response.split_once("\r\n\r\n").context("no body")?;
        Ok(body.to_owned())
    }

    /// Sends the process a signal, by its name without SIG.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("it has ended")?.to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await?;
        ensure!(status.success(), "kill -s {name} {pid}: {status}");
        Ok(())
    }

    async fn ask(&self, method: &str, path: &str) -> anyhow::Result<String> {
        let authority = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).await?;
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }
}
