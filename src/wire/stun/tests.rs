//! STUN against RFC 5769's vectors, and against whatever else may arrive.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: [u8; 12] =
    [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

/// RFC 5769 §2.1: a request with SOFTWARE, PRIORITY, ICE-CONTROLLED and USERNAME.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36\
    000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";

/// RFC 5769 §2.2: its answer over IPv4, with SOFTWARE.
const RESPONSE_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";

/// RFC 5769 §2.3: its answer over IPv6, with SOFTWARE.
const RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f722000200014\
    0002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|b| (b as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn key() -> IntegrityKey {
    IntegrityKey::new(PASSWORD)
}

/// A request made of these attributes, signed and sealed by our own writer.
fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut buf = [0; 600];
    let mut writer = MessageWriter::new(&mut buf, BINDING_REQUEST, &TRANSACTION);
    for (attribute_type, value) in attributes {
        writer.attribute(*attribute_type, &[value]);
    }
    let len = writer.finish(&key());
    buf[..len].to_vec()
}

/// The value of one attribute of a message, found without the code under test.
fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = &message[HEADER_LEN..];
    while !rest.is_empty() {
        let len = usize::from(be16(rest, 2));
        if be16(rest, 0) == wanted {
            return Some(&rest[4..4 + len]);
        }
        rest = &rest[4 + len.next_multiple_of(4)..];
    }
    None
}

#[test]
fn reads_and_verifies_the_sample_request() {
    let datagram = hex(REQUEST);
    let request = BindingRequest::parse(&datagram).unwrap();
    assert_eq!(request.transaction_id, TRANSACTION);
    assert_eq!(request.username_local, b"evtj");
    assert_eq!(request.username_remote, b"h6vY");
    assert_eq!(request.priority, Some(0x6e00_01ff));
    assert_eq!(request.role, Some(IceRole::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!request.use_candidate);
    assert!(request.unknown_required.is_empty());
    assert!(request.verify(&key()));
    assert!(!request.verify(&IntegrityKey::new("VOkJxbRl1RmTxUk/WvJxBT")));
}

#[test]
fn writes_the_sample_responses() {
    let v4 = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 32853));
    let ip: Ipv6Addr = "2001:db8:1234:5678:11:2233:4455:6677".parse().unwrap();
    let v6 = SocketAddr::from((ip, 32853));
    for (sample, mapped) in [(hex(RESPONSE_V4), v4), (hex(RESPONSE_V6), v6)] {
        // The integrity and fingerprint of the RFC come out of our functions ...
        let integrity_at = sample.len() - FINGERPRINT_LEN - INTEGRITY_LEN;
        let tag = integrity_of(&sample[..integrity_at], &key());
        assert_eq!(Some(tag.as_ref()), attribute(&sample, MESSAGE_INTEGRITY));
        let crc = fingerprint_of(&sample[..sample.len() - FINGERPRINT_LEN]);
        assert_eq!(Some(&crc[..]), attribute(&sample, FINGERPRINT));

        // ... and the response is the RFC's, but for SOFTWARE, which we do not send.
        let mut buf = [0xff; 76];
        let len = write_success(&mut buf, &TRANSACTION, mapped, &key());
        let response = &buf[..len];
        assert_eq!(response[4..HEADER_LEN], sample[4..HEADER_LEN]);
        assert_eq!(usize::from(be16(response, 2)), len - HEADER_LEN);
        assert_eq!(attribute(response, XOR_MAPPED_ADDRESS), attribute(&sample, XOR_MAPPED_ADDRESS));
        assert_sealed(response, BINDING_SUCCESS);
    }
}

/// Type, MESSAGE-INTEGRITY and FINGERPRINT of a response of ours.
fn assert_sealed(response: &[u8], message_type: u16) {
    assert_eq!(parse_header(response), Ok((message_type, TRANSACTION)));
    let integrity_at = response.len() - FINGERPRINT_LEN - INTEGRITY_LEN;
    let tag = integrity_of(&response[..integrity_at], &key());
    assert_eq!(attribute(response, MESSAGE_INTEGRITY), Some(tag.as_ref()));
    let crc = fingerprint_of(&response[..response.len() - FINGERPRINT_LEN]);
    assert_eq!(attribute(response, FINGERPRINT), Some(&crc[..]));
}

#[test]
fn mapped_v4_is_written_as_v4() {
    let v4 = Ipv4Addr::new(192, 0, 2, 1);
    let (mut plain, mut mapped) = ([0; 76], [0; 76]);
    let len = write_success(&mut plain, &TRANSACTION, (v4, 9).into(), &key());
    write_success(&mut mapped, &TRANSACTION, (v4.to_ipv6_mapped(), 9).into(), &key());
    assert_eq!(len, 64);
    assert_eq!(plain, mapped);
}

