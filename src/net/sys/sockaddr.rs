//! `SocketAddr` to and from the bytes that the kernel reads and writes.

use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// A `sockaddr_in6`, or a `sockaddr_in` in the front part of one: the two agree on where family
/// and port are, and IPv4's address lies where IPv6 has its flow label (asserted below). Plain
/// integers, so whatever the kernel writes is a valid value, and no union is needed.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(in crate::net) struct RawAddr {
    family: libc::sa_family_t,
    port: [u8; 2],
    v4: [u8; 4],
    v6: [u8; 16],
    scope: u32,
}

/// Bytes of an IPv4 address for the kernel.
const V4_LEN: usize = size_of::<libc::sockaddr_in>();
/// Bytes of an IPv6 address for the kernel, and of the storage.
const V6_LEN: usize = size_of::<libc::sockaddr_in6>();

const _: () = {
    assert!(size_of::<RawAddr>() == V6_LEN);
    assert!(size_of::<RawAddr>() >= V4_LEN);
    assert!(offset_of!(RawAddr, family) == offset_of!(libc::sockaddr_in, sin_family));
    assert!(offset_of!(RawAddr, family) == offset_of!(libc::sockaddr_in6, sin6_family));
    assert!(offset_of!(RawAddr, port) == offset_of!(libc::sockaddr_in, sin_port));
    assert!(offset_of!(RawAddr, port) == offset_of!(libc::sockaddr_in6, sin6_port));
    assert!(offset_of!(RawAddr, v4) == offset_of!(libc::sockaddr_in, sin_addr));
    assert!(offset_of!(RawAddr, v6) == offset_of!(libc::sockaddr_in6, sin6_addr));
    assert!(offset_of!(RawAddr, scope) == offset_of!(libc::sockaddr_in6, sin6_scope_id));
};

impl RawAddr {
    /// Storage for the kernel to fill. Reads as `0.0.0.0:0`.
    pub(in crate::net) const EMPTY: RawAddr =
        RawAddr { family: 0, port: [0; 2], v4: [0; 4], v6: [0; 16], scope: 0 };

    /// From what the kernel wrote elsewhere, at most as long as this is.
    pub(in crate::net) fn from_bytes(bytes: &[u8]) -> Self {
        let mut whole = [0; V6_LEN];
        let len = bytes.len().min(V6_LEN);
        whole[..len].copy_from_slice(&bytes[..len]);
        let [f0, f1, p0, p1, a0, a1, a2, a3, v6 @ .., s0, s1, s2, s3] = whole;
        Self {
            family: libc::sa_family_t::from_ne_bytes([f0, f1]),
            port: [p0, p1],
            v4: [a0, a1, a2, a3],
            v6,
            scope: u32::from_ne_bytes([s0, s1, s2, s3]),
        }
    }

    /// How many bytes of it the kernel should read. (It may always write all.)
    pub(in crate::net) fn len(&self) -> libc::socklen_t {
        let len = if libc::c_int::from(self.family) == libc::AF_INET6 { V6_LEN } else { V4_LEN };
        len as libc::socklen_t
    }

    /// What the kernel wrote, as a [`Path`](crate::types::Path) wants it: without flow label, and
    /// with a scope only where the address means nothing without one. An IP socket receives from
    /// no other families, so what is not IPv6 is IPv4.
    pub(in crate::net) fn to_socket_addr(self) -> SocketAddr {
        let port = u16::from_be_bytes(self.port);
        if libc::c_int::from(self.family) != libc::AF_INET6 {
            return SocketAddr::new(IpAddr::V4(Ipv4Addr::from(self.v4)), port);
        }
        let ip = Ipv6Addr::from(self.v6);
        let scope = if ip.is_unicast_link_local() { self.scope } else { 0 };
        SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope))
    }
}

impl From<SocketAddr> for RawAddr {
    fn from(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        match address {
            SocketAddr::V4(v4) => RawAddr {
                family: libc::AF_INET as libc::sa_family_t,
                port,
                v4: v4.ip().octets(),
                ..RawAddr::EMPTY
            },
            SocketAddr::V6(v6) => RawAddr {
                family: libc::AF_INET6 as libc::sa_family_t,
                port,
                v6: v6.ip().octets(),
                scope: v6.scope_id(),
                ..RawAddr::EMPTY
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through_the_kernels_form(address: &str) -> SocketAddr {
        RawAddr::from(address.parse::<SocketAddr>().unwrap()).to_socket_addr()
    }

    #[test]
    fn addresses_survive_the_kernels_form() {
        for text in ["192.0.2.1:40000", "[2001:db8::1]:443", "[fe80::1%3]:9", "0.0.0.0:0"] {
            assert_eq!(through_the_kernels_form(text).to_string(), text);
        }
    }

    #[test]
    fn flow_label_and_needless_scope_are_dropped() {
        let ip = "2001:db8::1".parse().unwrap();
        let mut raw = RawAddr::from(SocketAddr::V6(SocketAddrV6::new(ip, 443, 0, 7)));
        raw.v4 = [0, 1, 2, 3]; // where IPv6 keeps the flow label
        assert_eq!(raw.to_socket_addr(), SocketAddr::V6(SocketAddrV6::new(ip, 443, 0, 0)));
    }
}
