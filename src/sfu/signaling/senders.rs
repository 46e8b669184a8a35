//! What clients receive, as they say it: Senders enabled, stopped, played.

use crate::protocol::{Direction, EnableSender, Error, SenderCommand};
use crate::sfu::Outbox;
use crate::sfu::association::{Association, newest};
use crate::sfu::peer::Subscription;
use crate::sfu::router::Router;
use crate::sfu::sender::Sender;
use crate::types::{
    PeerKey, ReceiverKey, SenderId, SenderKey, Timestamp, TransportId, TransportKey,
};

impl Router {
    pub(super) fn enable_sender(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        request: &EnableSender,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let subscription = self.subscription_of(key, request.id)?;
        if subscription.enabled.is_some() {
            return Err(Error::conflict(format!("Sender enabled already: {}", request.id)));
        }
        let transport = self.transport_to_send_on(key, request.transport_id)?;
        let receiver = &mut self.receivers[subscription.receiver];
        let ssrc = receiver.tx_ssrc;
        let source = receiver.as_source();
        let uses_rtx = request.use_rtx.unwrap_or(true);
        let sender = Sender::new(key, request.id, transport, &source, uses_rtx, &mut self.rng);
        let sender = receiver.senders.insert(sender);
        let association = &mut self.transports[transport];
        association.add_sender(ssrc, subscription.receiver, sender);
        self.peers[key].subscriptions.set_enabled(request.id, Some(sender));
        self.ask_key_frame(now, subscription.receiver, out);
        Ok(())
    }

    /// PROTOCOL section 4, `enableSender`: the transport that was named, or the likeliest one.
    fn transport_to_send_on(
        &self,
        key: PeerKey,
        named: Option<TransportId>,
    ) -> Result<TransportKey, Error> {
        if let Some(id) = named {
            let transport = self.transport_of(key, id)?;
            if self.transports[transport].direction == Some(Direction::Send) {
                return Err(Error::conflict("wrong direction: the transport only sends"));
            }
            return Ok(transport);
        }
        let newest_where = |rule: fn(&Association) -> bool| {
            let transports = self.peers[key].transports.values();
            let transports = transports.map(|key| (*key, &self.transports[*key]));
            let mut open = transports.filter(|(_, it)| it.direction != Some(Direction::Send));
            newest(open.by_ref().filter(|(_, it)| rule(it)))
        };
        newest_where(|it| it.direction == Some(Direction::Recv))
            .or_else(|| newest_where(|it| it.client_answers))
            .or_else(|| newest_where(|it| it.receivers().next().is_none()))
            .ok_or_else(|| Error::conflict("no transport to send on"))
    }

    pub(super) fn play_sender(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        command: &SenderCommand,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let (receiver, sender) = self.enabled_sender_of(key, command.id)?;
        if self.receivers[receiver].senders[sender].play() {
            self.ask_key_frame(now, receiver, out);
        }
        Ok(())
    }

    pub(super) fn stop_sender(
        &mut self,
        key: PeerKey,
        command: &SenderCommand,
    ) -> Result<(), Error> {
        let (receiver, sender) = self.enabled_sender_of(key, command.id)?;
        self.receivers[receiver].senders[sender].stop();
        Ok(())
    }

    pub(super) fn request_key_frame(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        id: SenderId,
        out: &mut impl Outbox,
    ) -> Result<(), Error> {
        let (receiver, sender) = self.enabled_sender_of(key, id)?;
        self.ask_key_frame_for(now, receiver, sender, out);
        Ok(())
    }

    fn subscription_of(&self, key: PeerKey, id: SenderId) -> Result<Subscription, Error> {
        let subscription = self.peers[key].subscriptions.get(id);
        let subscription = subscription.filter(|it| self.receivers.contains_key(it.receiver));
        subscription.ok_or_else(|| Error::not_found(format!("no such Sender: {id}")))
    }

    pub(super) fn enabled_sender_of(
        &self,
        key: PeerKey,
        id: SenderId,
    ) -> Result<(ReceiverKey, SenderKey), Error> {
        let subscription = self.subscription_of(key, id)?;
        let enabled = subscription.enabled;
        let sender = enabled.ok_or_else(|| Error::conflict(format!("Sender not enabled: {id}")))?;
        Ok((subscription.receiver, sender))
    }
}
