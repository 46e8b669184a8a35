//! What was lost on its way from a source: asked for, and taken in when it comes again (RFC 4585
//! §6.2.1, RFC 4588).

use super::Outbox;
use super::association::Target;
use super::receiver::Packet;
use super::router::Router;
use super::rtcp::send_compound;
use crate::media::StreamRx;
use crate::media::resend::ROUND_TRIP_GUESS;
use crate::types::{DropReason, ReceiverKey, Timestamp, TransportKey};
use crate::wire::rtp::RtpHeader;
use crate::wire::rtx;

/// Numbers in one packet: with none beside another they are 200 entries, 800 bytes.
const ASKED_AT_ONCE: usize = 200;

impl Router {
    /// A retransmission came, open: the packet that it repeats goes the way of all others, at its
    /// own number. Padding, which probes a client's bandwidth, and what has come already bring
    /// nothing.
    pub(super) fn handle_repetition(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        target: Target,
        header: &RtpHeader,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        let encoding = usize::from(target.encoding);
        let receiver = self.receivers.get_mut(target.receiver).ok_or(DropReason::NoReceiver)?;
        let (ssrc, pt) = receiver.repeats(encoding, header.pt).ok_or(DropReason::PayloadType)?;
        let (original, bytes) = rtx::read(packet, header, ssrc, pt).ok_or(DropReason::Rtx)?;
        let association = self.transports.get_mut(key).ok_or(DropReason::NoReceiver)?;
        let seq = association.repeat(now, ssrc, original).ok_or(DropReason::Rtx)?;
        if let Some(round_trip) = receiver.handle_recovered(now, encoding, seq) {
            association.note_round_trip(round_trip);
        }
        self.stats.recovered += 1;
        let mut header = *header;
        (header.pt, header.seq, header.ssrc) = (pt, original, ssrc);
        let packet = Packet { encoding, header: &header, seq, bytes, recovered: true };
        self.take_in(now, target.receiver, packet)
    }

    /// Asks for what is missing if it is time; for a key frame where something was given up.
    pub(super) fn poll_nacks(&mut self, now: Timestamp, key: ReceiverKey, out: &mut impl Outbox) {
        let Some(receiver) = self.receivers.get_mut(key) else { return };
        if receiver.nacks.is_idle() {
            return;
        }
        let stream = receiver.forwarded_stream().map(StreamRx::ssrc);
        let association = self.transports.get_mut(receiver.transport);
        let (Some(ssrc), Some(association)) = (stream, association) else { return };
        let round_trip = association.round_trip.unwrap_or(ROUND_TRIP_GUESS);
        self.due.clear();
        receiver.nacks.poll(now, round_trip, &mut self.due);
        self.stats.asked += self.due.len() as u64;
        self.stats.given_up += receiver.nacks.count_lost();
        if receiver.nacks.take_given_up() {
            receiver.ask_key_frame(now);
        }
        let from = association.rtcp_ssrc;
        for due in self.due.chunks(ASKED_AT_ONCE) {
            send_compound(association, &mut self.stats, out, |compound| {
                compound.receiver_report(from, &[]) && compound.nack(from, ssrc, due)
            });
        }
    }
}
