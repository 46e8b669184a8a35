//! RTCP against webrtc-rs's `rtcp` crate in both directions, and against noise.

use proptest::prelude::*;
use rtcp::goodbye::Goodbye;
use rtcp::packet::Packet;
use rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::source_description::{SdesType, SourceDescription};
use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use webrtc_util::marshal::Marshal;

use super::*;
use crate::types::Timestamp;

/// A picture loss indication: the smallest packet with something in it.
const PLI: [u8; 12] = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];

const REPORT: SenderReport = SenderReport {
    sender_ssrc: Ssrc(0x902f_9e2e),
    ntp: 0xda8b_d1fc_dddd_a05a,
    rtp_time: 0xaaf4_edd5,
    packets: 1,
    octets: 2,
};

fn block(ssrc: u32, cumulative_lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc: Ssrc(ssrc),
        fraction_lost: 55,
        cumulative_lost,
        highest_seq: 0x0001_46e1,
        jitter: 273,
        last_sr: 0x09f3_6432,
        delay_since_last_sr: 150_137,
    }
}

fn theirs(block: &ReportBlock) -> ReceptionReport {
    ReceptionReport {
        ssrc: block.ssrc.0,
        fraction_lost: block.fraction_lost,
        total_lost: block.cumulative_lost as u32 & 0xff_ffff,
        last_sequence_number: block.highest_seq,
        jitter: block.jitter,
        last_sender_report: block.last_sr,
        delay: block.delay_since_last_sr,
    }
}

/// What the other implementation reads.
fn their_packets(mut compound: &[u8]) -> Vec<Box<dyn Packet + Send + Sync>> {
    rtcp::packet::unmarshal(&mut compound).unwrap()
}

fn as_packet<T: 'static>(packet: &(dyn Packet + Send + Sync)) -> &T {
    packet.as_any().downcast_ref().unwrap()
}

/// The packets that are read, and the fault that ends them.
fn read(compound: &[u8]) -> (Vec<RtcpPacket<'_>>, Option<DropReason>) {
    let mut all: Vec<_> = packets(compound).collect();
    let fault = all.pop_if(|last| last.is_err()).and_then(Result::err);
    (all.into_iter().map(|packet| packet.expect("nothing follows a fault")).collect(), fault)
}

/// The packets of a compound without a fault.
fn read_all(compound: &[u8]) -> Vec<RtcpPacket<'_>> {
    let (all, fault) = read(compound);
    assert_eq!(fault, None);
    all
}

fn malformed(compound: &[u8]) -> bool {
    let (packets, fault) = read(compound);
    packets.is_empty() && fault == Some(DropReason::RtcpMalformed)
}

#[test]
fn another_implementation_reads_our_compound_packet() {
    let mut buf = [0xee; 300];
    let mut writer = CompoundWriter::new(&mut buf);
    let blocks = [block(1, -3), block(2, 0x7f_ffff)];
    assert!(writer.is_empty());
    assert!(writer.sender_report(&REPORT, &blocks));
    assert!(writer.sdes_cname(REPORT.sender_ssrc, "corinth"));
    assert!(writer.receiver_report(Ssrc(7), &blocks[..1]));
    assert!(writer.pli(Ssrc(7), Ssrc(8)));
    assert!(writer.bye(&[Ssrc(9), Ssrc(10)]));
    let len = writer.len();
    assert!(buf[len..].iter().all(|&byte| byte == 0xee), "wrote behind its end");

    let packets = their_packets(&buf[..len]);
    assert_eq!(packets.len(), 5);
    let report: &rtcp::sender_report::SenderReport = as_packet(&*packets[0]);
    assert_eq!(report.ssrc, REPORT.sender_ssrc.0);
    assert_eq!((report.ntp_time, report.rtp_time), (REPORT.ntp, REPORT.rtp_time));
    assert_eq!((report.packet_count, report.octet_count), (1, 2));
    assert_eq!(report.reports, blocks.each_ref().map(theirs));
    let description: &SourceDescription = as_packet(&*packets[1]);
    assert_eq!(description.chunks[0].source, REPORT.sender_ssrc.0);
    assert_eq!(description.chunks[0].items[0].sdes_type, SdesType::SdesCname);
    assert_eq!(&description.chunks[0].items[0].text[..], b"corinth");
    let report: &ReceiverReport = as_packet(&*packets[2]);
    assert_eq!((report.ssrc, &report.reports[..]), (7, &[theirs(&blocks[0])][..]));
    let pli: &PictureLossIndication = as_packet(&*packets[3]);
    assert_eq!((pli.sender_ssrc, pli.media_ssrc), (7, 8));
    let bye: &Goodbye = as_packet(&*packets[4]);
    assert_eq!(bye.sources, [9, 10]);
}

