//! One sent RTP stream: what its sender reports say (RFC 3550 §6.4.1).

use super::SourceClock;
use crate::types::{Ssrc, Timestamp};
use crate::wire::rtcp::SenderReport;

/// Counters of one sent stream.
#[derive(Debug, Clone)]
pub struct StreamTx {
    ssrc: Ssrc,
    packets: u64,
    octets: u64,
}

impl StreamTx {
    /// Nothing sent yet.
    pub fn new(ssrc: Ssrc) -> Self {
        Self { ssrc, packets: 0, octets: 0 }
    }

    /// The SSRC that the client was told.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// A packet was sent with this many octets behind its header.
    pub fn handle_sent(&mut self, payload_octets: usize) {
        self.packets += 1;
        self.octets += payload_octets as u64;
    }

    /// Packets that were sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets that were sent, neither headers nor padding.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether there is anything to report on.
    pub fn has_sent(&self) -> bool {
        self.packets != 0
    }

    /// The report: the source's relation of clocks, moved to `now` and into our timestamps, so that
    /// a client puts streams of one source's clock beside each other as the source would.
    pub fn sender_report(
        &self,
        now: Timestamp,
        clock: &SourceClock,
        clock_rate: u32,
        ours: impl FnOnce(u32) -> u32,
    ) -> SenderReport {
        let (ntp, rtp_time) = clock.at(now, clock_rate);
        SenderReport {
            sender_ssrc: self.ssrc,
            ntp,
            rtp_time: ours(rtp_time),
            // Both wrap (RFC 3550 §6.4.1).
            packets: self.packets as u32,
            octets: self.octets as u32,
        }
    }
}
