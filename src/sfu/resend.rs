//! What viewers have lost, sent again from the history (RFC 4585 §6.2.1, RFC 4588).

use std::time::Duration;

use super::Outbox;
use super::router::Router;
use super::sender::Sender;
use crate::media::resend::ROUND_TRIP_GUESS;
use crate::media::{History, Places};
use crate::transport::srtp::SrtpTx;
use crate::types::limit::NACKED_MAX;
use crate::types::{Path, Ssrc, Timestamp, TransportKey, Unanswered};
use crate::wire::rtcp::{LostPackets, ReportBlocks};

impl Router {
    /// A client has not got these packets of what it is sent.
    pub(super) fn handle_nack(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        ssrc: Ssrc,
        lost: LostPackets<'_>,
        out: &mut impl Outbox,
    ) {
        let Some(association) = self.transports.get_mut(key) else { return };
        let sender = association.senders.get(&ssrc);
        let Some((receiver, sender)) = sender.copied() else { return };
        let Some(receiver) = self.receivers.get_mut(receiver) else { return };
        let Some(sender) = receiver.senders.get_mut(sender) else { return };
        let (places, history, stats) = (&receiver.places, &self.history, &mut self.stats);
        let round_trip = association.round_trip.unwrap_or(ROUND_TRIP_GUESS);
        let tx = association.transport.tx();
        let mut viewer = tx.filter(|_| !sender.is_stopped()).map(|(path, tx)| Viewer {
            now,
            round_trip,
            sender,
            places,
            history,
            path,
            tx,
        });
        for wire in lost.take(NACKED_MAX) {
            stats.nacked += 1;
            let resent = match &mut viewer {
                Some(viewer) => viewer.resend(wire, out),
                None => Err(Unanswered::Stopped),
            };
            match resent {
                Ok(bytes) => {
                    stats.resent += 1;
                    stats.resent_bytes += bytes as u64;
                }
                Err(reason) => stats.leave_unanswered(reason),
            }
        }
    }

    /// A client's reports on what it is sent.
    pub(super) fn handle_report_blocks(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        blocks: ReportBlocks<'_>,
    ) {
        let Some(association) = self.transports.get_mut(key) else { return };
        for block in blocks {
            let sender = association.senders.get(&block.ssrc).copied();
            let stream = sender.and_then(|(receiver, sender)| {
                Some(&mut self.receivers.get_mut(receiver)?.senders.get_mut(sender)?.stream)
            });
            if let Some(round_trip) = stream.and_then(|it| it.handle_report(now, &block)) {
                association.note_round_trip(round_trip);
                self.stats.round_trips.record(round_trip, 1);
            }
        }
    }
}

/// One Sender, and what it takes to send something of it again.
struct Viewer<'a> {
    now: Timestamp,
    round_trip: Duration,
    sender: &'a mut Sender,
    places: &'a Places,
    history: &'a History,
    path: Path,
    tx: &'a mut SrtpTx,
}

impl Viewer<'_> {
    /// Sends the packet again that the client knows by this number: bytes that went out.
    fn resend(&mut self, wire: u16, out: &mut impl Outbox) -> Result<usize, Unanswered> {
        let (ours, source) = self.sender.sent_as(wire)?;
        let kept = self.places.find(source, self.history);
        let (kept, bytes) = kept.ok_or(Unanswered::Gone)?;
        self.sender.may_resend(self.now, self.round_trip, ours, kept)?;
        let slot = out.slot().ok_or(Unanswered::EgressFull)?;
        let again = self.sender.write_again(ours, kept, bytes, self.tx, slot)?;
        let len = self.tx.seal_rtp(slot, kept.header_len, again.len, again.index);
        out.commit(self.path, len);
        self.sender.note_resent(self.now, ours, len);
        Ok(len)
    }
}
