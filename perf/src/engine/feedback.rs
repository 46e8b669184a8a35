//! RTCP that clients send, written with the rtcp crate: reports, requests for key frames and for
//! lost packets, and transport-wide feedback as a browser gives it.

use std::any::Any;

use bytes::Bytes;
use rtcp::packet::Packet;
use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    SymbolTypeTcc, TransportLayerCc,
};
use rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};

use super::source::SourceTx;
use super::stream::StreamRx;

/// What reports say of the round trip, in nanoseconds: that of a near client. Over loopback there
/// is none, and some servers keep nothing to send again for clients that are at no distance.
const ROUND_TRIP: u64 = 20_000_000;

/// Seconds from 1900 to 1970 (RFC 3550 §4).
const NTP_EPOCH: u64 = 2_208_988_800;

/// Any RTCP packet.
pub type AnyPacket = Box<dyn Packet + Send + Sync>;

/// What an SFU says to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A report of a stream that it sends.
    Report {
        /// The stream.
        ssrc: u32,
        /// The middle 32 bits of its NTP time.
        ntp: u32,
    },
    /// A key frame (PLI, FIR).
    KeyFrame {
        /// The source's stream.
        ssrc: u32,
    },
    /// Packets once more (NACK).
    Again {
        /// The source's stream.
        ssrc: u32,
        /// Their sequence numbers.
        numbers: Vec<u16>,
    },
}

/// The packets of a compound that was opened, up to the first that does not parse.
fn packets(mut compound: &[u8]) -> impl Iterator<Item = AnyPacket> {
    std::iter::from_fn(move || {
        let &[_, _, high, low] = compound.first_chunk()?;
        let len = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        let (mut packet, rest) = compound.split_at_checked(len)?;
        compound = rest;
        rtcp::packet::unmarshal(&mut packet).ok()?.pop()
    })
    .fuse()
}

/// Reads a compound packet that was opened.
pub fn said(compound: &[u8]) -> Vec<Said> {
    let mut all = Vec::new();
    for packet in packets(compound) {
        let any: &dyn Any = packet.as_any();
        if let Some(report) = any.downcast_ref::<SenderReport>() {
            let ntp = (report.ntp_time >> 16) as u32;
            all.push(Said::Report { ssrc: report.ssrc, ntp });
        } else if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
            all.push(Said::KeyFrame { ssrc: pli.media_ssrc });
        } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
            all.extend(fir.fir.iter().map(|entry| Said::KeyFrame { ssrc: entry.ssrc }));
        } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
            let numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
            all.push(Said::Again { ssrc: nack.media_ssrc, numbers });
        }
    }
    all
}

/// One report of a source, with its name.
pub fn sender_report(source: &SourceTx, now: u64, wall: u64) -> [AnyPacket; 2] {
    let progress = source.progress(now);
    let seconds = wall / 1_000_000_000 + NTP_EPOCH;
    let fraction = ((wall % 1_000_000_000) << 32) / 1_000_000_000;
    let report = SenderReport {
        ssrc: source.spec.ssrc,
        ntp_time: seconds << 32 | fraction,
        rtp_time: progress.rtp_time,
        packet_count: progress.packets,
        octet_count: 0,
        ..SenderReport::default()
    };
    let item = SourceDescriptionItem {
        sdes_type: SdesType::SdesCname,
        text: Bytes::from(source.spec.cname.clone()),
    };
    let chunk = SourceDescriptionChunk { source: source.spec.ssrc, items: vec![item] };
    [Box::new(report), Box::new(SourceDescription { chunks: vec![chunk] })]
}

/// What a viewer reports of one stream. Like browsers, it says what it has to say of a stream in a
/// compound packet of its own, which begins with this.
pub fn receiver_report(own_ssrc: u32, ssrc: u32, stream: &StreamRx, now: u64) -> AnyPacket {
    let (last, delay) = stream.reported.map_or((0, 0), |(last, at)| {
        // RFC 3550 §6.4.1: in units of 1/65536 s.
        let held = u128::from(now.saturating_sub(at).saturating_sub(ROUND_TRIP));
        (last, ((held << 16) / 1_000_000_000) as u32)
    });
    let block = ReceptionReport {
        ssrc,
        last_sequence_number: stream.highest_seq().into(),
        jitter: (stream.jitter().unwrap_or(0.0) * 90_000.0 / 1e9) as u32,
        last_sender_report: last,
        delay,
        ..ReceptionReport::default()
    };
    Box::new(ReceiverReport { ssrc: own_ssrc, reports: vec![block], ..ReceiverReport::default() })
}

/// Asks for a key frame of the stream `media_ssrc`.
pub fn key_frame_request(own_ssrc: u32, media_ssrc: u32) -> AnyPacket {
    Box::new(PictureLossIndication { sender_ssrc: own_ssrc, media_ssrc })
}

/// Asks for packets of the stream `media_ssrc` once more.
pub fn again(own_ssrc: u32, media_ssrc: u32, numbers: &[u16]) -> AnyPacket {
    let nacks = nack_pairs_from_sequence_numbers(numbers);
    Box::new(TransportLayerNack { sender_ssrc: own_ssrc, media_ssrc, nacks })
}

/// What arrived with which transport-wide number
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
#[derive(Debug, Default)]
pub struct TransportFeedback {
    /// Numbers and times, as they came.
    arrivals: Vec<(u16, u64)>,
    count: u8,
}

