//! How a shard stands: what it tells the others, and itself.

/// What a shard's place among the others depends on; the less, the sooner it gets a new room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// It takes neither new rooms nor new peers.
    pub full: bool,
    /// Steps by which its thread is busier than what counts as idle.
    pub strain: u8,
    /// Peers that it has.
    pub peers: u64,
    /// Rooms, of any shard, that its part of the directory knows.
    pub rooms: usize,
}

/// What a shard must do about its load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Nothing.
    #[default]
    None,
    /// Take no new rooms and peers.
    Full,
    /// The same, and send less video before audio suffers.
    Shed,
}
