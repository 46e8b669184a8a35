//! Who is not who it says it is, and who was never asked.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use corinth_perf::dtls::Identity;
use corinth_perf::peer::{Peer, Source, TransportOptions};
use corinth_perf::transport::{Config, Transport};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use crate::call::{Client, Inbox, Stream};
use crate::server::Server;

#[tokio::test]
async fn a_certificate_that_was_not_announced_gets_no_media_either_way() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let options = TransportOptions::new(1);
    let mut b = Client::join(&server.url, "room", "b", options).await?;
    let from_b = Source::opus(10, 1_000);
    b.peer.send_source(1, &from_b).await?;

    // Everything is prepared for media both ways; then somebody else shakes hands.
    let a = Peer::join(&server.url, "room", "a").await?;
    let offer = a.offer_transport(options).await?;
    let from_a = Source::opus(10, 2_000);
    a.send_source(1, &from_a).await?;
    let sender = b.peer.new_sender().await?;
    b.peer.receive(sender.id, 1).await?;
    let towards_a = a.joined["peers"][0]["senders"][0]["id"].as_u64().context("b's Sender")?;
    a.receive(towards_a.try_into()?, 1).await?;
    let config =
        Config { identity: Identity::generate()?, role: options.role, profile: options.profile };
    let connected = Transport::connect(offer, config).await;

    let (transport, mut inbox) = match connected {
        Ok((transport, receiving)) => (Some(transport), Some(Inbox::new(receiving))),
        Err(_) => (None, None),
    };

    let (mut stream_a, mut stream_b) = (Stream::new(&from_a), Stream::new(&from_b));
    for _ in 0..10 {
        if let Some(transport) = &transport {
            transport.send_rtp(&stream_a.random(50)).await?;
        }
        b.transport.send_rtp(&stream_b.random(50)).await?;
        b.inbox.listen(Duration::from_millis(20)).await?;
    }
    assert_eq!(b.inbox.rtp_count(), 0, "nothing from the stranger");
    if let Some(inbox) = &mut inbox {
        inbox.listen(Duration::from_millis(200)).await?;
        assert_eq!(inbox.rtp_count(), 0, "nothing to the stranger");
    }
    let closed = b.peer.notification("senderClosed").await?;
    assert_eq!(closed["id"], sender.id);
    let refused = a.send_source(1, &Source::opus(11, 2_001)).await;
    assert!(refused.is_err_and(|error| error.to_string().starts_with("404")), "it is closed");
    Ok(())
}

/// Datagrams that no transport has asked for, each with the reason under which it is counted.
fn uninvited() -> [(&'static str, Vec<u8>); 6] {
    let rtp = [&[0x80, 109, 0, 1, 0, 0, 0, 1, 0, 0, 3, 0xE8][..], &[0x55; 60]].concat();
    let rtcp = [&[0x80, 200, 0, 6, 0, 0, 3, 0xE8][..], &[0x55; 40]].concat();
    // A record of handshake type, DTLS 1.2, epoch 0 (RFC 6347 §4.1).
    let dtls = [&[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60][..], &[0x55; 60]].concat();
    // A Binding request that says it is longer than it is.
    let stun = [&[0, 1, 0, 200, 0x21, 0x12, 0xA4, 0x42][..], &[0x55; 12]].concat();
    [
        ("no_path", rtp),
        ("no_path", rtcp),
        ("no_path", dtls),
        ("stun_malformed", stun),
        ("unknown", vec![0x50; 100]),
        ("unknown", vec![0xFF; 1400]),
    ]
}

#[tokio::test]
async fn what_comes_from_an_unknown_address_is_counted_and_changes_nothing() -> anyhow::Result<()> {
    const TIMES: u64 = 20;
    let server = Server::start().await?;
    let a = Peer::join(&server.url, "room", "a").await?;
    let media = a.offer_transport(TransportOptions::new(1)).await?.remote.address;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    for _ in 0..TIMES {
        for (_, datagram) in uninvited() {
            socket.send_to(&datagram, media).await?;
        }
    }
    for (reason, share) in [("no_path", 3), ("stun_malformed", 1), ("unknown", 2)] {
        let deadline = Instant::now() + Duration::from_secs(5);
        while server.drops(reason).await? != share * TIMES {
            let counted = server.drops(reason).await?;
            assert!(Instant::now() < deadline, "{counted} counted as {reason}");
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(server.count("transports").await?, 1);
    assert_eq!(server.count("txDatagrams").await?, 0, "nobody was answered");
    assert!(socket.try_recv(&mut [0; 1]).is_err());
    Ok(())
}
