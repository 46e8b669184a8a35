//! Where a video Sender begins: key frames are asked for, and only from one on is there video.
//! What was left out before leaves no trace in the numbers.

use std::time::Duration;

use corinth_perf::peer::{Source, TransportOptions};
use corinth_perf::transport::RtcpPacket;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtp::packet::Packet;
use tokio::time::Instant;

use crate::call::{Call, Stream, steps};
use crate::server::Server;

/// Between frames.
const FRAME: Duration = Duration::from_millis(20);

/// Least time between two requests, with some for a busy machine.
const REQUEST_INTERVAL: Duration = Duration::from_millis(450);

#[tokio::test]
async fn a_key_frame_is_asked_for_twice_a_second_until_it_comes() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::vp8(10, 1_000);
    let sender = call.connect(&source).await?;
    let mut stream = Stream::new(&source);

    let pli: RtcpPacket =
        Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: sender.ssrc });
    let end = Instant::now() + Duration::from_millis(1_700);
    while Instant::now() < end {
        call.a.transport.send_rtp(&stream.vp8(false)).await?;
        // Asking as well, and often, makes no difference.
        call.b.transport.send_rtcp(std::slice::from_ref(&pli)).await?;
        call.a.inbox.listen(FRAME).await?;
    }
    let plis = call.a.inbox.plis(source.ssrc);
    assert!((3..=4).contains(&plis.len()), "{} requests in 1.7 s", plis.len());
    assert!(plis.windows(2).all(|pair| pair[1] - pair[0] >= REQUEST_INTERVAL), "{plis:?}");

    let key = stream.vp8(true);
    call.a.transport.send_rtp(&key).await?;
    let end = Instant::now() + Duration::from_millis(1_200);
    let mut frames = 1;
    while Instant::now() < end {
        call.a.transport.send_rtp(&stream.vp8(false)).await?;
        frames += 1;
        call.a.inbox.listen(FRAME).await?;
    }
    assert!(call.a.inbox.plis(source.ssrc).len() <= plis.len() + 1, "it has come");
    call.b.inbox.until("all", |inbox| inbox.stream(sender.ssrc).len() == frames).await?;
    assert_eq!(call.b.inbox.stream(sender.ssrc)[0].packet.payload, key.payload);
    Ok(())
}

/// What starts and stops a stream.
const SWITCHES: [(&str, &str); 2] =
    [("stopSender", "playSender"), ("pauseReceiver", "resumeReceiver")];

#[tokio::test]
async fn what_is_stopped_or_paused_goes_on_at_a_key_frame_without_a_gap() -> anyhow::Result<()> {
    let server = Server::start().await?;
    for (off, on) in SWITCHES {
        let mut call = Call::start(&server.url, off, TransportOptions::new(1)).await?;
        let source = Source::vp8(10, 1_000);
        let sender = call.connect(&source).await?;
        let mut stream = Stream::new(&source);
        let mut sent = Vec::new();
        send(&call, &mut sent, std::iter::once(stream.vp8(true))).await?;
        send(&call, &mut sent, frames(&mut stream, 5)).await?;
        call.b.inbox.until("six", |inbox| inbox.stream(sender.ssrc).len() == 6).await?;

        switch(&call, off, source.id, sender.id).await?;
        send(&call, &mut Vec::new(), frames(&mut stream, 10)).await?;
        // What was sent while it was off must have arrived before it is on again.
        call.a.inbox.listen(Duration::from_millis(200)).await?;
        let asked = call.a.inbox.plis(source.ssrc).len();

        switch(&call, on, source.id, sender.id).await?;
        call.a.inbox.until("a request", |inbox| inbox.plis(source.ssrc).len() > asked).await?;
        send(&call, &mut Vec::new(), frames(&mut stream, 3)).await?;
        send(&call, &mut sent, std::iter::once(stream.vp8(true))).await?;
        send(&call, &mut sent, frames(&mut stream, 5)).await?;
        call.b.inbox.until("twelve", |inbox| inbox.stream(sender.ssrc).len() == 12).await?;

        let arrived = call.b.inbox.stream(sender.ssrc);
        assert!(steps(&arrived).into_iter().eq(0..12), "{off}: {:?}", steps(&arrived));
        let offset = |at: usize| {
            let ours = arrived[at].packet.header.timestamp;
            ours.wrapping_sub(sent[at].header.timestamp)
        };
        for (at, arrival) in arrived.iter().enumerate() {
            assert_eq!(arrival.packet.payload, sent[at].payload, "{off}: packet {at}");
            assert_eq!(offset(at), offset(0), "{off}: timestamp of {at}");
        }
        if off == "pauseReceiver" {
            for method in ["senderPaused", "senderResumed"] {
                assert_eq!(call.b.peer.notification(method).await?["id"], sender.id);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn losses_stay_gaps_and_order_stays_order() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::opus(10, 1_000);
    let sender = call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    let mut packets: Vec<Packet> = (0..4).map(|_| stream.random(20)).collect();
    stream.skip(3);
    packets.extend((0..5).map(|_| stream.random(20)));
    packets.swap(5, 7);
    send(&call, &mut Vec::new(), packets.into_iter()).await?;
    call.b.inbox.until("nine", |inbox| inbox.stream(sender.ssrc).len() == 9).await?;
    assert_eq!(steps(&call.b.inbox.stream(sender.ssrc)), [0, 1, 2, 3, 7, 10, 9, 8, 11]);
    Ok(())
}

fn frames(stream: &mut Stream, count: usize) -> impl Iterator<Item = Packet> {
    std::iter::repeat_with(|| stream.vp8(false)).take(count)
}

async fn send(
    call: &Call,
    sent: &mut Vec<Packet>,
    packets: impl Iterator<Item = Packet>,
) -> anyhow::Result<()> {
    for packet in packets {
        call.a.transport.send_rtp(&packet).await?;
        sent.push(packet);
    }
    Ok(())
}

async fn switch(call: &Call, method: &str, receiver: u32, sender: u32) -> anyhow::Result<()> {
    match method.ends_with("Receiver") {
        true => call.ask_a(method, receiver).await,
        false => call.ask_b(method, sender).await,
    }
}
