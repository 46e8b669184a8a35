//! Retransmissions in a stream of their own (RFC 4588 §4).

use super::rtp::RtpHeader;
use crate::types::{Pt, Ssrc};

/// Bytes of the original sequence number, in front of the payload.
pub const OSN_LEN: usize = 2;

/// Writes a packet as its retransmission: the same header, extensions and marker included, under
/// `pt` and `ssrc`; `original`, its sequence number; its payload. The retransmission's own sequence
/// number is not set. Returns its length.
///
/// # Panics
/// If `header_len` is not within `packet`, or `out` is shorter than the packet and [`OSN_LEN`].
pub fn write(
    packet: &[u8],
    header_len: usize,
    (pt, ssrc): (Pt, Ssrc),
    original: u16,
    out: &mut [u8],
) -> usize {
    let (header, payload) = packet.split_at(header_len);
    let len = packet.len() + OSN_LEN;
    let (front, rest) = out[..len].split_at_mut(header_len);
    let (osn, body) = rest.split_at_mut(OSN_LEN);
    front.copy_from_slice(header);
    front[1] = header[1] & 0x80 | pt.0;
    front[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
    osn.copy_from_slice(&original.to_be_bytes());
    body.copy_from_slice(payload);
    len
}

/// Makes a retransmission, whose header was parsed, what it repeats: the packet's number and its
/// bytes, in the same memory, under this SSRC and payload type. `None` if it repeats nothing: where
/// there is only padding, which is how bandwidth is probed, or not even a number.
pub fn read<'a>(
    packet: &'a mut [u8],
    header: &RtpHeader,
    ssrc: Ssrc,
    pt: Pt,
) -> Option<(u16, &'a [u8])> {
    let payload = packet.get(header.len..)?;
    let padding = match header.has_padding {
        true => usize::from(*payload.last()?),
        false => 0,
    };
    let original = *payload.first_chunk::<OSN_LEN>()?;
    if payload.len() <= OSN_LEN + padding {
        return None;
    }
    packet.copy_within(..header.len, OSN_LEN);
    let packet = &mut packet[OSN_LEN..];
    packet[1] = packet[1] & 0x80 | pt.0;
    packet[2..4].copy_from_slice(&original);
    packet[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
    Some((u16::from_be_bytes(original), packet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtp::RtpHeader;

    #[test]
    fn all_of_the_packet_is_there_behind_its_number() {
        // One extension element, marker, payload type 96.
        let packet =
            [
                &[
                    0x90,
                    0x80 | 96,
                    0,
                    7,
                    1,
                    2,
                    3,
                    4,
                    0,
                    0,
                    0,
                    1,
                    0xbe,
                    0xde,
                    0,
                    1,
                    0x10,
                    0x7f,
                    0,
                    0,
                ][..],
                b"payload",
            ]
            .concat();
        let mut out = [0xee; 64];
        let len = write(&packet, 20, (Pt(97), Ssrc(2)), 0x1234, &mut out);
        let header = RtpHeader::parse(&out[..len]).expect("a packet");
        assert_eq!((header.pt, header.ssrc, header.marker), (Pt(97), Ssrc(2), true));
        assert_eq!((header.timestamp, header.len), (0x0102_0304, 20));
        assert!(header.extensions(&out[..len]).eq([(1, &[0x7f][..])]));
        assert_eq!(out[20..len], *b"\x12\x34payload");
        assert_eq!(out[len..], [0xee; 64][len..], "nothing behind it");

        let (original, bytes) = read(&mut out[..len], &header, Ssrc(1), Pt(96)).expect("a packet");
        assert_eq!(original, 0x1234);
        let mut same = packet.clone();
        same[2..4].copy_from_slice(&[0x12, 0x34]);
        assert_eq!(bytes, same);
    }

    #[test]
    fn what_repeats_nothing_is_none() {
        let read = |padded: bool, payload: &[u8]| {
            let first = if padded { 0xa0 } else { 0x80 };
            let head = [first, 97, 0, 7, 1, 2, 3, 4, 0, 0, 0, 2];
            let mut packet = [&head[..], payload].concat();
            let header = RtpHeader::parse(&packet).expect("a packet");
            read(&mut packet, &header, Ssrc(1), Pt(96)).map(|(_, bytes)| bytes.len())
        };
        for (padded, payload, is) in [
            (false, &[][..], None),
            (false, &[1], None),
            (false, &[1, 2], None),
            (false, &[1, 2, 3], Some(13)),
            (true, &[], None),
            (true, &[0, 0, 0, 4], None),
            (true, &[1, 2, 3, 0, 0, 3], Some(16)),
            (true, &[1, 2, 0, 0, 0, 4], None),
            (true, &[1, 2, 3, 255], None),
        ] {
            assert_eq!(read(padded, payload), is, "{padded} {payload:?}");
        }
    }
}
