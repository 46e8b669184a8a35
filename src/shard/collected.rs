//! Pages that are made of what all shards have counted. To collect that costs every shard
//! something, and to write it down half a millisecond; so it is done so often and no more, and who
//! asks more often gets what was there.

use std::cell::RefCell;
use std::time::Duration;

use crate::cluster::{Rate, Rates};
use crate::http::Response;
use crate::types::Timestamp;

/// How often a shard makes each of them: nobody who asks once a second gets an old one, a crowd
/// gets one that is 40 ms old, and a hundredth of the core is all that it can take.
const COLLECTIONS: Rate = Rate { per_second: 25, burst: Duration::from_secs(20) };

/// Such a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Page {
    /// `/stats`.
    Stats,
    /// `/metrics`.
    Metrics,
}

/// One shard's last ones.
#[derive(Debug, Default)]
pub(super) struct Collected {
    rates: RefCell<Rates<Page>>,
    stats: RefCell<Option<Response>>,
    metrics: RefCell<Option<Response>>,
}

impl Collected {
    /// The last one, if it has to do.
    pub(super) fn last(&self, now: Timestamp, page: Page) -> Option<Response> {
        match self.rates.borrow_mut().take(now, page, COLLECTIONS) {
            true => None,
            false => self.of(page).borrow().clone(),
        }
    }

    /// A newer one.
    pub(super) fn keep(&self, page: Page, response: Response) {
        self.of(page).replace(Some(response));
    }

    fn of(&self, page: Page) -> &RefCell<Option<Response>> {
        match page {
            Page::Stats => &self.stats,
            Page::Metrics => &self.metrics,
        }
    }
}
