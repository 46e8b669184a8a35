//! A call goes on while the server drains.

use std::time::Duration;

use corinth_perf::peer::{Source, TransportOptions};

use crate::call::{Call, Stream};
use crate::server::Server;

/// 20 ms each: seconds, for the server looks whether its time is over once in a second.
const PACKETS: usize = 150;

#[tokio::test]
async fn media_flows_while_the_server_drains() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::opus(1, 1000);
    call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    for i in 0..PACKETS {
        if i == PACKETS / 5 {
            assert_eq!(server.status("POST", "/admin/drain").await?, 202);
        }
        call.a.transport.send_rtp(&stream.random(100)).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    call.b.inbox.until("all packets", |inbox| inbox.rtp_count() == PACKETS).await?;
    assert_eq!(server.status("GET", "/readyz").await?, 503);
    Ok(())
}
