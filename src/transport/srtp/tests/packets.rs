//! Damaged, foreign, repeated and absurd packets.

use aws_lc_rs::hmac;
use proptest::prelude::*;

use super::super::keys::{Purpose, SessionKeys};
use super::super::window::RtcpWindows;
use super::super::{E_FLAG, OpenError, PacketIndices, RtpWindow, SrtpProfile, SrtpRx, SrtpTx};
use super::{PROFILES, SSRC, master, pair, rtcp, rtp, seal_rtcp, seal_rtp};
use crate::types::limit::{SSRCS_MAX, SSRCS_RETIRED_MAX};
use crate::types::{DropReason, SeqNo, Ssrc};

#[test]
fn every_flipped_bit_of_an_rtp_packet_is_noticed() {
    for profile in PROFILES {
        let (tx, rx) = pair(profile);
        let index = SeqNo(0x3_1234);
        let plain = rtp(index.wire(), SSRC, b"some payload, more than a block of it");
        let sealed = seal_rtp(&tx, &plain, 12, SSRC, index);
        for bit in 0..sealed.len() * 8 {
            let mut packet = sealed.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            let opened = rx.open_rtp(&mut packet, 12, SSRC, index);
            assert_eq!(opened, Err(OpenError::BadTag), "{profile:?} bit {bit}");
        }
        assert_eq!(rx.open_rtp(&mut sealed.clone(), 12, SSRC, index), Ok(plain.len()));
    }
}

#[test]
fn every_shortened_rtp_packet_is_refused() {
    for profile in PROFILES {
        let (tx, rx) = pair(profile);
        let plain = rtp(7, SSRC, b"payload");
        let sealed = seal_rtp(&tx, &plain, 12, SSRC, SeqNo(7));
        for len in 0..sealed.len() {
            let opened = rx.open_rtp(&mut sealed[..len].to_vec(), 12, SSRC, SeqNo(7));
            let expected = match len < 12 + profile.tag_len() {
                true => OpenError::TooShort,
                false => OpenError::BadTag,
            };
            assert_eq!(opened, Err(expected), "{profile:?} {len} bytes");
        }
    }
}

#[test]
fn an_rtp_packet_opens_only_with_its_own_roll_over_count() {
    for profile in PROFILES {
        let (tx, rx) = pair(profile);
        let index = SeqNo(0x2_0005);
        let plain = rtp(5, SSRC, b"payload");
        let sealed = seal_rtp(&tx, &plain, 12, SSRC, index);
        for other in [SeqNo(5), SeqNo(0x1_0005), SeqNo(0x3_0005)] {
            let opened = rx.open_rtp(&mut sealed.clone(), 12, SSRC, other);
            assert_eq!(opened, Err(OpenError::BadTag), "{profile:?} {other:?}");
        }
        // 48 bits count.
        let same = SeqNo(index.0 | 1 << 48);
        assert_eq!(rx.open_rtp(&mut sealed.clone(), 12, SSRC, same), Ok(plain.len()));
    }
}

// Everything about a packet that carries nothing but its header.
#[test]
fn a_packet_without_payload_is_sealed_and_opened() {
    for profile in PROFILES {
        let (tx, rx) = pair(profile);
        let plain = rtp(1, SSRC, b"");
        let mut packet = seal_rtp(&tx, &plain, 12, SSRC, SeqNo(1));
        assert_eq!(packet[..12], plain);
        assert_eq!(rx.open_rtp(&mut packet, 12, SSRC, SeqNo(1)), Ok(12));
    }
}

#[test]
fn rtp_and_rtcp_of_one_master_key_have_different_keys() {
    for profile in PROFILES {
        let (mut tx, rx) = pair(profile);
        let sealed = seal_rtcp(&mut tx, &rtcp(SSRC, 4));
        let opened = rx.open_rtp(&mut sealed.clone(), 8, SSRC, SeqNo(0));
        assert_eq!(opened, Err(OpenError::BadTag), "{profile:?}");
    }
}

#[test]
fn every_flipped_bit_of_an_rtcp_packet_is_noticed_and_leaves_no_trace() {
    for profile in PROFILES {
        let (mut tx, mut rx) = pair(profile);
        let plain = rtcp(SSRC, 6);
        let sealed = seal_rtcp(&mut tx, &plain);
        for bit in 0..sealed.len() * 8 {
            let mut packet = sealed.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(rx.open_rtcp(&mut packet), Err(OpenError::BadTag), "{profile:?} bit {bit}");
        }
        for len in 0..sealed.len() {
            let expected = match len < 8 + profile.tag_len() + 4 {
                true => OpenError::TooShort,
                false => OpenError::BadTag,
            };
            let opened = rx.open_rtcp(&mut sealed[..len].to_vec());
            assert_eq!(opened, Err(expected), "{profile:?} {len} bytes");
        }
        // Among them were other SSRCs and indices up to the highest: none of them counts.
        assert_eq!(rx.open_rtcp(&mut sealed.clone()), Ok(plain.len()));
    }
}

