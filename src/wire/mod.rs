//! L1 bytes to values and back, stateless.
