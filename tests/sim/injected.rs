//! Handshakes into which somebody talks who can forge the client's address: what nobody signed
//! costs a datagram, never the call (RFC 6347 §4.1.2.7).

use std::time::Duration;

use crate::link::{Acts, Plan};
use crate::world::media::SEND;
use crate::world::{Who, World, path_from};

const STEP: Duration = Duration::from_millis(2);

/// A record of epoch 0.
fn record(kind: u8, contents: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 77];
    record.extend((contents.len() as u16).to_be_bytes());
    record.extend(contents);
    record
}

/// A handshake message of which this part is there.
fn part(kind: u8, seq: u16, len: usize, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let number = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
    let head = [vec![kind], number(len), seq.to_be_bytes().to_vec()].concat();
    record(22, &[head, number(offset), number(bytes.len()), bytes.to_vec()].concat())
}

fn message(kind: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    part(kind, seq, body.len(), 0, body)
}

/// What an engine that is handed it takes for the end, or waits for for ever.
fn poison(world: &World) -> Vec<Vec<u8>> {
    let hello = world.client_hello();
    let body = &hello[25..];
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = body.to_vec();
        change(&mut body);
        message(1, 0, &body)
    };
    let secret = body.windows(4).position(|it| it == [0, 23, 0, 0]).expect("it has the extension");
    let mut all = vec![
        record(22, &[]),
        record(0, &[0; 20]),
        record(99, &[1, 2, 3]),
        record(23, b"in the clear"),
        record(21, &[2, 40]),
        vec![22; 30],
        // A ClientHello of another version, without the master secret's extension, cut short.
        changed(&|body| body[..2].copy_from_slice(&[0xfe, 0xff])),
        changed(&|body| body[secret] = 0x7a),
        changed(&|body| body.truncate(40)),
        changed(&|body| body[34] = 255),
        message(1, 0, &[]),
        part(1, 0, body.len(), 0, &body[..20]),
        part(1, 0, body.len() + 9, 0, &body[..20]),
        // Beyond its end.
        part(1, 0, 30, 20, &[7; 20]),
        part(11, 1, 10, 8, &[7; 9]),
        // What a server would say, and what nobody would.
        message(2, 0, &[0xfe; 40]),
        message(3, 0, &[0xfe, 0xff, 2, 1, 2]),
        message(99, 0, &[1; 9]),
        message(0, 0, &[]),
        // A client's answer that is none.
        message(11, 1, &[0, 0, 0]),
        message(11, 1, &[0, 0, 9, 0, 0, 6, 1, 2, 3, 4, 5, 6]),
        message(16, 2, &[&[65, 4][..], &[9; 64]].concat()),
        message(16, 2, &[0]),
        message(15, 3, &[4, 3, 0, 4, 1, 2, 3, 4]),
        message(15, 3, &[]),
    ];
    // Finished in the clear, and messages of the future.
    all.extend((1..6).map(|seq| message(20, seq, &[7; 12])));
    all.extend((4..60).map(|seq| message(11, seq, &[0, 0, 0])));
    all.extend((0..40).map(|_| record(20, &[1])));
    // Sealed with nothing.
    let mut sealed = record(22, &[3; 40]);
    sealed[4] = 1;
    all.push(sealed);
    all
}

/// Lets a transport connect over a network that takes 10 ms, while this is said in its name.
fn connects(world: &mut World, who: Who, plan: &Plan, mut say: impl FnMut(u32) -> Vec<Vec<u8>>) {
    world.net.conditions.delay = Duration::from_millis(10);
    world.create_transport(who, SEND, plan).expect("a transport");
    world.start(who, SEND);
    let path = path_from(world.link(who, SEND).address);
    for step in 0..5000 {
        if world.link(who, SEND).is_live() && world.router.stats().dtls_connected == 1 {
            return;
        }
        for mut datagram in say(step) {
            world.datagram(path, &mut datagram);
        }
        world.run_for(STEP);
    }
    panic!("it never comes about: {plan:?}");
}

#[test]
fn a_handshake_survives_each_thing_that_can_be_said_into_it_whenever_it_is_said() {
    let count = poison(&World::new(0)).len();
    for which in 0..count {
        for plan in [Plan::SEND, Plan { acts: Acts::Server, ..Plan::SEND }] {
            let mut world = World::new(which as u64);
            let a = world.member("room", "a");
            let poison = poison(&world).swap_remove(which);
            // As client the server cannot tell a forged HelloVerifyRequest from the peer's.
            if plan.acts == Acts::Server && poison.get(13) == Some(&3) {
                continue;
            }
            let said = |step| if step % 2 == 0 { vec![poison.clone()] } else { Vec::new() };
            connects(&mut world, a, &plan, said);
        }
    }
}

#[test]
fn a_handshake_survives_all_of_it_at_once() {
    let mut world = World::new(1);
    let a = world.member("room", "a");
    let poison = poison(&world);
    let mut next = 0;
    connects(&mut world, a, &Plan::SEND, |_| {
        next += 3;
        (next - 3..next).map(|i| poison[i % poison.len()].clone()).collect()
    });
}

/// Who begins first is not the one whom the call belongs to, nor who begins last.
#[test]
fn other_hellos_lock_nobody_out() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let a = world.member("room", "a");
        let hello = world.client_hello();
        let mut rng = fastrand::Rng::with_seed(seed);
        connects(&mut world, a, &Plan::SEND, |step| {
            if step % 20 != 4 {
                return Vec::new();
            }
            let mut other = hello.clone();
            rng.fill(&mut other[27..59]);
            vec![other]
        });
    }
}

/// Datagrams of another handshake, changed at random.
#[test]
fn a_handshake_survives_other_handshakes_cut_and_changed() {
    let mut recorded = Vec::new();
    let mut world = World::new(2);
    let a = world.member("room", "a");
    connects(&mut world, a, &Plan::SEND, |_| Vec::new());
    recorded.extend(world.handshake_of(a, SEND));
    assert!(recorded.len() >= 2, "a hello and an answer");
    for seed in 0..200 {
        let mut world = World::new(seed);
        let a = world.member("room", "a");
        let mut rng = fastrand::Rng::with_seed(seed);
        connects(&mut world, a, &Plan::SEND, |step| {
            if step % 3 != 0 {
                return Vec::new();
            }
            let mut datagram = recorded[rng.usize(..recorded.len())].clone();
            for _ in 0..rng.usize(..4) {
                let at = rng.usize(..datagram.len());
                datagram[at] = rng.u8(..);
            }
            // A whole hello is answered, and its answer comes to the client, too.
            let is_hello = datagram.get(13) == Some(&1);
            if is_hello || rng.bool() {
                datagram.truncate(rng.usize(1..datagram.len()));
            }
            vec![datagram]
        });
    }
}