#[test]
fn we_read_another_implementations_packets() {
    let fir = FullIntraRequest {
        sender_ssrc: 1,
        media_ssrc: 2,
        fir: vec![
            FirEntry { ssrc: 3, sequence_number: 0x42 },
            FirEntry { ssrc: 4, sequence_number: 0x57 },
        ],
    };
    let bye = Goodbye { sources: vec![5, 6], reason: "because".into() };
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: 2,
        nacks: vec![
            NackPair { packet_id: 9, lost_packets: 0 },
            NackPair { packet_id: 65_530, lost_packets: 0x8021 },
        ],
    };
    let report = ReceiverReport {
        ssrc: 7,
        reports: vec![theirs(&block(8, 4))],
        profile_extensions: vec![1, 2, 3, 4].into(),
    };
    // A reduced-size packet: feedback first.
    let compound = [fir.marshal(), bye.marshal(), nack.marshal(), report.marshal()]
        .map(|p| p.unwrap())
        .concat();
    let read = read_all(&compound);
    let [
        RtcpPacket::Fir { sender_ssrc: Ssrc(1), entries },
        RtcpPacket::Bye(ssrcs),
        RtcpPacket::Nack { sender_ssrc: Ssrc(1), media_ssrc: Ssrc(2), lost },
        RtcpPacket::ReceiverReport { sender_ssrc: Ssrc(7), blocks },
    ] = &read[..]
    else {
        panic!("{read:?}");
    };
    assert!(entries.clone().eq([(Ssrc(3), 0x42), (Ssrc(4), 0x57)]));
    assert!(ssrcs.clone().eq([Ssrc(5), Ssrc(6)]));
    assert!(lost.clone().eq([9, 65_530, 65_531, 0, 10]));
    assert!(blocks.clone().eq([block(8, 4)]));
}

#[test]
fn losses_are_24_bits_with_a_sign() {
    let ends = [(i32::MIN, -0x80_0000), (i32::MAX, 0x7f_ffff), (-1, -1), (0x7f_ffff, 0x7f_ffff)];
    for (written, read) in ends {
        let mut buf = [0; 32];
        assert!(CompoundWriter::new(&mut buf).receiver_report(Ssrc(1), &[block(2, written)]));
        let Some(RtcpPacket::ReceiverReport { mut blocks, .. }) = read_all(&buf).pop() else {
            panic!("no receiver report");
        };
        assert_eq!(blocks.next(), Some(block(2, read)));
    }
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    let blocks = [block(1, 0); 32];
    let ssrcs = [Ssrc(1); 32];
    let mut buf = [0xee; 1500];
    let mut writer = CompoundWriter::new(&mut buf);
    assert!(!writer.sender_report(&REPORT, &blocks), "32 do not fit the count");
    assert!(!writer.receiver_report(Ssrc(1), &blocks));
    assert!(!writer.bye(&ssrcs));
    assert!(!writer.sdes_cname(Ssrc(1), &"c".repeat(256)));
    assert!(writer.is_empty());
    assert!(writer.receiver_report(Ssrc(1), &blocks[..31]));
    assert!(writer.sdes_cname(Ssrc(1), &"c".repeat(255)));
    let len = writer.len();
    assert_eq!(read_all(&buf[..len]).len(), 2);

    // One byte short of the second packet.
    let mut small = [0xee; 23];
    let mut writer = CompoundWriter::new(&mut small);
    assert!(writer.pli(Ssrc(1), Ssrc(2)));
    assert!(!writer.pli(Ssrc(1), Ssrc(2)));
    assert!(writer.bye(&[Ssrc(1)]), "which is shorter");
    assert_eq!(writer.len(), 20);
    assert_eq!(small[20..], [0xee; 3]);
}

#[test]
fn a_cname_of_any_length_ends_with_a_zero() {
    for len in 0..12 {
        let mut buf = [0xee; 64];
        let mut writer = CompoundWriter::new(&mut buf);
        assert!(writer.sdes_cname(Ssrc(1), &"c".repeat(len)));
        let written = writer.len();
        assert_eq!(written % 4, 0);
        assert_eq!(buf[written - 1], 0);
        let packets = their_packets(&buf[..written]);
        let description: &SourceDescription = as_packet(&*packets[0]);
        assert_eq!(description.chunks[0].items[0].text.len(), len);
    }
}

