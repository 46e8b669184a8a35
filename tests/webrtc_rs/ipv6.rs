//! A server that has IPv6 only: HTTP, candidates and media.

use std::io::Write as _;
use std::net::{Ipv6Addr, UdpSocket};

use corinth_perf::peer::{Source, TransportOptions};
use serde_json::json;

use crate::call::{Call, Stream, steps};
use crate::server::Server;

/// Packets before the client moves, and after it.
const PACKETS: usize = 50;

#[tokio::test]
async fn a_call_needs_no_ipv4() -> anyhow::Result<()> {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // Past the harness, which shows nothing of a test that passes.
        writeln!(std::io::stderr(), "a_call_needs_no_ipv4: skipped, this host has no ::1")?;
        return Ok(());
    }
    let server = Server::start_on(Ipv6Addr::LOCALHOST.into(), &[]).await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let offered = call.a.peer.signaling.request("createTransport", json!({"id": 2})).await?;
    let candidates = offered["iceCandidates"].as_array().expect("a list");
    assert!(!candidates.is_empty() && candidates.iter().all(|one| one["ip"] == "::1"), "{offered}");
    for client in [&call.a, &call.b] {
        assert!(client.transport.local_address()?.is_ipv6());
    }

    let source = Source::opus(10, 1_000);
    let sender = call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    let mut sent = Vec::new();
    for expected in [PACKETS, 2 * PACKETS] {
        for _ in 0..PACKETS {
            let packet = stream.random(100);
            call.a.transport.send_rtp(&packet).await?;
            sent.push(packet.payload);
        }
        call.b.inbox.until("all packets", |inbox| inbox.rtp_count() == expected).await?;
        // Paths are told apart by address and port here too.
        call.b.transport.migrate().await?;
    }
    let arrived = call.b.inbox.stream(sender.ssrc);
    assert!(steps(&arrived).into_iter().eq(0..2 * PACKETS as u16));
    assert!(arrived.iter().map(|arrival| &arrival.packet.payload).eq(&sent));
    Ok(())
}
