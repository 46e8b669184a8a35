//! ICE restarts: a client gets new credentials while its call goes on, and the old ones hold until
//! it uses them.

use std::time::Duration;

use corinth::types::DropReason;
use serde_json::json;

use crate::link::{Credentials, Plan, RtpIn};
use crate::netem::Conditions;
use crate::source::Picture;
use crate::stun::{Answer, Check};
use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World, path_from};

const PACKET: Duration = Duration::from_millis(10);

/// Uses the credentials of the latest restart, from an address that nobody knew before.
fn move_away(world: &mut World, who: Who, id: u32) {
    let address = world.new_address();
    world.own_address(address, who, id);
    let link = world.link(who, id);
    (link.address, link.uses) = (address, link.credentials.len() - 1);
    world.check(who, id, true);
    world.link(who, id).send_rtcp(&crate::rtcp::empty_report(1));
    world.flush();
}

#[test]
fn a_call_goes_on_while_both_ends_restart_and_move() {
    let mut world = World::new(1);
    let [a, b] = world.call("room", ["a", "b"]);
    world.packet(a, VIDEO, Picture::Key);
    world.settle();
    world.net.conditions = Conditions { delay: Duration::from_millis(25), ..Conditions::PERFECT };
    world.run_for(Duration::from_secs(1));
    world.forget_packets();
    let home = world.link(b, RECEIVE).address;
    let (connected, drops) =
        (world.router.stats().dtls_connected, world.router.stats().drops_total());
    let heard = [world[a].heard, world[b].heard];
    for i in 0..300 {
        match i {
            100 => {
                world.restart(a, SEND).expect("a restart");
                world.restart(b, RECEIVE).expect("a restart");
            }
            200 => {
                move_away(&mut world, a, SEND);
                move_away(&mut world, b, RECEIVE);
            }
            _ => {}
        }
        world.packet(a, AUDIO, Picture::Delta);
        world.packet(a, VIDEO, Picture::Delta);
        world.run_for(PACKET);
    }
    world.run_for(Duration::from_secs(1));

    let moved = world.link(b, RECEIVE).address;
    for id in [AUDIO, VIDEO] {
        let received = world.received(b, world.sender_of(b, (a, id)));
        assert_eq!(received.len(), 300, "each once");
        let next = |pair: &[RtpIn]| {
            (pair[1].seq, pair[1].label.counter) == (pair[0].seq + 1, pair[0].label.counter + 1)
        };
        assert!(received.windows(2).all(next), "in order, under consecutive numbers");
        assert!(received[..200].iter().all(|packet| packet.to == home));
        assert!(received[210..].iter().all(|packet| packet.to == moved));
    }
    let stats = world.router.stats();
    assert_eq!((stats.dtls_connected, stats.drops_total()), (connected, drops));
    assert_eq!(heard, [world[a].heard, world[b].heard], "no state has changed");
    assert_eq!(world.key_frame_requests(a, VIDEO), []);
}

#[test]
fn the_old_credentials_hold_until_the_new_ones_are_used() {
    let mut world = World::new(2);
    let [_, b] = world.call("room", ["a", "b"]);
    world.restart(b, RECEIVE).expect("a restart");
    let [old, new] = [0, 1].map(|index| world.link(b, RECEIVE).credentials[index].clone());
    assert_ne!(old.username, new.username);
    assert_ne!(old.password, new.password);
    assert_eq!(old.username[..2], new.username[..2], "the letters of the shard");
    world.run_for(Duration::from_secs(60));
    assert!(world.is_answered(b, RECEIVE, 0), "a minute later");
    assert!(world.is_answered(b, RECEIVE, 1));
    assert!(!world.is_answered(b, RECEIVE, 0));
    assert!(world.is_answered(b, RECEIVE, 1));
    world.assert_media();
}

#[test]
fn only_a_valid_check_uses_the_new_credentials() {
    let mut world = World::new(3);
    let [_, b] = world.call("room", ["a", "b"]);
    world.restart(b, RECEIVE).expect("a restart");
    let link = world.link(b, RECEIVE);
    let Credentials { username, .. } = link.credentials[1].clone();
    let (path, password) = (path_from(link.address), link.credentials[0].password.clone());
    let forged = Check {
        id: [0; 12],
        username: &username,
        password: &password,
        nominate: true,
        controlled: false,
        more: &[],
    };
    world.datagram(path, &mut forged.encode());
    assert_eq!(world.drops(DropReason::StunBadIntegrity), 1, "new name, old password");
    assert!(world.is_answered(b, RECEIVE, 0));

    let link = world.link(b, RECEIVE);
    link.uses = 1;
    link.check(link.address, true, true);
    world.flush();
    world.settle();
    let answer = world.link(b, RECEIVE).answers.last();
    assert!(matches!(answer, Some(Answer::Error { code: 487, .. })), "signed with the new key");
    assert!(world.is_answered(b, RECEIVE, 0));

    let room = std::mem::take(&mut world.out.room);
    world.link(b, RECEIVE).uses = 1;
    world.check(b, RECEIVE, true);
    world.settle();
    assert_eq!(world.drops(DropReason::EgressFull), 1, "there was no room for the answer");
    world.out.room = room;
    assert!(world.is_answered(b, RECEIVE, 0));
    assert!(world.is_answered(b, RECEIVE, 1));
    world.assert_media();
}

