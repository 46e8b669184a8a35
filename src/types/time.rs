//! Time as the core sees it: a number that the driver passes in. Nothing below `shard` reads a
//! clock.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::Duration;

/// A point in time, in microseconds since an epoch of the driver's choosing (never zero, so that
/// an optional one costs nothing). Ordered; makeable in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The earliest time there is.
    pub const START: Timestamp = Timestamp(NonZeroU64::MIN);

    /// `micros` after the driver's epoch; 0 counts as 1.
    pub fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::new(micros).unwrap_or(NonZeroU64::MIN))
    }

    /// Microseconds after the driver's epoch.
    pub fn as_micros(self) -> u64 {
        self.0.get()
    }

    /// The last multiple of `step` (after the epoch) that is not later.
    pub fn floor(self, step: Duration) -> Self {
        let step = step.as_micros() as u64;
        Self::from_micros(self.as_micros() / step * step)
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.as_micros().saturating_sub(earlier.as_micros()))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(duration.as_micros() as u64))
    }
}

/// Why the core wants to be called again; travels with the time so that wake-ups can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A DTLS flight must be sent again, or a handshake given up.
    Dtls,
    /// The wait for a client's ClientHello is over; the server starts the handshake.
    DtlsRole,
    /// A transport without a sign of life loses consent.
    Consent,
    /// Reports are due.
    Rtcp,
    /// A key frame has been asked for and has not come.
    KeyFrame,
    /// Packets of a source have not come.
    Nack,
    /// A client is told when its packets came.
    Feedback,
}

impl Reason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Reason; 7] = [
        Reason::Dtls,
        Reason::DtlsRole,
        Reason::Consent,
        Reason::Rtcp,
        Reason::KeyFrame,
        Reason::Nack,
        Reason::Feedback,
    ];

    /// Stable name for statistics.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Dtls => "dtls",
            Reason::DtlsRole => "dtls_role",
            Reason::Consent => "consent",
            Reason::Rtcp => "rtcp",
            Reason::KeyFrame => "key_frame",
            Reason::Nack => "nack",
            Reason::Feedback => "feedback",
        }
    }
}

/// When to call `handle_timeout` next, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// Not before this.
    pub at: Timestamp,
    /// The first thing that will be due then.
    pub reason: Reason,
}
