//! Whatever closes, in whatever order: everybody knows what is true, hears of each change once, gets
//! exactly the media that he watches, and a BYE for what ended.

use corinth::sfu::CloseReason;
use serde_json::json;

use crate::world::media::{AUDIO, RECEIVE, SEND, VIDEO};
use crate::world::{Who, World};

/// A and B send and receive audio and video; C has joined and was told.
struct Scene {
    world: World,
    a: Who,
    b: Who,
    c: Who,
}

/// What somebody does.
type Step = fn(&mut Scene);

impl Scene {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let [a, b] = world.call("room", ["a", "b"]);
        let c = world.member("room", "c");
        Self { world, a, b, c }
    }

    /// Whether somebody is there to act. Who is not may still have a message under way: it must
    /// reach nobody.
    fn acts(&mut self, who: Who) -> bool {
        let gone = self.world[who].gone;
        if gone {
            self.world.notify(who, "closeReceiver", json!({"id": AUDIO}));
            self.world.text(who, r#"{"request":true,"id":1,"method":"join","data":{}}"#);
        }
        !gone
    }

    fn close_receiver(&mut self, who: Who, id: u32) {
        if self.acts(who) {
            self.world.close_receiver(who, id);
        }
    }

    fn close_transport(&mut self, who: Who, id: u32) {
        if self.acts(who) {
            self.world.close_transport(who, id);
        }
    }

    fn pause(&mut self, who: Who, id: u32) {
        if self.acts(who) {
            let open = self.world[who].sources.contains_key(&id);
            assert_eq!(self.world.pause(who, id), if open { Ok(()) } else { Err(404) });
        }
    }

    fn resume(&mut self, who: Who, id: u32) {
        if self.acts(who) {
            let open = self.world[who].sources.contains_key(&id);
            assert_eq!(self.world.resume(who, id), if open { Ok(()) } else { Err(404) });
        }
    }

    /// Somebody stops, or plays again, all that he watches.
    fn set_playing(&mut self, who: Who, on: bool) {
        if self.acts(who) {
            let ids: Vec<u32> = self.world[who].watched.keys().copied().collect();
            for id in ids {
                let done = if on { self.world.play(who, id) } else { self.world.stop(who, id) };
                assert_eq!(done, Ok(()));
            }
        }
    }

    fn leave(&mut self, who: Who) {
        if self.acts(who) {
            self.world.leave(who);
        }
    }

    fn vanish(&mut self, who: Who) {
        if self.acts(who) {
            self.world.drop_connection(who);
        }
    }

    /// The same name connects again; it joins and has nothing yet.
    fn replace(&mut self, who: Who) -> Who {
        let (name, was_there) = (self.world[who].name.clone(), !self.world[who].gone);
        let newer = self.world.member("room", &name);
        assert!(self.world[who].gone, "there is one connection a name");
        let replaced = self.world[who].closed == Some(CloseReason::Replaced);
        assert_eq!(replaced, was_there);
        newer
    }

    /// Somebody receives all there is, on a transport without DTLS yet.
    fn watch(&mut self, who: Who) {
        if self.acts(who) && self.world[who].link(RECEIVE).is_none() {
            let plan = crate::link::Plan::RECEIVE;
            self.world.create_transport(who, RECEIVE, &plan).expect("a transport");
            self.world.watch_all(who, RECEIVE);
        }
    }

    fn check(&mut self) {
        self.world.settle();
        self.world.assert_truth("room");
        self.world.assert_media();
    }
}

/// Every order of the steps, each from a scene of its own; in the end everybody goes.
fn in_every_order(steps: &[Step]) {
    let mut order: Vec<usize> = (0..steps.len()).collect();
    let mut seed = 0;
    permutations(&mut order, steps.len(), &mut |order| {
        seed += 1;
        let mut scene = Scene::new(seed);
        for step in order {
            steps[*step](&mut scene);
            scene.check();
        }
        for who in scene.world.everybody().filter(|who| !scene.world[*who].gone).collect::<Vec<_>>()
        {
            scene.world.drop_connection(who);
        }
        let stats = scene.world.router.stats();
        assert_eq!((stats.rooms, stats.peers, stats.transports), (0, 0, 0), "nothing is left");
    });
}

/// Heap's algorithm.
fn permutations(order: &mut [usize], len: usize, visit: &mut impl FnMut(&[usize])) {
    if len <= 1 {
        return visit(order);
    }
    for i in 0..len {
        permutations(order, len - 1, visit);
        order.swap(if len.is_multiple_of(2) { i } else { 0 }, len - 1);
    }
}

#[test]
fn sources_transports_and_peers_end_in_every_order() {
    in_every_order(&[
        |scene| scene.close_receiver(scene.a, VIDEO),
        |scene| scene.close_transport(scene.a, SEND),
        |scene| scene.close_transport(scene.b, RECEIVE),
        |scene| scene.leave(scene.a),
        |scene| scene.b = scene.replace(scene.b),
        |scene| scene.vanish(scene.c),
    ]);
}

#[test]
fn pausing_stopping_and_closing_in_every_order() {
    in_every_order(&[
        |scene| scene.pause(scene.a, VIDEO),
        |scene| scene.resume(scene.a, VIDEO),
        |scene| scene.set_playing(scene.b, false),
        |scene| scene.set_playing(scene.b, true),
        |scene| scene.close_transport(scene.b, RECEIVE),
    ]);
}

#[test]
fn those_who_only_watch_come_and_go_in_every_order() {
    in_every_order(&[
        |scene| scene.watch(scene.c),
        |scene| scene.vanish(scene.b),
        |scene| scene.a = scene.replace(scene.a),
        |scene| scene.close_receiver(scene.a, AUDIO),
        |scene| scene.leave(scene.c),
    ]);
}

#[test]
fn receiving_on_another_transport_in_every_order() {
    in_every_order(&[
        |scene| scene.close_transport(scene.b, RECEIVE),
        |scene| scene.watch(scene.b),
        |scene| scene.pause(scene.a, AUDIO),
        |scene| scene.set_playing(scene.b, false),
        |scene| scene.vanish(scene.a),
    ]);
}
