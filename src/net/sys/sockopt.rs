//! Socket options that socket2 does not know.
#![expect(unsafe_code, reason = "std and socket2 offer no setsockopt for any option")]

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
        set_int(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    }
}

/// Asks for a control message with each datagram that says how many the full receive queue has
/// cost (`SO_RXQ_OVFL`, man 7 socket).
pub(in crate::net) fn count_queue_overflow(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_int(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Has the kernel hand over datagrams of one length from one sender in one piece (`UDP_GRO`,
/// Linux 5.0, udp(7)).
pub(in crate::net) fn join_datagrams(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_int(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
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
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn get_int(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int) -> libc::c_int {
        let mut value = 0;
        let mut len = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the pointers are to `value` and to `len`, which says how long it is.
        let returned = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw mut value).cast(),
                &raw mut len,
            )
        };
        assert_eq!(returned, 0, "{}", io::Error::last_os_error());
        value
    }

    #[test]
    fn the_kernel_has_what_was_set() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        ignore_path_mtu(socket.as_fd(), false).unwrap();
        count_queue_overflow(socket.as_fd()).unwrap();
        let mtu = get_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
        assert_eq!(mtu, libc::IP_PMTUDISC_OMIT);
        assert_eq!(get_int(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RXQ_OVFL), 1);

        if let Ok(socket) = UdpSocket::bind("[::1]:0") {
            ignore_path_mtu(socket.as_fd(), true).unwrap();
            let mtu = get_int(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER);
            assert_eq!(mtu, libc::IPV6_PMTUDISC_OMIT);
        }
    }

    #[test]
    fn an_option_of_the_other_family_is_an_error() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(ignore_path_mtu(socket.as_fd(), true).is_err());
    }
}
