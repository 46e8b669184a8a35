//! The bounds of what clients may have and do.

use super::{ConfigError, Settings};
use crate::types::Limits;
use crate::types::limit::{APP_DATA_MAX, RECEIVERS_PER_PEER_MAX};

/// More than this is no limit, and would not be counted right.
const TRANSPORTS_MAX: usize = 256;
const REQUESTS_MAX: u32 = 100_000;
const OPENINGS_MAX: u32 = 100_000;

/// Those that are set, and the others as they are by default.
pub(super) fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    // A limit of nothing would be a server of nothing.
    let pick = |setting, value: Option<u32>, default: u64, max: u64| match value.map(u64::from) {
        None => Ok(default),
        Some(value) if (1..=max).contains(&value) => Ok(value),
        Some(_) => Err(ConfigError::new(setting, format!("1 to {max} are possible"))),
    };
    let (of, most) = (Limits::DEFAULT, u64::from(u32::MAX));
    let size = |setting, value, default: usize, max: usize| {
        pick(setting, value, default as u64, max as u64).map(|value| value as usize)
    };
    let count = |setting, value, default: u32, max: u32| {
        pick(setting, value, default.into(), max.into()).map(|value| value as u32)
    };
    let it = settings;
    Ok(Limits {
        rooms: size("max-rooms", it.max_rooms, of.rooms, most as usize)?,
        peers_per_room: size(
            "max-peers-per-room",
            it.max_peers_per_room,
            of.peers_per_room,
            most as usize,
        )?,
        transports_per_peer: size(
            "max-transports-per-peer",
            it.max_transports_per_peer,
            of.transports_per_peer,
            TRANSPORTS_MAX,
        )?,
        receivers_per_peer: size(
            "max-receivers-per-peer",
            it.max_receivers_per_peer,
            of.receivers_per_peer,
            RECEIVERS_PER_PEER_MAX,
        )?,
        requests_per_second: count(
            "max-requests-per-second",
            it.max_requests_per_second,
            of.requests_per_second,
            REQUESTS_MAX,
        )?,
        connections_per_address: count(
            "max-connections-per-address",
            it.max_connections_per_address,
            of.connections_per_address,
            u32::MAX,
        )?,
        openings_per_address: count(
            "max-openings-per-address",
            it.max_openings_per_address,
            of.openings_per_address,
            OPENINGS_MAX,
        )?,
        openings_per_room: count(
            "max-openings-per-room",
            it.max_openings_per_room,
            of.openings_per_room,
            OPENINGS_MAX,
        )?,
        visitors: count("max-visitors", it.max_visitors, of.visitors, u32::MAX)?,
        visits_per_address: count(
            "max-visits-per-address",
            it.max_visits_per_address,
            of.visits_per_address,
            OPENINGS_MAX,
        )?,
        bitrate: 1000 * pick("max-bitrate", it.max_bitrate, of.bitrate / 1000, most)?,
        app_data: size("max-app-data", it.max_app_data, of.app_data, APP_DATA_MAX)?,
    })
}
