//! Every metric that docs/operating/metrics.md lists is moved, by one server that a call goes
//! through, that stands still for a moment, has too much to do, and is left in peace again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use corinth_perf::peer::{Peer, SenderInfo, Source, TransportOptions};
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::call::{Call, Client, Inbox, Stream};
use crate::page::{Kind, Page, documented};
use crate::server::Server;

/// The same for the whole life of a server.
const CONSTANT: &[&str] = &["corinth_build_info", "process_max_fds", "process_start_time_seconds"];

/// A process keeps memory that it has used.
const KEPT: &[&str] = &["process_resident_memory_bytes"];

/// Metrics that this server cannot move, each with the file and the test that does.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("corinth_webhook_waiting", WEBHOOK, "a_web_server_that_never_answers_holds_nobody_up"),
    ("corinth_webhook_events_total", WEBHOOK, "rooms_and_peers_are_told_of_in_their_order"),
    (
        "corinth_webhook_failures_total",
        WEBHOOK,
        "what_is_not_taken_is_told_again_and_what_came_meanwhile_after_it",
    ),
    (
        "corinth_slow_readers_total",
        "tests/audience.rs",
        "slow_is_who_takes_nothing_and_not_whoever_is_told_much",
    ),
];
const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const WEBHOOK: &str = "tests/webhook.rs";

/// More than a receive queue of 8 MiB takes, at the 768 bytes that the kernel reckons for a small
/// datagram.
const FLOOD: usize = 20_000;

/// Packets of the source with several viewers, and how many those are: a ring that sends so much
/// more than it receives runs out of buffers before it has sent all of them.
const BURST: usize = 1_500;
const VIEWERS: [&str; 3] = ["c", "d", "e"];

/// A datagram that is none of WebRTC's.
const NOISE: [u8; 20] = [0xff; 20];

/// As little as makes a shard full, so that a loaded machine can do it too.
const BUSY_MAX: &str = "0.1";

const PATIENCE: Duration = Duration::from_secs(30);

/// A server and what it has said of itself, in order.
struct Watched {
    server: Server,
    pages: Vec<Page>,
}

impl Watched {
    /// Reads the metrics.
    async fn look(&mut self) -> anyhow::Result<&Page> {
        self.pages.push(Page::parse(self.server.text("/metrics").await?)?);
        self.pages.last().context("just read")
    }

