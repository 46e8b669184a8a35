//! A server behind a NAT: clients are told the NAT's address, and nothing of the one behind it.

use std::net::{IpAddr, Ipv4Addr};

use corinth_perf::peer::{Peer, Source, TransportOptions};
use serde_json::json;

use crate::call::{Client, Inbox, Stream};
use crate::server::Server;

/// RFC 5737: nobody's, and here the NAT's.
const PUBLIC: &str = "198.51.100.7";

const PACKETS: usize = 20;

#[tokio::test]
async fn clients_are_told_the_public_address_and_reach_the_local_one() -> anyhow::Result<()> {
    let local = Ipv4Addr::LOCALHOST;
    let announce = format!("{local}={PUBLIC}");
    let server = Server::start_on(local.into(), &["--announce", &announce]).await?;
    let (a, mut b) = tokio::try_join!(join(&server, "a"), join(&server, "b"))?;

    let offered = a.peer.signaling.request("createTransport", json!({"id": 2})).await?;
    assert_eq!(offered["iceCandidates"][0]["ip"], PUBLIC);
    assert!(!offered.to_string().contains(&local.to_string()), "{offered}");

    let source = Source::opus(10, 1_000);
    a.peer.send_source(1, &source).await?;
    let sender = b.peer.new_sender().await?;
    b.peer.receive(sender.id, 1).await?;
    let mut stream = Stream::new(&source);
    for _ in 0..PACKETS {
        a.transport.send_rtp(&stream.random(100)).await?;
    }
    b.inbox.until("all packets", |inbox| inbox.rtp_count() == PACKETS).await
}

/// A client with a transport, for which this test plays the NAT: same port, other address.
async fn join(server: &Server, name: &str) -> anyhow::Result<Client> {
    let options = TransportOptions::new(1);
    let peer = Peer::join(&server.url, "room", name).await?;
    let mut offer = peer.offer_transport(options).await?;
    assert_eq!(offer.remote.address.ip(), PUBLIC.parse::<IpAddr>()?);
    offer.remote.address.set_ip(Ipv4Addr::LOCALHOST.into());
    let (transport, receiving) = peer.connect_transport(offer, options).await?;
    Ok(Client { peer, transport, inbox: Inbox::new(receiving) })
}
