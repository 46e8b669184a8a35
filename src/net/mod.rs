//! L4 media sockets.
