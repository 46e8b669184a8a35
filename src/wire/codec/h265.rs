//! H265 (RFC 7798 §4.4), without decoding order numbers, which WebRTC does not negotiate.

use super::{Start, aggregated};

/// Bytes of a unit's header, and of a payload's, which has the same form.
const HEADER_LEN: usize = 2;

const VIDEO_PARAMETERS: u8 = 32;
const SEQUENCE_PARAMETERS: u8 = 33;
const PICTURE_PARAMETERS: u8 = 34;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// Parameter sets, which come in front of an intra random access picture, or the first slice of
/// one. `None`: too short.
pub(super) fn start(payload: &[u8]) -> Option<Start> {
    let (header, rest) = payload.split_first_chunk::<HEADER_LEN>()?;
    match unit_type(header) {
        AGGREGATION => aggregated(rest).filter_map(of_unit).max(),
        FRAGMENT => {
            let (&fragment, slice) = rest.split_first()?;
            if fragment & 0x80 == 0 { None } else { of_type(fragment & 0x3f, slice) }
        }
        _ => of_unit(payload),
    }
}

fn of_unit(unit: &[u8]) -> Option<Start> {
    let (header, rest) = unit.split_first_chunk()?;
    of_type(unit_type(header), rest)
}

fn unit_type(header: &[u8; HEADER_LEN]) -> u8 {
    header[0] >> 1 & 0x3f
}

/// `rest` is what follows the unit's header.
fn of_type(unit_type: u8, rest: &[u8]) -> Option<Start> {
    match unit_type {
        SEQUENCE_PARAMETERS => Some(Start::Whole),
        VIDEO_PARAMETERS | PICTURE_PARAMETERS => Some(Start::Picture),
        // BLA, IDR, CRA and two reserved for more of the kind. A slice starts with
        // first_slice_segment_in_pic_flag: the others are no place to start.
        16..=23 if rest.first()? & 0x80 != 0 => Some(Start::Picture),
        _ => None,
    }
}
