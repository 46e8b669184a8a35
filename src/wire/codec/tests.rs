//! Payloads made by hand for each form of each format, whole and cut short.

use proptest::prelude::*;

use super::*;
use crate::types::Pt;

const CODECS: [Codec; 5] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1];

/// `payload` is a start as soon as `needed` of its bytes are there, and not before.
fn assert_starts(codec: Codec, payload: &[u8], needed: usize) {
    for len in 0..=payload.len() {
        let starts = start(codec, &payload[..len]) != Start::None;
        assert_eq!(starts, len >= needed, "{codec:?} {payload:02x?} cut to {len}");
    }
}

/// `payload` is no start, however much of it is there.
fn assert_continues(codec: Codec, payload: &[u8]) {
    assert_starts(codec, payload, usize::MAX);
}

#[test]
fn sound_starts_anywhere() {
    for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma] {
        assert_eq!(start(codec, &[]), Start::Whole);
    }
}

#[test]
fn vp8() {
    let codec = Codec::Vp8;
    assert_starts(codec, &[0x10, 0x00, 0x9d], 2);
    assert_continues(codec, &[0x10, 0x01, 0x9d]);
    assert_continues(codec, &[0x00, 0x00, 0x9d]);
    // Another partition; reserved and non-reference bits do not matter.
    assert_continues(codec, &[0x11, 0x00]);
    assert_starts(codec, &[0x78, 0x00], 2);
    // Extended: picture id short and long, TL0PICIDX, and one byte for T, K or both.
    assert_starts(codec, &[0x90, 0x00, 0x10], 3);
    assert_starts(codec, &[0x90, 0x80, 0x01, 0x10], 4);
    assert_starts(codec, &[0x90, 0x80, 0x81, 0x01, 0x10], 5);
    assert_starts(codec, &[0x90, 0x40, 0x01, 0x10], 4);
    assert_starts(codec, &[0x90, 0x20, 0x01, 0x10], 4);
    assert_starts(codec, &[0x90, 0x10, 0x01, 0x10], 4);
    assert_starts(codec, &[0x90, 0xf0, 0x81, 0x01, 0x01, 0x01, 0x10], 7);
    assert_continues(codec, &[0x90, 0xf0, 0x81, 0x00, 0x00, 0x00, 0x11]);
}

#[test]
fn vp9() {
    let codec = Codec::Vp9;
    assert_starts(codec, &[0x08, 0xaa], 2);
    assert_continues(codec, &[0x48, 0xaa]);
    assert_continues(codec, &[0x00, 0xaa]);
    assert_starts(codec, &[0x88, 0x01, 0xaa], 3);
    assert_starts(codec, &[0x88, 0x81, 0x01, 0xaa], 4);
    // Layers: TID and U and D do not matter, SID does.
    assert_starts(codec, &[0x28, 0x00, 0x01], 2);
    assert_starts(codec, &[0xa8, 0x81, 0x01, 0xf1, 0xaa], 4);
    assert_continues(codec, &[0xa8, 0x81, 0x01, 0x02, 0xaa]);
    assert_continues(codec, &[0xa8, 0x01, 0x08, 0xaa]);
}

#[test]
fn h264() {
    let codec = Codec::H264;
    // Single units: IDR, its second slice, SPS, PPS, SEI, another slice.
    assert_starts(codec, &[0x65, 0x88, 0x84], 2);
    assert_continues(codec, &[0x65, 0x48, 0x84]);
    assert_starts(codec, &[0x67, 0x42], 1);
    assert_continues(codec, &[0x68, 0xce]);
    assert_continues(codec, &[0x06, 0x05]);
    assert_continues(codec, &[0x41, 0x9a]);
    // STAP-A: delimiter and SPS; PPS and IDR; neither.
    assert_starts(codec, &[0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0x42, 0, 1, 0x68], 9);
    assert_starts(codec, &[0x78, 0, 1, 0x68, 0, 3, 0x65, 0x88, 0x84], 9);
    assert_continues(codec, &[0x78, 0, 2, 0x68, 0xce, 0, 2, 0x41, 0x9a, 0, 0]);
    // FU-A: start of IDR, its middle, its second slice, start of SPS, start of another slice.
    assert_starts(codec, &[0x7c, 0x85, 0x88, 0x84], 3);
    assert_continues(codec, &[0x7c, 0x05, 0x88, 0x84]);
    assert_continues(codec, &[0x7c, 0x85, 0x48, 0x84]);
    assert_starts(codec, &[0x7c, 0x87, 0x42], 2);
    assert_continues(codec, &[0x7c, 0x81, 0x9a]);
}

#[test]
fn h265() {
    let codec = Codec::H265;
    // Single units: VPS, SPS, PPS; all kinds of intra pictures; the neighbours of both.
    for unit_type in [32, 33, 34] {
        assert_starts(codec, &[unit_type << 1, 1, 0xaa], 2);
    }
    for unit_type in 16..=23 {
        assert_starts(codec, &[unit_type << 1, 1, 0x80], 3);
        assert_continues(codec, &[unit_type << 1, 1, 0x40]);
    }
    for unit_type in [0, 1, 15, 24, 31, 35, 39, 50] {
        assert_continues(codec, &[unit_type << 1, 1, 0x80]);
    }
    // Aggregation: delimiter and VPS; SEI and IDR; neither.
    assert_starts(codec, &[0x60, 1, 0, 2, 0x46, 1, 0, 2, 0x40, 1], 10);
    assert_starts(codec, &[0x60, 1, 0, 2, 0x4e, 1, 0, 4, 0x26, 1, 0x80, 9], 12);
    assert_continues(codec, &[0x60, 1, 0, 2, 0x46, 1, 0, 3, 0x02, 1, 0x80]);
    // Fragments: start, middle, second slice, and start of another picture.
    assert_starts(codec, &[0x62, 1, 0x93, 0x80, 9], 4);
    assert_continues(codec, &[0x62, 1, 0x13, 0x80, 9]);
    assert_continues(codec, &[0x62, 1, 0x93, 0x40, 9]);
    assert_continues(codec, &[0x62, 1, 0x81, 0x80, 9]);
}

