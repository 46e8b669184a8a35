//! Against webrtc-srtp, in both directions, on random packets.

use fastrand::Rng;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::super::{OpenError, RtpWindow, SrtpProfile};
use super::{PROFILES, SSRC, master, pair, seal_rtcp, seal_rtp};
use crate::types::{SeqNo, Ssrc};

/// The other implementation with the key of [`pair`].
fn theirs(profile: SrtpProfile) -> Context {
    let (key, salt) = master(profile);
    let profile = match profile {
        SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let (rtp, rtcp) = (srtp_replay_protection(256), srtcp_replay_protection(128));
    Context::new(&key, &salt, profile, Some(rtp), Some(rtcp)).expect("lengths fit")
}

/// A well-formed RTP packet and the length of its header: any number of CSRCs, none or one of the
/// two forms of header extensions, any payload, sometimes none.
fn random_rtp(rng: &mut Rng, seq: u16) -> (Vec<u8>, usize) {
    let (csrcs, extension) = (rng.u8(0..16), rng.u8(0..3));
    let mut packet = vec![0x80 | u8::from(extension != 0) << 4 | csrcs, rng.u8(..)];
    packet.extend(seq.to_be_bytes());
    packet.extend(rng.u32(..).to_be_bytes());
    packet.extend(SSRC.0.to_be_bytes());
    packet.extend((0..4 * csrcs).map(|_| rng.u8(..)));
    if extension != 0 {
        let one_byte = extension == 1;
        let mut elements = Vec::new();
        for _ in 0..rng.u8(0..5) {
            let (id, len) = (rng.u8(1..15), rng.u8(1..17));
            match one_byte {
                true => elements.push(id << 4 | (len - 1)),
                false => elements.extend([id, len]),
            }
            elements.extend((0..len).map(|_| rng.u8(..)));
        }
        elements.resize(elements.len().next_multiple_of(4), 0);
        packet.extend(if one_byte { [0xBE, 0xDE] } else { [0x10, 0x00] });
        packet.extend((elements.len() as u16 / 4).to_be_bytes());
        packet.extend(elements);
    }
    let header_len = packet.len();
    let payload_len = if rng.u8(0..8) == 0 { 0 } else { rng.usize(0..1200) };
    packet.extend((0..payload_len).map(|_| rng.u8(..)));
    (packet, header_len)
}

/// A sender report with some more words, as far as SRTP looks at it, from one of three SSRCs.
fn random_rtcp(rng: &mut Rng) -> Vec<u8> {
    let words = rng.u8(1..200);
    let mut packet = vec![0x80, 200, 0, words];
    packet.extend((SSRC.0 + rng.u32(0..3)).to_be_bytes());
    packet.extend((1..words).flat_map(|_| rng.u32(..).to_be_bytes()));
    packet
}

/// Sequence numbers that rise with gaps, over two roll-overs.
fn numbers(seed: u64) -> impl Iterator<Item = SeqNo> {
    let mut rng = Rng::with_seed(seed);
    let mut index = rng.u64(1..1 << 15);
    std::iter::from_fn(move || {
        index += rng.u64(1..600);
        (index < 0x2_2000).then_some(SeqNo(index))
    })
}

#[test]
fn webrtc_srtp_opens_what_we_seal() {
    for profile in PROFILES {
        let mut rng = Rng::with_seed(1);
        let (mut tx, _) = pair(profile);
        let mut theirs = theirs(profile);
        for index in numbers(4) {
            let (plain, header_len) = random_rtp(&mut rng, index.wire());
            let sealed = seal_rtp(&tx, &plain, header_len, SSRC, index);
            assert_eq!(sealed.len(), plain.len() + profile.tag_len());
            assert_eq!(theirs.decrypt_rtp(&sealed).expect("authentic"), plain, "{profile:?}");

            let plain = random_rtcp(&mut rng);
            let sealed = seal_rtcp(&mut tx, &plain);
            assert_eq!(sealed.len(), plain.len() + profile.tag_len() + 4);
            assert_eq!(theirs.decrypt_rtcp(&sealed).expect("authentic"), plain, "{profile:?}");
            theirs.decrypt_rtcp(&sealed).expect_err("a replay");
        }
    }
}

#[test]
fn we_open_what_webrtc_srtp_seals() {
    for profile in PROFILES {
        let mut rng = Rng::with_seed(2);
        let (_, mut rx) = pair(profile);
        let mut theirs = theirs(profile);
        let mut window = RtpWindow::new();
        for index in numbers(5) {
            let (plain, header_len) = random_rtp(&mut rng, index.wire());
            let mut packet = theirs.encrypt_rtp(&plain).expect("well-formed").to_vec();
            let estimate = window.estimate(index.wire());
            assert_eq!(estimate, index);
            assert_eq!(window.check(estimate), Ok(()));
            let len = rx.open_rtp(&mut packet, header_len, SSRC, estimate).expect("authentic");
            assert_eq!(packet[..len], plain, "{profile:?}");
            window.accept(estimate);
            assert_eq!(window.check(window.estimate(index.wire())), Err(OpenError::Replay));

            let plain = random_rtcp(&mut rng);
            let sealed = theirs.encrypt_rtcp(&plain).expect("well-formed").to_vec();
            let mut packet = sealed.clone();
            let len = rx.open_rtcp(&mut packet).expect("authentic");
            assert_eq!(packet[..len], plain, "{profile:?}");
            assert_eq!(rx.open_rtcp(&mut sealed.clone()), Err(OpenError::Replay));
        }
    }
}

// A stream of another SSRC under the same key has numbers of its own.
#[test]
fn streams_of_one_key_do_not_disturb_each_other() {
    for profile in PROFILES {
        let mut rng = Rng::with_seed(3);
        let (tx, rx) = pair(profile);
        let mut theirs = theirs(profile);
        for n in 0..40 {
            let ssrc = Ssrc(SSRC.0 + n % 4);
            let index = SeqNo(u64::from(n / 4 + 1000 * (n % 4)));
            let (mut plain, header_len) = random_rtp(&mut rng, index.wire());
            plain[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
            let sealed = seal_rtp(&tx, &plain, header_len, ssrc, index);
            assert_eq!(theirs.decrypt_rtp(&sealed).expect("authentic"), plain);
            let opened = rx.open_rtp(&mut sealed.clone(), header_len, ssrc, index);
            assert_eq!(opened, Ok(plain.len()), "{profile:?}");
        }
    }
}