    /// Reads them again and again until they are as wished.
    async fn until(&mut self, what: &str, wished: impl Fn(&Page) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !wished(self.look().await?) {
            assert!(Instant::now() < deadline, "still without {what}: {:?}", self.pages.last());
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_documented_metric_is_moved() -> anyhow::Result<()> {
    let options = ["--io", "ring", "--even-trains", "--busy-max", BUSY_MAX];
    let server = Server::start_on(Ipv4Addr::LOCALHOST.into(), &options).await?;
    let mut watched = Watched { server, pages: Vec::new() };
    watched.look().await?;

    let mut call = Call::start(&watched.server.url, "room", TransportOptions::new(1)).await?;
    let media = call.a.peer.offer_transport(TransportOptions::new(2)).await?.remote.address;
    a_viewer_waits_for_a_key_frame(&mut watched, &mut call).await?;
    a_viewer_misses_something(&mut call).await?;
    a_source_loses_something(&mut call).await?;
    the_server_stands_still(&mut watched, &mut call, media).await?;
    there_is_too_much_to_do(&mut watched, media).await?;
    drop(call);
    watched
        .until("peace", |page| {
            page.sum("corinth_rooms") + page.sum("corinth_pressure") == 0.0
                && page.sum("corinth_busy_ratio") < 0.1
        })
        .await?;

    for (name, kind) in documented() {
        assert_moved(&name, kind, &watched.pages);
    }
    watched.pages.last().context("pages")?.check().await
}

/// Video begins with something else than a key frame, which is asked for, twice.
async fn a_viewer_waits_for_a_key_frame(
    watched: &mut Watched,
    call: &mut Call,
) -> anyhow::Result<()> {
    let source = Source::vp8(10, 1_000);
    call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    call.a.transport.send_rtp(&stream.vp8(false)).await?;
    call.a.inbox.until("two requests", |inbox| inbox.plis(1_000).len() == 2).await?;
    call.a.transport.send_rtp(&stream.vp8(true)).await?;
    call.b.inbox.until("the key frame", |inbox| inbox.rtp_count() == 1).await?;
    watched.look().await?;
    Ok(())
}

/// A viewer says how far it is, and asks for what it has got and for what never was.
async fn a_viewer_misses_something(call: &mut Call) -> anyhow::Result<()> {
    let source = Source::vp8(13, 4_000);
    call.a.peer.send_source(1, &source).await?;
    let sender = call.b.peer.new_sender().await?;
    let data = json!({"id": sender.id, "transportId": 1, "rtpSettings": {"useRtx": true}});
    call.b.peer.signaling.request("enableSender", data).await?;
    let mut stream = Stream::new(&source);
    call.a.transport.send_rtp(&stream.vp8(true)).await?;
    let clock = SenderReport { ssrc: source.ssrc, ntp_time: 1 << 40, ..Default::default() };
    call.a.transport.send_rtcp(&[Box::new(clock)]).await?;
    let heard = |inbox: &Inbox| inbox.rtcp::<SenderReport>().any(|(_, it)| it.ssrc == sender.ssrc);
    call.b.inbox.until("a report", heard).await?;
    let stated = call
        .b
        .inbox
        .rtcp::<SenderReport>()
        .find(|(_, it)| it.ssrc == sender.ssrc)
        .map(|(_, it)| it.ntp_time)
        .context("a report")?;
    let block = ReceptionReport {
        ssrc: sender.ssrc,
        last_sender_report: (stated >> 16) as u32,
        ..Default::default()
    };
    let report = ReceiverReport { reports: vec![block], ..Default::default() };
    let got = call.b.inbox.stream(sender.ssrc)[0].packet.header.sequence_number;
    // The one that came, and the second one behind it.
    let lost = NackPair { packet_id: got, lost_packets: 0b10 };
    let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc: sender.ssrc, nacks: vec![lost] };
    call.b.transport.send_rtcp(&[Box::new(report), Box::new(nack)]).await?;
    let before = call.b.inbox.rtp_count();
    call.b.inbox.until("the packet again", |inbox| inbox.rtp_count() == before + 1).await
}

/// Of a source whose packets are counted over the transport one is lost, and comes when it is asked
/// for; another one is lost just before a key frame.
async fn a_source_loses_something(call: &mut Call) -> anyhow::Result<()> {
    const RTX: (u8, u32) = (121, 5_001);
    let mut source = Source { rtx: Some(RTX), ..Source::vp8(14, 5_000) };
    source.extensions.push((3, TRANSPORT_CC));
    let mut parameters = source.rtp_parameters();
    parameters["codecs"][0]["rtcpFeedback"] = json!([{"type": "nack"}]);
    let data = json!({"id": 14, "kind": "video", "transportId": 1, "rtpParameters": parameters});
    call.a.peer.signaling.request("createReceiver", data).await?;
    call.b.peer.new_sender().await?;
    let mut stream = Stream::new(&source);
    let mut lost = None;
    for i in 0..10u16 {
        let mut packet = stream.vp8(i == 0);
        packet.header.set_extension(3, i.to_be_bytes().to_vec().into())?;
        if i == 3 {
            lost = Some(packet);
        } else {
            call.a.transport.send_rtp(&packet).await?;
        }
    }
    let asked = |inbox: &Inbox| inbox.rtcp::<TransportLayerNack>().count() > 0;
    call.a.inbox.until("the question", asked).await?;
    let mut again = lost.context("one was lost")?;
    again.payload =
        [&again.header.sequence_number.to_be_bytes()[..], &again.payload[..]].concat().into();
    (again.header.payload_type, again.header.ssrc) = RTX;
    again.header.sequence_number = 1;
    call.a.transport.send_rtp(&again).await?;
    stream.skip(1);
    call.a.transport.send_rtp(&stream.vp8(true)).await?;
    let told = |inbox: &Inbox| inbox.rtcp::<TransportLayerCc>().count() > 0;
    call.a.inbox.until("feedback", told).await
}

/// Meanwhile comes a frame whose packets are nearly equally long, then more for the viewers than
/// can be sent at once, then more than finds room.
async fn the_server_stands_still(
    watched: &mut Watched,
    call: &mut Call,
    media: SocketAddr,
) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let [video, audio] = [Source::vp8(11, 2_000), Source::opus(12, 3_000)];
    let sender = call.connect(&video).await?;
    let [mut stream, mut sound] = [&video, &audio].map(Stream::new);
    call.a.transport.send_rtp(&stream.vp8(true)).await?;
    call.b.inbox.until("video", |inbox| inbox.stream(sender.ssrc).len() == 1).await?;
    call.connect(&audio).await?;
    let mut viewers = Vec::new();
    for name in VIEWERS {
        viewers.push(view(&watched.server.url, name, "audio").await?);
    }

    watched.server.signal("STOP").await?;
    let mut frame = [stream.random(100), stream.random(101)];
    frame[0].header.timestamp = frame[1].header.timestamp;
    for packet in &frame {
        call.a.transport.send_rtp(packet).await?;
    }
    for i in 0..BURST {
        // No two in a row that could be one train.
        call.a.transport.send_rtp(&sound.random(50 + i % 50)).await?;
    }
    for _ in 0..FLOOD {
        socket.send_to(&NOISE, media).await?;
    }
    watched.server.signal("CONT").await?;
    call.b.inbox.until("the frame", |inbox| inbox.stream(sender.ssrc).len() == 3).await?;
    // What is lost is told with what comes after it.
    watched.until("what was dropped", |page| page.sum("corinth_dropped_total") >= 1_000.0).await?;
    socket.send_to(&NOISE, media).await?;
    drop(viewers);
    Ok(())
}

/// Joins and watches all that A sends of this kind.
async fn view(url: &str, name: &str, kind: &str) -> anyhow::Result<Client> {
    let client = Client::join(url, "room", name, TransportOptions::new(1)).await?;
    let peers = client.peer.joined["peers"].as_array().context("peers")?;
    let a = peers.iter().find(|peer| peer["name"] == "a").context("a")?;
    for sender in a["senders"].as_array().context("senders")? {
        if sender["kind"] == kind {
            client.peer.receive(SenderInfo::parse(sender, "a")?.id, 1).await?;
        }
    }
    Ok(client)
}

/// A shard is kept busy until nobody comes in any more.
async fn there_is_too_much_to_do(watched: &mut Watched, media: SocketAddr) -> anyhow::Result<()> {
    let (stop, sending) = flood(media);
    watched.until("pressure", |page| page.sum("corinth_pressure") >= 1.0).await?;
    let refused = Peer::join(&watched.server.url, "room", "late").await.err().context("let in")?;
    assert!(format!("{refused:#}").contains("503"), "{refused:#}");
    stop.store(true, Ordering::Relaxed);
    sending.await??;
    watched.look().await?;
    Ok(())
}

/// Sends noise until told to stop, or for a minute or so.
fn flood(to: SocketAddr) -> (Arc<AtomicBool>, JoinHandle<std::io::Result<()>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let sending = tokio::task::spawn_blocking(move || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        for _ in 0..10_000_000 {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            socket.send_to(&NOISE, to)?;
        }
        Ok(())
    });
    (stop, sending)
}

