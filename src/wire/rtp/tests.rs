//! The header against hand-made packets, against webrtc-rs's `rtp` crate, and against noise.

use proptest::prelude::*;
use rtp::header::{Extension, Header};
use webrtc_util::marshal::{Marshal, Unmarshal};

use super::*;

/// Version 2, extension bit, two CSRCs, marker; seq 0x0203, time 4, ssrc 5.
const FIXED: [u8; 20] = [0x92, 0x80 | 96, 2, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7];

/// A packet with this extension block and a payload that must not be read.
fn packet(profile: u16, elements: &[u8]) -> Vec<u8> {
    assert_eq!(elements.len() % 4, 0);
    let words = (elements.len() / 4) as u16;
    [&FIXED, &profile.to_be_bytes()[..], &words.to_be_bytes(), elements, &[0x11; 5]].concat()
}

fn elements(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let header = RtpHeader::parse(packet).unwrap();
    header.extensions(packet).map(|(id, value)| (id, value.to_vec())).collect()
}

/// The packet with its header rewritten; `map` is (from, to).
fn rewritten(packet: &[u8], map: &[(u8, u8)]) -> Vec<u8> {
    let mut extensions = ExtensionMap::new();
    map.iter().for_each(|&(from, to)| extensions.set(from, to));
    let header = RtpHeader::parse(packet).unwrap();
    let rewrite = HeaderRewrite {
        pt: Pt(100),
        seq: 0x1234,
        timestamp: 0x5678_9abc,
        ssrc: Ssrc(0xdef0_1234),
        extensions: &extensions,
    };
    let mut out = vec![0xee; packet.len()];
    let len = header.rewrite(packet, &rewrite, &mut out);
    assert_eq!(len, header.len);
    assert!(out[len..].iter().all(|&byte| byte == 0xee), "wrote behind the header");
    out[len..].copy_from_slice(&packet[len..]);
    out
}

