//! From how busy a shard's thread is to whether it takes new rooms and peers. Sans-IO; the shard
//! measures and calls.

use crate::types::Pressure;

/// Measures in a row that lead to more pressure, and to less: one busy second is no overload, and
/// rooms that have just been refused shall not come in with the first idle one.
const MEASURES_UP: u32 = 2;
const MEASURES_DOWN: u32 = 3;

/// Strain is counted in so many steps up to the most that a shard may be busy, and below the first
/// of these it is idle: what signaling and a shard's own housekeeping take must not steer rooms.
const STEPS: u64 = 10;
const IDLE_STEPS: u64 = 3;

/// A shard's own judgement of its load, with hysteresis. Shares are in thousandths of its core.
#[derive(Debug)]
pub struct Admission {
    busy_max: u64,
    busy: u64,
    pressure: Pressure,
    /// Measures in a row that ask for more pressure, or for less.
    above: u32,
    below: u32,
}

impl Admission {
    /// A shard that is full from `busy_max` on.
    pub fn new(busy_max: u64) -> Self {
        Self { busy_max: busy_max.max(1), busy: 0, pressure: Pressure::None, above: 0, below: 0 }
    }

    /// Another limit, from the next measure on.
    pub fn set_busy_max(&mut self, busy_max: u64) {
        self.busy_max = busy_max.max(1);
    }

    /// The share of the last second that the thread was running.
    pub fn measure(&mut self, busy: u64) {
        self.busy = busy;
        // Half of what is left above the limit is for the way from full to overloaded.
        let shed = self.busy_max.midpoint(1000);
        let (up, down) = match self.pressure {
            Pressure::None => (busy >= self.busy_max, false),
            Pressure::Full => (busy >= shed, busy < self.busy_max * 4 / 5),
            Pressure::Shed => (false, busy < self.busy_max),
        };
        self.above = if up { self.above + 1 } else { 0 };
        self.below = if down { self.below + 1 } else { 0 };
        if self.above == MEASURES_UP {
            self.settle(if self.pressure == Pressure::None {
                Pressure::Full
            } else {
                Pressure::Shed
            });
        } else if self.below == MEASURES_DOWN {
            self.settle(if self.pressure == Pressure::Shed {
                Pressure::Full
            } else {
                Pressure::None
            });
        }
    }

    fn settle(&mut self, pressure: Pressure) {
        (self.pressure, self.above, self.below) = (pressure, 0, 0);
    }

    /// What is to be done about the load.
    pub fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// As [`crate::types::Load`] has it.
    pub fn strain(&self) -> u8 {
        (self.busy * STEPS / self.busy_max).saturating_sub(IDLE_STEPS).min(u64::from(u8::MAX)) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressures(busy_max: u64, measures: &[u64]) -> Vec<Pressure> {
        let mut admission = Admission::new(busy_max);
        let each = measures.iter().map(|busy| {
            admission.measure(*busy);
            admission.pressure()
        });
        each.collect()
    }

    #[test]
    fn it_takes_two_busy_seconds_to_be_full_and_three_quiet_ones_to_be_free() {
        use Pressure::{Full, None};
        assert_eq!(pressures(800, &[900, 700, 800, 800]), [None, None, None, Full]);
        let quiet = [800, 800, 639, 639, 640, 639, 639, 639, 0];
        let expected = [None, Full, Full, Full, Full, Full, Full, None, None];
        assert_eq!(pressures(800, &quiet), expected);
    }

    #[test]
    fn between_the_two_limits_nothing_changes() {
        use Pressure::{Full, None};
        assert_eq!(pressures(800, &[700; 20]), [None; 20]);
        let mut measures = vec![800, 800];
        measures.extend([700; 20]);
        assert_eq!(pressures(800, &measures)[1..], [Full; 21]);
    }

    #[test]
    fn video_is_to_be_shed_before_the_core_is_used_up() {
        use Pressure::{Full, None, Shed};
        let measures = [900, 900, 900, 900, 899, 850, 790, 790, 790, 600, 600, 600];
        let expected = [None, Full, Full, Shed, Shed, Shed, Shed, Shed, Full, Full, Full, None];
        assert_eq!(pressures(800, &measures), expected);
    }

    #[test]
    fn strain_begins_where_idleness_ends() {
        let strain = |busy| {
            let mut admission = Admission::new(800);
            admission.measure(busy);
            admission.strain()
        };
        assert_eq!([0, 319, 320, 400, 799, 800, 1000].map(strain), [0, 0, 1, 2, 6, 7, 9]);
    }
}
