//! L4 which shard owns a room.
