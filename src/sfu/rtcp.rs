//! RTCP ends here: what clients report and request, what the router reports and requests. The page
//! docs/internals/rtcp.md lists each packet type and what becomes of it.

use slotmap::SlotMap;

use super::Outbox;
use super::association::Association;
use super::receiver::Receiver;
use super::router::Router;
use crate::media::StreamRx;
use crate::types::limit::{DATAGRAM_MAX, SRTP_TRAILER_MAX};
use crate::types::{DropReason, ReceiverKey, SenderKey, ShardStats, Ssrc, Timestamp, TransportKey};
use crate::wire::rtcp::{self, CompoundWriter, ReportBlock, RtcpPacket};

/// Longest compound packet that is sent: fits a 1280-byte path with IPv6 and UDP headers.
const COMPOUND_MAX: usize = 1200;
const _: () = assert!(COMPOUND_MAX + SRTP_TRAILER_MAX <= DATAGRAM_MAX);
/// A report has room for 31 blocks (RFC 3550 §6.4.1: a five-bit count).
const BLOCKS_MAX: usize = 31;

impl Router {
    /// An authentic compound packet of a client. What stands before a fault counts.
    pub(super) fn handle_compound(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        compound: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        for packet in rtcp::packets(compound) {
            match packet? {
                RtcpPacket::SenderReport(report, blocks) => {
                    self.handle_sender_report(now, key, &report);
                    self.handle_report_blocks(now, key, blocks);
                }
                RtcpPacket::ReceiverReport { blocks, .. } => {
                    self.handle_report_blocks(now, key, blocks);
                }
                RtcpPacket::Nack { media_ssrc, lost, .. } => {
                    self.handle_nack(now, key, media_ssrc, lost, out);
                }
                RtcpPacket::Pli { media_ssrc, .. } => {
                    self.handle_key_frame_request(now, key, media_ssrc, out);
                }
                RtcpPacket::Fir { entries, .. } => {
                    for (ssrc, _) in entries {
                        self.handle_key_frame_request(now, key, ssrc, out);
                    }
                }
                // A source's BYE does not close its Receiver (PROTOCOL section 6).
                RtcpPacket::Bye(_) | RtcpPacket::Other { .. } => {}
            }
        }
        Ok(())
    }

    fn handle_sender_report(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        report: &rtcp::SenderReport,
    ) {
        let target = self.transports.get(key).and_then(|a| a.target(report.sender_ssrc));
        let Some(target) = target else { return };
        let Some(receiver) = self.receivers.get_mut(target.receiver) else { return };
        // The SSRC may be that of a retransmission, or of a stream that another has replaced.
        if let Some(Some(stream)) = receiver.streams.get_mut(usize::from(target.encoding))
            && stream.ssrc() == report.sender_ssrc
        {
            stream.handle_sender_report(now, report);
        }
    }

    fn handle_key_frame_request(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        ssrc: Ssrc,
        out: &mut impl Outbox,
    ) {
        let sender = self.transports.get(key).and_then(|a| a.senders.get(&ssrc));
        if let Some((receiver, sender)) = sender.copied() {
            self.ask_key_frame_for(now, receiver, sender, out);
        }
    }

    /// A client asks for a key frame of what it receives. While it has stopped that, it needs none:
    /// Firefox asks seconds after it has stopped, which would cost the source a key frame, and the
    /// client the wait for its next one.
    pub(super) fn ask_key_frame_for(
        &mut self,
        now: Timestamp,
        key: ReceiverKey,
        sender: SenderKey,
        out: &mut impl Outbox,
    ) {
        let sender = self.receivers.get(key).and_then(|receiver| receiver.senders.get(sender));
        if sender.is_some_and(|sender| !sender.is_stopped()) {
            self.ask_key_frame(now, key, out);
        }
    }

    /// Somebody needs a key frame of this Receiver: it is asked now, or when it may be asked again.
    pub(super) fn ask_key_frame(
        &mut self,
        now: Timestamp,
        key: ReceiverKey,
        out: &mut impl Outbox,
    ) {
        if let Some(receiver) = self.receivers.get_mut(key) {
            receiver.ask_key_frame(now);
            self.poll_key_frame(now, key, out);
        }
    }

    /// Asks a source for what it is to be asked for now, and notes when the next time will be.
    pub(super) fn poll_requests(
        &mut self,
        now: Timestamp,
        key: ReceiverKey,
        out: &mut impl Outbox,
    ) {
        self.poll_nacks(now, key, out);
        self.poll_key_frame(now, key, out);
    }

