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
}