#[test]
fn reads_every_field() {
    let packet = packet(0xbede, &[0x10, 0xaa, 0, 0]);
    let header = RtpHeader::parse(&packet).unwrap();
    assert!(header.marker);
    assert!(!header.has_padding);
    assert_eq!(header.pt, Pt(96));
    assert_eq!((header.seq, header.timestamp, header.ssrc), (0x0203, 4, Ssrc(5)));
    assert_eq!(header.len, packet.len() - 5);

    let plain = [0xa0, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let header = RtpHeader::parse(&plain).unwrap();
    assert!(header.has_padding, "and is not looked for: it is encrypted");
    assert!(!header.marker);
    assert_eq!(header.len, 12);
    assert_eq!(header.extensions(&plain).count(), 0);
}

#[test]
fn truncated_or_of_another_version_is_malformed() {
    let packet = packet(0xbede, &[0x10, 0xaa, 0, 0]);
    for len in 0..packet.len() - 5 {
        let reason = RtpHeader::parse(&packet[..len]).unwrap_err();
        assert_eq!(reason, DropReason::RtpMalformed, "cut to {len}");
    }
    for version in [0x00, 0x40, 0xc0] {
        let mut packet = packet.clone();
        packet[0] = packet[0] & 0x3f | version;
        assert_eq!(RtpHeader::parse(&packet).unwrap_err(), DropReason::RtpMalformed);
    }
}

#[test]
fn one_byte_elements() {
    let packet = packet(0xbede, &[0x11, 1, 2, 0, 0, 0xe0, 3, 0]);
    assert_eq!(elements(&packet), [(1, vec![1, 2]), (14, vec![3])]);
}

#[test]
fn two_byte_elements_with_any_application_bits() {
    for profile in [0x1000, 0x100f] {
        let packet = packet(profile, &[0, 200, 1, 9, 15, 0, 3, 2, 7, 8, 0, 0]);
        assert_eq!(elements(&packet), [(200, vec![9]), (15, vec![]), (3, vec![7, 8])]);
    }
}

#[test]
fn elements_end_where_they_become_unreadable() {
    // Reserved ids of the one-byte form.
    assert_eq!(elements(&packet(0xbede, &[0x10, 1, 0xf0, 2, 0x30, 4, 0, 0])), [(1, vec![1])]);
    assert_eq!(elements(&packet(0xbede, &[0x10, 1, 0x02, 2, 0x30, 4, 0, 0])), [(1, vec![1])]);
    // Over the end, in both forms, and a length that is not there.
    assert_eq!(elements(&packet(0xbede, &[0x10, 1, 0x22, 2])), [(1, vec![1])]);
    assert_eq!(elements(&packet(0x1000, &[1, 0, 2, 1])), [(1, vec![])]);
    assert_eq!(elements(&packet(0x1000, &[1, 1, 5, 2])), [(1, vec![5])]);
    // A profile of neither form.
    assert_eq!(elements(&packet(0xbeef, &[0x10, 1, 0, 0])), []);
}

#[test]
fn rewrite_changes_what_it_should_and_nothing_else() {
    let before = packet(0xbede, &[0x10, 0xaa, 0x21, 5, 6, 0, 0x30, 7]);
    let after = rewritten(&before, &[(1, 9), (3, 1)]);
    assert_eq!(after.len(), before.len());
    assert_eq!(after[0], before[0], "version, padding, extension, CSRC count");
    let header = RtpHeader::parse(&after).unwrap();
    assert!(header.marker);
    assert_eq!((header.pt, header.seq), (Pt(100), 0x1234));
    assert_eq!((header.timestamp, header.ssrc), (0x5678_9abc, Ssrc(0xdef0_1234)));
    assert_eq!(after[12..20], before[12..20], "CSRCs");
    assert_eq!(after[20..32], [0xbe, 0xde, 0, 2, 0x90, 0xaa, 0x10, 7, 0, 0, 0, 0]);
    assert_eq!(after[32..], before[32..], "payload");
}

#[test]
fn two_byte_form_shrinks_to_one_byte_where_it_can() {
    let before = packet(0x1000, &[20, 2, 1, 2, 21, 0, 0, 0]);
    // Only 20 goes on, and it fits the one-byte form.
    assert_eq!(rewritten(&before, &[(20, 4)])[20..32], hex_block(&[0x41, 1, 2, 0, 0, 0, 0, 0]));
    // An empty one does not.
    let after = rewritten(&before, &[(20, 4), (21, 5)]);
    assert_eq!(after[20..32], [0x10, 0, 0, 2, 4, 2, 1, 2, 5, 0, 0, 0]);
}

fn hex_block(elements: &[u8; 8]) -> Vec<u8> {
    [&[0xbe, 0xde, 0, 2], &elements[..]].concat()
}

#[test]
fn long_elements_keep_the_two_byte_form() {
    for (len, profile) in [(16, 0xbedeu16), (17, 0x1000)] {
        let mut block = vec![8, len as u8];
        block.extend(1..=len as u8);
        block.resize(20, 0);
        let after = rewritten(&packet(0x1005, &block), &[(8, 3)]);
        assert_eq!(after[20..22], profile.to_be_bytes());
        assert_eq!(elements(&after), [(3, (1..=len as u8).collect())]);
    }
}

#[test]
fn unknown_profile_and_unreadable_tail_become_padding() {
    let after = rewritten(&packet(0xbeef, &[0x10, 1, 2, 3]), &[(1, 1)]);
    assert_eq!(after[20..28], [0xbe, 0xde, 0, 1, 0, 0, 0, 0]);
    let after = rewritten(&packet(0xbede, &[0x10, 1, 0x2f, 3]), &[(1, 7), (2, 8)]);
    assert_eq!(after[20..28], [0xbe, 0xde, 0, 1, 0x70, 1, 0, 0]);
    let after = rewritten(&packet(0xbede, &[]), &[(1, 7)]);
    assert_eq!(after[20..24], [0xbe, 0xde, 0, 0]);
}

/// Distinct ids with values, as either form can carry them, and whether it is the two-byte form.
fn extensions() -> impl Strategy<Value = (bool, Vec<Extension>)> {
    let form = |two_byte: bool| {
        let (ids, lens) = if two_byte { (1..=255u8, 0..40) } else { (1..=14u8, 1..17) };
        let values = prop::collection::vec(any::<u8>(), lens);
        prop::collection::btree_map(ids, values, 0..10).prop_map(move |map| {
            let elements =
                map.into_iter().map(|(id, value)| Extension { id, payload: value.into() });
            (two_byte, elements.collect())
        })
    };
    any::<bool>().prop_flat_map(form)
}

prop_compose! {
    fn foreign_header()(
        (two_byte, extensions) in extensions(),
        (marker, padding, extension) in any::<(bool, bool, bool)>(),
        payload_type in 0..128u8,
        (sequence_number, timestamp, ssrc) in any::<(u16, u32, u32)>(),
        csrc in prop::collection::vec(any::<u32>(), 0..16),
    ) -> Header {
        Header {
            version: 2,
            padding,
            extension,
            marker,
            payload_type,
            sequence_number,
            timestamp,
            ssrc,
            csrc,
            extension_profile: if two_byte { 0x1000 } else { 0xbede },
            extensions: if extension { extensions } else { Vec::new() },
            extensions_padding: 0,
        }
    }
}

proptest! {
    #[test]
    fn reads_what_another_implementation_writes(header in foreign_header()) {
        let bytes = header.marshal().unwrap();
        let ours = RtpHeader::parse(&bytes).unwrap();
        prop_assert_eq!(ours.len, bytes.len());
        prop_assert_eq!((ours.marker, ours.has_padding), (header.marker, header.padding));
        prop_assert_eq!((ours.pt, ours.ssrc), (Pt(header.payload_type), Ssrc(header.ssrc)));
        prop_assert_eq!((ours.seq, ours.timestamp), (header.sequence_number, header.timestamp));
        let theirs = header.extensions.iter().map(|e| (e.id, &e.payload[..]));
        prop_assert!(ours.extensions(&bytes).eq(theirs));
    }

    #[test]
    fn another_implementation_reads_what_we_rewrite(
        header in foreign_header(),
        targets in prop::collection::vec((0..256usize, 0..15u8), 0..300),
        (pt, seq, timestamp, ssrc) in (0..128u8, any::<u16>(), any::<u32>(), any::<u32>()),
    ) {
        let bytes = header.marshal().unwrap();
        let mut map = ExtensionMap::new();
        targets.iter().for_each(|&(from, to)| map.set(from as u8, to));
        let (pt_new, ssrc_new) = (Pt(pt), Ssrc(ssrc));
        let rewrite =
            HeaderRewrite { pt: pt_new, seq, timestamp, ssrc: ssrc_new, extensions: &map };
        let mut out = [0xee; 700];
        let len = RtpHeader::parse(&bytes).unwrap().rewrite(&bytes, &rewrite, &mut out);
        prop_assert_eq!(len, bytes.len());

        let mut rest = &out[..len];
        let theirs = Header::unmarshal(&mut rest).unwrap();
        prop_assert!(rest.is_empty(), "their header is as long as ours");
        let mapped: Vec<Extension> = header.extensions.iter()
            .filter(|e| map.map(e.id) != 0)
            .map(|e| Extension { id: map.map(e.id), payload: e.payload.clone() })
            .collect();
        let one_byte = mapped.iter().all(|e| (1..=16).contains(&e.payload.len()));
        let profile = if one_byte { 0xbede } else { 0x1000 };
        let expected = Header {
            payload_type: pt,
            sequence_number: seq,
            timestamp,
            ssrc,
            extensions: mapped,
            extension_profile: if header.extension { profile } else { 0 },
            extensions_padding: theirs.extensions_padding,
            ..header
        };
        prop_assert_eq!(theirs, expected);
    }

    #[test]
    fn noise_never_panics_and_keeps_its_length(
        mut bytes in prop::collection::vec(any::<u8>(), 0..120),
        profile in prop::sample::select(vec![0xbede_u16, 0x1000, 0x1234]),
        words in 0..8u8,
        to in 0..15u8,
    ) {
        // As it is, and with the start of a header that is one.
        let _ = RtpHeader::parse(&bytes);
        if bytes.len() >= 16 {
            bytes[0] = 0x90;
            bytes[12..14].copy_from_slice(&profile.to_be_bytes());
            bytes[14..16].copy_from_slice(&[0, words]);
        }
        let Ok(header) = RtpHeader::parse(&bytes) else { return Ok(()) };
        let map: Vec<(u8, u8)> = (1..=255).map(|from| (from, to)).collect();
        let after = rewritten(&bytes, &map);
        let values = |packet: &[u8]| elements(packet).into_iter().map(|e| e.1).collect::<Vec<_>>();
        let kept = if to == 0 { Vec::new() } else { values(&bytes) };
        prop_assert_eq!(values(&after), kept);
        prop_assert_eq!(RtpHeader::parse(&after).unwrap().len, header.len);
    }
}
