//! One sent RTP stream: what its sender reports say, and what the reports of who receives it say of
//! it (RFC 3550 §6.4.1).

use std::time::Duration;

use super::SourceClock;
use crate::types::{Ssrc, Timestamp};
use crate::wire::rtcp::{ReportBlock, SenderReport};

/// Counters of one sent stream.
#[derive(Debug, Clone)]
pub struct StreamTx {
    ssrc: Ssrc,
    packets: u64,
    octets: u64,
    /// The latest sender reports: the middle of the NTP time that each stated, and when it went.
    reports: [Option<(u32, Timestamp)>; 2],
    remote: Option<RemoteReport>,
}

/// What a client says of a stream that it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteReport {
    /// Lost since its report before, in 256ths.
    pub fraction_lost: u8,
    /// Lost so far; negative if more came twice.
    pub packets_lost: i32,
    /// Interarrival jitter in units of RTP time.
    pub jitter: u32,
}

impl StreamTx {
    /// Nothing sent yet.
    pub fn new(ssrc: Ssrc) -> Self {
        Self { ssrc, packets: 0, octets: 0, reports: [None; 2], remote: None }
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
        &mut self,
        now: Timestamp,
        clock: &SourceClock,
        clock_rate: u32,
        ours: impl FnOnce(u32) -> u32,
    ) -> SenderReport {
        let (ntp, rtp_time) = clock.at(now, clock_rate);
        self.reports = [Some(((ntp >> 16) as u32, now)), self.reports[0]];
        SenderReport {
            sender_ssrc: self.ssrc,
            ntp,
            rtp_time: ours(rtp_time),
            // Both wrap (RFC 3550 §6.4.1).
            packets: self.packets as u32,
            octets: self.octets as u32,
        }
    }

    /// A client's report on this stream. The round trip, if it answers one of the latest two sender
    /// reports: those state the source's clock, so what counts is when they went.
    pub fn handle_report(&mut self, now: Timestamp, block: &ReportBlock) -> Option<Duration> {
        self.remote = Some(RemoteReport {
            fraction_lost: block.fraction_lost,
            packets_lost: block.cumulative_lost,
            jitter: block.jitter,
        });
        let mut reports = self.reports.iter().flatten();
        let (_, sent_at) = reports.find(|(stated, _)| *stated == block.last_sr)?;
        let held = Duration::from_secs(u64::from(block.delay_since_last_sr)) / (1 << 16);
        now.since(*sent_at).checked_sub(held)
    }

    /// What the client said last.
    pub fn remote(&self) -> Option<RemoteReport> {
        self.remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_on_one_of_the_latest_two_tells_the_round_trip() {
        let at = |ms: u64| Timestamp::from_micros(1_000_000 + ms * 1000);
        let mut stream = StreamTx::new(Ssrc(1));
        let mut clock = SourceClock { ntp: 5 << 32, rtp_time: 0, received_at: at(0) };
        let stated = [0, 1000, 2000].map(|ms| {
            // The source's clock is put right from one report to the next.
            clock.ntp += 77 << 16;
            (stream.sender_report(at(ms), &clock, 90_000, |it| it).ntp >> 16) as u32
        });
        let mut round_trip = |last_sr: u32, now| {
            let block = ReportBlock {
                ssrc: Ssrc(1),
                fraction_lost: 12,
                cumulative_lost: -1,
                highest_seq: 0,
                jitter: 7,
                last_sr,
                delay_since_last_sr: 1 << 15,
            };
            stream.handle_report(at(now), &block)
        };
        assert_eq!(round_trip(stated[2], 2560), Some(Duration::from_millis(60)));
        assert_eq!(round_trip(stated[1], 2560), Some(Duration::from_millis(1060)));
        assert_eq!(round_trip(stated[0], 2560), None, "too old");
        assert_eq!(round_trip(0, 2560), None, "of none");
        assert_eq!(round_trip(stated[2], 2400), None, "held longer than it is old");
        let told = RemoteReport { fraction_lost: 12, packets_lost: -1, jitter: 7 };
        assert_eq!(stream.remote(), Some(told));
    }
}
