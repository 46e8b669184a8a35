//! H265 (RFC 7798 §4.4), without decoding order numbers, which WebRTC does not negotiate.

use super::aggregated;

/// Bytes of a unit's header, and of a payload's, which has the same form.
const HEADER_LEN: usize = 2;

const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// Parameter sets, which come in front of an intra random access picture, or the first slice of
/// one. `None`: too short.
pub(super) fn starts_key_frame(payload: &[u8]) -> Option<bool> {
    let (header, rest) = payload.split_first_chunk::<HEADER_LEN>()?;
    match unit_type(header) {
        AGGREGATION => Some(aggregated(rest).any(|unit| unit_starts(unit).unwrap_or(false))),
        FRAGMENT => {
            let (&fragment, slice) = rest.split_first()?;
            Some(fragment & 0x80 != 0 && starts(fragment & 0x3f, slice)?)
        }
        _ => unit_starts(payload),
    }
}

fn unit_starts(unit: &[u8]) -> Option<bool> {
    let (header, rest) = unit.split_first_chunk()?;
    starts(unit_type(header), rest)
}

fn unit_type(header: &[u8; HEADER_LEN]) -> u8 {
    header[0] >> 1 & 0x3f
}

/// `rest` is what follows the unit's header.
fn starts(unit_type: u8, rest: &[u8]) -> Option<bool> {
    match unit_type {
        // VPS, SPS, PPS.
        32..=34 => Some(true),
        // BLA, IDR, CRA and two reserved for more of the kind. A slice starts with
        // first_slice_segment_in_pic_flag: the others are no place to start.
        16..=23 => Some(rest.first()? & 0x80 != 0),
        _ => Some(false),
    }
}