#[test]
fn error_names_code_reason_and_attributes() {
    let mut buf = [0xff; 120];
    let reason = "Unknown Attribute";
    let len = write_error(&mut buf, &TRANSACTION, 420, reason, &[0x0003, 0x7abc, 4], &key());
    let response = &buf[..len];
    assert_sealed(response, BINDING_ERROR);
    let error = attribute(response, ERROR_CODE).unwrap();
    assert_eq!(error[..4], [0, 0, 4, 20]);
    assert_eq!(&error[4..], reason.as_bytes());
    assert_eq!(attribute(response, UNKNOWN_ATTRIBUTES), Some(&[0, 3, 0x7a, 0xbc, 0, 4][..]));

    let len = write_error(&mut buf, &TRANSACTION, 487, "Role Conflict", &[], &key());
    assert_sealed(&buf[..len], BINDING_ERROR);
    assert_eq!(attribute(&buf[..len], UNKNOWN_ATTRIBUTES), None);
}

#[test]
fn use_candidate_and_controlling_are_read() {
    let datagram = request(&[
        (USERNAME, b"here:there:more"),
        (USE_CANDIDATE, &[]),
        (ICE_CONTROLLING, &7u64.to_be_bytes()),
        (ICE_CONTROLLED, &8u64.to_be_bytes()),
        (PRIORITY, &1u32.to_be_bytes()),
        (PRIORITY, &2u32.to_be_bytes()),
    ]);
    let request = BindingRequest::parse(&datagram).unwrap();
    assert!(request.use_candidate);
    assert_eq!(request.role, Some(IceRole::Controlling(7)), "the first counts");
    assert_eq!(request.priority, Some(1), "the first counts");
    assert_eq!(
        (request.username_local, request.username_remote),
        (&b"here"[..], &b"there:more"[..])
    );
    assert!(request.verify(&key()));
}

#[test]
fn what_must_be_understood_is_listed_and_bounded() {
    let datagram =
        request(&[(0x0003, b"x"), (USERNAME, b"a:b"), (0xc057, b"optional"), (0x0014, b"realm")]);
    let parsed = BindingRequest::parse(&datagram).unwrap();
    assert_eq!(parsed.unknown_required.as_slice(), [0x0003]);

    let many: Vec<(u16, &[u8])> = (0x4000..0x4014).map(|t| (t, &b""[..])).collect();
    let datagram = request(&[&[(USERNAME, &b"a:b"[..])], &many[..]].concat());
    let parsed = BindingRequest::parse(&datagram).unwrap();
    assert_eq!(parsed.unknown_required.as_slice(), (0x4000..0x4008).collect::<Vec<u16>>());
}

#[test]
fn what_is_missing_is_told_apart() {
    let reason = |datagram: &[u8]| BindingRequest::parse(datagram).unwrap_err();
    assert_eq!(reason(&request(&[])), DropReason::StunUnknownUfrag);
    assert_eq!(reason(&request(&[(USERNAME, b"nocolon")])), DropReason::StunUnknownUfrag);
    assert_eq!(reason(&hex(RESPONSE_V4)), DropReason::StunNotRequest);
    assert_eq!(reason(&[]), DropReason::StunMalformed);

    // Without MESSAGE-INTEGRITY, with and without the fingerprint.
    let mut buf = [0; 100];
    let mut writer = MessageWriter::new(&mut buf, BINDING_REQUEST, &TRANSACTION);
    writer.attribute(USERNAME, &[b"a:b"]);
    let len = writer.len;
    buf[3] = (len - HEADER_LEN) as u8;
    assert_eq!(reason(&buf[..len]), DropReason::StunBadIntegrity);
}

