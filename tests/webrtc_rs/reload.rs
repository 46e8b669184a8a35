//! A call goes on while the server takes another configuration, and that counts from then on.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use corinth_perf::peer::{Peer, Source, TransportOptions};

use crate::call::{Call, Stream, steps};
use crate::server::Server;

const PACKETS: usize = 90;

/// A configuration that goes with its test.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        std::fs::write(self.path("corinth.toml"), text)
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn media_flows_while_limits_and_secrets_change() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("corinth-reload-call-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let config = ConfigFile(folder);
    std::fs::write(config.path("key"), [b'k'; 32])?;
    config.write("")?;
    let path = config.path("corinth.toml");
    let server = Server::start_on(Ipv4Addr::LOCALHOST.into(), &["--config", &path]).await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::opus(1, 1_000);
    let sender = call.connect(&source).await?;
    drop(Peer::join(&server.url, "other room", "nobody needs a token").await?);

    let key = config.path("key");
    let mut stream = Stream::new(&source);
    for i in 0..PACKETS {
        match i {
            30 => config.write("max-receivers-per-peer = 2\nmax-bitrate = 1000\n")?,
            60 => config.write(&format!(
                "max-receivers-per-peer = 1\nmax-app-data = 2\ntoken-key = [\"main={key}\"]\n"
            ))?,
            _ => {}
        }
        if matches!(i, 30 | 60) {
            server.signal("HUP").await?;
        }
        call.a.transport.send_rtp(&stream.random(100)).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    call.b.inbox.until("all packets", |inbox| inbox.rtp_count() == PACKETS).await?;
    assert!(steps(&call.b.inbox.stream(sender.ssrc)).into_iter().eq(0..PACKETS as u16));

    let second = call.a.peer.send_source(1, &Source::opus(2, 2_000)).await;
    assert!(second.is_err_and(|error| error.to_string().starts_with("429")), "one is the most now");
    let stranger = Peer::join(&server.url, "other room", "without a token").await;
    assert!(stranger.is_err_and(|error| format!("{error:#}").contains("401")), "a token is needed");
    call.a.transport.send_rtp(&stream.random(100)).await?;
    call.b.inbox.until("one more", |inbox| inbox.rtp_count() == PACKETS + 1).await
}