/// Holds the pages against what the type of a metric promises: counters and histograms count up and
/// have done so, gauges have gone up and come down again.
fn assert_moved(name: &str, kind: Kind, pages: &[Page]) {
    if let Some((_, file, test)) = ELSEWHERE.iter().find(|(moved, ..)| *moved == name) {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the file that moves it");
        assert!(text.contains(&format!("fn {test}(")) && text.contains(name), "{name}: {test}");
        return;
    }
    let series = |name: &str| pages.iter().map(|page| page.sum(name)).collect::<Vec<_>>();
    let (values, up) = (series(name), |values: &[f64]| values[0] < values[values.len() - 1]);
    match kind {
        Kind::Gauge if CONSTANT.contains(&name) => {
            assert!(values.iter().all(|value| *value == values[0] && *value > 0.0), "{name}");
        }
        Kind::Gauge => {
            let most = values.iter().copied().fold(f64::MIN, f64::max);
            assert!(values[0] < most, "{name} has not gone up: {values:?}");
            let down = values[values.len() - 1] < most || KEPT.contains(&name);
            assert!(down, "{name} has not come down again: {values:?}");
        }
        Kind::Counter => {
            assert_never_down(name, pages);
            assert!(up(&values), "{name} has not moved: {values:?}");
        }
        Kind::Histogram => {
            for part in ["count", "sum", "bucket"] {
                let name = format!("{name}_{part}");
                assert_never_down(&name, pages);
                assert!(up(&series(&name)), "{name} has not moved");
            }
        }
    }
}

/// Each sample by itself; a shard that was too busy to answer may be missing.
fn assert_never_down(name: &str, pages: &[Page]) {
    for two in pages.windows(2) {
        for (sample, before) in two[0].samples(name) {
            let after = two[1].samples(name).find(|(same, _)| *same == sample);
            assert!(after.is_none_or(|(_, after)| before <= after), "{sample} went down");
        }
    }
}