#[test]
fn rtcp_is_numbered_from_zero_and_replays_are_refused() {
    for profile in PROFILES {
        let (mut tx, mut rx) = pair(profile);
        let sealed: Vec<_> = (0..300).map(|_| seal_rtcp(&mut tx, &rtcp(SSRC, 2))).collect();
        let word = match profile {
            SrtpProfile::Aes128CmSha1_80 => 16..20,
            _ => 32..36,
        };
        assert_eq!(sealed[0][word.clone()], E_FLAG.to_be_bytes());
        assert_eq!(sealed[299][word], (E_FLAG | 299).to_be_bytes());

        let mut open = |at: usize| rx.open_rtcp(&mut sealed[at].clone());
        assert_eq!(open(200), Ok(16));
        assert_eq!(open(73), Ok(16), "as old as the window is wide");
        assert_eq!(open(72), Err(OpenError::Replay), "older");
        assert_eq!(open(73), Err(OpenError::Replay));
        assert_eq!(open(200), Err(OpenError::Replay));
        assert_eq!(open(299), Ok(16));
        assert_eq!(open(201), Ok(16));
        assert_eq!(open(200), Err(OpenError::Replay));
    }
}

#[test]
fn an_rtcp_packet_that_is_only_authenticated_is_opened() {
    let profile = SrtpProfile::Aes128CmSha1_80;
    let (_, mut rx) = pair(profile);
    let (key, salt) = master(profile);
    let keys = SessionKeys::derive(profile, &key, &salt, Purpose::Rtcp);
    let plain = rtcp(SSRC, 3);
    let mut packet = plain.clone();
    packet.extend(9u32.to_be_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &keys.authentication);
    let tag = hmac::sign(&key, &packet);
    packet.extend(&tag.as_ref()[..10]);

    let mut forged = packet.clone();
    forged[9] ^= 1;
    assert_eq!(rx.open_rtcp(&mut forged), Err(OpenError::BadTag));
    assert_eq!(rx.open_rtcp(&mut packet), Ok(plain.len()));
    assert_eq!(packet[..plain.len()], plain);
}

#[test]
fn a_key_that_has_sealed_all_its_rtcp_packets_seals_no_more() {
    for profile in PROFILES {
        let (mut tx, mut rx) = pair(profile);
        tx.rtcp_index = E_FLAG - 1;
        let mut last = seal_rtcp(&mut tx, &rtcp(SSRC, 2));
        assert_eq!(rx.open_rtcp(&mut last), Ok(16));
        let mut buf = [0; 64];
        assert_eq!(tx.seal_rtcp(&mut buf, 16), None);
        assert_eq!(tx.seal_rtcp(&mut buf, 16), None);
        assert_eq!(buf, [0; 64]);
    }
}

#[test]
fn reports_of_ever_new_ssrcs_are_taken_and_no_old_one_twice() {
    let (mut tx, mut rx) = pair(SrtpProfile::AeadAes128Gcm);
    let count = (SSRCS_MAX + SSRCS_RETIRED_MAX + 10) as u32;
    let sealed: Vec<_> = (0..count).map(|ssrc| seal_rtcp(&mut tx, &rtcp(Ssrc(ssrc), 1))).collect();
    for packet in &sealed {
        assert_eq!(rx.open_rtcp(&mut packet.clone()), Ok(12));
    }
    for packet in &sealed {
        assert_eq!(rx.open_rtcp(&mut packet.clone()), Err(OpenError::Replay));
    }
    // Who was silent for long and comes back is heard, unless thousands have come since.
    let mut open = |ssrc: u32| rx.open_rtcp(&mut seal_rtcp(&mut tx, &rtcp(Ssrc(ssrc), 1)));
    assert_eq!(open(count - 1), Ok(12));
    assert_eq!(open(count - SSRCS_MAX as u32 - 5), Ok(12));
    assert_eq!(open(0), Err(OpenError::Replay));
    assert_eq!(open(count), Ok(12), "a new one always");
}

