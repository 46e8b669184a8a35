//! What a client is told of when its packets came, so that it can estimate its bandwidth.

use super::Outbox;
use super::router::Router;
use super::rtcp::send_compound;
use crate::types::{Timestamp, TransportKey};

/// Packets of feedback that one moment has at most: each tells of some hundred packets.
const AT_ONCE: usize = 32;

impl Router {
    /// Sends the feedback that is due.
    pub(super) fn send_feedback(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        out: &mut impl Outbox,
    ) {
        let Some(association) = self.transports.get_mut(key) else { return };
        if association.arrivals.poll_deadline().is_none_or(|at| at > now) {
            return;
        }
        let from = association.rtcp_ssrc;
        let mut arrivals = std::mem::take(&mut association.arrivals);
        for _ in 0..AT_ONCE {
            let Some((base, count, ssrc, times)) = arrivals.poll() else { break };
            let mut told = None;
            let sent = send_compound(association, &mut self.stats, out, |compound| {
                let report = compound.receiver_report(from, &[]);
                told = compound.transport_cc([from, ssrc], count, base, times);
                report && told.is_some()
            });
            let Some(told) = told.filter(|_| sent) else { break };
            arrivals.told(told);
            self.stats.feedback_sent += 1;
        }
        arrivals.done();
        association.arrivals = arrivals;
    }
}
