//! What sending in batches and trains saves: 64 datagrams of 1200 bytes, by one `sendto` each to 64
//! destinations, and by `Tx::flush` to 64 destinations one each, to 32 two each, and so on.
//! All in one run, because on a shared machine only the ratio means something.
//!
//! The destinations are loopback sockets, emptied between rounds outside of the measurement, so
//! that every datagram is really delivered; loopback does that on the sender's time.

use std::hint::black_box;
use std::net::SocketAddr;

use corinth::net::{self, MediaSocket, RxBatch, SocketOptions, TxArena};
use corinth::types::{IoKind, Path, SocketId};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use socket2::{SockAddr, SockRef};

const DESTINATIONS: usize = 64;
const DATAGRAM: usize = 1200;

fn bind() -> MediaSocket {
    let options = SocketOptions { receive_buffer: 1 << 20, send_buffer: 4 << 20 };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    MediaSocket::bind(address, &options).expect("a loopback socket")
}

/// Empties the destinations, and makes sure that they got what was sent.
fn drain(destinations: &[MediaSocket], rx: &mut RxBatch, each: usize) {
    for destination in destinations {
        assert_eq!(rx.recv(destination).expect("a healthy socket"), each);
    }
}

fn udp_batch(c: &mut Criterion) {
    let (_, mut tx) = net::open(IoKind::Mmsg, vec![bind()]).expect("a way into the kernel");
    let destinations: Vec<_> = (0..DESTINATIONS).map(|_| bind()).collect();
    let mut rx = RxBatch::new();
    let mut group = c.benchmark_group("udp_batch");
    group.throughput(Throughput::Elements(DESTINATIONS as u64));

    let payload = [0x80; DATAGRAM];
    let addresses: Vec<_> = destinations.iter().map(|d| SockAddr::from(d.local_addr())).collect();
    let sender = SockRef::from(&tx.sockets()[0]);
    let mut waiting = 0;
    group.bench_function("sendto_each", |b| {
        b.iter_batched(
            || {
                drain(&destinations, &mut rx, waiting);
                waiting = 1;
            },
            |()| {
                for address in &addresses {
                    sender.send_to(black_box(&payload), address).expect("room");
                }
            },
            BatchSize::PerIteration,
        );
    });

    let mut arena = TxArena::new();
    for each_gets in [1, 2, 4, 8, 16] {
        let paths: Vec<_> = destinations[..DESTINATIONS / each_gets]
            .iter()
            .map(|d| Path::Udp { socket: SocketId(0), remote: d.local_addr() })
            .collect();
        // What the rounds before this have left.
        destinations.iter().for_each(|destination| drop(rx.recv(destination)));
        let mut waiting = 0;
        group.bench_function(format!("flush/{each_gets}_each"), |b| {
            b.iter_batched(
                || {
                    drain(&destinations[..paths.len()], &mut rx, waiting);
                    waiting = each_gets;
                },
                |()| {
                    for path in &paths {
                        for _ in 0..each_gets {
                            black_box(arena.slot().expect("a slot for each"));
                            arena.commit(*path, DATAGRAM);
                        }
                    }
                    let report = tx.flush(&mut arena);
                    assert_eq!(report.sent, DESTINATIONS as u64);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, udp_batch);
criterion_main!(benches);
