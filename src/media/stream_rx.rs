//! One received RTP stream: what is known of it for receiver reports, and the clock its sender
//! reports tell (RFC 3550 §6.4, appendix A.3 and A.8).

use std::time::Duration;

use crate::types::{SeqNo, Ssrc, Timestamp};
use crate::wire::rtcp::{ReportBlock, SenderReport};

/// The relation that a source's sender report states: this NTP time is that RTP time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceClock {
    /// 32.32 fixed point seconds, the source's clock.
    pub ntp: u64,
    /// The source's RTP timestamp at that moment.
    pub rtp_time: u32,
    /// When the report came in.
    pub received_at: Timestamp,
}

impl SourceClock {
    /// The relation moved forward to `now`: both times as the source would state them then.
    pub fn at(&self, now: Timestamp, clock_rate: u32) -> (u64, u32) {
        let elapsed = now.since(self.received_at).as_micros();
        let ntp = self.ntp.wrapping_add(((elapsed << 32) / 1_000_000) as u64);
        let ticks = elapsed * u128::from(clock_rate) / 1_000_000;
        (ntp, self.rtp_time.wrapping_add(ticks as u32))
    }
}

/// Statistics of one received stream.
#[derive(Debug, Clone)]
pub struct StreamRx {
    ssrc: Ssrc,
    clock_rate: u32,
    first: Option<SeqNo>,
    highest: SeqNo,
    received: u64,
    /// Interarrival jitter × 16, in timestamp units (RFC 3550 appendix A.8).
    jitter_16: u64,
    /// Arrival minus timestamp of the previous packet, in timestamp units, wrapping.
    transit: Option<u32>,
    expected_prior: u64,
    received_prior: u64,
    clock: Option<SourceClock>,
    /// When the latest media came.
    heard_at: Timestamp,
    /// Whose place it took.
    replaced: Option<Ssrc>,
}

