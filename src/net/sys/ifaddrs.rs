//! `getifaddrs`: the addresses of this host's interfaces.
#![expect(unsafe_code, reason = "std does not list interfaces; getifaddrs hands out pointers")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr::NonNull;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) struct InterfaceAddress {
    pub(in crate::net) ip: IpAddr,
    /// Switched on and with a carrier.
    pub(in crate::net) running: bool,
}

/// All IP addresses of all interfaces, in the kernel's order.
pub(in crate::net) fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let list = List::new()?;
    let mut addresses = Vec::new();
    let mut next = NonNull::new(list.0);
    while let Some(entry) = next {
        // SAFETY: entries are valid and unchanged until `list` is dropped.
        let entry = unsafe { entry.as_ref() };
        if let Some(ip) = NonNull::new(entry.ifa_addr).and_then(ip) {
            let up = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_uint;
            addresses.push(InterfaceAddress { ip, running: entry.ifa_flags & up == up });
        }
        next = NonNull::new(entry.ifa_next);
    }
    Ok(addresses)
}

/// The list as libc allocated it; freed in `Drop`.
struct List(*mut libc::ifaddrs);

impl List {
    fn new() -> io::Result<Self> {
        let mut first = std::ptr::null_mut();
        // SAFETY: the pointer is to a local that outlives the call.
        let returned = unsafe { libc::getifaddrs(&raw mut first) };
        if returned == 0 { Ok(Self(first)) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: it came from getifaddrs and is freed once; no entry outlives the list.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// The address in an entry of the list that is still alive; `None` for other families (there is
/// one entry per interface for its link layer).
fn ip(address: NonNull<libc::sockaddr>) -> Option<IpAddr> {
    // SAFETY: the caller's entry is alive, and every socket address starts with its family.
    let family = unsafe { address.as_ref() }.sa_family;
    match libc::c_int::from(family) {
        libc::AF_INET => {
            // SAFETY: as above, and this family's addresses are `sockaddr_in`.
            let v4 = unsafe { address.cast::<libc::sockaddr_in>().as_ref() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, and this family's addresses are `sockaddr_in6`.
            let v6 = unsafe { address.cast::<libc::sockaddr_in6>().as_ref() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}
