//! What one client sends, another gets: byte for byte, under the numbers that were announced.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use corinth_perf::dtls::Role;
use corinth_perf::peer::{SenderInfo, Source, TransportOptions};
use corinth_perf::srtp::Profile;
use corinth_perf::transport::Transport;
use rtp::header::Extension;
use rtp::packet::Packet;
use tokio::task::JoinSet;

use crate::call::{Arrival, Call, Stream, steps};
use crate::server::Server;

const LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const ORIENTATION: &str = "urn:3gpp:video-orientation";
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// This client's ids: of the extension that is carried on, and of the one that is not.
const CARRIED_ID: u8 = 5;
const MID_ID: u8 = 7;

/// RFC 8285 §4.2 and §4.3.
const ONE_BYTE: u16 = 0xBEDE;
const TWO_BYTE: u16 = 0x1000;

/// Packets of each source.
const PACKETS: usize = 200;

/// Longest payload.
const PAYLOAD_MAX: usize = 1150;

#[tokio::test]
async fn payloads_arrive_unchanged_for_each_profile_and_both_dtls_roles() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut calls = JoinSet::new();
    for profile in Profile::ALL {
        for role in [Role::Client, Role::Server] {
            let (url, what) = (server.url.clone(), format!("{profile:?} as {role:?}"));
            let options =
                TransportOptions { profile, role, stated_role: role, ..TransportOptions::new(1) };
            calls.spawn(async move { forward(&url, &what, options).await.context(what) });
        }
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(())
}

/// A source, its Sender, and what was sent.
struct Flow {
    source: Source,
    sender: SenderInfo,
    stream: Stream,
    sent: Vec<Arrival>,
}

impl Flow {
    async fn start(call: &mut Call, source: Source) -> anyhow::Result<Self> {
        let sender = call.connect(&source).await?;
        assert_eq!((sender.kind.as_str(), sender.peer_name.as_str()), (source.kind, "a"));
        assert_eq!(sender.cname, source.cname);
        assert_eq!(sender.extension(MID), None, "mid is from client to server only");
        let stream = Stream::new(&source);
        Ok(Self { source, sender, stream, sent: Vec::new() })
    }

    async fn send(&mut self, transport: &Transport, number: usize) -> anyhow::Result<()> {
        let mut packet = match number {
            // Only a key frame opens a video Sender.
            0 if self.source.kind == "video" => self.stream.vp8(true),
            _ => self.stream.random(1 + number * (PAYLOAD_MAX - 1) / (PACKETS - 1)),
        };
        packet.header.marker = number.is_multiple_of(3);
        extend(&mut packet, number, &self.source);
        let size = transport.send_rtp(&packet).await?;
        self.sent.push(Arrival { packet, size });
        Ok(())
    }
}

async fn forward(url: &str, room: &str, options: TransportOptions) -> anyhow::Result<()> {
    let mut call = Call::start(url, room, options).await?;
    let audio = Source {
        mid: Some("0".into()),
        extensions: vec![(CARRIED_ID, LEVEL), (MID_ID, MID)],
        ..Source::opus(10, 1_000)
    };
    let video = Source {
        mid: Some("1".into()),
        extensions: vec![(CARRIED_ID, ORIENTATION), (MID_ID, MID)],
        rtx: Some((121, 2_001)),
        ..Source::vp8(11, 2_000)
    };
    let mut flows = [Flow::start(&mut call, audio).await?, Flow::start(&mut call, video).await?];
    for number in 0..PACKETS {
        for flow in &mut flows {
            flow.send(&call.a.transport, number).await?;
        }
        if number.is_multiple_of(4) {
            // Well below what a socket's buffer holds: this is no test of congestion.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    call.b.inbox.until("all packets", |inbox| inbox.rtp_count() == 2 * PACKETS).await?;
    for flow in &flows {
        check(flow, &call.b.inbox.stream(flow.sender.ssrc));
    }
    Ok(())
}

/// Header extensions in every combination that clients send: with and without a mid, in both
/// forms, and none at all.
fn extend(packet: &mut Packet, number: usize, source: &Source) {
    let carried = Extension { id: CARRIED_ID, payload: Bytes::from(vec![number as u8]) };
    let mid = source.mid.clone().unwrap_or_default();
    let mid = Extension { id: MID_ID, payload: mid.into() };
    packet.header.extensions = match number % 5 {
        0 => return,
        1 => vec![carried],
        2 => vec![mid],
        3 => vec![mid, carried],
        _ => vec![carried, mid],
    };
    packet.header.extension = true;
    packet.header.extension_profile = if number.is_multiple_of(2) { ONE_BYTE } else { TWO_BYTE };
}

fn check(flow: &Flow, arrived: &[&Arrival]) {
    let Flow { source, sender, sent, .. } = flow;
    let carried_id = sender.extension(source.extensions[0].1);
    assert!(carried_id.is_some());
    assert_eq!(arrived.len(), sent.len());
    assert!(arrived[0].packet.header.sequence_number < 1 << 15);
    let timestamp_offset =
        arrived[0].packet.header.timestamp.wrapping_sub(sent[0].packet.header.timestamp);
    let growth = arrived[0].size as isize - sent[0].size as isize;
    for (number, (sent, arrived)) in sent.iter().zip(arrived).enumerate() {
        let (before, after) = (&sent.packet.header, &arrived.packet.header);
        assert_eq!(arrived.packet.payload, sent.packet.payload, "payload of {number}");
        assert_eq!(after.payload_type, sender.payload_type);
        assert_eq!(after.marker, before.marker);
        assert_eq!(after.timestamp.wrapping_sub(before.timestamp), timestamp_offset);
        assert_eq!(arrived.size as isize - sent.size as isize, growth, "growth of {number}");
        let carried = before.extensions.iter().filter(|extension| extension.id != MID_ID);
        let expected: Vec<_> = carried.map(|one| (carried_id, one.payload.clone())).collect();
        let found: Vec<_> =
            after.extensions.iter().map(|one| (Some(one.id), one.payload.clone())).collect();
        assert_eq!(found, expected, "extensions of {number}");
    }
    assert!(steps(arrived).into_iter().eq(0..sent.len() as u16), "numbers without a gap");
}
