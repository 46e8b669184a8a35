//! Why a connection that asked for a place in a room did not get one. Each is answered and counted.

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// Why a connection got no place in a room.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Every shard is full, or the one that has the room is.
    Full => "full",
    /// The server is about to stop and takes no new rooms.
    Draining => "draining",
    /// A shard did not answer, or had no room for the question.
    Unanswered => "unanswered",
}

/// How many refusals there are.
pub const REFUSALS: usize = Refusal::ALL.len();
