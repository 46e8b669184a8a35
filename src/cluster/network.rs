//! Who counts as one client where clients are counted by address: an IPv4 address, or the 64 bits
//! of an IPv6 address that its network has given to one site. Sans-IO.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that tell one site from another (RFC 4291 §2.5.4). Whoever has a
/// network has all the 2^64 addresses in it (RFC 4862), so that to count these is to count nothing.
const PREFIX: u32 = 64;

/// An address without what its owner may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl Network {
    /// Where `address` is. An IPv4 address in its IPv6 form (RFC 4291 §2.5.5.2) is the IPv4 one.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let host = u128::MAX >> PREFIX;
                Self(Ipv6Addr::from_bits(address.to_bits() & !host).into())
            }
            v4 => Self(v4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_one_whichever_of_its_addresses_it_takes() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