/// A decoder that has no parameters yet can do nothing with the picture alone.
#[test]
fn a_picture_without_its_parameters_is_not_all_that_it_takes() {
    for (payload, expected) in [
        (&[0x65, 0x88][..], Start::Picture),
        (&[0x7c, 0x85, 0x88], Start::Picture),
        (&[0x67, 0x42], Start::Whole),
        (&[0x7c, 0x87, 0x42], Start::Whole),
        (&[0x78, 0, 2, 0x65, 0x88, 0, 2, 0x67, 0x42], Start::Whole),
        (&[0x78, 0, 1, 0x68, 0, 2, 0x65, 0x88], Start::Picture),
    ] {
        assert_eq!(start(Codec::H264, payload), expected, "{payload:02x?}");
    }
    for (payload, expected) in [
        (&[0x26, 1, 0x80][..], Start::Picture),
        (&[0x40, 1], Start::Picture),
        (&[0x42, 1], Start::Whole),
        (&[0x60, 1, 0, 2, 0x40, 1, 0, 2, 0x42, 1, 0, 3, 0x26, 1, 0x80], Start::Whole),
    ] {
        assert_eq!(start(Codec::H265, payload), expected, "{payload:02x?}");
    }
}

#[test]
fn av1() {
    let codec = Codec::Av1;
    // W = 1, 2 and 0 (each with its length), with a length of two bytes, too.
    assert_starts(codec, &[0x18, 0x08, 0xaa], 2);
    assert_starts(codec, &[0x28, 2, 0x08, 0xaa, 0x30], 4);
    assert_starts(codec, &[0x08, 2, 0x08, 0xaa, 1, 0x30], 4);
    assert_starts(codec, &[0x28, 0x82, 0x00, 0x08, 0xaa, 0x30], 5);
    // A delimiter in front, in each form.
    assert_starts(codec, &[0x28, 1, 0x10, 0x08, 0xaa], 4);
    assert_starts(codec, &[0x38, 1, 0x10, 2, 0x08, 0xaa, 0x30], 6);
    assert_starts(codec, &[0x08, 1, 0x10, 2, 0x08, 0xaa], 6);
    // 130 bytes, as leb128 has it, in front of the sequence header.
    let long = [&[0x28, 0x82, 0x01, 0x10][..], &[0; 129], &[0x08]].concat();
    assert_starts(codec, &long, long.len());
    // No new sequence; the rest of something earlier; a frame first; an empty element.
    assert_continues(codec, &[0x10, 0x08, 0xaa]);
    assert_continues(codec, &[0x98, 0x08, 0xaa]);
    assert_continues(codec, &[0x18, 0x30, 0xaa]);
    assert_continues(codec, &[0x28, 2, 0x30, 0xaa, 0x08]);
    assert_continues(codec, &[0x28, 0, 0x08]);
    assert_continues(codec, &[0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0x08]);
}

#[test]
fn red_renumbers_every_block_and_nothing_else() {
    // Redundant blocks of 111 and 96 (2 bytes and 1), then 111.
    let mut payload = vec![0x80 | 111, 0x1e, 0x00, 0x02, 0x80 | 96, 0x0f, 0x04, 0x01, 111];
    payload.extend([0xef; 5]);
    let mut expected = payload.clone();
    (expected[0], expected[4], expected[8]) = (0x80 | 100, 0x80 | 96, 100);
    red::rewrite_payload_types(&mut payload, |pt| if pt == Pt(111) { Pt(100) } else { pt });
    assert_eq!(payload, expected);

    let mut primary_only = [111, 0xef];
    red::rewrite_payload_types(&mut primary_only, |_| Pt(100));
    assert_eq!(primary_only, [100, 0xef]);
}

#[test]
fn red_lengths_are_ten_bits() {
    // 515 bytes of redundancy, then the primary block.
    let mut payload = vec![0x80 | 111, 0xff, 0xfe, 0x03, 111];
    payload.resize(5 + 515, 0);
    red::rewrite_payload_types(&mut payload, |_| Pt(100));
    assert_eq!((payload[0], payload[4]), (0x80 | 100, 100));

    let mut short = vec![0x80 | 111, 0xff, 0xfe, 0x03, 111];
    short.resize(5 + 514, 0);
    red::rewrite_payload_types(&mut short, |_| Pt(100));
    assert_eq!((short[0], short[4]), (0x80 | 111, 111));
}

#[test]
fn red_leaves_malformed_payloads_alone() {
    let payload = [0x80 | 111, 0x1e, 0x00, 0x02, 111, 1, 2];
    for len in 0..payload.len() {
        let mut cut = payload[..len].to_vec();
        red::rewrite_payload_types(&mut cut, |_| Pt(100));
        assert_eq!(cut, payload[..len], "cut to {len}");
    }
}

proptest! {
    #[test]
    fn noise_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for codec in CODECS {
            let _ = start(codec, &bytes);
        }
        let before = bytes.clone();
        red::rewrite_payload_types(&mut bytes, |pt| Pt(pt.0 ^ 1));
        red::rewrite_payload_types(&mut bytes, |pt| Pt(pt.0 ^ 1));
        prop_assert_eq!(bytes, before);
    }
}