#[test]
fn header_must_be_of_stun_and_agree_with_the_datagram() {
    let mut bare = [&[0, 1, 0, 0][..], &COOKIE, &TRANSACTION].concat();
    let reason = |datagram: &[u8]| BindingRequest::parse(datagram).unwrap_err();
    assert_eq!(reason(&bare), DropReason::StunUnknownUfrag, "nothing else is wrong with it");
    for bit in 32..64 {
        let mut other_cookie = bare.clone();
        other_cookie[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(reason(&other_cookie), DropReason::StunMalformed);
    }
    for top_bit in [0x40, 0x80] {
        let mut other = bare.clone();
        other[0] |= top_bit;
        assert_eq!(reason(&other), DropReason::StunMalformed);
    }
    // Longer than it says; then as long as it says, but not in whole words.
    for extra in 1..=3 {
        bare.push(0);
        bare[3] = 0;
        assert_eq!(reason(&bare), DropReason::StunMalformed);
        bare[3] = extra;
        assert_eq!(reason(&bare), DropReason::StunMalformed);
    }
}

#[test]
fn attributes_of_a_wrong_length_are_malformed() {
    let wrong: [(u16, &[u8]); 5] = [
        (PRIORITY, &[0; 3]),
        (USE_CANDIDATE, &[0; 4]),
        (ICE_CONTROLLED, &[0; 4]),
        (ICE_CONTROLLING, &[0; 9]),
        (MESSAGE_INTEGRITY, &[0; 32]),
    ];
    for attribute in wrong {
        let datagram = request(&[(USERNAME, b"a:b"), attribute]);
        let reason = BindingRequest::parse(&datagram).unwrap_err();
        assert_eq!(reason, DropReason::StunMalformed, "{attribute:?}");
    }
}

#[test]
fn what_follows_the_integrity_is_ignored() {
    let mut datagram = request(&[(USERNAME, b"a:b")]);
    datagram.truncate(datagram.len() - FINGERPRINT_LEN);
    datagram.extend_from_slice(&[0, 0x25, 0, 0, 0x40, 0, 0, 1, 9, 9, 9, 9]);
    datagram[3] = (datagram.len() - HEADER_LEN) as u8;
    let parsed = BindingRequest::parse(&datagram).unwrap();
    assert!(!parsed.use_candidate, "nobody signed it");
    assert!(parsed.unknown_required.is_empty());
    assert!(parsed.verify(&key()));
}

#[test]
fn nothing_follows_the_fingerprint() {
    let mut datagram = request(&[(USERNAME, b"a:b")]);
    datagram.extend_from_slice(&[0x80, 0x22, 0, 0]);
    datagram[3] += 4;
    assert_eq!(BindingRequest::parse(&datagram).unwrap_err(), DropReason::StunMalformed);
}

#[test]
fn every_truncation_is_rejected() {
    let datagram = hex(REQUEST);
    for len in 0..datagram.len() {
        // As it is, and with a header that agrees with what is left.
        let mut cut = datagram[..len].to_vec();
        assert_eq!(BindingRequest::parse(&cut).unwrap_err(), DropReason::StunMalformed);
        if len >= HEADER_LEN {
            cut[3] = (len - HEADER_LEN) as u8;
            // Only the fingerprint may be absent.
            let good = BindingRequest::parse(&cut).is_ok_and(|request| request.verify(&key()));
            assert_eq!(good, len == datagram.len() - FINGERPRINT_LEN, "cut to {len}");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let datagram = hex(REQUEST);
    let fingerprint_at = datagram.len() - FINGERPRINT_LEN;
    for bit in 0..datagram.len() * 8 {
        let mut flipped = datagram.clone();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        let parsed = BindingRequest::parse(&flipped);
        if (fingerprint_at..fingerprint_at + 2).contains(&(bit / 8)) {
            // Under another type it is an attribute after the integrity, and the integrity holds.
            assert!(parsed.unwrap().verify(&key()));
        } else {
            assert!(parsed.is_err(), "bit {bit}");
        }
        // Without the fingerprint it is the integrity that notices.
        if bit / 8 < fingerprint_at {
            flipped.truncate(fingerprint_at);
            flipped[3] = flipped[3].wrapping_sub(FINGERPRINT_LEN as u8);
            let good = BindingRequest::parse(&flipped).is_ok_and(|request| request.verify(&key()));
            assert!(!good, "bit {bit} without fingerprint");
        }
    }
}

#[test]
fn keys_do_not_show() {
    assert!(!format!("{:?}", key()).contains("VOk"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        sound_header in any::<bool>(),
    ) {
        if sound_header && bytes.len() >= HEADER_LEN {
            bytes.truncate(bytes.len() / 4 * 4);
            let len = (bytes.len() - HEADER_LEN) as u16;
            bytes[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            bytes[4..8].copy_from_slice(&COOKIE);
        }
        if let Ok(request) = BindingRequest::parse(&bytes) {
            prop_assert!(!request.verify(&key()));
        }
    }

    #[test]
    fn what_a_request_says_is_what_is_read(
        local in "[a-zA-Z0-9+/]{4,32}",
        remote in "[a-zA-Z0-9+/]{4,32}",
        priority in any::<u32>(),
        tie_breaker in any::<u64>(),
        password in "[a-zA-Z0-9+/]{22,40}",
    ) {
        let mut buf = [0; 300];
        let mut writer = MessageWriter::new(&mut buf, BINDING_REQUEST, &TRANSACTION);
        writer.attribute(USERNAME, &[local.as_bytes(), b":", remote.as_bytes()]);
        writer.attribute(PRIORITY, &[&priority.to_be_bytes()]);
        writer.attribute(ICE_CONTROLLING, &[&tie_breaker.to_be_bytes()]);
        let key = IntegrityKey::new(&password);
        let len = writer.finish(&key);
        let request = BindingRequest::parse(&buf[..len]).unwrap();
        prop_assert_eq!(request.username_local, local.as_bytes());
        prop_assert_eq!(request.username_remote, remote.as_bytes());
        prop_assert_eq!(request.priority, Some(priority));
        prop_assert_eq!(request.role, Some(IceRole::Controlling(tie_breaker)));
        prop_assert!(request.verify(&key));
    }
}
