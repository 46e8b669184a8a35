//! What sending in batches and trains saves: 64 datagrams of 1200 bytes, by one `sendto` each to 64
//! destinations, and by `Tx::flush` to 64 destinations one each, to 32 two each, and so on, in both
//! ways that it knows. And what receiving trains in one piece would save. All in one run, because
//! on a shared machine only the ratio means something.
//!
//! The destinations are loopback sockets, emptied between rounds outside of the measurement, so
//! that every datagram is really delivered; loopback does that on the sender's time.

use std::hint::black_box;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use corinth::net::{self, MediaSocket, RxBatch, SocketOptions, TxArena};
use corinth::types::{IoKind, Path, SocketId};
use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
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
    let socket = bind();
    let destinations: Vec<_> = (0..DESTINATIONS).map(|_| bind()).collect();
    let mut rx = RxBatch::new();
    let mut group = c.benchmark_group("udp_batch");
    group.throughput(Throughput::Elements(DESTINATIONS as u64));

    let payload = [0x80; DATAGRAM];
    let addresses: Vec<_> = destinations.iter().map(|d| SockAddr::from(d.local_addr())).collect();
    let sender = SockRef::from(&socket);
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

    for kind in [IoKind::Mmsg, IoKind::Ring] {
        flush(&mut group, kind, &destinations);
    }
    group.finish();
}

/// `Tx::flush` to fewer and fewer destinations that get more and more each.
fn flush(group: &mut BenchmarkGroup<'_, WallTime>, kind: IoKind, destinations: &[MediaSocket]) {
    let (_, mut tx) = net::open(kind, vec![bind()]).expect("a way into the kernel");
    let (mut arena, mut rx) = (TxArena::new(), RxBatch::new());
    for each_gets in [1, 2, 4, 8, 16] {
        let paths: Vec<_> = destinations[..DESTINATIONS / each_gets]
            .iter()
            .map(|d| Path::Udp { socket: SocketId(0), remote: d.local_addr() })
            .collect();
        // What the rounds before this have left.
        destinations.iter().for_each(|destination| drop(rx.recv(destination)));
        let mut waiting = 0;
        group.bench_function(format!("{kind:?}/{each_gets}_each"), |b| {
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
}

/// What receiving 64 datagrams costs that came as trains of so many from each sender: cut into
/// datagrams by the kernel and received by one `recvmmsg`, or (`UDP_GRO`) each train in one piece,
/// to be cut by the receiver. A single datagram shows what the option costs where it cannot help.
fn udp_receive(c: &mut Criterion) {
    let mut group = c.benchmark_group("udp_receive");
    group.throughput(Throughput::Elements(DESTINATIONS as u64));
    for train in [1, 8, 16] {
        for gro in [false, true] {
            let receiver = bind();
            if gro {
                setsockopt(&receiver, sockopt::UdpGroSegment, &true).expect("Linux 5.0");
            }
            let path = Path::Udp { socket: SocketId(0), remote: receiver.local_addr() };
            let senders = (0..DESTINATIONS / train).map(|_| bind());
            let mut senders: Vec<_> = senders
                .map(|socket| {
                    net::open(IoKind::Mmsg, vec![socket]).expect("a way into the kernel").1
                })
                .collect();
            let (mut arena, mut rx) = (TxArena::new(), RxBatch::new());
            let mut pieces = vec![0; 1 << 16];
            let name = if gro { "gro" } else { "recvmmsg" };
            group.bench_function(format!("{name}/trains_of_{train}"), |b| {
                b.iter_batched(
                    || {
                        for tx in &mut senders {
                            for _ in 0..train {
                                black_box(arena.slot().expect("room for a train"));
                                arena.commit(path, DATAGRAM);
                            }
                            assert_eq!(tx.flush(&mut arena).sent, train as u64);
                        }
                    },
                    |()| {
                        if gro {
                            assert_eq!(receive_whole(&receiver, &mut pieces), DESTINATIONS);
                        } else {
                            assert_eq!(rx.recv(&receiver).expect("it is healthy"), DESTINATIONS);
                        }
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

/// Receives trains in one piece until there is none; how many datagrams they were.
fn receive_whole(socket: &MediaSocket, buffer: &mut [u8]) -> usize {
    let mut datagrams = 0;
    let mut control = nix::cmsg_space!(i32, u32);
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = socket.as_raw_fd();
        match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), flags) {
            Ok(message) => {
                let segment =
                    message.cmsgs().expect("they fit").find_map(|control| match control {
                        ControlMessageOwned::UdpGroSegments(len) => Some(len as usize),
                        _ => None,
                    });
                datagrams += message.bytes.div_ceil(segment.unwrap_or(message.bytes));
            }
            Err(_) => return datagrams,
        }
    }
}

criterion_group!(benches, udp_batch, udp_receive);
criterion_main!(benches);
