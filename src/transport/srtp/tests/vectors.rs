//! RFC 3711 appendix B.2 and B.3; RFC 7714 sections 16 and 17.

use std::collections::HashSet;

use super::super::keys::{Ctr, Purpose, SessionKeys, nonce, salt_number};
use super::super::window::RtcpWindows;
use super::super::{Cipher, E_FLAG, OpenError, SrtpProfile, SrtpRx, SrtpTx};
use super::{seal_rtcp, seal_rtp};
use crate::types::{SeqNo, Ssrc};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

// RFC 3711 appendix B.2: beginning and end of the key stream of the longest packet.
#[test]
fn counter_mode_makes_the_key_stream_of_the_rfc() {
    let ctr = Ctr::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
    let salt = salt_number(&hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
    let block = (nonce(salt, Ssrc(0), 0) << 16).to_be_bytes();
    let mut stream = vec![0; 1_044_512];
    ctr.apply(block, &mut stream);

    let first = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
                 41E95B3BB0A2E8DD477901E4FCA894C0";
    let last = "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE
                6A2CC3787889374FBEB4C81B17BA6C44";
    assert_eq!(stream[..48], hex(first));
    assert_eq!(stream[stream.len() - 48..], hex(last));
}

// RFC 3711 appendix B.3.
#[test]
fn session_keys_are_derived_as_in_the_rfc() {
    let keys = SessionKeys::derive(
        SrtpProfile::Aes128CmSha1_80,
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &hex("0EC675AD498AFEEBB6960B3AABE6"),
        Purpose::Rtp,
    );
    assert_eq!(keys.encryption, hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(keys.salt, hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(keys.authentication, hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

/// Both halves of RFC 7714's key, which the RFC gives as a session key, for RTP and RTCP alike.
fn halves(profile: SrtpProfile) -> (SrtpTx, SrtpRx) {
    let cipher = || {
        let keys = SessionKeys {
            encryption: (0..profile.key_len() as u8).collect(),
            salt: b"Quid pro quo".to_vec(),
            authentication: Vec::new(),
        };
        Cipher::new(profile, &keys)
    };
    let rx = SrtpRx { rtp: cipher(), rtcp: cipher(), rtcp_windows: RtcpWindows::default() };
    let ssrcs = HashSet::new();
    (SrtpTx { rtp: cipher(), rtcp: cipher(), key: 1, ssrcs, rtcp_index: RTCP_INDEX }, rx)
}

const RTCP_INDEX: u32 = 0x5d4;

const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
                   69736120 696e2070 61727465 73207472 6573";

#[test]
fn gcm_seals_and_opens_the_rtp_packets_of_the_rfc() {
    // Sections 16.1.1 and 16.1.2, 16.2.1 and 16.2.2.
    let sealed = [
        (
            SrtpProfile::AeadAes128Gcm,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f
             42a5f47a 51c7d19b 36de3adf 8833 899d7f27 beb16a91 52cf765e e4390cce",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3
             b50b2a02 76ffae0f 1ba63799 b87b 7aa3db36 dfffd6b0 f9bb7878 d7a76c13",
        ),
    ];
    for (profile, sealed) in sealed {
        let (tx, rx) = halves(profile);
        let (ssrc, index) = (Ssrc(0x5501_a0b2), SeqNo(0xf17b));
        let mut packet = seal_rtp(&tx, &hex(RTP), 12, ssrc, index);
        assert_eq!(packet, hex(sealed), "{profile:?}");
        let len = rx.open_rtp(&mut packet, 12, ssrc, index).expect("authentic");
        assert_eq!(packet[..len], hex(RTP), "{profile:?}");
    }
}

const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
                    deadbeef deadbeef deadbeef deadbeef deadbeef";

#[test]
fn gcm_seals_and_opens_the_rtcp_packets_of_the_rfc() {
    // Sections 17.1 and 17.2.
    let sealed = [
        (
            SrtpProfile::AeadAes128Gcm,
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1
             730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1
             110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
        ),
    ];
    for (profile, sealed) in sealed {
        let (mut tx, mut rx) = halves(profile);
        let mut packet = seal_rtcp(&mut tx, &hex(RTCP));
        assert_eq!(packet, hex(sealed), "{profile:?}");
        let len = rx.open_rtcp(&mut packet).expect("authentic");
        assert_eq!(packet[..len], hex(RTCP), "{profile:?}");
    }
}

#[test]
fn gcm_opens_the_rtcp_packets_of_the_rfc_that_are_only_authenticated() {
    // Sections 17.3 and 17.4.
    let tags = [
        (SrtpProfile::AeadAes128Gcm, "841dd968 3dd78ec9 2ae58790 125f62b3"),
        (SrtpProfile::AeadAes256Gcm, "91db4afb feee5a97 8fab4393 ed2615fe"),
    ];
    for (profile, tag) in tags {
        let (_, mut rx) = halves(profile);
        let sealed = [hex(RTCP), hex(tag), RTCP_INDEX.to_be_bytes().to_vec()].concat();

        let mut as_encrypted = sealed.clone();
        let word_at = sealed.len() - 4;
        as_encrypted[word_at..].copy_from_slice(&(E_FLAG | RTCP_INDEX).to_be_bytes());
        assert_eq!(rx.open_rtcp(&mut as_encrypted), Err(OpenError::BadTag), "{profile:?}");

        let mut packet = sealed;
        let len = rx.open_rtcp(&mut packet).expect("authentic");
        assert_eq!(packet[..len], hex(RTCP), "{profile:?}");
    }
}
