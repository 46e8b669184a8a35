//! Why a packet that a client misses is not sent again.

/// Why a packet that a client misses is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Unanswered {
    /// No packet of that number was ever sent.
    NeverSent,
    /// It is not in the history: it never came from the source, or too long ago to be of use.
    Gone,
    /// It was sent again less than a round trip ago.
    JustResent,
    /// More would be sent again than a share of what is sent.
    OverBudget,
    /// Behind the number of the packet that it repeats, it is longer than a datagram may be.
    TooLong,
    /// There was no room in the batch; the client asks again.
    EgressFull,
    /// The client has stopped that Sender, or cannot be sent to.
    Stopped,
}

impl Unanswered {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::NeverSent,
        Self::Gone,
        Self::JustResent,
        Self::OverBudget,
        Self::TooLong,
        Self::EgressFull,
        Self::Stopped,
    ];

    /// Stable name for statistics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NeverSent => "never_sent",
            Self::Gone => "gone",
            Self::JustResent => "just_resent",
            Self::OverBudget => "over_budget",
            Self::TooLong => "too_long",
            Self::EgressFull => "egress_full",
            Self::Stopped => "stopped",
        }
    }
}
