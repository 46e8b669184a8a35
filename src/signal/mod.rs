//! L4 WebSockets.
