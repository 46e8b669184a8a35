//! What is told, and when, under a virtual clock.

use serde_json::{Value, json};

use super::*;
use crate::http::webhook::NoticeKind;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1 + seconds * 1_000_000)
}

fn notice(i: usize) -> Notice {
    Notice {
        kind: NoticeKind::PeerLeft,
        at: Duration::from_millis(1_764_279_492_123),
        room: format!("room {i}").into(),
        peer: Some("Ada".into()),
        reason: Some("left"),
    }
}

/// A queue with a parcel of as many of these events as it takes.
fn filled(events: usize) -> (Queue, usize) {
    let mut queue = Queue::new("run".to_owned());
    let mut taken = 0;
    queue.fill(at(0), || {
        taken += 1;
        (taken <= events).then(|| notice(taken))
    });
    (queue, taken.min(events))
}

fn body(queue: &Queue) -> Value {
    serde_json::from_str(&queue.parcel().unwrap().body).unwrap()
}

#[test]
fn a_parcel_says_what_happened_and_to_whom() {
    let (queue, _) = filled(1);
    let event = json!({"type": "peerLeft", "at": 1_764_279_492.123, "room": "room 1",
        "peer": "Ada", "reason": "left"});
    let wished = json!({"type": "events", "run": "run", "lost": 0, "events": [event]});
    assert_eq!(body(&queue), wished);
    assert_eq!(queue.parcel().unwrap().id, "run-1");
    assert_eq!(queue.due(at(0)), Duration::ZERO);
}

#[test]
fn so_many_events_are_one_parcel_and_the_next_waits_for_it() {
    let (mut queue, taken) = filled(250);
    assert_eq!(taken, EVENTS_MAX);
    queue.fill(at(0), || panic!("one is on its way"));
    assert_eq!(queue.delivered(), 100);
    assert_eq!(queue.parcel(), None);
    queue.fill(at(1), || None);
    assert_eq!(queue.parcel(), None, "nothing to tell");
    let mut one = Some(notice(0));
    queue.fill(at(1), || one.take());
    assert_eq!(queue.parcel().unwrap().id, "run-2");
}

#[test]
fn what_is_not_taken_is_tried_ever_less_often_for_an_hour() {
    let (mut queue, _) = filled(3);
    let parcel = queue.parcel().cloned();
    let (mut now, mut waits) = (at(0), Vec::new());
    let lost = loop {
        match queue.failed(now, 0.5) {
            Failure::Later(wait) => {
                assert_eq!(queue.due(now), wait);
                assert_eq!(queue.parcel(), parcel.as_ref(), "the same at every try");
                now = now + wait;
                waits.push(wait.as_secs());
            }
            Failure::GivenUp(lost) => break lost,
        }
    };
    assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!((3600..3660).contains(&now.since(at(0)).as_secs()), "{now:?}");
    assert_eq!((lost, queue.parcel()), (3, None));
}

#[test]
fn hosts_do_not_come_back_all_at_once() {
    let wait = |chance| match filled(1).0.failed(at(0), chance) {
        Failure::Later(wait) => wait.as_millis(),
        Failure::GivenUp(_) => panic!("it has only begun"),
    };
    assert_eq!((wait(0.0), wait(1.0)), (750, 1250));
}

#[test]
fn whoever_listens_again_hears_how_much_it_has_missed_once() {
    let (mut queue, _) = filled(2);
    queue.lose(5);
    assert_eq!(body(&queue)["lost"], 0, "it is closed already");
    assert_eq!(queue.give_up(), 2);
    let refill = |queue: &mut Queue| {
        let mut one = Some(notice(0));
        queue.fill(at(9), || one.take());
        body(queue)["lost"].clone()
    };
    assert_eq!(refill(&mut queue), 7);
    queue.lose(1);
    queue.delivered();
    assert_eq!(refill(&mut queue), 1);
    queue.delivered();
    assert_eq!(refill(&mut queue), 0);
}
