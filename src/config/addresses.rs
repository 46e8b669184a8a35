//! Where media is served, and what clients are told of that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Announce, ConfigError, Settings};

/// Media addresses are numbered by a byte, and each costs every shard a socket.
const ADDRESSES_MAX: usize = 16;

/// One address for media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaAddress {
    /// Bound by this host.
    pub local: IpAddr,
    /// Told to clients: the same, or what a NAT maps to it.
    pub public: IpAddr,
    /// Somebody asked for it, so it is an error if it cannot be bound; one that was merely found
    /// is done without.
    pub required: bool,
}

/// Those that are given, or found on the host, best first.
pub(super) fn media_addresses(
    settings: &Settings,
    host: &[IpAddr],
) -> Result<Vec<MediaAddress>, ConfigError> {
    let announced = settings.announce.as_deref().unwrap_or_default();
    let mut addresses: Vec<MediaAddress> = Vec::new();
    for local in given_or_found(settings, host) {
        let local = local.to_canonical();
        if local.is_unspecified() {
            let reason = format!(
                "{local}: media needs one address of this host, give each that \
                counts"
            );
            return Err(ConfigError::new("media-address", reason));
        }
        if addresses.iter().any(|address| address.local == local) {
            return Err(ConfigError::new("media-address", format!("{local} is given twice")));
        }
        let announce = announced.iter().find(|announce| announce.local == local);
        addresses.push(MediaAddress {
            local,
            public: announce.map_or(local, |announce| announce.public),
            required: settings.media_address.is_some() || announce.is_some(),
        });
    }
    if addresses.is_empty() {
        return Err(ConfigError::new("media-address", "without one there is no media"));
    }
    if addresses.len() > ADDRESSES_MAX {
        return Err(ConfigError::new("media-address", format!("{ADDRESSES_MAX} at most")));
    }
    check_announced(announced, &addresses)?;
    Ok(addresses)
}

fn check_announced(all: &[Announce], addresses: &[MediaAddress]) -> Result<(), ConfigError> {
    for (i, &Announce { local, public }) in all.iter().enumerate() {
        let wrong = if !addresses.iter().any(|address| address.local == local) {
            format!("{local}=…: media does not use {local}; add it to media-address")
        } else if all[..i].iter().any(|earlier| earlier.local == local) {
            format!("{local}=…: is given twice, and one address can be announced")
        } else if public.is_unspecified() || public.is_multicast() {
            format!("…={public}: browsers need the address of one host")
        } else {
            continue;
        };
        return Err(ConfigError::new("announce", wrong));
    }
    Ok(())
}

/// Loopback comes last: Firefox does not use it, and elsewhere it is somebody else's.
fn given_or_found(settings: &Settings, host: &[IpAddr]) -> Vec<IpAddr> {
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let found = || host.iter().copied().chain(loopback).collect();
    settings.media_address.clone().unwrap_or_else(found)
}
