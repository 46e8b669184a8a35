//! H264 (RFC 6184 §5), packetization modes 0 and 1.

use super::{Start, aggregated};

const IDR: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Sequence parameters, which come in front of an IDR picture, or the first slice of one. `None`:
/// too short.
pub(super) fn start(payload: &[u8]) -> Option<Start> {
    let (&header, rest) = payload.split_first()?;
    match header & 0x1f {
        STAP_A => aggregated(rest).filter_map(of_unit).max(),
        FU_A => {
            let (&fragment, slice) = rest.split_first()?;
            if fragment & 0x80 == 0 { None } else { of_type(fragment & 0x1f, slice) }
        }
        _ => of_unit(payload),
    }
}

fn of_unit(unit: &[u8]) -> Option<Start> {
    let (&header, rest) = unit.split_first()?;
    of_type(header & 0x1f, rest)
}

/// `rest` is what follows the unit's header.
fn of_type(unit_type: u8, rest: &[u8]) -> Option<Start> {
    match unit_type {
        SEQUENCE_PARAMETERS => Some(Start::Whole),
        // first_mb_in_slice is Exp-Golomb coded, so 0 is a single 1 bit: other slices of the
        // picture are no place to start.
        IDR if rest.first()? & 0x80 != 0 => Some(Start::Picture),
        _ => None,
    }
}
