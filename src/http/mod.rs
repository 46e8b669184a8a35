//! L4 HTTP.
