//! When to ask a source for a key frame: many askers, one request every 500 ms, repeated until the
//! key frame comes or nobody has asked for a while (PROTOCOL section 6).

use crate::types::Timestamp;
use crate::types::limit::{KEY_FRAME_INTERVAL, KEY_FRAME_WAIT};

/// The requests of one source stream.
#[derive(Debug, Clone, Default)]
pub struct KeyFrameRequest {
    /// The latest asking that no key frame has answered.
    wanted_at: Option<Timestamp>,
    requested_at: Option<Timestamp>,
}

impl KeyFrameRequest {
    /// Somebody needs a key frame. Asking again keeps the repetition going.
    pub fn ask(&mut self, now: Timestamp) {
        self.wanted_at = Some(now);
    }

    /// A key frame begins; whoever asked has it.
    pub fn handle_key_frame(&mut self) {
        self.wanted_at = None;
    }

    /// Nothing is wanted from the source any more (it is paused).
    pub fn cancel(&mut self) {
        self.wanted_at = None;
    }

    /// Whether a request is to be sent to the source now; counts as sent if so.
    pub fn poll(&mut self, now: Timestamp) -> bool {
        let due = self.poll_deadline().is_some_and(|at| at <= now);
        // A codec whose key frames cannot be seen would be asked for ever.
        if self.wanted_at.is_some_and(|wanted| now.since(wanted) > KEY_FRAME_WAIT) {
            self.wanted_at = None;
            return false;
        }
        if due {
            self.requested_at = Some(now);
        }
        due
    }

    /// When [`KeyFrameRequest::poll`] has something to say.
    pub fn poll_deadline(&self) -> Option<Timestamp> {
        let wanted = self.wanted_at?;
        Some(self.requested_at.map_or(wanted, |requested| requested + KEY_FRAME_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + millis * 1000)
    }

    /// Every millisecond from `from` to `to` at which a request leaves.
    fn requests(request: &mut KeyFrameRequest, from: u64, to: u64) -> Vec<u64> {
        (from..to).filter(|at| request.poll(ms(*at))).collect()
    }

    #[test]
    fn many_askers_make_one_request_every_half_second_until_the_key_frame() {
        let mut request = KeyFrameRequest::default();
        assert!(requests(&mut request, 0, 10).is_empty(), "nobody asked");
        request.ask(ms(10));
        request.ask(ms(10));
        assert_eq!(requests(&mut request, 10, 300), [10]);
        request.ask(ms(300));
        assert_eq!(requests(&mut request, 300, 1200), [510, 1010]);
        request.handle_key_frame();
        assert!(requests(&mut request, 1200, 3000).is_empty());
    }

    #[test]
    fn one_who_asks_just_after_a_key_frame_waits_out_the_interval() {
        let mut request = KeyFrameRequest::default();
        request.ask(ms(0));
        assert!(request.poll(ms(0)));
        request.handle_key_frame();
        request.ask(ms(100));
        assert_eq!(requests(&mut request, 100, 700), [500]);
    }

    #[test]
    fn a_source_that_never_answers_is_not_asked_for_ever() {
        let mut request = KeyFrameRequest::default();
        request.ask(ms(0));
        assert_eq!(requests(&mut request, 0, 10_000), [0, 500, 1000, 1500, 2000, 2500, 3000]);
        assert_eq!(request.poll_deadline(), None);
        request.ask(ms(10_000));
        assert_eq!(requests(&mut request, 10_000, 10_100), [10_000]);
    }
}
