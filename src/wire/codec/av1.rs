//! AV1 (RTP Payload Format For AV1 1.0 §4.4).

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// First packet of a coded video sequence, whose first unit is a sequence header. `None`: too
/// short.
pub(super) fn starts_key_frame(payload: &[u8]) -> Option<bool> {
    let (&aggregation, elements) = payload.split_first()?;
    // N = 1, and Z = 0: it cannot start with the rest of something earlier.
    if aggregation & 0x88 != 0x08 {
        return Some(false);
    }
    // W = 1: the only element, without its length.
    if aggregation & 0x30 == 0x10 {
        return Some(unit_type(elements)? == SEQUENCE_HEADER);
    }
    let (first, rest) = split_element(elements)?;
    if unit_type(first)? != TEMPORAL_DELIMITER {
        return Some(unit_type(first)? == SEQUENCE_HEADER);
    }
    // A delimiter should have been left out (§5). Of two elements the second has no length.
    let second = if aggregation & 0x30 == 0x20 { rest } else { split_element(rest)?.0 };
    Some(unit_type(second)? == SEQUENCE_HEADER)
}

/// The element at the front, which its length precedes, as far as it is in the packet.
fn split_element(elements: &[u8]) -> Option<(&[u8], &[u8])> {
    // leb128 of at most 32 bits, least significant part first.
    let mut len = 0;
    for (index, &byte) in elements.iter().enumerate().take(5) {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return elements[index + 1..].split_at_checked(len);
        }
    }
    None
}

fn unit_type(unit: &[u8]) -> Option<u8> {
    Some(unit.first()? >> 3 & 0x0f)
}
