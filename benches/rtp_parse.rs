//! What reading and rewriting one RTP header costs, beside webrtc-rs's `rtp` crate in the same run:
//! compare the two lines of a group, not a line with another machine's.
//!
//! The packet is a browser's video: five extension elements, of which two go on. The `rtp` crate
//! only writes the header that it has parsed; it is spared the renumbering.

use std::hint::black_box;

use corinth::types::{Pt, Ssrc};
use corinth::wire::rtp::{HeaderRewrite, RtpHeader};
use corinth::wire::rtp_ext::ExtensionMap;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rtp::header::Header;
use webrtc_util::marshal::{Marshal, Unmarshal};

/// Abs-send-time, transport-wide number, mid, video orientation and rid; then 1100 bytes.
fn packet() -> Vec<u8> {
    let fixed = [0x90, 96, 0x12, 0x34, 0, 1, 2, 3, 4, 5, 6, 7];
    let elements =
        [0xbe, 0xde, 0, 4, 0x22, 1, 2, 3, 0x31, 0, 9, 0x40, b'1', 0xd0, 0, 0xa1, b'h', b'i', 0, 0];
    [&fixed[..], &elements, &[0x5a; 1100]].concat()
}

fn parse(criterion: &mut Criterion) {
    let packet = packet();
    let mut group = criterion.benchmark_group("rtp_parse");
    group.throughput(Throughput::Elements(1));
    group.bench_function("corinth", |bencher| {
        bencher.iter(|| {
            let header = RtpHeader::parse(black_box(&packet)).expect("it is well-formed");
            // The other one reads the elements while it parses.
            (header, header.extensions(&packet).map(|(id, _)| u32::from(id)).sum::<u32>())
        });
    });
    group.bench_function("webrtc-rs", |bencher| {
        bencher.iter(|| Header::unmarshal(&mut black_box(&packet[..])).expect("it is well-formed"));
    });
    group.finish();
}

fn rewrite(criterion: &mut Criterion) {
    let packet = packet();
    let mut out = [0; 1500];
    let mut extensions = ExtensionMap::new();
    extensions.set(2, 5);
    extensions.set(13, 1);
    let mut group = criterion.benchmark_group("rtp_rewrite");
    group.throughput(Throughput::Elements(1));
    let header = RtpHeader::parse(&packet).expect("it is well-formed");
    group.bench_function("corinth", |bencher| {
        let rewrite = HeaderRewrite {
            pt: Pt(100),
            seq: 1,
            timestamp: 2,
            ssrc: Ssrc(3),
            extensions: &extensions,
        };
        bencher.iter(|| header.rewrite(black_box(&packet), black_box(&rewrite), &mut out));
    });
    let header = Header::unmarshal(&mut &packet[..]).expect("it is well-formed");
    group.bench_function("webrtc-rs", |bencher| {
        bencher.iter(|| black_box(&header).marshal_to(&mut out).expect("there is room"));
    });
    group.finish();
}

criterion_group!(benches, parse, rewrite);
criterion_main!(benches);
