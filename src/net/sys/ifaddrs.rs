//! `getifaddrs`: the addresses of this host's interfaces.
#![expect(unsafe_code, reason = "std does not list interfaces; getifaddrs hands out pointers")]

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr::NonNull;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface, like `eth0`.
    pub interface: String,
    /// Its address.
    pub ip: IpAddr,
    /// How many leading bits of it are the network's.
    pub prefix: u32,
    /// Switched on.
    pub up: bool,
    /// Switched on and with a carrier.
    pub running: bool,
}

/// All IP addresses of all interfaces, in the kernel's order.
pub fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let list = List::new()?;
    let mut addresses = Vec::new();
    let mut next = NonNull::new(list.0);
    while let Some(entry) = next {
        // SAFETY: entries are valid and unchanged until `list` is dropped.
        let entry = unsafe { entry.as_ref() };
        if let Some(ip) = NonNull::new(entry.ifa_addr).and_then(ip) {
            let has = |flag: libc::c_int| entry.ifa_flags & flag as libc::c_uint != 0;
            // SAFETY: an entry's name is a string of libc's that lives as long as the entry.
            let interface = unsafe { CStr::from_ptr(entry.ifa_name) };
            addresses.push(InterfaceAddress {
                interface: interface.to_string_lossy().into_owned(),
                ip,
                prefix: NonNull::new(entry.ifa_netmask).and_then(self::ip).map_or(0, ones),
                up: has(libc::IFF_UP),
                running: has(libc::IFF_UP) && has(libc::IFF_RUNNING),
            });
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

fn ones(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
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
