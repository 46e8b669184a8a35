//! Handshakes, and media, over paths that delay, reorder, lose and duplicate.

use std::time::Duration;

use anyhow::Context as _;
use corinth_perf::dtls::Role;
use corinth_perf::peer::{Peer, SenderInfo, Source, TransportOptions};
use corinth_perf::relay::{Impairment, Relay};
use corinth_perf::transport::{Receiving, Transport};
use tokio::task::JoinSet;

use crate::call::{Client, Inbox, Stream, steps};
use crate::server::Server;

const CLIENTS: u64 = 50;

/// Handshakes at a time: the clients' side costs several times the server's.
const AT_ONCE: usize = 25;

/// Clients exist that say `server` and then start the handshake themselves; the server must not
/// start one of its own across theirs.
#[tokio::test]
async fn a_client_that_says_server_and_acts_as_client_connects_every_time() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let source = Source::opus(10, 1_000);
    let speaker = Client::join(&server.url, "room", "speaker", TransportOptions::new(1)).await?;
    speaker.peer.send_source(1, &source).await?;
    let mut speaking = JoinSet::new();
    speaking.spawn(speak(speaker.transport, Stream::new(&source)));

    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        if clients.len() == AT_ONCE {
            clients.join_next().await.context("there are some")???;
        }
        let url = server.url.clone();
        clients.spawn(async move {
            listen(&url, number).await.with_context(|| format!("client {number}"))
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

/// Connects over a bad network, which lives as long as the relay.
async fn connect(
    peer: &Peer,
    options: TransportOptions,
    impairment: Impairment,
    seed: u64,
) -> anyhow::Result<(Relay, (Transport, Receiving))> {
    let mut offer = peer.offer_transport(options).await?;
    let relay = Relay::start(offer.remote.address, impairment, seed).await?;
    offer.remote.address = relay.address();
    Ok((relay, peer.connect_transport(offer, options).await?))
}

async fn speak(transport: Transport, mut stream: Stream) {
    loop {
        transport.send_rtp(&stream.random(50)).await.ok();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn listen(url: &str, number: u64) -> anyhow::Result<()> {
    let peer = Peer::join(url, "room", &format!("listener {number}")).await?;
    let options = TransportOptions {
        role: Role::Client,
        stated_role: Role::Server,
        ..TransportOptions::new(1)
    };
    let impairment = Impairment { delay_max: Duration::from_millis(200), ..Impairment::default() };
    let (_relay, (_transport, receiving)) = connect(&peer, options, impairment, number).await?;

    let speaker = peer.joined["peers"].as_array().context("peers")?;
    let speaker = speaker.iter().find(|one| one["name"] == "speaker").context("the speaker")?;
    let sender = SenderInfo::parse(&speaker["senders"][0], "speaker")?;
    peer.receive(sender.id, 1).await?;
    let mut inbox = Inbox::new(receiving);
    inbox.until("the speaker", |inbox| inbox.stream(sender.ssrc).len() > 2).await
}

/// Packets of each client on the lossy path.
const PACKETS: usize = 200;

#[tokio::test]
async fn a_path_that_loses_and_duplicates_connects_and_forwards_each_packet_once()
-> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut calls = JoinSet::new();
    for seed in 0..10 {
        let url = server.url.clone();
        calls.spawn(async move {
            lossy(&url, seed).await.with_context(|| format!("call with seed {seed}"))
        });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(())
}

async fn lossy(url: &str, seed: u64) -> anyhow::Result<()> {
    let (room, options) = (format!("lossy {seed}"), TransportOptions::new(1));
    let a = Peer::join(url, &room, "a").await?;
    let mut b = Client::join(url, &room, "b", options).await?;
    let impairment =
        Impairment { delay_max: Duration::from_millis(10), loss: 0.1, duplication: 0.2 };
    let (_relay, (transport, _receiving)) = connect(&a, options, impairment, seed).await?;
    let source = Source::opus(10, 1_000);
    a.send_source(1, &source).await?;
    let sender = b.peer.new_sender().await?;
    b.peer.receive(sender.id, 1).await?;

    let mut stream = Stream::new(&source);
    for number in 0..PACKETS {
        transport.send_rtp(&stream.packet((number as u64).to_be_bytes().to_vec())).await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    b.inbox.listen(Duration::from_millis(200)).await?;
    let arrived = b.inbox.stream(sender.ssrc);
    let mut numbers: Vec<u64> = Vec::new();
    for arrival in &arrived {
        let payload = <[u8; 8]>::try_from(&arrival.packet.payload[..])?;
        numbers.push(u64::from_be_bytes(payload));
    }
    assert!((160..PACKETS).contains(&numbers.len()), "{} of {PACKETS} arrived", numbers.len());
    // Numbers run along with the source's, whatever was lost or came late.
    let first = numbers.first().copied().unwrap_or_default();
    let expected = numbers.iter().map(|number| number.wrapping_sub(first) as u16);
    assert!(steps(&arrived).into_iter().eq(expected));
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "a packet came twice");
    Ok(())
}
