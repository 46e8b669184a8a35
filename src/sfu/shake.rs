//! A transport's handshake as the Router sees it: its steps, its beginning and its end.

use super::Outbox;
use super::event::Happening;
use super::handshakes::{send_held, transmit};
use super::router::Router;
use super::timeouts::next_reports;
use crate::protocol::notification::transport_state;
use crate::protocol::{DtlsState, IceState};
use crate::transport::Event;
use crate::types::{DropReason, Path, Timestamp, TransportKey};

impl Router {
    /// Handshakes take long: this one only waits for [`Router::handle_handshake`].
    pub(super) fn handle_dtls(
        &mut self,
        path: Path,
        datagram: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let all = self.paths.for_dtls(path, datagram, &self.transports);
        let association = all.first().and_then(|key| self.transports.get_mut(*key));
        let association = association.ok_or(DropReason::NoPath)?;
        association.transport.ice_mut().paths_mut().note_received(path, datagram.len());
        send_held(&mut association.transport, out);
        let mut result = Ok(());
        for key in all {
            if !self.handshakes.push(key, path, datagram) {
                result = Err(DropReason::HandshakeBacklog);
            }
        }
        result
    }

    /// Whether [`Router::handle_handshake`] has something to do.
    pub fn has_handshakes(&self) -> bool {
        !self.handshakes.is_empty()
    }

    /// One step of one handshake; each transport has its turn. The driver calls it between turns of
    /// media, as often as time allows, while [`Router::has_handshakes`].
    pub fn handle_handshake(&mut self, now: Timestamp, out: &mut impl Outbox) {
        let Some(waiting) = self.handshakes.pop() else { return };
        let key = waiting.transport;
        let Some(association) = self.transports.get_mut(key) else {
            return self.stats.drop(DropReason::DtlsUnexpected); // closed meanwhile
        };
        let before = association.transport.dtls_state();
        let bytes = self.handshakes.bytes(waiting);
        if let Err(reason) = association.transport.handle_dtls(now, waiting.path, bytes) {
            return self.stats.drop(reason);
        }
        self.stats.handshake_steps += 1;
        if association.transport.dtls_state() != before {
            self.notify_transport_state(key, out);
        }
        self.pump(now, key, out);
    }

    /// Sends what DTLS has to send, and acts on what happened to it.
    pub(super) fn pump(&mut self, now: Timestamp, key: TransportKey, out: &mut impl Outbox) {
        let Some(association) = self.transports.get_mut(key) else { return };
        transmit(&mut association.transport, &mut self.stats, out);
        association.transport.note_handshake(now);
        match association.transport.poll_event() {
            None => self.arm_transport(key),
            Some(Event::Connected) => {
                // Not all transports that connect together should report together.
                let share = 0.25 + 0.75 * self.rng.f64();
                association.reports_at = Some(next_reports(now, share));
                self.stats.dtls_connected += 1;
                self.notify_transport_state(key, out);
                self.start_sending(now, key, out);
                self.arm_transport(key);
            }
            Some(event @ (Event::Failed(_) | Event::Closed)) => {
                self.notify_transport_state(key, out);
                if let Event::Failed(failure) = event {
                    self.tell_failure(key, failure.label(), out);
                }
                self.close_transport(key, None, out);
            }
        }
    }

    fn tell_failure(&self, key: TransportKey, why: &'static str, out: &mut impl Outbox) {
        let association = &self.transports[key];
        let failed = Happening::HandshakeFailed { transport: association.id, why };
        self.tell(association.peer, failed, out);
    }

    /// This transport can send now: video Senders on it need key frames to begin with.
    pub(super) fn start_sending(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        out: &mut impl Outbox,
    ) {
        let association = &mut self.transports[key];
        if association.transport.tx().is_none() {
            return;
        }
        let waiting: Vec<_> = association.senders.values().copied().collect();
        for (receiver, sender) in waiting {
            let senders = self.receivers.get(receiver).map(|receiver| &receiver.senders);
            let sender = senders.and_then(|senders| senders.get(sender));
            if sender.is_some_and(|sender| sender.awaits_key_frame()) {
                self.ask_key_frame(now, receiver, out);
            }
        }
    }

    pub(super) fn notify_transport_state(&self, key: TransportKey, out: &mut impl Outbox) {
        let association = &self.transports[key];
        let (ice, dtls) = (association.transport.ice().state(), association.transport.dtls_state());
        // A transport whose DTLS is over is closed right after this.
        let over = matches!(dtls, DtlsState::Failed | DtlsState::Closed);
        let ice = if over { IceState::Closed } else { ice };
        let (peer, transport) = (association.peer, association.id);
        self.tell(peer, Happening::TransportState { transport, ice, dtls }, out);
        if self.peers.get(peer).is_some_and(|peer| peer.wants_transport_state) {
            out.text(peer, transport_state(transport, ice, dtls).into());
        }
    }
}
