//! What a datagram on a media socket is, told by its first two bytes.

/// The protocols that share a transport's one UDP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// Connectivity checks.
    Stun,
    /// Handshake records, alerts, application data.
    Dtls,
    /// SRTP, before it is opened.
    Rtp,
    /// SRTCP, before it is opened.
    Rtcp,
}

/// Tells the protocol of `datagram`; `None` for what no client of ours sends (ZRTP, TURN channels,
/// QUIC, noise, nothing at all).
pub fn demux(datagram: &[u8]) -> Option<PacketKind> {
    // RFC 7983 §7: the ranges of the first byte do not overlap.
    match *datagram.first()? {
        0..=3 => Some(PacketKind::Stun),
        20..=63 => Some(PacketKind::Dtls),
        // RFC 5761 §4: RTCP's packet types are where RTP would have its marker bit and one of the
        // payload types 64 to 95, which nobody may use when both share a port.
        128..=191 => match *datagram.get(1)? {
            192..=223 => Some(PacketKind::Rtcp),
            _ => Some(PacketKind::Rtp),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_byte_decides_at_every_border() {
        let kinds = [
            (0, Some(PacketKind::Stun)),
            (3, Some(PacketKind::Stun)),
            (4, None),
            (19, None),
            (20, Some(PacketKind::Dtls)),
            (63, Some(PacketKind::Dtls)),
            (64, None),
            (127, None),
            (128, Some(PacketKind::Rtp)),
            (191, Some(PacketKind::Rtp)),
            (192, None),
            (255, None),
        ];
        for (first, kind) in kinds {
            assert_eq!(demux(&[first, 0, 0, 0]), kind, "first byte {first}");
        }
    }

    #[test]
    fn second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255 {
            let kind =
                if (192..=223).contains(&second) { PacketKind::Rtcp } else { PacketKind::Rtp };
            assert_eq!(demux(&[0x80, second]), Some(kind), "second byte {second}");
        }
    }

    #[test]
    fn too_short_is_nothing() {
        assert_eq!(demux(&[]), None);
        assert_eq!(demux(&[0x80]), None);
        assert_eq!(demux(&[0x00]), Some(PacketKind::Stun));
    }
}
