//! A stream that is fed packets by hand. Time is in milliseconds times a million.

use super::*;
use crate::engine::log::Sent;

const MS: u64 = 1_000_000;
const FREEZE: u64 = 200 * MS;

/// A source of frames of three packets, one each 30 ms from 1 s on, and a viewer 5 ms away whose
/// sequence numbers are 60 000 ahead.
struct Pair {
    log: Arc<SourceLog>,
    stream: StreamRx,
    latencies: Vec<u64>,
}

fn sent_at(number: u32) -> u64 {
    1000 * MS + u64::from(number / 3) * 30 * MS
}

fn seq(number: u32) -> u16 {
    (number as u16).wrapping_add(60_000)
}

impl Pair {
    fn new() -> Self {
        let log = Arc::new(SourceLog::new(true));
        log.begin_window();
        let stream = StreamRx::new(1, Arc::clone(&log), 990 * MS);
        Self { log, stream, latencies: Vec::new() }
    }

    fn send(&self, numbers: std::ops::Range<u32>, keys: &[u32]) {
        for number in numbers {
            let starts_key_frame = keys.contains(&number);
            let ends_frame = number % 3 == 2;
            self.log.note(number, Sent { at: sent_at(number), starts_key_frame, ends_frame });
        }
    }

    fn come(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            if self.stream.wants_opening() {
                self.stream.learn(seq(number), number);
            }
            let at = sent_at(number) + 5 * MS;
            if let Verdict::Came(Some(latency)) = self.stream.take(seq(number), 100, at, FREEZE) {
                self.latencies.push(latency / MS);
            }
        }
    }
}

#[test]
fn packets_in_order_are_all_shown_and_their_latency_is_known() {
    let mut pair = Pair::new();
    pair.send(0..300, &[0]);
    pair.come(0..300);
    let counts = pair.stream.counts(sent_at(300), FREEZE);
    assert_eq!((counts.received, counts.bytes, counts.freezes), (300, 30_000, 0));
    assert_eq!(counts.longest / MS, 30);
    assert_eq!(pair.latencies, [5; 300]);
    assert_eq!(pair.stream.expected(), 300);
    assert_eq!(pair.stream.first_frame(), Some(15 * MS));
    assert_eq!(pair.stream.jitter(), Some(0.0));
}

#[test]
fn numbers_roll_over_many_times() {
    let mut pair = Pair::new();
    for start in (0..200_000).step_by(1000) {
        pair.send(start..start + 1000, &[0]);
        pair.come(start..start + 1000);
    }
    assert_eq!(pair.stream.counts(0, FREEZE).received, 200_000);
    assert_eq!(pair.stream.expected(), 200_000);
}

#[test]
fn a_lost_packet_freezes_until_the_next_key_frame() {
    let mut pair = Pair::new();
    pair.send(0..120, &[0, 60]);
    pair.come((0..120).filter(|number| *number != 30));
    let counts = pair.stream.counts(sent_at(120), FREEZE);
    assert_eq!((counts.received, pair.stream.expected()), (119, 120));
    assert_eq!(counts.freezes, 1);
    assert_eq!(counts.longest / MS, 330, "from frame 9 to frame 20");
    assert!(!pair.stream.waits_for_key());
}

#[test]
fn a_pause_without_an_end_counts() {
    let mut pair = Pair::new();
    pair.send(0..120, &[0]);
    pair.come((0..120).filter(|number| *number != 30));
    assert_eq!(pair.stream.counts(sent_at(120), FREEZE).freezes, 1);
    pair.log.stop();
    assert_eq!(pair.stream.counts(sent_at(120), FREEZE).freezes, 0, "the source has ended");
}

#[test]
fn what_comes_late_is_shown_all_the_same() {
    let mut pair = Pair::new();
    pair.send(0..60, &[0]);
    pair.come([0, 1, 2, 4, 3, 5, 7, 8, 6, 6]);
    pair.come(9..60);
    let counts = pair.stream.counts(sent_at(60), FREEZE);
    assert_eq!((counts.received, counts.duplicates, counts.reordered), (60, 1, 2));
    assert_eq!((counts.freezes, counts.longest / MS), (0, 30));
    assert!(pair.stream.missing(9).is_empty());
}

#[test]
fn what_is_missing_is_named_as_the_server_numbers_it() {
    let mut pair = Pair::new();
    pair.send(0..60, &[0]);
    pair.come((0..30).filter(|number| ![10, 20].contains(number)));
    assert_eq!(pair.stream.missing(9), [seq(10), seq(20)]);
    assert_eq!(pair.stream.missing(1), [seq(10)]);
}

#[test]
fn a_viewer_that_comes_later_expects_nothing_from_before() {
    let mut pair = Pair::new();
    pair.send(0..90, &[0, 60]);
    pair.come(60..90);
    assert_eq!(pair.stream.expected(), 30);
    assert_eq!(pair.stream.counts(sent_at(90), FREEZE).received, 30);
    assert_eq!(pair.stream.first_frame(), Some(615 * MS));
}

#[test]
fn what_is_lost_on_purpose_is_neither_lost_nor_shown() {
    let mut pair = Pair::new();
    pair.send(0..60, &[0]);
    pair.come(0..30);
    pair.stream.lose(seq(30));
    pair.come(31..60);
    let counts = pair.stream.counts(sent_at(60), FREEZE);
    assert_eq!((counts.received, counts.lost_on_purpose), (59, 1));
    assert_eq!(pair.stream.expected(), 60);
    assert_eq!(counts.freezes, 1);
    pair.come([30]);
    assert_eq!(pair.stream.counts(sent_at(60), FREEZE).freezes, 1, "a repair ends the pause");
    assert!(pair.stream.counts(sent_at(60), FREEZE).longest / MS > 200);
}

#[test]
fn a_server_that_counts_anew_is_followed_once_somebody_looks() {
    let mut pair = Pair::new();
    pair.send(0..200, &[0]);
    pair.come(0..100);
    assert!(!pair.stream.learn(seq(100).wrapping_add(7), 100));
    let at = sent_at(100) + 5 * MS;
    let verdict = pair.stream.take(seq(100).wrapping_add(7), 100, at, FREEZE);
    assert_eq!(verdict, Verdict::Came(Some(5 * MS)));
}
