//! Somebody who watches one Sender as libwebrtc does: who asks for what is missing, reports, and
//! notes when frames are whole.

use std::collections::BTreeMap;
use std::time::Duration;

use corinth::types::Timestamp;

use crate::rtcp::{self, Block, Rtcp};
use crate::source::Picture;
use crate::world::{Who, World};

/// How often a packet is asked for (libwebrtc, `nack_requester.cc`: `kMaxNackRetries`).
const ASKED_MAX: u32 = 10;
/// How often it looks what to ask for again (the same: `kUpdateInterval` is 20 ms).
const LOOK: Duration = Duration::from_millis(20);

/// A packet that is missing.
#[derive(Debug, Default, Clone, Copy)]
struct Missing {
    asked_at: Option<Timestamp>,
    asked: u32,
}

/// One viewer of one Sender.
pub(crate) struct Viewer {
    pub(crate) who: Who,
    pub(crate) sender: u32,
    transport: u32,
    /// What it takes its round trip for.
    round_trip: Duration,
    /// How many of its packets it has looked at.
    looked_at: usize,
    reports_looked_at: usize,
    highest: Option<u64>,
    missing: BTreeMap<u64, Missing>,
    looks_at: Timestamp,
    reports_at: Timestamp,
    sender_report: Option<(u32, Timestamp)>,
    /// By the source's count: when each packet came first.
    pub(crate) came: BTreeMap<u32, Timestamp>,
    /// Packets that came as retransmissions, and those of them that had been there.
    pub(crate) repetitions: u64,
    pub(crate) needless: u64,
    pub(crate) asked: u64,
}

impl Viewer {
    pub(crate) fn new(world: &World, who: Who, sender: u32, round_trip: Duration) -> Self {
        let transport = world[who].watched[&sender].transport;
        Self {
            who,
            sender,
            transport,
            round_trip,
            looked_at: 0,
            reports_looked_at: 0,
            highest: None,
            missing: BTreeMap::new(),
            looks_at: world.now,
            reports_at: world.now + Duration::from_secs(1),
            sender_report: None,
            came: BTreeMap::new(),
            repetitions: 0,
            needless: 0,
            asked: 0,
        }
    }

    /// Looks at what has come, and asks for what has not.
    pub(crate) fn step(&mut self, world: &mut World) {
        let (now, ssrc) = (world.now, world.ssrc_of(self.who, self.sender));
        let link = world.link(self.who, self.transport);
        let mut fresh = false;
        for packet in link.rtp.iter().skip(self.looked_at).filter(|packet| packet.ssrc == ssrc) {
            if packet.resent {
                self.repetitions += 1;
                self.needless += u64::from(self.came.contains_key(&packet.label.counter));
            }
            self.came.entry(packet.label.counter).or_insert(packet.at);
            self.missing.remove(&packet.seq);
            let highest = self.highest.map_or(packet.seq, |highest| highest.max(packet.seq));
            let from = self.highest.map_or(packet.seq, |highest| highest + 1);
            for gap in from..highest {
                self.missing.insert(gap, Missing::default());
                fresh = true;
            }
            self.highest = Some(highest);
        }
        self.looked_at = link.rtp.len();
        for (at, report) in link.rtcp.iter().skip(self.reports_looked_at) {
            match report {
                Rtcp::SenderReport { ssrc: of, ntp, .. } if *of == ssrc => {
                    self.sender_report = Some(((ntp >> 16) as u32, *at));
                }
                _ => {}
            }
        }
        self.reports_looked_at = link.rtcp.len();
        if fresh || now >= self.looks_at {
            self.looks_at = now + LOOK;
            self.ask(world, ssrc);
        }
        if now >= self.reports_at {
            self.reports_at = now + Duration::from_secs(1);
            self.report(world, ssrc);
        }
    }

    fn ask(&mut self, world: &mut World, ssrc: u32) {
        let now = world.now;
        self.missing.retain(|_, it| it.asked < ASKED_MAX);
        let mut due = Vec::new();
        for (seq, it) in &mut self.missing {
            if it.asked_at.is_none_or(|at| now.since(at) >= self.round_trip) {
                *it = Missing { asked_at: Some(now), asked: it.asked + 1 };
                due.push(*seq as u16);
            }
        }
        self.asked += due.len() as u64;
        for due in due.chunks(200) {
            world.link(self.who, self.transport).send_rtcp(&rtcp::nack(1, ssrc, due));
        }
        world.flush();
    }

    fn report(&mut self, world: &mut World, ssrc: u32) {
        let now = world.now;
        let held = |at: Timestamp| ((now.since(at).as_micros() << 16) / 1_000_000) as u32;
        let block = Block {
            ssrc,
            fraction_lost: 0,
            lost: u32::try_from(self.missing.len()).expect("few"),
            highest_seq: self.highest.unwrap_or_default() as u32,
            last_sr: self.sender_report.map_or(0, |(stated, _)| stated),
            delay_since_last_sr: self.sender_report.map_or(0, |(_, at)| held(at)),
        };
        world.link(self.who, self.transport).send_rtcp(&rtcp::receiver_report(1, &block));
        world.flush();
    }

    /// How many of these frames were whole this soon after they were taken.
    pub(crate) fn whole(&self, frames: &[Frame], soon: Duration) -> usize {
        let is_whole = |frame: &&Frame| {
            let mut packets = frame.packets.clone();
            packets.all(|it| self.came.get(&it).is_some_and(|at| at.since(frame.at) <= soon))
        };
        frames.iter().filter(is_whole).count()
    }
}

/// What a source has sent at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) at: Timestamp,
    /// By the source's count.
    pub(crate) packets: std::ops::Range<u32>,
}

/// Packets of a frame, and time between two of them.
const PACKETS: u32 = 4;
const SPACING: Duration = Duration::from_millis(50);

/// A source sends 20 frames a second for so many frames, the first a key frame; `viewers` look on.
pub(crate) fn film(
    world: &mut World,
    (who, receiver): (Who, u32),
    frames: u32,
    viewers: &mut [Viewer],
) -> Vec<Frame> {
    let mut sent = Vec::new();
    for i in 0..frames {
        if i % 20 == 0 {
            world.source_report(who, receiver);
        }
        let first = world.source(who, receiver).counter;
        for packet in 0..PACKETS {
            let starts = i == 0 && packet == 0;
            world.packet(who, receiver, if starts { Picture::Key } else { Picture::Delta });
        }
        sent.push(Frame { at: world.now, packets: first..first + PACKETS });
        watch(world, SPACING, viewers);
    }
    sent
}

/// Time goes by.
pub(crate) fn watch(world: &mut World, time: Duration, viewers: &mut [Viewer]) {
    const STEP: Duration = Duration::from_millis(5);
    for _ in 0..time.as_millis() / STEP.as_millis() {
        world.run_for(STEP);
        viewers.iter_mut().for_each(|viewer| viewer.step(world));
    }
}
