//! Sealing and opening one RTP packet of 1200 bytes in each profile, beside webrtc-srtp, and the
//! GCM seal beside the same AEAD of ring. `cargo bench --bench srtp`; read the ratios, not the
//! nanoseconds. docs/internals/srtp.md keeps the last ones.

use std::hint::black_box;

use corinth::transport::srtp::{PacketIndex, SrtpProfile, SrtpRx, SrtpTx};
use corinth::types::limit::SRTP_TRAILER_MAX;
use corinth::types::{SeqNo, Ssrc};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use ring::aead;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const LEN: usize = 1200;
const HEADER_LEN: usize = 12;
const SSRC: Ssrc = Ssrc(0x1234_5678);
const SEQ: u16 = 1;

/// A packet, and room for what sealing adds.
fn packet() -> [u8; LEN + SRTP_TRAILER_MAX] {
    let mut packet = [0xA5; LEN + SRTP_TRAILER_MAX];
    packet[..2].copy_from_slice(&[0x80, 96]);
    packet[2..4].copy_from_slice(&SEQ.to_be_bytes());
    packet[8..12].copy_from_slice(&SSRC.0.to_be_bytes());
    packet
}

fn ours(group: &mut BenchmarkGroup<'_, WallTime>, profile: SrtpProfile, key: &[u8], salt: &[u8]) {
    let tx = SrtpTx::new(profile, key, salt);
    let mut buf = packet();
    let mut index = 0;
    group.bench_function("seal/corinth", |bencher| {
        bencher.iter(|| {
            index += 1;
            tx.seal_rtp(
                black_box(&mut buf),
                HEADER_LEN,
                LEN,
                PacketIndex::at_will(SSRC, SeqNo(index)),
            )
        });
    });

    let rx = SrtpRx::new(profile, key, salt);
    let mut sealed = packet();
    let index = PacketIndex::at_will(SSRC, SeqNo(u64::from(SEQ)));
    let len = tx.seal_rtp(&mut sealed, HEADER_LEN, LEN, index);
    group.bench_function("open/corinth", |bencher| {
        bencher.iter(|| {
            // Opening destroys what it opens, so every turn pays for a copy, too.
            buf = sealed;
            rx.open_rtp(black_box(&mut buf[..len]), HEADER_LEN, SSRC, SeqNo(u64::from(SEQ)))
                .expect("sealed by us")
        });
    });
}

fn theirs(
    group: &mut BenchmarkGroup<'_, WallTime>,
    profile: ProtectionProfile,
    key: &[u8],
    salt: &[u8],
) {
    let context = || Context::new(key, salt, profile, None, None).expect("lengths fit");
    let plain = &packet()[..LEN];
    let mut tx = context();
    group.bench_function("seal/webrtc-srtp", |bencher| {
        bencher.iter(|| tx.encrypt_rtp(black_box(plain)).expect("well-formed"));
    });

    let sealed = context().encrypt_rtp(plain).expect("well-formed");
    let mut rx = context();
    group.bench_function("open/webrtc-srtp", |bencher| {
        bencher.iter(|| rx.decrypt_rtp(black_box(&sealed)).expect("sealed by them"));
    });
}

/// Only the AEAD, with a nonce ready made: a lower bound for SRTP on ring.
fn ring(group: &mut BenchmarkGroup<'_, WallTime>, algorithm: &'static aead::Algorithm) {
    let key = vec![1; algorithm.key_len()];
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, &key).expect("length fits"));
    let mut buf = packet();
    group.bench_function("seal/ring", |bencher| {
        bencher.iter(|| {
            let (header, payload) = black_box(&mut buf[..LEN]).split_at_mut(HEADER_LEN);
            let nonce = aead::Nonce::assume_unique_for_key([7; 12]);
            key.seal_in_place_separate_tag(nonce, aead::Aad::from(&*header), payload)
                .expect("short enough")
        });
    });
}

fn bench(criterion: &mut Criterion) {
    let profiles = [
        (SrtpProfile::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm, Some(&aead::AES_256_GCM)),
        (SrtpProfile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm, Some(&aead::AES_128_GCM)),
        (SrtpProfile::Aes128CmSha1_80, ProtectionProfile::Aes128CmHmacSha1_80, None),
    ];
    for (profile, their_profile, ring_algorithm) in profiles {
        let key = vec![1; profile.key_len()];
        let salt = vec![2; profile.salt_len()];
        let mut group = criterion.benchmark_group(format!("{profile:?}"));
        group.throughput(Throughput::Bytes(LEN as u64));
        ours(&mut group, profile, &key, &salt);
        theirs(&mut group, their_profile, &key, &salt);
        if let Some(algorithm) = ring_algorithm {
            ring(&mut group, algorithm);
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
