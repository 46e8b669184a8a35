//! When the Router wants to be called, and what it does then.

use std::time::Duration;

use super::Outbox;
use super::router::Router;
use super::timers::Owner;
use crate::media::resend::ROUND_TRIP_GUESS;
use crate::types::{Deadline, Reason, ReceiverKey, Timestamp, TransportKey};

/// How often a transport's reports go out. RFC 3550 §6.2 would allow much less for small sessions;
/// browsers send about this often, and a viewer's lips are in sync after the first one.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Reports go out at multiples of this: a shard's transports share 20 wake-ups a second for them,
/// where each would have one of its own.
const REPORT_STEP: Duration = Duration::from_millis(50);
const _: () = assert!(REPORT_INTERVAL.as_micros().is_multiple_of(REPORT_STEP.as_micros()));

/// When the reports after those of this moment are due.
pub(super) fn next_reports(now: Timestamp, share: f64) -> Timestamp {
    (now + REPORT_INTERVAL.mul_f64(share)).floor(REPORT_STEP)
}

impl Router {
    /// Time has come; early or needless calls do nothing.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut impl Outbox) {
        while let Some((deadline, owner)) = self.timers.pop_due(now) {
            match owner {
                Owner::Receiver(key) => {
                    let receiver = self.receivers.get_mut(key);
                    if receiver.is_some_and(|receiver| receiver.armed.fire(deadline)) {
                        self.poll_requests(now, key, out);
                    }
                }
                Owner::Transport(key) => {
                    let association = self.transports.get_mut(key);
                    if association.is_some_and(|association| association.armed.fire(deadline)) {
                        self.handle_transport_timeout(now, key, out);
                    }
                }
            }
        }
    }

    fn handle_transport_timeout(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        out: &mut impl Outbox,
    ) {
        let association = &mut self.transports[key];
        let before = association.transport.dtls_state();
        let consent_ran_out = association.transport.handle_timeout(now);
        let started = association.transport.dtls_state() != before;
        let reports_due = association.reports_at.is_some_and(|at| at <= now);
        if reports_due {
            association.reports_at = Some(next_reports(now, 1.0));
            self.send_reports(now, key, out);
        }
        self.send_feedback(now, key, out);
        if consent_ran_out || started {
            self.notify_transport_state(key, out);
        }
        self.pump(now, key, out);
    }

    /// When to call [`Router::handle_timeout`] next.
    pub fn poll_deadline(&self) -> Option<Deadline> {
        self.timers.next()
    }

    pub(super) fn arm_transport(&mut self, key: TransportKey) {
        if let Some(association) = self.transports.get_mut(key) {
            let deadline = association.poll_deadline();
            self.timers.arm(Owner::Transport(key), &mut association.armed, deadline);
        }
    }

    pub(super) fn arm_receiver(&mut self, key: ReceiverKey) {
        if let Some(receiver) = self.receivers.get_mut(key) {
            let association = self.transports.get(receiver.transport);
            let round_trip = association.and_then(|it| it.round_trip).unwrap_or(ROUND_TRIP_GUESS);
            let nack = receiver.nacks.poll_deadline(round_trip);
            let deadlines = [
                nack.map(|at| Deadline { at, reason: Reason::Nack }),
                receiver
                    .key_frames
                    .poll_deadline()
                    .map(|at| Deadline { at, reason: Reason::KeyFrame }),
            ];
            let deadline = deadlines.into_iter().flatten().min();
            self.timers.arm(Owner::Receiver(key), &mut receiver.armed, deadline);
        }
    }
}
