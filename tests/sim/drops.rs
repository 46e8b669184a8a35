//! Every reason for which the Router drops something, caused once and counted once. Who adds a
//! reason has to say here what causes it.

use std::time::Duration;

use corinth::types::limit::{DATAGRAM_MAX, HANDSHAKES_MAX, SRTP_TRAILER_MAX};
use corinth::types::{DropReason, Kind, Limits, Path};
use serde_json::json;

use crate::link::Plan;
use crate::source::{Picture, Source};
use crate::stun::Check;
use crate::world::media::{AUDIO, SEND, VIDEO};
use crate::world::{Who, World, path_from};

/// A record of a handshake that nobody has begun.
const RECORD: [u8; 20] = [22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 7, 1, 2, 3, 4, 5, 6, 7];

/// A transport that nothing has come to yet.
const FRESH: u32 = 9;

#[test]
fn each_reason_is_counted_when_it_occurs() {
    for reason in DropReason::ALL {
        let mut world = World::new(1);
        let [a, b] = world.call("room", ["a", "b"]);
        world.assert_media();
        let Some(count) = cause(&mut world, [a, b], *reason) else { continue };
        world.settle();
        assert_eq!(world.drops(*reason), count, "{reason:?}");
        // A transport that is gone has no path any more, and its client still says goodbye.
        let besides = [*reason, DropReason::NoPath];
        let others = DropReason::ALL.iter().filter(|other| !besides.contains(other));
        assert_eq!(others.map(|other| world.drops(*other)).sum::<u64>(), 0, "only {reason:?}");
    }
}

/// Does something that ends in this, and says how often. Of sockets a Router has none: what is
/// theirs is caused by `tests/ice_tcp.rs` and beside `shard/outbox.rs`. To use up a key's numbers
/// takes 2^33 packets: see the windows' own tests.
fn cause(world: &mut World, [a, b]: [Who; 2], reason: DropReason) -> Option<u64> {
    let stranger = path_from(world.new_address());
    let known = path_from(world.link(a, SEND).address);
    match reason {
        DropReason::Truncated | DropReason::SendBlocked | DropReason::SendRefused => return None,
        DropReason::IndexSpent => return None,
        DropReason::Unknown => world.datagram(stranger, &mut [0xff; 20]),
        DropReason::StunMalformed => world.datagram(stranger, &mut [0; 20]),
        DropReason::StunNotRequest => {
            let mut indication = check(world, a, |_| {});
            indication[1] = 0x11;
            world.datagram(stranger, &mut indication);
        }
        DropReason::StunUnknownUfrag => {
            let mut other = check(world, a, |check| check.username = "nobody:sim");
            world.datagram(stranger, &mut other);
        }
        DropReason::StunBadIntegrity => {
            let mut forged = check(world, a, |check| check.password = "guessed");
            world.datagram(stranger, &mut forged);
        }
        DropReason::StunReplay => {
            let mut recorded = check(world, a, |_| {});
            world.datagram(known, &mut recorded.clone());
            world.datagram(stranger, &mut recorded);
        }
        // See `paths`, where several transports share a path.
        DropReason::PathTaken => return None,
        DropReason::Unverified => {
            // A client that falls silent after its ClientHello: what is repeated is too much.
            world.net.conditions.delay = Duration::from_millis(10);
            world.create_transport(a, FRESH, &Plan::SEND).expect("a transport");
            world.start(a, FRESH);
            world.run_for(Duration::from_millis(35));
            world.net.conditions.loss = 1.0;
            world.run_for(Duration::from_secs(20));
            let repeated = world.drops(reason);
            assert!((1..=20).contains(&repeated), "{repeated}");
            return Some(repeated);
        }
        DropReason::NoPath => {
            let (_, mut packet) = sealed(world, a, AUDIO, |_| {});
            world.datagram(stranger, &mut packet);
        }
        DropReason::DtlsUnexpected => {
            handshakes(world, known, 1);
            world.drop_connection(a);
            world.router.handle_handshake(world.now, &mut world.out);
        }
        DropReason::HandshakeBacklog => {
            handshakes(world, known, HANDSHAKES_MAX);
            let refused = world.drops(reason);
            assert!(refused > HANDSHAKES_MAX as u64 / 2, "{refused}");
            return Some(refused);
        }
        DropReason::NoKeys => {
            world.create_transport(a, FRESH, &Plan::RECEIVE).expect("a transport");
            world.check(a, FRESH, true);
            world.settle();
            let fresh = path_from(world.link(a, FRESH).address);
            let (_, mut packet) = sealed(world, a, AUDIO, |_| {});
            world.datagram(fresh, &mut packet);
        }
        DropReason::RtpMalformed => world.datagram(known, &mut [0x80, 109, 0]),
        DropReason::RtcpMalformed => world.datagram(known, &mut [0x80, 200, 0]),
        DropReason::SrtpBadTag => {
            let (path, mut packet) = sealed(world, a, AUDIO, |_| {});
            *packet.last_mut().expect("a packet") ^= 1;
            world.datagram(path, &mut packet);
        }
        DropReason::SrtpReplay => {
            let (path, mut packet) = sealed(world, a, AUDIO, |_| {});
            world.datagram(path, &mut packet.clone());
            world.datagram(path, &mut packet);
        }
        DropReason::NoReceiver => {
            let (path, mut packet) = sealed(world, a, AUDIO, |_| {});
            world.close_receiver(a, AUDIO);
            world.datagram(path, &mut packet);
        }
        DropReason::PayloadType => {
            let (path, mut packet) = sealed(world, a, AUDIO, |packet| packet[1] = 0x80 | 35);
            world.datagram(path, &mut packet);
        }
        DropReason::OtherEncoding => {
            declare(world, a, |parameters| {
                parameters["encodings"] = json!([{"ssrc": 70}, {"ssrc": 71}]);
            });
            let (path, mut packet) = from_ssrc(world, a, VIDEO, 71);
            world.datagram(path, &mut packet);
        }
        DropReason::Rtx => {
            declare(world, a, |parameters| {
                let rtx = json!({"name": "rtx", "mimeType": "video/rtx", "clockRate": 90000,
                    "payloadType": 121, "parameters": {"apt": 120}});
                parameters["codecs"].as_array_mut().expect("codecs").push(rtx);
                parameters["encodings"] = json!([{"ssrc": 70, "rtx": {"ssrc": 71}}]);
            });
            // Of a packet that nobody knows when to expect: nothing of the stream has come.
            let now = world.now;
            let (seq, header_len, mut packet) = world.source(a, VIDEO).packet(now, Picture::Key);
            packet[1] = 121;
            packet[8..12].copy_from_slice(&71u32.to_be_bytes());
            let link = world.link(a, SEND);
            let mut packet = link.seal_rtp(71, seq, header_len, &packet).expect("it has keys");
            let path = path_from(link.address);
            world.datagram(path, &mut packet);
        }
        DropReason::Bitrate => {
            world.run_for(Duration::from_secs(2));
            // A second's worth is less than one packet.
            world.router.set_limits(Limits { bitrate: 8, ..Limits::DEFAULT });
            world.packet(a, AUDIO, Picture::Key);
        }
        DropReason::ReceiverPaused => {
            world.pause(a, AUDIO).expect("pauses");
            world.packet(a, AUDIO, Picture::Key);
        }
        DropReason::SenderStopped => {
            let sender = world.sender_of(b, (a, AUDIO));
            world.stop(b, sender).expect("stops");
            world.packet(a, AUDIO, Picture::Key);
        }
        DropReason::AwaitingKeyFrame => {
            start_again(world, b, (a, VIDEO));
            world.packet(a, VIDEO, Picture::Delta);
        }
        DropReason::Late => {
            let (path, mut early) = sealed(world, a, AUDIO, |_| {});
            start_again(world, b, (a, AUDIO));
            world.packet(a, AUDIO, Picture::Key);
            world.settle();
            world.datagram(path, &mut early);
        }
        DropReason::TooLong => {
            let longest = DATAGRAM_MAX - SRTP_TRAILER_MAX;
            let (path, mut packet) = sealed(world, a, AUDIO, |it| it.resize(longest + 1, 0));
            world.datagram(path, &mut packet);
        }
        DropReason::EgressFull => {
            world.out.room = 0;
            world.packet(a, AUDIO, Picture::Key);
        }
        DropReason::SignalIgnored => world.notify(a, "nonsense", json!({})),
    }
    Some(1)
}

