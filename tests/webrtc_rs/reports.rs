//! RTCP: what a sending client is told about its streams, what a receiving one about theirs.

use std::time::Duration;

use corinth_perf::peer::{Source, TransportOptions};
use corinth_perf::transport::RtcpPacket;
use rtcp::goodbye::Goodbye;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::{SdesType, SourceDescription};

use crate::call::{Call, Inbox, Stream, steps};
use crate::server::Server;

/// The source's clock in its first report: any will do, the server must not put in its own.
const NTP: u64 = 0xE0_00_00_01_40_00_00_00;

/// As RTCP counts delays: 1/65536 s.
const SECOND: u32 = 65_536;

fn sender_report(source: &Source, rtp_time: u32) -> RtcpPacket {
    Box::new(SenderReport { ssrc: source.ssrc, ntp_time: NTP, rtp_time, ..Default::default() })
}

/// The last report block about `ssrc`.
fn block(inbox: &Inbox, ssrc: u32) -> Option<ReceptionReport> {
    let blocks = inbox.rtcp::<ReceiverReport>().flat_map(|(_, report)| &report.reports);
    blocks.filter(|block| block.ssrc == ssrc).last().cloned()
}

fn sender_reports(inbox: &Inbox, ssrc: u32) -> Vec<SenderReport> {
    let reports = inbox.rtcp::<SenderReport>();
    reports.filter(|(_, report)| report.ssrc == ssrc).map(|(_, report)| report.clone()).collect()
}

#[tokio::test]
async fn a_source_is_told_how_its_packets_arrive() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::opus(10, 1_000);
    call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    for number in 0..100 {
        if number == 50 {
            stream.skip(5);
        }
        call.a.transport.send_rtp(&stream.random(50)).await?;
        call.a.inbox.listen(Duration::from_millis(5)).await?;
    }
    call.a.transport.send_rtcp(&[sender_report(&source, stream.timestamp())]).await?;
    // Bits 16 to 47 of the report's NTP time (RFC 3550 §6.4.1).
    let lsr = (NTP >> 16) as u32;
    let complete = |inbox: &Inbox| {
        block(inbox, source.ssrc).is_some_and(|block| block.last_sender_report == lsr)
    };
    call.a.inbox.until("a report with the time of ours", complete).await?;

    let block = block(&call.a.inbox, source.ssrc).expect("there is one");
    // It started at 65531: the numbers have gone round once.
    assert_eq!(block.last_sequence_number, (1 << 16) | u32::from(stream.sequence_number()));
    assert_eq!(block.total_lost, 5);
    assert!(block.delay < 3 * SECOND, "{} since the report", block.delay);
    assert!(block.jitter < source.clock_rate / 10, "{} of jitter", block.jitter);
    Ok(())
}

#[tokio::test]
async fn a_viewer_is_told_the_clock_and_the_name_of_the_source() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source { cname: "a's own name".into(), ..Source::opus(10, 1_000) };
    let sender = call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    for _ in 0..10 {
        call.a.transport.send_rtp(&stream.random(50)).await?;
    }
    call.b.inbox.until("ten", |inbox| inbox.stream(sender.ssrc).len() == 10).await?;
    call.b.inbox.listen(Duration::from_millis(2_200)).await?;
    assert!(sender_reports(&call.b.inbox, sender.ssrc).is_empty(), "none before the source's");

    let rtp_time = stream.timestamp();
    call.a.transport.send_rtcp(&[sender_report(&source, rtp_time)]).await?;
    let two = |inbox: &Inbox| sender_reports(inbox, sender.ssrc).len() >= 2;
    call.b.inbox.until("two reports", two).await?;

    let last = call.b.inbox.stream(sender.ssrc)[9].packet.header.timestamp;
    let offset = last.wrapping_sub(rtp_time);
    for report in sender_reports(&call.b.inbox, sender.ssrc) {
        assert_eq!((report.packet_count, report.octet_count), (10, 500));
        let elapsed = report.ntp_time.wrapping_sub(NTP) as f64 / f64::from(u32::MAX);
        assert!((0.0..10.0).contains(&elapsed), "{elapsed} s after the source's report");
        let ticks = report.rtp_time.wrapping_sub(offset).wrapping_sub(rtp_time);
        let difference = f64::from(ticks) - elapsed * f64::from(source.clock_rate);
        assert!(difference.abs() <= 48.0, "{difference} ticks beside the source's clock");
    }
    let names = call.b.inbox.rtcp::<SourceDescription>().flat_map(|(_, sdes)| &sdes.chunks);
    let mut names = names.filter(|chunk| chunk.source == sender.ssrc).peekable();
    assert!(names.peek().is_some(), "a report comes with a name");
    for chunk in names {
        assert_eq!(chunk.items[0].sdes_type, SdesType::SdesCname);
        assert_eq!(chunk.items[0].text, source.cname);
    }
    Ok(())
}

#[tokio::test]
async fn a_viewer_hears_the_end_of_a_sender_but_no_farewell_of_the_source() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::opus(10, 1_000);
    let sender = call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    call.a.transport.send_rtp(&stream.random(50)).await?;
    let bye = Goodbye { sources: vec![source.ssrc], ..Default::default() };
    call.a.transport.send_rtcp(&[Box::new(bye)]).await?;
    call.a.transport.send_rtp(&stream.random(50)).await?;
    call.b.inbox.until("both", |inbox| inbox.stream(sender.ssrc).len() == 2).await?;
    assert_eq!(steps(&call.b.inbox.stream(sender.ssrc)), [0, 1]);
    assert_eq!(call.b.inbox.rtcp::<Goodbye>().count(), 0);

    let close = serde_json::json!({"id": source.id, "appData": "over"});
    call.a.peer.signaling.notify("closeReceiver", close).await;
    let closed = call.b.peer.notification("senderClosed").await?;
    assert_eq!((&closed["id"], &closed["appData"]), (&sender.id.into(), &"over".into()));
    call.b.inbox.until("a BYE", |inbox| inbox.rtcp::<Goodbye>().count() == 1).await?;
    let byes: Vec<_> = call.b.inbox.rtcp::<Goodbye>().map(|(_, bye)| &bye.sources).collect();
    assert_eq!(byes, [&vec![sender.ssrc]]);
    Ok(())
}
