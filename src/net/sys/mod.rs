//! Thin safe wrappers over what the standard library and socket2 do not offer. Each file with
//! `unsafe` says so at its top; every block does one thing and proves it.

pub(super) mod cmsg;
pub(super) mod ethtool;
pub(super) mod ifaddrs;
pub(super) mod mmsg;
pub(super) mod pool;
pub(super) mod ring;
pub(super) mod sockaddr;
pub(super) mod sockopt;
pub(super) mod timex;
