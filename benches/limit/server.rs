//! The server that is measured: the real program in a process of its own, pinned, and ended when
//! it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::host;
use crate::plan::Plan;

pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(plan: &Plan, address: &str) -> anyhow::Result<Self> {
        let core = plan.cores.measured.to_string();
        let mut command = match plan.beyond {
            Some(pid) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/proc/{pid}/ns/net")).arg("taskset");
                command
            }
            None => Command::new("taskset"),
        };
        // Both programs become the server, so that the process is the server's.
        command.args(["-c", &core, env!("CARGO_BIN_EXE_corinth"), "--shards", "1"]);
        command.args(["--http", &format!("{address}:0"), "--media-port", "0"]);
        command.arg("--anyone-may-join-without-a-token");
        // While it is measured nobody answers pings.
        command.args(["--media-address", address, "--ping-interval", "3600", "--log", "warn"]);
        command.args(&plan.server_args).stdout(Stdio::piped());
        let mut process = command.spawn().context("the server (with taskset) cannot start")?;
        let output = process.stdout.take().context("its output was asked for")?;
        let mut server = Self { process, url: String::new() };
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(at) = line.find("http://") {
                let url = line[at..].split_whitespace().next().unwrap_or_default();
                server.url = url.trim_end_matches('/').to_owned();
                return Ok(server);
            }
        }
        anyhow::bail!("the server did not say where it serves")
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        host::process_cpu(self.process.id())
    }

    /// The one shard's counters.
    pub(crate) fn stats(&self) -> anyhow::Result<Value> {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /stats HTTP/1.1\r\nHost: corinth\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split("\r\n\r\n").nth(1).context("no body")?;
        let stats: Value = serde_json::from_str(body)?;
        Ok(stats["shards"][0].clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
