//! RTCP as the simulated clients read and write it (RFC 3550, RFC 4585), without the server's code.

/// One packet of a compound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rtcp {
    SenderReport {
        ssrc: u32,
        ntp: u64,
        rtp_time: u32,
        packets: u32,
        octets: u32,
    },
    ReceiverReport {
        blocks: Vec<Block>,
    },
    Name {
        ssrc: u32,
        cname: String,
    },
    Bye {
        ssrcs: Vec<u32>,
    },
    Pli {
        media_ssrc: u32,
    },
    Nack {
        media_ssrc: u32,
        lost: Vec<u16>,
    },
    /// Numbers, and when they came, in microseconds; `None`: not.
    TransportCc {
        packets: Vec<(u16, Option<u64>)>,
    },
}

/// A report block (RFC 3550 §6.4.1), as far as the scenarios look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) ssrc: u32,
    /// In 256ths.
    pub(crate) fraction_lost: u8,
    pub(crate) lost: u32,
    pub(crate) highest_seq: u32,
    pub(crate) last_sr: u32,
    pub(crate) delay_since_last_sr: u32,
}

/// Reads a compound packet; panics on what a server must not send.
pub(crate) fn read(mut compound: &[u8]) -> Vec<Rtcp> {
    let mut packets = Vec::new();
    while !compound.is_empty() {
        let (count, kind) = (compound[0] & 31, compound[1]);
        assert_eq!(compound[0] >> 5, 0b100, "version 2, no padding");
        let len = 4 * (1 + usize::from(u16::from_be_bytes([compound[2], compound[3]])));
        let (packet, rest) = compound.split_at(len);
        compound = rest;
        packets.push(match (kind, count) {
            (200, 0) => Rtcp::SenderReport {
                ssrc: u32_at(packet, 4),
                ntp: u64::from(u32_at(packet, 8)) << 32 | u64::from(u32_at(packet, 12)),
                rtp_time: u32_at(packet, 16),
                packets: u32_at(packet, 20),
                octets: u32_at(packet, 24),
            },
            (201, _) => {
                Rtcp::ReceiverReport { blocks: packet[8..].chunks_exact(24).map(block).collect() }
            }
            (202, 1) => {
                assert_eq!(packet[8], 1, "CNAME");
                let text = &packet[10..10 + usize::from(packet[9])];
                let cname = String::from_utf8(text.to_vec()).expect("UTF-8");
                Rtcp::Name { ssrc: u32_at(packet, 4), cname }
            }
            (203, _) => Rtcp::Bye {
                ssrcs: (0..usize::from(count)).map(|i| u32_at(packet, 4 + 4 * i)).collect(),
            },
            (205, 1) => {
                let pairs = packet[12..].chunks_exact(4).map(|pair| u32_at(pair, 0));
                let numbers = pairs.flat_map(|pair| {
                    let (first, mask) = ((pair >> 16) as u16, pair as u16);
                    let behind = (0..16).filter(move |bit| mask & 1 << bit != 0);
                    std::iter::once(first).chain(behind.map(move |bit| first.wrapping_add(1 + bit)))
                });
                Rtcp::Nack { media_ssrc: u32_at(packet, 8), lost: numbers.collect() }
            }
            (205, 15) => Rtcp::TransportCc { packets: transport_cc(packet) },
            (206, 1) => Rtcp::Pli { media_ssrc: u32_at(packet, 8) },
            other => panic!("RTCP packet that the server has no reason to send: {other:?}"),
        });
    }
    packets
}

fn block(bytes: &[u8]) -> Block {
    Block {
        ssrc: u32_at(bytes, 0),
        fraction_lost: bytes[4],
        lost: u32_at(bytes, 4) & 0xff_ffff,
        highest_seq: u32_at(bytes, 8),
        last_sr: u32_at(bytes, 16),
        delay_since_last_sr: u32_at(bytes, 20),
    }
}

/// draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.
fn transport_cc(packet: &[u8]) -> Vec<(u16, Option<u64>)> {
    let base = u32_at(packet, 12) >> 16;
    let count = u32_at(packet, 12) as u16;
    let mut at = u64::from(u32_at(packet, 16) >> 8) * 64_000;
    let (mut symbols, mut rest) = (Vec::new(), &packet[20..]);
    while symbols.len() < usize::from(count) {
        let chunk = u16::from_be_bytes([rest[0], rest[1]]);
        rest = &rest[2..];
        match chunk >> 14 {
            0 | 1 => symbols.extend(vec![chunk >> 13 & 3; usize::from(chunk & 0x1fff)]),
            2 => symbols.extend((0..14).map(|bit| chunk >> (13 - bit) & 1)),
            _ => symbols.extend((0..7).map(|bit| chunk >> (12 - 2 * bit) & 3)),
        }
    }
    symbols.truncate(usize::from(count));
    let mut numbers = (0..).map(|ahead| (base as u16).wrapping_add(ahead));
    let mut told = Vec::new();
    for symbol in symbols {
        let delta = match symbol {
            0 => None,
            1 => Some(i64::from(rest[0])),
            2 => Some(i64::from(i16::from_be_bytes([rest[0], rest[1]]))),
            other => panic!("no symbol: {other}"),
        };
        rest = &rest[usize::from(symbol)..];
        if let Some(delta) = delta {
            at = at.checked_add_signed(250 * delta).expect("after the beginning");
        }
        told.push((numbers.next().expect("endless"), delta.map(|_| at)));
    }
    assert!(rest.len() < 4 && rest.iter().all(|byte| *byte == 0), "padding");
    told
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A source's sender report.
pub(crate) fn sender_report(ssrc: u32, ntp: u64, rtp_time: u32) -> Vec<u8> {
    let words = [0x80c8_0006, ssrc, (ntp >> 32) as u32, ntp as u32, rtp_time, 0, 0];
    to_bytes(&words)
}

/// A viewer's request for a key frame, behind the empty report that compounds begin with.
pub(crate) fn pli(from: u32, media_ssrc: u32) -> Vec<u8> {
    to_bytes(&[0x80c9_0001, from, 0x81ce_0002, from, media_ssrc])
}

/// The same as a Full Intra Request (RFC 5104 §4.3.1).
pub(crate) fn fir(from: u32, media_ssrc: u32, number: u8) -> Vec<u8> {
    let number = u32::from(number) << 24;
    to_bytes(&[0x80c9_0001, from, 0x84ce_0004, from, 0, media_ssrc, number])
}

/// A viewer misses these packets, in ascending order (RFC 4585 §6.2.1).
pub(crate) fn nack(from: u32, media_ssrc: u32, lost: &[u16]) -> Vec<u8> {
    let mut pairs: Vec<(u16, u16)> = Vec::new();
    for number in lost {
        let bit = pairs.last().map(|(first, _)| number.wrapping_sub(*first).wrapping_sub(1));
        match (pairs.last_mut(), bit) {
            (Some((_, mask)), Some(bit @ 0..16)) => *mask |= 1 << bit,
            _ => pairs.push((*number, 0)),
        }
    }
    let words = 2 + u32::try_from(pairs.len()).expect("few");
    let mut all = vec![0x80c9_0001, from, 0x81cd_0000 | words, from, media_ssrc];
    all.extend(pairs.iter().map(|(first, mask)| u32::from(*first) << 16 | u32::from(*mask)));
    to_bytes(&all)
}

/// A viewer's report on one stream: its answer to a sender report, which it has held for so long.
pub(crate) fn receiver_report(from: u32, block: &Block) -> Vec<u8> {
    let lost = u32::from(block.fraction_lost) << 24 | block.lost;
    let (highest, held) = (block.highest_seq, block.delay_since_last_sr);
    to_bytes(&[0x81c9_0007, from, block.ssrc, lost, highest, 0, block.last_sr, held])
}

/// A report about nothing.
pub(crate) fn empty_report(from: u32) -> Vec<u8> {
    to_bytes(&[0x80c9_0001, from])
}

/// A source's goodbye.
pub(crate) fn bye(ssrc: u32) -> Vec<u8> {
    to_bytes(&[0x80c9_0001, ssrc, 0x81cb_0001, ssrc])
}

fn to_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
