//! RTCP (RFC 3550 §6): decrypted compound packets in, compound packets out.
//!
//! Reduced-size packets, which need not start with a report (RFC 5506), are as welcome as full
//! ones. What the router does not act upon is [`RtcpPacket::Other`]: its length is checked, its
//! content is not looked at.

mod bye;
mod feedback;
mod nack;
mod report;
mod sdes;
mod transport_cc;
mod writer;

pub use bye::Ssrcs;
pub use feedback::FirEntries;
pub use nack::LostPackets;
pub use report::{ReportBlock, ReportBlocks, SenderReport};
pub use writer::CompoundWriter;

use crate::types::{DropReason, Ssrc};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Bytes in front of a packet's body: version, padding bit, count, type and length.
const HEADER_LEN: usize = 4;

/// Largest number that fits the count field, so most blocks or SSRCs of one packet.
const COUNT_MAX: usize = 31;

/// One packet of a compound packet.
#[derive(Debug, Clone)]
pub enum RtcpPacket<'a> {
    /// What someone who sends media has sent, and what arrived of what others sent.
    SenderReport(SenderReport, ReportBlocks<'a>),
    /// What arrived, from someone who sends nothing.
    ReceiverReport {
        /// Who reports.
        sender_ssrc: Ssrc,
        /// One for each stream that arrives.
        blocks: ReportBlocks<'a>,
    },
    /// These streams end.
    Bye(Ssrcs<'a>),
    /// Picture loss indication (RFC 4585 §6.3.1): a key frame is needed.
    Pli {
        /// Who asks.
        sender_ssrc: Ssrc,
        /// Of which stream.
        media_ssrc: Ssrc,
    },
    /// Full intra request (RFC 5104 §4.3.1): likewise, for several streams.
    Fir {
        /// Who asks.
        sender_ssrc: Ssrc,
        /// Of which streams, with the number of the request.
        entries: FirEntries<'a>,
    },
    /// Negative acknowledgement (RFC 4585 §6.2.1): packets did not come.
    Nack {
        /// Who misses them.
        sender_ssrc: Ssrc,
        /// Of which stream.
        media_ssrc: Ssrc,
        /// Their sequence numbers.
        lost: LostPackets<'a>,
    },
    /// Anything else.
    Other {
        /// 192 to 223.
        packet_type: u8,
        /// Format or count, by the packet's type.
        fmt: u8,
    },
}

/// The packets of `compound`, which has been decrypted and is all there is, up to the first that
/// is none: what stands before it is read, and `RtcpMalformed` is the last that is yielded if a
/// version is not 2, a length does not fit, too few bytes for a packet follow, or there is nothing.
pub fn packets(compound: &[u8]) -> Packets<'_> {
    Packets { rest: Some(compound) }
}

/// The packets of a compound packet, and the fault that ends it, if one does.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    /// `None` at the end.
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<RtcpPacket<'a>, DropReason>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some((packet, rest)) = split_packet(self.rest.take()?) else {
            return Some(Err(DropReason::RtcpMalformed));
        };
        self.rest = Some(rest).filter(|rest| !rest.is_empty());
        Some(Ok(packet))
    }
}

/// The packet at the front of `compound` and what follows it.
fn split_packet(compound: &[u8]) -> Option<(RtcpPacket<'_>, &[u8])> {
    let &[flags, packet_type, l0, l1] = compound.first_chunk()?;
    if flags >> 6 != 2 {
        return None;
    }
    let len = HEADER_LEN + 4 * usize::from(u16::from_be_bytes([l0, l1]));
    let (packet, rest) = compound.split_at_checked(len)?;
    let mut body = &packet[HEADER_LEN..];
    if flags & 0x20 != 0 {
        // RFC 3550 §6.4.1 wants whole words, in the last packet only. libwebrtc pads its transport
        // feedback by 1 to 3 bytes, whatever follows (TransportFeedback::PaddingLength), so
        // neither is asked for.
        let padding = usize::from(*body.last()?);
        if padding == 0 {
            return None;
        }
        body = &body[..body.len().checked_sub(padding)?];
    }
    let count = flags & 0x1f;
    let packet = match (packet_type, count) {
        (SENDER_REPORT, _) => report::parse_sender(count, body)?,
        (RECEIVER_REPORT, _) => report::parse_receiver(count, body)?,
        (GOODBYE, _) => bye::parse(count, body)?,
        (TRANSPORT_FEEDBACK, nack::NACK) => nack::parse(body)?,
        (PAYLOAD_FEEDBACK, feedback::PLI) => feedback::parse_pli(body)?,
        (PAYLOAD_FEEDBACK, feedback::FIR) => feedback::parse_fir(body)?,
        _ => RtcpPacket::Other { packet_type, fmt: count },
    };
    Some((packet, rest))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests;
