//! L2 per-stream machines.
