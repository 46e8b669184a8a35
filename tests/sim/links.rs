//! Links that differ: what one client's network does is that client's trouble alone.

use std::time::Duration;

use crate::netem::{Conditions, Way};
use crate::rtcp::Rtcp;
use crate::source::Picture;
use crate::world::World;
use crate::world::media::{AUDIO, RECEIVE, SEND};

const PACKETS: usize = 500;
const SPACING: Duration = Duration::from_millis(20);

#[test]
fn what_one_viewers_link_loses_reaches_the_others() {
    let mut world = World::new(1);
    let [a, b, c] = world.call("room", ["a", "b", "c"]);
    let lossy = Conditions::round_trip(Duration::from_millis(50)).losing(0.2).in_bursts_of(4.0);
    world.impair(b, RECEIVE, Way::Down, lossy);
    world.forget_packets();
    for _ in 0..PACKETS {
        world.packet(a, AUDIO, Picture::Key);
        world.run_for(SPACING);
    }
    world.run_for(Duration::from_secs(1));
    let got = [b, c].map(|viewer| {
        let audio = world.sender_of(viewer, (a, AUDIO));
        world.received(viewer, audio).len()
    });
    let lost = usize::try_from(world.net.lost_down).expect("so many");
    assert!((50..200).contains(&lost), "{lost} of {PACKETS} are lost");
    assert_eq!(got, [PACKETS - lost, PACKETS]);
}

#[test]
fn a_publisher_is_told_what_its_own_link_loses_and_nobody_elses() {
    let mut world = World::new(2);
    let [a, b] = world.call("room", ["a", "b"]);
    let lossy = Conditions::round_trip(Duration::from_millis(50)).losing(0.1);
    world.impair(a, SEND, Way::Up, lossy);
    world.forget_packets();
    for _ in 0..PACKETS {
        world.packet(a, AUDIO, Picture::Key);
        world.packet(b, AUDIO, Picture::Key);
        world.run_for(SPACING);
    }
    world.net.impair(Way::Up, world[a].links[0].address, Conditions::PERFECT);
    world.packet(a, AUDIO, Picture::Key);
    world.run_for(Duration::from_secs(2));
    let lost = [a, b].map(|who| {
        let ssrc = world[who].sources[&AUDIO].ssrc;
        let reports = world[who].links.iter().flat_map(|link| &link.rtcp).rev();
        let blocks = reports.filter_map(|(_, report)| match report {
            Rtcp::ReceiverReport { blocks } => blocks.iter().find(|block| block.ssrc == ssrc),
            _ => None,
        });
        blocks.map(|block| u64::from(block.lost)).next().expect("reports")
    });
    assert!(world.net.lost_up > 20, "{} of {PACKETS} are lost", world.net.lost_up);
    assert_eq!(lost, [world.net.lost_up, 0]);
}
