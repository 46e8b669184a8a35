//! The answer to `getStats`: what goes to and fro, by the server's count (PROTOCOL section 4).
//! Names and units are those of W3C's webrtc-stats where it has one that fits.

use serde::Serialize;

use super::{DtlsState, IceState};
use crate::types::{Kind, ReceiverId, SenderId, TransportId};

/// What a peer has, or what it asked about of that.
#[derive(Debug, Default, Serialize)]
pub struct StatsReport {
    /// Its transports.
    pub transports: Vec<TransportStats>,
    /// What it sends.
    pub receivers: Vec<ReceiverStats>,
    /// What it receives: its enabled Senders.
    pub senders: Vec<SenderStats>,
}

impl StatsReport {
    /// How many things it tells of.
    pub fn len(&self) -> usize {
        self.transports.len() + self.receivers.len() + self.senders.len()
    }

    /// Whether it tells of nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One transport.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransportStats {
    /// The client's number for it.
    pub id: TransportId,
    /// As `transportState` tells it.
    pub ice_state: IceState,
    /// As `transportState` tells it.
    pub dtls_state: DtlsState,
    /// To the client and back, in seconds, smoothed; absent before its reports have told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_round_trip_time: Option<f64>,
}

/// What comes of one source: of the stream that is forwarded, since its first packet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverStats {
    /// The client's number for it.
    pub id: ReceiverId,
    /// The client's number for the transport that it is on.
    pub transport_id: TransportId,
    /// Audio or video.
    pub kind: Kind,
    /// The source's; absent before its first packet, where it was not declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
    /// RTP packets that came.
    pub packets_received: u64,
    /// Those that did not.
    pub packets_lost: u64,
    /// Seconds (RFC 3550 §6.4.1).
    pub jitter: f64,
    /// Packets that were asked for, each time.
    pub nacked_packets: u64,
    /// Packets that came as retransmissions and had not come before.
    pub retransmitted_packets_received: u64,
}

/// What goes to a client of one source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderStats {
    /// As it was announced.
    pub id: SenderId,
    /// The client's number for the transport that it is on.
    pub transport_id: TransportId,
    /// Audio or video.
    pub kind: Kind,
    /// As it was announced.
    pub ssrc: u32,
    /// RTP packets that were sent.
    pub packets_sent: u64,
    /// Bytes of their payload, without padding.
    pub bytes_sent: u64,
    /// Packets that were sent again, besides.
    pub retransmitted_packets_sent: u64,
    /// Bytes of them, headers included.
    pub retransmitted_bytes_sent: u64,
    /// What the client last said of the stream; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteStats>,
}

/// What a client's report says of what it receives.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteStats {
    /// Packets that have not come so far, before any were sent again.
    pub packets_lost: i32,
    /// The share that had not, of those since the report before, 0 to 1.
    pub fraction_lost: f64,
    /// Seconds.
    pub jitter: f64,
}
