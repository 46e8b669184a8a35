//! H264 (RFC 6184 §5), packetization modes 0 and 1.

use super::aggregated;

const IDR: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Sequence parameters, which come in front of an IDR picture, or the first slice of one. `None`:
/// too short.
pub(super) fn starts_key_frame(payload: &[u8]) -> Option<bool> {
    let (&header, rest) = payload.split_first()?;
    match header & 0x1f {
        STAP_A => Some(aggregated(rest).any(|unit| unit_starts(unit).unwrap_or(false))),
        FU_A => {
            let (&fragment, slice) = rest.split_first()?;
            Some(fragment & 0x80 != 0 && starts(fragment & 0x1f, slice)?)
        }
        _ => unit_starts(payload),
    }
}

fn unit_starts(unit: &[u8]) -> Option<bool> {
    let (&header, rest) = unit.split_first()?;
    starts(header & 0x1f, rest)
}

/// `rest` is what follows the unit's header.
fn starts(unit_type: u8, rest: &[u8]) -> Option<bool> {
    match unit_type {
        SEQUENCE_PARAMETERS => Some(true),
        // first_mb_in_slice is Exp-Golomb coded, so 0 is a single 1 bit: other slices of the
        // picture are no place to start.
        IDR => Some(rest.first()? & 0x80 != 0),
        _ => Some(false),
    }
}
