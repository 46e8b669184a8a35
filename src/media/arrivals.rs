//! When the packets of one transport came, by their transport-wide numbers, until the client has
//! been told.

use std::collections::VecDeque;
use std::time::Duration;

use crate::types::{SeqNo, Ssrc, Timestamp};

/// Numbers that are remembered: half a second of 16 000 packets a second.
const REMEMBERED: usize = 8192;

/// Of them, those that were told already and are told again if one between them comes late.
const TOLD: usize = 256;

/// How long after its first packet feedback goes; sooner where many come.
const INTERVAL: Duration = Duration::from_millis(100);
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// As many in one interval are many.
const MANY: u64 = 25;

/// The packets of one transport.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Times, from `first` on.
    times: VecDeque<Option<Timestamp>>,
    first: u64,
    /// What has not been told yet begins here.
    untold: u64,
    ssrc: Option<Ssrc>,
    due_at: Option<Timestamp>,
    started: bool,
    /// Packets since the latest feedback.
    fresh: u64,
    many: bool,
    count: u8,
}

impl Arrivals {
    /// A packet came. If it is the first since the latest feedback, the next is now due at
    /// [`Arrivals::poll_deadline`].
    pub fn note(&mut self, now: Timestamp, seq: u16, ssrc: Ssrc) {
        let seq = self.extend(seq);
        if self.times.is_empty() {
            (self.first, self.untold) = (seq.0, seq.0);
        }
        let end = self.first + self.times.len() as u64;
        if seq.0 < self.first {
            return; // Older than can be told of.
        }
        if seq.0 >= end + REMEMBERED as u64 {
            // A jump: what was before it is of no more use.
            self.times.clear();
            (self.first, self.untold) = (seq.0, seq.0);
        }
        while self.first + self.times.len() as u64 <= seq.0 {
            self.times.push_back(None);
        }
        while self.times.len() > REMEMBERED {
            self.times.pop_front();
            self.first += 1;
        }
        self.untold = self.untold.max(self.first).min(seq.0);
        let time = &mut self.times[(seq.0 - self.first) as usize];
        *time = time.or(Some(now));
        self.ssrc = Some(ssrc);
        self.fresh += 1;
        if self.due_at.is_none() {
            self.due_at = Some(now + if self.many { INTERVAL_MIN } else { INTERVAL });
            self.started = true;
        }
    }

    /// Whether feedback has become due since this was asked last.
    #[inline]
    pub fn take_started(&mut self) -> bool {
        std::mem::take(&mut self.started)
    }

    /// When feedback is due.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        self.due_at
    }

    /// The next feedback, if there is some left of what is due: the number that it begins with, its
    /// own number, an SSRC that it is about, and the times.
    pub fn poll(
        &self,
    ) -> Option<(u16, u8, Ssrc, impl Iterator<Item = Option<Timestamp>> + Clone + '_)> {
        let untold = self.times.range((self.untold - self.first) as usize..);
        let times = untold.copied();
        times.clone().flatten().next()?;
        Some((self.untold as u16, self.count, self.ssrc?, times))
    }

    /// So many of them were told.
    pub fn told(&mut self, packets: usize) {
        self.count = self.count.wrapping_add(1);
        self.untold += packets as u64;
        while self.untold - self.first > TOLD as u64 {
            self.times.pop_front();
            self.first += 1;
        }
    }

    /// All that was due was told, or cannot be.
    pub fn done(&mut self) {
        self.many = self.fresh >= MANY;
        (self.due_at, self.fresh) = (None, 0);
    }

    /// The nearest number to the latest one.
    fn extend(&self, seq: u16) -> SeqNo {
        let Some(latest) = (self.first + self.times.len() as u64).checked_sub(1) else {
            return SeqNo((1 << 16) + u64::from(seq));
        };
        let ahead = seq.wrapping_sub(latest as u16);
        match ahead < 1 << 15 {
            true => SeqNo(latest + u64::from(ahead)),
            false => SeqNo(latest.saturating_sub(u64::from(ahead.wrapping_neg()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + millis * 1000)
    }

    /// What feedback would say: each number that came, with the millisecond.
    fn feedback(arrivals: &mut Arrivals) -> Vec<(u16, Option<u64>)> {
        let Some((base, _, _, times)) = arrivals.poll() else { return Vec::new() };
        let at = |at: Timestamp| (at.as_micros() - 1_000_000) / 1000;
        let told: Vec<_> =
            (0..).zip(times).map(|(i, time)| (base.wrapping_add(i), time.map(at))).collect();
        arrivals.told(told.len());
        arrivals.done();
        told
    }

    #[test]
    fn tells_what_came_and_what_did_not_once_over_the_wrap() {
        let mut arrivals = Arrivals::default();
        arrivals.note(ms(0), 65_534, Ssrc(1));
        assert!(arrivals.take_started());
        arrivals.note(ms(1), 0, Ssrc(1));
        assert!(!arrivals.take_started());
        assert_eq!(arrivals.poll_deadline(), Some(ms(100)));
        let told = feedback(&mut arrivals);
        assert_eq!(told, [(65_534, Some(0)), (65_535, None), (0, Some(1))]);
        assert_eq!(feedback(&mut arrivals), []);
        assert_eq!(arrivals.poll_deadline(), None);
        arrivals.note(ms(200), 3, Ssrc(1));
        assert!(arrivals.take_started());
        let told = feedback(&mut arrivals);
        assert_eq!(told, [(1, None), (2, None), (3, Some(200))], "what is missing before it");
    }

    #[test]
    fn what_comes_late_is_told_with_what_follows_it() {
        let mut arrivals = Arrivals::default();
        for seq in [10, 11, 13] {
            arrivals.note(ms(seq.into()), seq, Ssrc(1));
        }
        feedback(&mut arrivals);
        arrivals.note(ms(20), 12, Ssrc(1));
        arrivals.note(ms(21), 13, Ssrc(1));
        assert_eq!(feedback(&mut arrivals), [(12, Some(20)), (13, Some(13))], "a copy is none");
        arrivals.note(ms(30), 5, Ssrc(1));
        assert_eq!(feedback(&mut arrivals), [], "before the beginning");
    }

    #[test]
    fn memory_has_bounds_whatever_comes() {
        let mut arrivals = Arrivals::default();
        let mut rng = fastrand::Rng::with_seed(1);
        for i in 0..200_000u64 {
            arrivals.note(ms(i), rng.u16(..), Ssrc(1));
            assert!(arrivals.times.len() <= REMEMBERED);
            if i % 1000 == 0 {
                feedback(&mut arrivals);
            }
        }
        assert!(arrivals.times.capacity() <= 2 * REMEMBERED);
    }

    #[test]
    fn the_more_comes_the_sooner_it_is_told() {
        let mut arrivals = Arrivals::default();
        (0..100).for_each(|seq| arrivals.note(ms(0), seq, Ssrc(1)));
        feedback(&mut arrivals);
        arrivals.note(ms(200), 100, Ssrc(1));
        assert_eq!(arrivals.poll_deadline(), Some(ms(250)));
        feedback(&mut arrivals);
        arrivals.note(ms(300), 101, Ssrc(1));
        assert_eq!(arrivals.poll_deadline(), Some(ms(400)));
    }
}