/// What a key seals with is handed out by one, and once.
#[test]
fn an_index_is_handed_out_once() {
    let [(mut tx, _), (mut other, _)] = [SrtpProfile::AeadAes256Gcm; 2].map(pair);
    let mut indices = tx.indices(SSRC).expect("the first to ask");
    assert!(tx.indices(SSRC).is_none(), "the second");
    assert!(other.indices(SSRC).is_some(), "another key has numbers of its own");
    let claim = |indices: &mut PacketIndices, seq| indices.claim(SeqNo(seq)).map(|it| it.seq().0);
    assert_eq!(claim(&mut indices, 100), Ok(100));
    assert_eq!(claim(&mut indices, 100), Err(DropReason::Late));
    assert_eq!(claim(&mut indices, 99), Ok(99), "late, and the first with this number");
    assert_eq!(claim(&mut indices, 99), Err(DropReason::Late));
    assert_eq!(claim(&mut indices, 5000), Ok(5000));
    assert_eq!(claim(&mut indices, 101), Err(DropReason::Late), "nobody knows any more");
    assert_eq!(claim(&mut indices, (1 << 48) - 1), Ok((1 << 48) - 1));
    assert_eq!(claim(&mut indices, 1 << 48), Err(DropReason::IndexSpent));
}

#[test]
#[should_panic(expected = "under its own key")]
fn an_index_of_another_key_seals_nothing() {
    let (mut tx, _) = pair(SrtpProfile::AeadAes256Gcm);
    let other = SrtpTx::new(SrtpProfile::AeadAes256Gcm, &[7; 32], &[7; 12]);
    let index = tx.indices(SSRC).expect("the first to ask").claim(SeqNo(1)).expect("the first");
    other.seal_rtp(&mut [0; 64], 12, 20, index);
}

/// Sends `order` (indices) through one stream and returns those that came out, in order.
fn through_a_window(profile: SrtpProfile, order: &[u64]) -> Vec<u64> {
    let (tx, rx) = pair(profile);
    let mut window = RtpWindow::new();
    let mut out = Vec::new();
    for &number in order {
        let index = SeqNo(number);
        let plain = rtp(index.wire(), SSRC, &number.to_be_bytes());
        let mut packet = seal_rtp(&tx, &plain, 12, SSRC, index);
        let estimate = window.estimate(index.wire());
        if window.check(estimate).is_ok() && rx.open_rtp(&mut packet, 12, SSRC, estimate).is_ok() {
            window.accept(estimate);
            out.push(number);
        }
    }
    out
}

#[test]
fn a_stream_that_starts_before_the_wrap_survives_reordering_and_repetition() {
    for profile in PROFILES {
        let order = [65535, 65537, 65534, 65536, 65537, 65535, 65538];
        let out = [65535, 65537, 65534, 65536, 65538];
        assert_eq!(through_a_window(profile, &order), out, "{profile:?}");

        // The first to come is from behind the wrap: it alone is lost, and may come again.
        let order = [65537, 65535, 65538, 65537, 65536];
        assert_eq!(through_a_window(profile, &order), [65535, 65538, 65537, 65536], "{profile:?}");
    }
}

#[test]
fn keys_stay_out_of_logs() {
    let (tx, rx) = pair(SrtpProfile::Aes128CmSha1_80);
    assert_eq!(format!("{tx:?}"), "SrtpTx { rtcp_index: 0, .. }");
    assert_eq!(format!("{rx:?}"), "SrtpRx { .. }");
}

proptest! {
    #[test]
    fn no_bytes_at_all_are_opened_and_none_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        header_len in 0..100usize,
        index: u64,
        ssrc: u32,
    ) {
        for profile in PROFILES {
            let (_, mut rx) = pair(profile);
            let opened = rx.open_rtp(&mut bytes.clone(), header_len, Ssrc(ssrc), SeqNo(index));
            prop_assert!(opened.is_err());
            prop_assert!(rx.open_rtcp(&mut bytes.clone()).is_err());
        }
    }
}

// A million bad packets change nothing, so nothing is kept of them.
#[test]
fn what_is_not_authentic_is_not_remembered() {
    let (mut tx, _) = pair(SrtpProfile::AeadAes128Gcm);
    let mut sealed = seal_rtcp(&mut tx, &rtcp(SSRC, 1));
    let stranger = SrtpProfile::AeadAes128Gcm;
    let mut rx = SrtpRx::new(stranger, &[9; 16], &[9; 12]);
    assert_eq!(rx.open_rtcp(&mut sealed), Err(OpenError::BadTag));
    assert_eq!(format!("{:?}", rx.rtcp_windows), format!("{:?}", RtcpWindows::default()));
}
