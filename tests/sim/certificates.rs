//! Clients' certificates of every length: nobody knows beforehand how long a peer's is, and it may
//! make one to do harm by.

use std::time::Duration;

use crate::link::{Acts, Plan};
use crate::netem::Hop;
use crate::world::media::SEND;
use crate::world::{LONG_CERTIFICATES, World};

/// A transport beside those of a call.
const OTHER: u32 = 9;

/// Handshake messages (RFC 5246 §7.4).
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;

/// What is longer than a datagram is read; what is longer than a message may be is not, and costs
/// that client its transport alone.
#[test]
fn a_certificate_may_be_as_long_as_a_message() {
    for certificate in LONG_CERTIFICATES {
        for acts in [Acts::Client, Acts::Server] {
            let mut world = World::new(1);
            let [a, _] = world.call("room", ["a", "b"]);
            let plan = Plan { certificate, acts, ..Plan::SEND };
            world.create_transport(a, OTHER, &plan).expect("a transport");
            world.start(a, OTHER);
            world.run_for(Duration::from_secs(2));
            let live = world.link(a, OTHER).is_live();
            assert_eq!(live, certificate < 16 * 1024, "{certificate} bytes, {acts:?}");
            world.run_for(Duration::from_secs(60));
            world.assert_media();
        }
    }
}

/// The same where the server is client, and each part of a message that is too long stands behind
/// one in its record that is not.
#[test]
fn a_certificate_that_is_too_long_cannot_hide_behind_a_shorter_one() {
    let mut world = World::new(2);
    let [a, _] = world.call("room", ["a", "b"]);
    world.net.conditions.delay = Duration::from_millis(10);
    let plan = Plan { certificate: 16_400, acts: Acts::Server, ..Plan::SEND };
    world.create_transport(a, OTHER, &plan).expect("a transport");
    world.start(a, OTHER);
    world.run_for(Duration::from_millis(1025));
    let flight: Vec<_> = std::iter::from_fn(|| world.net.pop()).collect();
    assert!(flight.len() > 12, "its answer to the server's hello is under way");
    let mut hello = Vec::new();
    for (hop, datagram) in flight {
        if let Hop::ToServer(path) = hop {
            world.datagram(path, &mut hide(&datagram, &mut hello));
        }
    }
    world.run_for(Duration::from_millis(500));
    assert!(!world.link(a, OTHER).is_live());
    world.net.conditions.delay = Duration::ZERO;
    world.run_for(Duration::from_secs(60));
    world.assert_media();
    assert!(world[a].link(SEND).is_some());
}

/// Puts each part of a certificate behind another message's: the first behind the hello, the others
/// behind nothing of a certificate of 16 KiB.
fn hide(mut datagram: &[u8], hello: &mut Vec<u8>) -> Vec<u8> {
    let mut hidden = Vec::new();
    while let [22, ..] = datagram {
        let len = usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
        let (record, rest) = datagram.split_at(13 + len);
        let (head, mut contents) = (&record[..11], record[13..].to_vec());
        datagram = rest;
        if contents[0] == SERVER_HELLO {
            *hello = contents;
            continue;
        }
        if contents[0] == CERTIFICATE {
            let mut before = std::mem::take(hello);
            if before.is_empty() {
                before = contents[..12].to_vec();
                before[1..4].copy_from_slice(&[0, 0x40, 0]);
                before[9..12].fill(0);
            }
            contents.splice(..0, before);
        }
        hidden.extend([head, &(contents.len() as u16).to_be_bytes(), &contents].concat());
    }
    hidden
}
