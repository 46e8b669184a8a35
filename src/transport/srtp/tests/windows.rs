//! The windows against models: a set of all numbers ever accepted, and the RFC's pseudo-code.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::OpenError;
use super::super::window::{RtcpWindows, RtpWindow};
use crate::types::{SeqNo, Ssrc};

/// Remembers everything.
#[derive(Default)]
struct Model {
    accepted: BTreeSet<u64>,
}

impl Model {
    fn check(&self, index: u64, width: u64) -> Result<(), OpenError> {
        let too_old = self.accepted.last().is_some_and(|&highest| index + width <= highest);
        match too_old || self.accepted.contains(&index) {
            true => Err(OpenError::Replay),
            false => Ok(()),
        }
    }
}

/// RFC 3711 appendix A, word by word, but for roll-over count 0, which has none before it.
fn rfc_estimate(highest: u64, seq: u16) -> u64 {
    let (roc, s_l, seq) = (highest >> 16, highest as u16 as i64, i64::from(seq));
    let v = if s_l < 32_768 {
        if seq - s_l > 32_768 && roc > 0 { roc - 1 } else { roc }
    } else if s_l - 32_768 > seq {
        roc + 1
    } else {
        roc
    };
    v * 65_536 + seq as u64
}

/// Where the next packet is, seen from the newest: mostly near, sometimes at the edges of windows
/// and of what the estimate can know.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 1..4i64,
        4 => -40..40i64,
        2 => -1030..-1018i64,
        2 => 1018..1030i64,
        1 => -33_000..33_000i64,
        1 => 32_760..32_768i64,
    ]
}

proptest! {
    #[test]
    fn the_window_agrees_with_a_set(
        start in prop_oneof![0..10u64, 65_000..66_000u64, any::<u32>().prop_map(u64::from)],
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let (mut window, mut model) = (RtpWindow::new(), Model::default());
        let mut taking = RtpWindow::new();
        for step in steps {
            let highest = model.accepted.last().copied();
            let index = highest.unwrap_or(start).saturating_add_signed(step);
            let checked = window.check(SeqNo(index));
            prop_assert_eq!(checked, model.check(index, 1024));
            prop_assert_eq!(taking.take(SeqNo(index)), checked);
            if checked.is_ok() {
                window.accept(SeqNo(index));
                model.accepted.insert(index);
            }
            prop_assert_eq!(window.highest().map(|index| index.0), model.accepted.last().copied());
        }
    }

    #[test]
    fn accepting_what_the_window_refuses_changes_nothing(
        steps in proptest::collection::vec(step(), 1..100),
        back in 0..3000u64,
    ) {
        let mut window = RtpWindow::new();
        let mut index = 5000;
        for step in steps {
            index = u64::saturating_add_signed(index, step);
            window.accept(SeqNo(index));
        }
        let old = SeqNo(window.highest().map_or(0, |highest| highest.0.saturating_sub(back)));
        if window.check(old).is_err() {
            let before = format!("{window:?}");
            window.accept(old);
            prop_assert_eq!(before, format!("{window:?}"));
        }
    }

    #[test]
    fn the_estimate_is_that_of_the_rfc(
        highest in prop_oneof![0..200_000u64, 0..1u64 << 48],
        seq: u16,
    ) {
        let mut window = RtpWindow::new();
        window.accept(SeqNo(highest));
        prop_assert_eq!(window.estimate(seq).0, rfc_estimate(highest, seq));
    }

    #[test]
    fn the_estimate_finds_what_is_less_than_half_a_circle_away(
        highest in prop_oneof![0..200_000u64, 0..1u64 << 48],
        away in -32_767..32_768i64,
    ) {
        let index = SeqNo(highest.saturating_add_signed(away));
        let mut window = RtpWindow::new();
        window.accept(SeqNo(highest));
        prop_assert_eq!(window.estimate(index.wire()), index);
    }

    #[test]
    fn the_rtcp_window_agrees_with_a_set(
        steps in proptest::collection::vec((0..3usize, prop_oneof![
            6 => 1..3i64, 4 => -20..20i64, 2 => -132..-124i64, 2 => 124..132i64, 1 => 0..100_000i64,
        ]), 1..300),
    ) {
        let mut windows = RtcpWindows::default();
        let mut models = [Model::default(), Model::default(), Model::default()];
        for (ssrc, step) in steps {
            let model = &mut models[ssrc];
            let highest = model.accepted.last().copied().unwrap_or(0);
            let index = highest.saturating_add_signed(step);
            let ssrc = Ssrc(ssrc as u32);
            let checked = windows.check(ssrc, index as u32);
            prop_assert_eq!(checked, model.check(index, 128));
            if checked.is_ok() {
                windows.accept(ssrc, index as u32);
                model.accepted.insert(index);
            }
        }
    }
}

// What is exactly half a circle away could be meant either way; random numbers rarely hit it.
#[test]
fn the_estimate_is_that_of_the_rfc_at_half_a_circle() {
    for highest in (0..0x3_0000).map(|n| n * 0x11) {
        let mut window = RtpWindow::new();
        window.accept(SeqNo(highest));
        for away in [0x7FFF, 0x8000, 0x8001] {
            let seq = (highest as u16).wrapping_add(away);
            assert_eq!(window.estimate(seq).0, rfc_estimate(highest, seq), "{highest} {seq}");
        }
    }
}

#[test]
fn a_window_without_packets_takes_roll_over_count_zero() {
    let window = RtpWindow::new();
    assert_eq!(window.highest(), None);
    for seq in [0, 1, 32_767, 32_768, 65_535] {
        assert_eq!(window.estimate(seq), SeqNo(u64::from(seq)));
        assert_eq!(window.check(SeqNo(u64::from(seq))), Ok(()));
    }
}

#[test]
fn there_is_nothing_beyond_2_to_the_48() {
    let (end, mut window) = (1 << 48, RtpWindow::new());
    window.accept(SeqNo(end - 1));
    assert_eq!(window.check(SeqNo(end - 1)), Err(OpenError::Replay));
    // The next number on the wire can only be meant to be this one.
    assert_eq!(window.estimate(0), SeqNo(end));
    assert_eq!(window.check(SeqNo(end)), Err(OpenError::IndexSpent));
    assert_eq!(window.check(SeqNo(u64::MAX)), Err(OpenError::IndexSpent));
}

#[test]
fn a_stream_that_made_room_takes_only_what_is_above_it() {
    let mut window = RtpWindow::behind(70_000);
    let taken = (69_000..=70_010).filter(|&seq| window.check(SeqNo(seq)).is_ok());
    assert!(taken.eq(70_001..=70_010));
    assert_eq!(window.estimate(70_001_u64 as u16), SeqNo(70_001), "the roll-overs still count");
    window.accept(SeqNo(70_005));
    let taken = (69_000..=70_006).filter(|&seq| window.check(SeqNo(seq)).is_ok());
    assert!(taken.eq([70_001, 70_002, 70_003, 70_004, 70_006]));
}

#[test]
fn a_stream_costs_144_bytes() {
    assert_eq!(size_of::<RtpWindow>(), 144);
}