impl StreamRx {
    /// Nothing received yet.
    pub fn new(ssrc: Ssrc, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            first: None,
            highest: SeqNo(0),
            received: 0,
            jitter_16: 0,
            transit: None,
            expected_prior: 0,
            received_prior: 0,
            clock: None,
            heard_at: Timestamp::START,
            replaced: None,
        }
    }

    /// The same in the place of another stream.
    pub fn after(self, replaced: Option<Ssrc>) -> Self {
        Self { replaced, ..self }
    }

    /// Whether it has taken the place of the stream with this SSRC.
    pub fn follows(&self, ssrc: Ssrc) -> bool {
        self.replaced == Some(ssrc)
    }

    /// Whose packets these are.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// An authentic packet of this SSRC that carries something else than the source's media: it has
    /// come, and its timestamp may mean anything (RFC 4733 §2.2.1: a tone's stands still).
    pub fn handle_other(&mut self, seq: SeqNo) {
        let first = self.first.get_or_insert(seq);
        *first = (*first).min(seq);
        self.highest = self.highest.max(seq);
        self.received += 1;
    }

    /// An authentic packet of media, each once.
    pub fn handle_packet(&mut self, now: Timestamp, seq: SeqNo, timestamp: u32) {
        self.handle_other(seq);
        self.heard_at = now;
        let arrival = u128::from(now.as_micros()) * u128::from(self.clock_rate) / 1_000_000;
        let transit = (arrival as u32).wrapping_sub(timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            let d = transit.wrapping_sub(previous) as i32;
            // A jump of the source's clock is no jitter; without a bound it would haunt the
            // average for minutes.
            let d = u64::from(d.unsigned_abs()).min(u64::from(self.clock_rate));
            self.jitter_16 = self.jitter_16 + d - ((self.jitter_16 + 8) >> 4);
        }
    }

    /// When the latest media came.
    pub fn heard_at(&self) -> Timestamp {
        self.heard_at
    }

    /// The source's sender report.
    pub fn handle_sender_report(&mut self, now: Timestamp, report: &SenderReport) {
        self.clock =
            Some(SourceClock { ntp: report.ntp, rtp_time: report.rtp_time, received_at: now });
    }

    /// The source's clock, once it has told.
    pub fn clock(&self) -> Option<&SourceClock> {
        self.clock.as_ref()
    }

    /// Packets that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that did not come, up to the highest number that did.
    pub fn lost(&self) -> u64 {
        let expected = self.first.map_or(0, |first| self.highest.0 - first.0 + 1);
        expected.saturating_sub(self.received)
    }

    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub fn jitter(&self) -> Duration {
        Duration::from_secs(self.jitter_16 >> 4) / self.clock_rate.max(1)
    }

    /// What to report since the last block; `None` before the first packet.
    pub fn report_block(&mut self, now: Timestamp) -> Option<ReportBlock> {
        let first = self.first?;
        let expected = self.highest.0 - first.0 + 1;
        let expected_interval = expected - self.expected_prior.min(expected);
        let received_interval = self.received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction_lost = (lost_interval << 8).checked_div(expected_interval).unwrap_or(0);
        let lost = expected as i64 - self.received as i64;
        let (last_sr, delay_since_last_sr) = match &self.clock {
            None => (0, 0),
            Some(clock) => {
                let delay = (now.since(clock.received_at).as_micros() << 16) / 1_000_000;
                ((clock.ntp >> 16) as u32, delay as u32)
            }
        };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction_lost.min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_seq: self.highest.0 as u32,
            jitter: (self.jitter_16 >> 4) as u32,
            last_sr,
            delay_since_last_sr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + millis * 1000)
    }

    #[test]
    fn reports_what_was_lost_in_the_interval_and_in_all() {
        let mut stream = StreamRx::new(Ssrc(7), 90_000);
        assert_eq!(stream.report_block(ms(0)), None);
        for seq in (65_530..65_540).filter(|seq| *seq != 65_536) {
            stream.handle_packet(ms(0), SeqNo(seq), 0);
        }
        let block = stream.report_block(ms(1)).expect("packets came");
        assert_eq!((block.fraction_lost, block.cumulative_lost), (25, 1), "1 of 10, in 256ths");
        assert_eq!(block.highest_seq, 65_539, "one cycle and 3");
        stream.handle_packet(ms(2), SeqNo(65_536), 0);
        let block = stream.report_block(ms(3)).expect("packets came");
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 0), "it was only late");
    }

    #[test]
    fn jitter_is_zero_for_even_spacing_and_grows_with_uneven() {
        let mut even = StreamRx::new(Ssrc(1), 48_000);
        let mut uneven = even.clone();
        for i in 0..100u64 {
            even.handle_packet(ms(20 * i), SeqNo(i), 960 * i as u32);
            uneven.handle_packet(ms(20 * i + 5 * (i % 2)), SeqNo(i), 960 * i as u32);
        }
        assert_eq!(even.report_block(ms(2000)).expect("packets came").jitter, 0);
        let jitter = uneven.report_block(ms(2000)).expect("packets came").jitter;
        assert!((200..=240).contains(&jitter), "5 ms are 240 ticks: {jitter}");
    }

    #[test]
    fn says_when_the_last_sender_report_came() {
        let mut stream = StreamRx::new(Ssrc(7), 90_000);
        stream.handle_packet(ms(0), SeqNo(1), 0);
        let ntp = 0x1234_5678_9abc_def0;
        let report =
            SenderReport { sender_ssrc: Ssrc(7), ntp, rtp_time: 1000, packets: 1, octets: 1 };
        stream.handle_sender_report(ms(100), &report);
        let block = stream.report_block(ms(600)).expect("packets came");
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0x5678_9abc, 0x8000), "half a s");
        let clock = stream.clock().expect("just told");
        assert_eq!(clock.at(ms(600), 90_000), (ntp + (1 << 31), 46_000));
    }
}
