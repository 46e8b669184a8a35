//! Socket options that socket2 does not know.
#![expect(
    unsafe_code,
    reason = "std and socket2 offer no setsockopt for any option"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Never let an ICMP message shrink the path's MTU for us, and never set the DF bit: what is
/// longer than the first link is fragmented here. Forged ICMP is then harmless, and media is sized
/// to fit anyhow. Linux: `IP_MTU_DISCOVER` and its IPv6 twin at `PMTUDISC_OMIT`.
pub(in crate::net) fn ignore_path_mtu(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        let omit = libc::IPV6_PMTUDISC_OMIT;
        set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, omit)
    } else {
        set_int(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_OMIT,
        )
    }
}

/// Asks for a control message with each datagram that says how many the full receive queue has
/// cost (`SO_RXQ_OVFL`, man 7 socket).
pub(in crate::net) fn count_queue_overflow(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_int(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

fn set_int(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let returned = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if returned == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
