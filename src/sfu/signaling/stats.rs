//! What clients ask about: `getStats`.

use super::Response;
use crate::protocol::{
    Error, GetStats, ReceiverStats, RemoteStats, SenderStats, StatsReport, TransportStats, envelope,
};
use crate::sfu::association::Association;
use crate::sfu::receiver::Receiver;
use crate::sfu::router::Router;
use crate::sfu::sender::Sender;
use crate::types::{PeerKey, ReceiverKey, SenderId, SenderKey};

/// So many things that are told of cost a client as much as one request.
const THINGS_A_REQUEST: usize = 64;

impl Router {
    pub(super) fn get_stats(&mut self, key: PeerKey, id: u64, request: GetStats) -> Response {
        let report = match request {
            GetStats { transport_id: None, receiver_id: None, sender_id: None } => {
                self.stats_of_all(key)
            }
            named => self.stats_of(key, named)?,
        };
        self.peers[key].budget.charge(report.len() / THINGS_A_REQUEST);
        Ok(envelope::success(id, &report).into())
    }

    fn stats_of(&self, key: PeerKey, named: GetStats) -> Result<StatsReport, Error> {
        let mut report = StatsReport::default();
        if let Some(id) = named.transport_id {
            let transport = self.transport_of(key, id)?;
            report.transports.push(transport_stats(&self.transports[transport]));
        }
        if let Some(id) = named.receiver_id {
            let receiver = self.receiver_of(key, id)?;
            report.receivers.extend(self.receiver_stats(receiver));
        }
        if let Some(id) = named.sender_id {
            let (receiver, sender) = self.enabled_sender_of(key, id)?;
            report.senders.extend(self.sender_stats(id, receiver, sender));
        }
        Ok(report)
    }

    fn stats_of_all(&self, key: PeerKey) -> StatsReport {
        let peer = &self.peers[key];
        let transports = peer.transports.values().map(|it| transport_stats(&self.transports[*it]));
        let receivers = peer.receivers.values().filter_map(|it| self.receiver_stats(*it));
        let enabled = peer.subscriptions.iter().filter_map(|it| Some((it, it.enabled?)));
        let senders =
            enabled.filter_map(|(it, sender)| self.sender_stats(it.id, it.receiver, sender));
        StatsReport {
            transports: transports.collect(),
            receivers: receivers.collect(),
            senders: senders.collect(),
        }
    }

    fn receiver_stats(&self, key: ReceiverKey) -> Option<ReceiverStats> {
        let receiver: &Receiver = self.receivers.get(key)?;
        let stream = receiver.forwarded_stream();
        Some(ReceiverStats {
            id: receiver.id,
            transport_id: self.transports.get(receiver.transport)?.id,
            kind: receiver.kind,
            ssrc: stream.map(|stream| stream.ssrc().0),
            packets_received: stream.map_or(0, |stream| stream.received()),
            packets_lost: stream.map_or(0, |stream| stream.lost()),
            jitter: stream.map_or(0.0, |stream| stream.jitter().as_secs_f64()),
            nacked_packets: receiver.nacks.asked(),
            retransmitted_packets_received: receiver.nacks.recovered(),
        })
    }

    fn sender_stats(
        &self,
        id: SenderId,
        receiver: ReceiverKey,
        sender: SenderKey,
    ) -> Option<SenderStats> {
        let receiver: &Receiver = self.receivers.get(receiver)?;
        let sender: &Sender = receiver.senders.get(sender)?;
        let (retransmitted_packets_sent, retransmitted_bytes_sent) = sender.resent();
        Some(SenderStats {
            id,
            transport_id: self.transports.get(sender.transport)?.id,
            kind: receiver.kind,
            ssrc: receiver.tx_ssrc.0,
            packets_sent: sender.stream.packets(),
            bytes_sent: sender.stream.octets(),
            retransmitted_packets_sent,
            retransmitted_bytes_sent,
            remote: sender.stream.remote().map(|remote| RemoteStats {
                packets_lost: remote.packets_lost,
                fraction_lost: f64::from(remote.fraction_lost) / 256.0,
                jitter: f64::from(remote.jitter) / f64::from(receiver.clock_rate),
            }),
        })
    }
}

fn transport_stats(association: &Association) -> TransportStats {
    TransportStats {
        id: association.id,
        ice_state: association.transport.ice().state(),
        dtls_state: association.transport.dtls_state(),
        current_round_trip_time: association.round_trip.map(|it| it.as_secs_f64()),
    }
}