    /// Sends the request for a key frame if one is due, and notes when the next will be.
    pub(super) fn poll_key_frame(
        &mut self,
        now: Timestamp,
        key: ReceiverKey,
        out: &mut impl Outbox,
    ) {
        let Some(receiver) = self.receivers.get_mut(key) else { return };
        let stream = receiver.forwarded_stream().map(StreamRx::ssrc);
        let association = self.transports.get_mut(receiver.transport);
        // Who cannot be asked yet counts as not asked: its first packet comes back here.
        let (Some(to), Some(association)) = (stream, association) else { return };
        if association.transport.tx().is_none() {
            return;
        }
        if receiver.key_frames.poll(now) {
            let from = association.rtcp_ssrc;
            // Clients that know no reduced-size RTCP (RFC 5506) want a report first.
            let sent = send_compound(association, &mut self.stats, out, |compound| {
                compound.receiver_report(from, &[]) && compound.pli(from, to)
            });
            self.stats.key_frame_requests += u64::from(sent);
        }
        self.arm_receiver(key);
    }

    /// Everything this transport's client should hear: how its streams arrive, and for each stream
    /// that it gets the source's clock and name.
    pub(super) fn send_reports(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        out: &mut impl Outbox,
    ) {
        let Some(association) = self.transports.get_mut(key) else { return };
        let mut reports = Reports { association, stats: &mut self.stats, out };
        reports.receiver_reports(now, &mut self.receivers);
        reports.sender_reports(now, &mut self.receivers);
    }

    /// Says that a stream has ended (RFC 3550 §6.6).
    pub(super) fn send_bye(&mut self, key: TransportKey, ssrc: Ssrc, out: &mut impl Outbox) {
        let Some(association) = self.transports.get_mut(key) else { return };
        let from = association.rtcp_ssrc;
        send_compound(association, &mut self.stats, out, |compound| {
            compound.receiver_report(from, &[]) && compound.bye(&[ssrc])
        });
    }
}

struct Reports<'a, O> {
    association: &'a mut Association,
    stats: &'a mut ShardStats,
    out: &'a mut O,
}

impl<O: Outbox> Reports<'_, O> {
    fn receiver_reports(&mut self, now: Timestamp, receivers: &mut SlotMap<ReceiverKey, Receiver>) {
        let mut blocks: Vec<ReportBlock> = Vec::new();
        for key in self.association.receivers() {
            let Some(receiver) = receivers.get_mut(key) else { continue };
            receiver.nacks.relax();
            let streams = receiver.streams.iter_mut().flatten();
            blocks.extend(streams.filter_map(|stream| stream.report_block(now)));
        }
        let from = self.association.rtcp_ssrc;
        for blocks in blocks.chunks(BLOCKS_MAX) {
            send_compound(self.association, self.stats, self.out, |compound| {
                compound.receiver_report(from, blocks)
            });
        }
    }

    fn sender_reports(&mut self, now: Timestamp, receivers: &mut SlotMap<ReceiverKey, Receiver>) {
        let streams: Vec<_> = self.association.senders.values().copied().collect();
        let mut streams = streams.into_iter().peekable();
        while streams.peek().is_some() {
            let sent = send_compound(self.association, self.stats, self.out, |compound| {
                while let Some((receiver, sender)) = streams.peek() {
                    let report = receivers.get_mut(*receiver).and_then(|receiver| {
                        let clock = *receiver.clock_of(receiver.senders.get(*sender)?)?;
                        let clock_rate = receiver.clock_rate;
                        let sender = receiver.senders.get_mut(*sender)?;
                        Some((sender.report(now, &clock, clock_rate)?, &receiver.cname))
                    });
                    if let Some((report, cname)) = report
                        && !append_report(compound, &report, cname)
                        && !compound.is_empty()
                    {
                        break;
                    }
                    streams.next();
                }
                !compound.is_empty()
            });
            if !sent {
                return;
            }
        }
    }
}

/// A report and the name that goes with it, both or neither.
fn append_report(
    compound: &mut CompoundWriter<'_>,
    report: &rtcp::SenderReport,
    cname: &str,
) -> bool {
    /// SR without blocks, SDES header, SSRC, item header, terminator and padding.
    const FIXED: usize = 28 + 4 + 4 + 2 + 4;
    compound.len() + FIXED + cname.len() <= COMPOUND_MAX
        && compound.sender_report(report, &[])
        && compound.sdes_cname(report.sender_ssrc, cname)
}

/// Writes a compound packet into a slot, seals it and sends it; `false` if it did not go out.
/// `write` says whether there is anything to send.
pub(super) fn send_compound(
    association: &mut Association,
    stats: &mut ShardStats,
    out: &mut impl Outbox,
    write: impl FnOnce(&mut CompoundWriter<'_>) -> bool,
) -> bool {
    let Some((path, tx)) = association.transport.tx() else { return false };
    let Some(slot) = out.slot() else {
        stats.drop(DropReason::EgressFull);
        return false;
    };
    let mut compound = CompoundWriter::new(&mut slot[..COMPOUND_MAX]);
    if !write(&mut compound) {
        return false;
    }
    let len = compound.len();
    match tx.seal_rtcp(slot, len) {
        Some(len) => out.commit(path, len),
        None => return false,
    }
    true
}
