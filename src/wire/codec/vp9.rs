//! VP9 (RFC 9628 §4.2).

/// Start of a frame that is not predicted from earlier pictures, in the lowest spatial layer.
/// `None`: too short.
pub(super) fn starts_key_frame(payload: &[u8]) -> Option<bool> {
    let (&descriptor, mut rest) = payload.split_first()?;
    // P = 0 and B = 1.
    if descriptor & 0x48 != 0x08 {
        return Some(false);
    }
    if descriptor & 0x80 != 0 {
        // M: 15 bits of picture id rather than 7.
        rest = rest.get(1 + usize::from(rest.first()? & 0x80 != 0)..)?;
    }
    match descriptor & 0x20 != 0 {
        // SID: the layers above are not predicted from earlier pictures in a key frame either.
        true => Some(rest.first()? & 0x0e == 0),
        false => Some(!rest.is_empty()),
    }
}
