//! The client against itself, without corinth: two associations over loopback, with an ICE-lite
//! end just large enough to answer checks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rtp::packet::Packet;
use stun::attributes::ATTR_USERNAME;
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message};
use stun::textattrs::TextAttribute;
use stun::xoraddr::XorMappedAddress;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dtls::{Identity, Role};
use crate::ice::Remote;
use crate::relay::{Impairment, Relay};
use crate::srtp::Profile;
use crate::transport::{Config, Content, Offer, Received, Receiving, Transport};

const UFRAG: &str = "lite";
const PASSWORD: &str = "a password of some length";

/// Two lite ends back to back: each answers the checks of one client and hands everything else to
/// the other's client, so that the two clients talk to each other.
struct Bridge {
    addresses: [SocketAddr; 2],
    _tasks: JoinSet<()>,
}

impl Bridge {
    async fn start() -> std::io::Result<Self> {
        let sockets = [
            Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?),
            Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?),
        ];
        let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
        let clients = [watch::Sender::new(None), watch::Sender::new(None)].map(Arc::new);
        let mut tasks = JoinSet::new();
        for (here, there) in [(0, 1), (1, 0)] {
            let own = (Arc::clone(&sockets[here]), Arc::clone(&clients[here]));
            let other = (Arc::clone(&sockets[there]), clients[there].subscribe());
            tasks.spawn(lite_end(own, other));
        }
        Ok(Self { addresses, _tasks: tasks })
    }
}

async fn lite_end(
    (socket, client): (Arc<UdpSocket>, Arc<watch::Sender<Option<SocketAddr>>>),
    (other, other_client): (Arc<UdpSocket>, watch::Receiver<Option<SocketAddr>>),
) {
    let mut buffer = [0; 2048];
    while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
        if buffer[0] < 4 {
            if let Some(answer) = answer(&buffer[..len], from) {
                client.send_replace(Some(from));
                socket.send_to(&answer, from).await.ok();
            }
        } else if let Some(to) = *other_client.borrow() {
            other.try_send_to(&buffer[..len], to).ok();
        }
    }
}

/// What an ICE-lite server says to a check, if the check is as it must be.
fn answer(check: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let mut request = Message::new();
    request.unmarshal_binary(check).ok()?;
    let integrity = MessageIntegrity::new_short_term_integrity(PASSWORD.into());
    integrity.check(&mut request).ok()?;
    FINGERPRINT.check(&request).ok()?;
    let mut username = TextAttribute { attr: ATTR_USERNAME, text: String::new() };
    username.get_from(&request).ok()?;
    if request.typ != BINDING_REQUEST || !username.text.starts_with("lite:") {
        return None;
    }
    let mut response = Message::new();
    response.transaction_id = request.transaction_id;
    response
        .build(&[
            Box::new(BINDING_SUCCESS),
            Box::new(XorMappedAddress { ip: from.ip(), port: from.port() }),
            Box::new(integrity),
            Box::new(FINGERPRINT),
        ])
        .ok()?;
    Some(response.raw)
}

type End = (Transport, Receiving);

/// Connects two clients; `via` is what the first sends through instead of to its lite end.
async fn connect(
    profiles: [Profile; 2],
    bridge: &Bridge,
    via: Option<SocketAddr>,
) -> anyhow::Result<(End, End)> {
    let identities = [Identity::generate()?, Identity::generate()?];
    let end = |this: usize, role| {
        let address = bridge.addresses[this];
        let remote = Remote {
            address: via.filter(|_| this == 0).unwrap_or(address),
            ufrag: UFRAG.into(),
            password: PASSWORD.into(),
        };
        let offer = Offer { remote, fingerprint: identities[1 - this].fingerprint() };
        let identity = identities[this].clone();
        Transport::connect(offer, Config { identity, role, profile: profiles[this] })
    };
    tokio::try_join!(end(0, Role::Client), end(1, Role::Server))
}

fn packet(sequence_number: u16, payload: &'static [u8]) -> Packet {
    let header = rtp::header::Header {
        version: 2,
        payload_type: 100,
        sequence_number,
        ssrc: 7,
        ..Default::default()
    };
    Packet { header, payload: Bytes::from_static(payload) }
}

async fn expect_payload(receiving: &mut Receiving, payload: &[u8], size: usize) {
    match tokio::time::timeout(Duration::from_secs(5), receiving.recv()).await {
        Ok(Some(Received { content: Content::Rtp(packet), size: arrived, .. })) => {
            assert_eq!((&packet.payload[..], arrived), (payload, size));
        }
        other => panic!("no packet: {other:?}"),
    }
}

