//! Sender and receiver reports (RFC 3550 §6.4).

use std::slice::ChunksExact;

use super::writer::BodyWriter;
use super::{CompoundWriter, RECEIVER_REPORT, RtcpPacket, SENDER_REPORT, be32};
use crate::types::Ssrc;

/// Bytes of a sender report's own part: SSRC, NTP and RTP time, two counters.
const SENDER_INFO_LEN: usize = 24;
const BLOCK_LEN: usize = 24;

/// What a report block can say about losses: 24 bits, signed.
const LOST_MAX: i32 = 0x7f_ffff;

/// A sender's own part of its report: how its media time maps to wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    /// Whose media.
    pub sender_ssrc: Ssrc,
    /// Wall-clock time of the report: seconds since 1900 in 32.32 fixed point.
    pub ntp: u64,
    /// The same moment in the stream's RTP time.
    pub rtp_time: u32,
    /// RTP packets sent so far, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent so far, modulo 2^32, neither headers nor padding.
    pub octets: u32,
}

/// What arrived of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// Which stream.
    pub ssrc: Ssrc,
    /// Lost since the last report, of what was expected, in 256ths.
    pub fraction_lost: u8,
    /// Lost so far; negative if more came twice. 24 bits on the wire: written, it saturates.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of its cycles in the upper half.
    pub highest_seq: u32,
    /// Interarrival jitter in units of RTP time.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time in the last sender report received; 0: none yet.
    pub last_sr: u32,
    /// Time from that report to this one in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// The blocks of one report.
#[derive(Debug, Clone)]
pub struct ReportBlocks<'a>(ChunksExact<'a, u8>);

impl<'a> ReportBlocks<'a> {
    /// The first `count` of `blocks`; what follows them is an extension of some profile. `None` if
    /// there are fewer.
    fn new(count: u8, blocks: &'a [u8]) -> Option<Self> {
        let blocks = blocks.get(..BLOCK_LEN * usize::from(count))?;
        Some(Self(blocks.chunks_exact(BLOCK_LEN)))
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        self.0.next().map(ReportBlock::parse)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ReportBlock {
    /// From exactly one block.
    fn parse(block: &[u8]) -> Self {
        let lost = be32(block, 4);
        Self {
            ssrc: Ssrc(be32(block, 0)),
            fraction_lost: (lost >> 24) as u8,
            // Through the top of the word, so that the sign comes along.
            cumulative_lost: (lost << 8) as i32 >> 8,
            highest_seq: be32(block, 8),
            jitter: be32(block, 12),
            last_sr: be32(block, 16),
            delay_since_last_sr: be32(block, 20),
        }
    }

    fn write(&self, body: &mut BodyWriter<'_>) {
        let lost = self.cumulative_lost.clamp(-LOST_MAX - 1, LOST_MAX) as u32 & 0xff_ffff;
        body.u32(self.ssrc.0);
        body.u32(u32::from(self.fraction_lost) << 24 | lost);
        body.u32(self.highest_seq);
        body.u32(self.jitter);
        body.u32(self.last_sr);
        body.u32(self.delay_since_last_sr);
    }
}

pub(super) fn parse_sender(count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (info, blocks) = body.split_at_checked(SENDER_INFO_LEN)?;
    let report = SenderReport {
        sender_ssrc: Ssrc(be32(info, 0)),
        ntp: u64::from(be32(info, 4)) << 32 | u64::from(be32(info, 8)),
        rtp_time: be32(info, 12),
        packets: be32(info, 16),
        octets: be32(info, 20),
    };
    Some(RtcpPacket::SenderReport(report, ReportBlocks::new(count, blocks)?))
}

pub(super) fn parse_receiver(count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (&sender_ssrc, blocks) = body.split_first_chunk()?;
    Some(RtcpPacket::ReceiverReport {
        sender_ssrc: Ssrc(u32::from_be_bytes(sender_ssrc)),
        blocks: ReportBlocks::new(count, blocks)?,
    })
}

impl CompoundWriter<'_> {
    /// Appends a sender report with at most 31 blocks.
    pub fn sender_report(&mut self, report: &SenderReport, blocks: &[ReportBlock]) -> bool {
        let len = SENDER_INFO_LEN + BLOCK_LEN * blocks.len();
        let Some(mut body) = self.begin(SENDER_REPORT, blocks.len(), len) else {
            return false;
        };
        body.u32(report.sender_ssrc.0);
        body.bytes(&report.ntp.to_be_bytes());
        body.u32(report.rtp_time);
        body.u32(report.packets);
        body.u32(report.octets);
        blocks.iter().for_each(|block| block.write(&mut body));
        true
    }

    /// Appends a receiver report with at most 31 blocks; one without any says who we are.
    pub fn receiver_report(&mut self, sender_ssrc: Ssrc, blocks: &[ReportBlock]) -> bool {
        let len = 4 + BLOCK_LEN * blocks.len();
        let Some(mut body) = self.begin(RECEIVER_REPORT, blocks.len(), len) else {
            return false;
        };
        body.u32(sender_ssrc.0);
        blocks.iter().for_each(|block| block.write(&mut body));
        true
    }
}