/// A check of A's sending transport, changed before it is signed.
fn check(world: &mut World, who: Who, change: impl FnOnce(&mut Check<'_>)) -> Vec<u8> {
    let credentials = world.link(who, SEND).credentials[0].clone();
    let (username, password) = (&*credentials.username, &*credentials.password);
    let mut check =
        Check { id: [0; 12], username, password, nominate: false, controlled: false, more: &[] };
    change(&mut check);
    check.encode()
}

/// The source's next packet as it leaves the client, changed before it is sealed.
fn sealed(
    world: &mut World,
    who: Who,
    receiver: u32,
    change: impl FnOnce(&mut Vec<u8>),
) -> (Path, Vec<u8>) {
    let now = world.now;
    let source = world.source(who, receiver);
    let (seq, header_len, mut packet) = source.packet(now, Picture::Key);
    change(&mut packet);
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().expect("four bytes"));
    let link = world.link(who, SEND);
    let sealed = link.seal_rtp(ssrc, seq, header_len, &packet).expect("it has keys");
    (path_from(link.address), sealed)
}

/// The same under another SSRC.
fn from_ssrc(world: &mut World, who: Who, receiver: u32, ssrc: u32) -> (Path, Vec<u8>) {
    sealed(world, who, receiver, |packet| packet[8..12].copy_from_slice(&ssrc.to_be_bytes()))
}

/// A further video source, whose parameters are changed before they are declared.
fn declare(world: &mut World, who: Who, change: impl FnOnce(&mut serde_json::Value)) {
    let source: Source = world.new_source(Kind::Video, SEND);
    let mut parameters = source.rtp_parameters();
    change(&mut parameters);
    let data = json!({"id": 9, "kind": "video", "transportId": SEND, "rtpParameters": parameters,
        "appData": {"tag": source.tag}});
    world.request(who, "createReceiver", data).expect("a Receiver");
}

/// So many datagrams of DTLS, whose steps are not taken.
fn handshakes(world: &mut World, path: Path, count: usize) {
    for _ in 0..count {
        world.router.handle_datagram(world.now, path, &mut RECORD.clone(), &mut world.out);
    }
}

/// A viewer stops a source and plays it again.
fn start_again(world: &mut World, viewer: Who, source: (Who, u32)) {
    let sender = world.sender_of(viewer, source);
    world.stop(viewer, sender).expect("stops");
    world.play(viewer, sender).expect("plays");
}
