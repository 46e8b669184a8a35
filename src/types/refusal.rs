//! Why somebody was refused. Every refusal that a limit or a missing permission causes is counted
//! under one of these.

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// Why a connection or a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
        }

        impl Refusal {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)*];

            /// Stable name for logs and statistics.
            pub fn label(self) -> &'static str {
                match self {
                    $(Refusal::$name => $label,)*
                }
            }
        }
    };
}

refusals! {
    /// No token where one is needed, or one that is no good (401).
    Token => "token",
    /// A good token that does not allow it (403).
    Rights => "rights",
    /// A page of an origin that is not listed (403).
    Origin => "origin",
    /// Through a proxy that is not trusted where only this host is served, or through one that is
    /// and does not say for whom (403).
    Proxy => "proxy",
    /// The room is full (429).
    Peers => "peers",
    /// As many rooms as may be (503).
    Rooms => "rooms",
    /// As many connections from one address as may be (429).
    Connections => "connections",
    /// WebSockets opened too fast, from one address or to one room (429).
    Openings => "openings",
    /// As many connections that are no WebSockets as a shard takes (503): one that has said nothing
    /// yet went for another, or a new one was refused.
    Visitors => "visitors",
    /// Connections that come too fast from one address (429).
    Visits => "visits",
    /// A request for one more transport than a peer may have (429).
    Transports => "transports",
    /// A request for one more Receiver than a peer may have (429).
    Receivers => "receivers",
    /// A request too soon (429).
    Requests => "requests",
    /// More to be told to others than one client may have told (429).
    Audience => "audience",
    /// An `appData` that is too long, or more of it than a peer or a room may have (429).
    AppData => "app_data",
    /// Every shard is full, or the one that has the room is (503).
    Full => "full",
    /// The server is about to stop and takes no new rooms (503).
    Draining => "draining",
    /// A shard did not answer, or had no room for the question (503).
    Unanswered => "unanswered",
}

/// How many kinds there are.
pub const REFUSALS: usize = Refusal::ALL.len();