#[tokio::test]
async fn each_profile_carries_media_both_ways() -> anyhow::Result<()> {
    for profile in Profile::ALL {
        let bridge = Bridge::start().await?;
        let ((a, mut from_b), (b, mut from_a)) = connect([profile; 2], &bridge, None).await?;
        let size = a.send_rtp(&packet(1, b"hello")).await?;
        assert_eq!(size, 12 + 5 + profile.rtp_overhead());
        expect_payload(&mut from_a, b"hello", size).await;
        let size = b.send_rtp(&packet(1, b"to you too")).await?;
        expect_payload(&mut from_b, b"to you too", size).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_moves_to_another_port() -> anyhow::Result<()> {
    let bridge = Bridge::start().await?;
    let ((a, mut from_b), (b, mut from_a)) =
        connect([Profile::Aes128Gcm; 2], &bridge, None).await?;
    let before = a.local_address()?;
    a.migrate().await?;
    assert_ne!(a.local_address()?, before);
    // What makes media follow: something authentic from there.
    let report = tokio::time::timeout(Duration::from_secs(5), from_a.recv()).await?;
    assert!(matches!(report, Some(Received { content: Content::Rtcp(_), .. })));
    let size = a.send_rtp(&packet(1, b"from the new port")).await?;
    expect_payload(&mut from_a, b"from the new port", size).await;
    let size = b.send_rtp(&packet(1, b"to the new port")).await?;
    expect_payload(&mut from_b, b"to the new port", size).await;
    Ok(())
}

#[tokio::test]
async fn no_profile_in_common_is_an_error() -> anyhow::Result<()> {
    let bridge = Bridge::start().await?;
    let profiles = [Profile::Aes128Gcm, Profile::Aes128CmSha1];
    assert!(connect(profiles, &bridge, None).await.is_err());
    Ok(())
}

#[tokio::test]
async fn another_certificate_than_announced_is_an_error() -> anyhow::Result<()> {
    let bridge = Bridge::start().await?;
    let stranger = Identity::generate()?.fingerprint();
    let end = |this: usize, role| -> anyhow::Result<_> {
        let remote = Remote {
            address: bridge.addresses[this],
            ufrag: UFRAG.into(),
            password: PASSWORD.into(),
        };
        let offer = Offer { remote, fingerprint: stranger.clone() };
        let config = Config { identity: Identity::generate()?, role, profile: Profile::Aes256Gcm };
        Ok(Transport::connect(offer, config))
    };
    let (client, server) = tokio::join!(end(0, Role::Client)?, end(1, Role::Server)?);
    assert!(client.is_err_and(|error| error.to_string().contains("certificate")));
    assert!(server.is_err_and(|error| error.to_string().contains("certificate")));
    Ok(())
}

#[tokio::test]
async fn the_end_of_an_association_is_noticed() -> anyhow::Result<()> {
    let bridge = Bridge::start().await?;
    let ((a, _from_b), (b, _from_a)) = connect([Profile::Aes256Gcm; 2], &bridge, None).await?;
    a.close().await;
    tokio::time::timeout(Duration::from_secs(5), b.closed()).await?;
    Ok(())
}

#[tokio::test]
async fn a_relay_delays_and_reorders_but_loses_nothing() -> anyhow::Result<()> {
    let bridge = Bridge::start().await?;
    let impairment = Impairment { delay_max: Duration::from_millis(100), ..Impairment::default() };
    let relay = Relay::start(bridge.addresses[0], impairment, 1).await?;
    let ((a, _from_b), (_b, mut from_a)) =
        connect([Profile::Aes256Gcm; 2], &bridge, Some(relay.address())).await?;
    for sequence_number in 0..100 {
        a.send_rtp(&packet(sequence_number, b"x")).await?;
    }
    let mut arrived = Vec::new();
    while arrived.len() < 100 {
        match tokio::time::timeout(Duration::from_secs(5), from_a.recv()).await? {
            Some(Received { content: Content::Rtp(packet), .. }) => {
                arrived.push(packet.header.sequence_number);
            }
            other => panic!("no packet: {other:?}"),
        }
    }
    assert!(!arrived.is_sorted(), "a random delay reorders");
    arrived.sort_unstable();
    assert!(arrived.into_iter().eq(0..100));
    Ok(())
}

#[tokio::test]
async fn a_relay_loses_and_duplicates_as_told() -> anyhow::Result<()> {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let impairment = Impairment { loss: 0.3, duplication: 0.3, ..Impairment::default() };
    let relay = Relay::start(server.local_addr()?, impairment, 7).await?;
    let mut copies = [0_u32; 200];
    let mut buffer = [0; 16];
    for number in 0..200_u8 {
        client.send_to(&[number], relay.address()).await?;
        // Room for the few that are under way; the last ones are drained below.
        while let Ok(Ok(_)) =
            tokio::time::timeout(Duration::from_millis(2), server.recv(&mut buffer)).await
        {
            copies[usize::from(buffer[0])] += 1;
        }
    }
    while let Ok(Ok(_)) =
        tokio::time::timeout(Duration::from_millis(200), server.recv(&mut buffer)).await
    {
        copies[usize::from(buffer[0])] += 1;
    }
    let count = |wanted| copies.iter().filter(|&&copies| copies == wanted).count();
    assert_eq!(count(0) + count(1) + count(2), 200);
    assert!((30..=90).contains(&count(0)), "{} lost", count(0));
    assert!((30..=90).contains(&count(2)), "{} twice", count(2));
    Ok(())
}
