//! L1 signaling messages.