/// A packet's time is told in steps of 250 µs, a feedback's in steps of 64 ms.
const DELTA: i64 = 250_000;
const REFERENCE: u64 = 64_000_000;
/// Packets that one feedback speaks of at most; what came before is given up.
const FEEDBACK_MAX: u16 = 1024;
/// Symbols of two bits in one chunk.
const SYMBOLS: usize = 7;

impl TransportFeedback {
    /// A packet with `number` came at `at` nanoseconds.
    pub fn note(&mut self, number: u16, at: u64) {
        if self.arrivals.len() < FEEDBACK_MAX.into() {
            self.arrivals.push((number, at));
        }
    }

    /// The feedback on what came since the last; `None` if nothing did.
    pub fn take(&mut self, own_ssrc: u32, media_ssrc: u32) -> Option<AnyPacket> {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let (first, _) = *arrivals.first()?;
        // By number, across a roll-over: no two of them are half a turn apart.
        arrivals.sort_by_key(|(number, _)| number.wrapping_sub(first).cast_signed());
        arrivals.dedup_by_key(|(number, _)| *number);
        let base = arrivals[0].0;
        let behind = |number: u16| number.wrapping_sub(base);
        arrivals.retain(|(number, _)| behind(*number) < FEEDBACK_MAX);
        let last = behind(arrivals[arrivals.len() - 1].0);
        let reference = arrivals.iter().map(|(_, at)| at / REFERENCE).min()?;
        let mut time = i64::try_from(reference * REFERENCE).ok()?;
        let mut symbols = vec![SymbolTypeTcc::PacketNotReceived; usize::from(last) + 1];
        let mut recv_deltas = Vec::with_capacity(arrivals.len());
        for (number, at) in &arrivals {
            let steps = (i64::try_from(*at).ok()? - time) / DELTA;
            let type_tcc_packet = match steps {
                0..=255 => SymbolTypeTcc::PacketReceivedSmallDelta,
                _ => SymbolTypeTcc::PacketReceivedLargeDelta,
            };
            let steps = steps.clamp(i16::MIN.into(), i16::MAX.into());
            time += steps * DELTA;
            symbols[usize::from(behind(*number))] = type_tcc_packet;
            // The crate counts a delta in microseconds.
            recv_deltas.push(RecvDelta { type_tcc_packet, delta: steps * DELTA / 1000 });
        }
        let chunk = |symbols: &[SymbolTypeTcc]| {
            let mut symbol_list = symbols.to_vec();
            symbol_list.resize(SYMBOLS, SymbolTypeTcc::PacketNotReceived);
            PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size: SymbolSizeTypeTcc::TwoBit,
                symbol_list,
            })
        };
        self.count = self.count.wrapping_add(1);
        Some(Box::new(TransportLayerCc {
            sender_ssrc: own_ssrc,
            media_ssrc,
            base_sequence_number: base,
            packet_status_count: last + 1,
            reference_time: (reference & 0x00ff_ffff) as u32,
            fb_pkt_count: self.count.wrapping_sub(1),
            packet_chunks: symbols.chunks(SYMBOLS).map(chunk).collect(),
            recv_deltas,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(packet: AnyPacket) -> TransportLayerCc {
        let bytes = rtcp::packet::marshal(&[packet]).unwrap();
        let packets = rtcp::packet::unmarshal(&mut &bytes[..]).unwrap();
        packets[0].as_any().downcast_ref::<TransportLayerCc>().unwrap().clone()
    }

    #[test]
    fn transport_feedback_tells_numbers_and_times_across_a_roll_over() {
        let mut feedback = TransportFeedback::default();
        assert!(feedback.take(1, 2).is_none());
        let start = 5 * REFERENCE + 10_000_000;
        for (number, millis) in [(65_534, 0), (0, 2), (65_535, 1), (3, 90), (3, 91)] {
            feedback.note(number, start + millis * 1_000_000);
        }
        let read = read(feedback.take(1, 2).unwrap());
        assert_eq!((read.base_sequence_number, read.packet_status_count), (65_534, 6));
        assert_eq!((read.reference_time, read.fb_pkt_count), (5, 0));
        let deltas: Vec<_> = read.recv_deltas.iter().map(|delta| delta.delta / 1000).collect();
        assert_eq!(deltas, [10, 1, 1, 88]);
        assert!(feedback.take(1, 2).is_none(), "what was told is not told again");
    }

    #[test]
    fn what_is_asked_of_sources_is_read() {
        let all = [
            key_frame_request(1, 77),
            again(1, 78, &[5, 6, 900]),
            Box::new(FullIntraRequest {
                fir: vec![rtcp::payload_feedbacks::full_intra_request::FirEntry {
                    ssrc: 79,
                    sequence_number: 0,
                }],
                ..FullIntraRequest::default()
            }),
        ];
        let bytes = rtcp::packet::marshal(&all).unwrap();
        let expected = [
            Said::KeyFrame { ssrc: 77 },
            Said::Again { ssrc: 78, numbers: vec![5, 6, 900] },
            Said::KeyFrame { ssrc: 79 },
        ];
        assert_eq!(said(&bytes), expected);
        assert!(said(&bytes[..5]).is_empty() && said(&[]).is_empty());
        assert_eq!(said(&[&bytes[..], &[0, 0, 0]].concat()), expected, "up to a fault");
    }
}
