//! How much a client may send: a bucket of bytes that time fills, looked at only when it is empty.

use crate::types::{DropReason, Timestamp};

/// What one transport may still bring.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Bytes.
    left: u64,
    /// `None`: never filled.
    filled_at: Option<Timestamp>,
}

impl Allowance {
    /// Takes `bytes` off, where so many bits a second are allowed; a second's worth may come at
    /// once.
    #[inline]
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        bytes: usize,
        bitrate: u64,
    ) -> Result<(), DropReason> {
        if self.left < bytes as u64 {
            self.fill(now, bitrate);
        }
        self.left = self.left.checked_sub(bytes as u64).ok_or(DropReason::Bitrate)?;
        Ok(())
    }

    /// Forgets what was earned beyond a second of a rate that counts from now on.
    pub(super) fn cut(&mut self, bitrate: u64) {
        self.left = self.left.min(bitrate / 8);
    }

    #[cold]
    fn fill(&mut self, now: Timestamp, bitrate: u64) {
        let second = bitrate / 8;
        let earned = match self.filled_at {
            None => second,
            Some(at) => {
                let micros = now.since(at).as_micros() as u64;
                second.saturating_mul(micros) / 1_000_000
            }
        };
        // What is no whole byte yet is not thrown away.
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(second);
            self.filled_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + micros)
    }

    #[test]
    fn a_second_is_allowed_at_once_and_the_rate_for_ever() {
        let mut allowance = Allowance::default();
        let sent = |allowance: &mut Allowance, now| {
            (0..1000).take_while(|_| allowance.take(now, 100, 80_000).is_ok()).count()
        };
        assert_eq!(sent(&mut allowance, at(0)), 100);
        assert_eq!(sent(&mut allowance, at(0)), 0);
        assert_eq!(sent(&mut allowance, at(10_000)), 1);
        // Looked at too often to earn a byte each time, it earns all the same.
        let slow = (10_000..30_000).filter(|&us| allowance.take(at(us), 100, 80_000).is_ok());
        assert!((1..=2).contains(&slow.count()));
        assert_eq!(sent(&mut allowance, at(90_000_000)), 100, "no more than a second");
    }
}