#[test]
fn a_restart_moves_media_only_with_a_nomination() {
    let mut world = World::new(4);
    let [a, b] = world.call("room", ["a", "b"]);
    world.restart(b, RECEIVE).expect("a restart");
    world.link(b, RECEIVE).uses = 1;
    world.assert_moves_with_a_nomination(a, b);
}

#[test]
fn a_restart_takes_the_place_of_one_that_was_not_used() {
    let mut world = World::new(5);
    let [_, b] = world.call("room", ["a", "b"]);
    for _ in 0..100 {
        world.restart(b, RECEIVE).expect("a restart");
    }
    assert!((1..100).all(|replaced| !world.is_answered(b, RECEIVE, replaced)));
    assert!(world.is_answered(b, RECEIVE, 0));
    assert!(world.is_answered(b, RECEIVE, 100));
    assert!(!world.is_answered(b, RECEIVE, 0));
    world.restart(b, RECEIVE).expect("another restart");
    assert!(world.is_answered(b, RECEIVE, 100));
    assert!(world.is_answered(b, RECEIVE, 101));
    assert!(!world.is_answered(b, RECEIVE, 100));
    world.assert_media();
}

#[test]
fn a_transport_that_failed_is_revived_by_either() {
    for used in [0, 1] {
        let mut world = World::new(6);
        let [_, b] = world.call("room", ["a", "b"]);
        world.link(b, RECEIVE).keeps_consent = false;
        world.run_for(Duration::from_secs(31));
        assert_eq!(world[b].states.last().map(|(_, ice, _)| &**ice), Some("failed"));
        world.restart(b, RECEIVE).expect("a restart");
        assert_eq!(world[b].states.last().map(|(_, ice, _)| &**ice), Some("failed"), "by checks");
        assert!(world.is_answered(b, RECEIVE, used));
        assert_eq!(world[b].states.last().map(|(_, ice, _)| &**ice), Some("connected"));
        world.assert_media();
    }
}

#[test]
fn a_transport_may_restart_before_anybody_has_checked_it() {
    let mut world = World::new(7);
    let a = world.member("room", "a");
    world.create_transport(a, SEND, &Plan::SEND).expect("a transport");
    world.restart(a, SEND).expect("a restart");
    world.link(a, SEND).uses = 1;
    world.start(a, SEND);
    world.run_for(Duration::from_secs(1));
    assert!(world.link(a, SEND).is_live());
    assert!(!world.is_answered(a, SEND, 0));
}

/// Checks made with each of a transport's credentials, not sent yet.
fn checks(world: &mut World, who: Who, id: u32) -> Vec<Vec<u8>> {
    let link = world.link(who, id);
    for index in 0..link.credentials.len() {
        link.uses = index;
        link.check(link.address, true, false);
    }
    link.drain().into_iter().map(|(_, check)| check).collect()
}

#[test]
fn what_closes_forgets_both() {
    let mut world = World::new(8);
    let [a, b] = world.call("room", ["a", "b"]);
    world.restart(a, SEND).expect("a restart");
    world.restart(b, RECEIVE).expect("a restart");
    let path = path_from(world.link(a, SEND).address);
    let over = [checks(&mut world, a, SEND), checks(&mut world, b, RECEIVE)].concat();
    world.close_transport(a, SEND);
    world.settle();
    world.drop_connection(b);
    for mut check in over {
        world.datagram(path, &mut check);
    }
    assert_eq!(world.drops(DropReason::StunUnknownUfrag), 4);
    world.open(a, SEND, &Plan::SEND);
}

#[test]
fn who_may_restart_what() {
    let mut world = World::new(9);
    let a = world.member("room", "a");
    world.open(a, SEND, &Plan::SEND);
    let b = world.member("room", "b");
    assert_eq!(world.restart(b, SEND), Err(404), "it is somebody else's");
    assert_eq!(world.restart(a, RECEIVE), Err(404));
    world.close_transport(a, SEND);
    assert_eq!(world.restart(a, SEND), Err(404), "it was");
    let c = world.connect("room", "c");
    assert_eq!(world.request(c, "restartTransport", json!({"id": SEND})), Err(403));
}
