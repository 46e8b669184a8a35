//! VP8 (RFC 7741 §4.2 and §4.3).

/// Start of partition 0, and a frame header that says key frame. `None`: too short.
pub(super) fn starts_key_frame(payload: &[u8]) -> Option<bool> {
    let (&descriptor, mut rest) = payload.split_first()?;
    // S = 1 and PID = 0: the frame starts here. The bit between them is reserved.
    if descriptor & 0x17 != 0x10 {
        return Some(false);
    }
    if descriptor & 0x80 != 0 {
        let (&extension, after) = rest.split_first()?;
        let picture_id = match extension & 0x80 != 0 {
            // M: 15 bits rather than 7.
            true => 1 + usize::from(after.first()? & 0x80 != 0),
            false => 0,
        };
        let tl0_picture = usize::from(extension & 0x40 != 0);
        let layer_or_key_index = usize::from(extension & 0x30 != 0);
        rest = after.get(picture_id + tl0_picture + layer_or_key_index..)?;
    }
    // P, the inverse of the key frame flag.
    Some(rest.first()? & 0x01 == 0)
}