#[test]
fn what_stands_before_a_fault_is_read_and_nothing_after_it() {
    let malformed = Some(DropReason::RtcpMalformed);
    let counted = |compound: &[u8]| {
        let (packets, fault) = read(compound);
        assert!(packets.iter().all(|it| matches!(it, RtcpPacket::Pli { .. })), "{packets:?}");
        (packets.len(), fault)
    };
    let three = [PLI, PLI, PLI].concat();
    for len in 0..=three.len() {
        let (whole, rest) = (len / PLI.len(), len % PLI.len());
        let ends_well = whole > 0 && rest == 0;
        let fault = malformed.filter(|_| !ends_well);
        assert_eq!(counted(&three[..len]), (whole, fault), "cut to {len}");
    }
    let fault = |at: usize, byte: u8| {
        let mut three = three.clone();
        three[at] = byte;
        counted(&three)
    };
    assert_eq!(fault(12, 0x41), (1, malformed), "version");
    assert_eq!(fault(15, 9), (1, malformed), "too long");
    assert_eq!(fault(15, 1), (1, malformed), "too short for what it is");
    assert_eq!(fault(12, 0xa1), (1, malformed), "padding that takes its body");
    let mut unknown = three.clone();
    unknown[13] = 207;
    let read = read_all(&unknown);
    let known = |it: &RtcpPacket<'_>| matches!(it, RtcpPacket::Pli { .. });
    assert_eq!(read.iter().map(known).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn counts_must_fit_the_body() {
    for (packet_type, count) in [(200, 1), (201, 1), (203, 7)] {
        let mut packet = [0; HEADER_LEN + 24];
        packet[..4].copy_from_slice(&[0x80, packet_type, 0, 6]);
        assert!(!malformed(&packet), "{packet_type} without any");
        packet[0] |= count;
        assert!(malformed(&packet), "{packet_type} with {count}");
    }
    // Half an entry of a full intra request; a sender report without its own part.
    assert!(malformed(&[0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]));
    assert!(malformed(&[0x80, 200, 0, 1, 0, 0, 0, 1]));
    // A NACK of nothing.
    assert!(malformed(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]));
}

#[test]
fn padding_is_taken_off_and_must_be_there() {
    let padded = |body: &[u8], padding: u8| {
        let head = [0xa4, 206, 0, (body.len() / 4) as u8];
        let mut packet = [&head, body].concat();
        *packet.last_mut().unwrap() = padding;
        packet
    };
    // The second entry is padding.
    let packet = padded(&[1; 24], 8);
    let Some(RtcpPacket::Fir { entries, .. }) = read_all(&packet).pop() else {
        panic!("no request");
    };
    assert_eq!(entries.count(), 1);
    assert!(malformed(&padded(&[1; 24], 0)));
    assert!(malformed(&padded(&[1; 24], 25)));
    assert!(malformed(&[0xa4, 206, 0, 0]), "no body to hold it");
    // As libwebrtc pads its transport feedback, in front of something else.
    let compound = [&[0xaf, 205, 0, 1, 0, 0, 0, 1], &PLI[..]].concat();
    assert_eq!(read_all(&compound).len(), 2);
}

proptest! {
    #[test]
    fn noise_never_panics_and_ends(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        packet_type in 200..208u8,
        words in 0..50u8,
    ) {
        let ends = |bytes: &[u8]| packets(bytes).count() <= 1 + bytes.len() / HEADER_LEN;
        prop_assert!(ends(&bytes));
        if let Some(head) = bytes.first_chunk_mut() {
            *head = [0x80 | head[0] & 0x3f, packet_type, 0, words];
        }
        // One whole packet of a known type.
        bytes.truncate(HEADER_LEN + 4 * usize::from(words));
        for packet in packets(&bytes).flatten() {
            let count = match packet {
                RtcpPacket::SenderReport(_, blocks) => blocks.count(),
                RtcpPacket::ReceiverReport { blocks, .. } => blocks.count(),
                RtcpPacket::Bye(ssrcs) => ssrcs.count(),
                RtcpPacket::Fir { entries, .. } => entries.count(),
                RtcpPacket::Nack { lost, .. } => lost.count().div_ceil(17),
                RtcpPacket::Pli { .. } | RtcpPacket::Other { .. } => 0,
            };
            prop_assert!(count <= bytes.len());
        }
    }

    #[test]
    fn reports_come_back_as_they_were(
        (ssrc, ntp, rtp_time, packets_sent, octets) in any::<(u32, u64, u32, u32, u32)>(),
        fields in prop::collection::vec(
            (any::<(u32, u8, u32, u32, u32, u32)>(), -0x80_0000..0x80_0000), 0..32),
    ) {
        let sender_ssrc = Ssrc(ssrc);
        let report = SenderReport { sender_ssrc, ntp, rtp_time, packets: packets_sent, octets };
        let blocks: Vec<ReportBlock> = fields.into_iter().map(|(words, cumulative_lost)| {
            let (ssrc, fraction_lost, highest_seq, jitter, last_sr, delay_since_last_sr) = words;
            let ssrc = Ssrc(ssrc);
            ReportBlock {
                ssrc, fraction_lost, cumulative_lost, highest_seq, jitter, last_sr,
                delay_since_last_sr,
            }
        }).collect();
        let mut buf = [0; 900];
        let mut writer = CompoundWriter::new(&mut buf);
        prop_assert!(writer.sender_report(&report, &blocks));
        let len = writer.len();
        let Some(RtcpPacket::SenderReport(read, read_blocks)) = read_all(&buf[..len]).pop()
        else { panic!("no sender report") };
        prop_assert_eq!(read, report);
        prop_assert!(read_blocks.eq(blocks));
    }

    #[test]
    fn nacks_name_each_lost_packet_once_in_few_entries(
        start in any::<u16>(),
        gaps in prop::collection::vec(1..40u16, 0..100),
    ) {
        let mut lost = vec![start];
        for gap in gaps {
            lost.push(lost.last().unwrap().wrapping_add(gap));
        }
        let mut buf = [0; 500];
        let mut writer = CompoundWriter::new(&mut buf);
        prop_assert!(writer.nack(Ssrc(1), Ssrc(2), &lost));
        let len = writer.len();
        let Some(RtcpPacket::Nack { lost: read, .. }) = read_all(&buf[..len]).pop()
        else { panic!("no NACK") };
        prop_assert!(read.eq(lost.iter().copied()));
        let theirs = their_packets(&buf[..len]);
        let theirs: &TransportLayerNack = as_packet(&*theirs[0]);
        let all: Vec<u16> = theirs.nacks.iter().flat_map(|pair| pair.into_iter()).collect();
        prop_assert_eq!(all, lost);
        for two in theirs.nacks.windows(2) {
            let apart = two[1].packet_id.wrapping_sub(two[0].packet_id);
            prop_assert!(apart > 16, "one entry would have done");
        }
    }

    #[test]
    fn another_implementation_reads_when_packets_came(
        base in any::<u16>(),
        start in 0u64..1 << 40,
        packets in prop::collection::vec(
            prop_oneof![
                2 => Just(None),
                8 => (0..20_000i64).prop_map(Some),
                1 => (-60_000..900_000i64).prop_map(Some),
            ],
            1..1200,
        ),
    ) {
        let mut at = start as i64;
        let times: Vec<Option<Timestamp>> = packets.into_iter().map(|step| {
            at = (at + step?).max(1);
            Some(Timestamp::from_micros(at as u64))
        }).collect();
        let mut buf = [0xee; 1200];
        let mut writer = CompoundWriter::new(&mut buf);
        let told = writer.transport_cc([Ssrc(1), Ssrc(2)], 7, base, times.iter().copied());
        let Some(told) = told else {
            prop_assert!(times.iter().all(Option::is_none));
            return Ok(());
        };
        let len = writer.len();
        prop_assert!(told == times.len() || len > 900, "{told} of {}", times.len());
        let theirs = their_packets(&buf[..len]);
        let theirs: &TransportLayerCc = as_packet(&*theirs[0]);
        prop_assert_eq!((theirs.sender_ssrc, theirs.media_ssrc), (1, 2));
        prop_assert_eq!((theirs.base_sequence_number, theirs.fb_pkt_count), (base, 7));
        prop_assert_eq!(usize::from(theirs.packet_status_count), told);
        let symbols: Vec<_> = theirs.packet_chunks.iter().flat_map(|chunk| match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                vec![run.packet_status_symbol; usize::from(run.run_length)]
            }
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
        }).take(told).collect();
        prop_assert_eq!(symbols.len(), told);
        let mut deltas = theirs.recv_deltas.iter();
        let mut ticks = i64::from(theirs.reference_time) * 256;
        for (symbol, time) in symbols.into_iter().zip(&times) {
            let came = symbol != SymbolTypeTcc::PacketNotReceived;
            prop_assert_eq!(came, time.is_some());
            if let Some(time) = time {
                ticks += deltas.next().expect("a time for each").delta / 250;
                let wraps = 256 << 24;
                let expected = (time.as_micros() / 250) as i64;
                prop_assert_eq!(ticks.rem_euclid(wraps), expected.rem_euclid(wraps));
            }
        }
    }
}
