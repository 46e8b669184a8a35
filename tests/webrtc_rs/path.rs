//! Clients whose network changes in the middle of a call.

use corinth_perf::peer::{Source, TransportOptions};

use crate::call::{Call, Stream, steps};
use crate::server::Server;

#[tokio::test]
async fn media_goes_on_over_a_new_path_of_either_client() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::opus(10, 1_000);
    let sender = call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    for (moves, expected) in [(None, 20), (Some("a"), 40), (Some("b"), 60)] {
        if let Some(name) = moves {
            let client = if name == "a" { &call.a } else { &call.b };
            let before = client.transport.local_address()?;
            client.transport.migrate().await?;
            assert_ne!(client.transport.local_address()?, before);
        }
        for _ in 0..20 {
            call.a.transport.send_rtp(&stream.random(100)).await?;
        }
        let all = format!("{expected} packets");
        call.b.inbox.until(&all, |inbox| inbox.rtp_count() == expected).await?;
    }
    assert!(steps(&call.b.inbox.stream(sender.ssrc)).into_iter().eq(0..60));
    Ok(())
}
