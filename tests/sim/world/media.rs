//! Media as the scenarios say it: packets, reports, and whether they reach whom they should.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use corinth::types::{Kind, Timestamp};

use super::{Who, World};
use crate::link::{Link, Plan, RtpIn};
use crate::rtcp::{self, Rtcp};
use crate::source::{Picture, Source, ntp};

/// The transport that clients of a call send on, and the one that they receive on.
pub(crate) const SEND: u32 = 1;
/// See [`SEND`].
pub(crate) const RECEIVE: u32 = 2;
/// The Receivers of each client of a call.
pub(crate) const AUDIO: u32 = 1;
/// See [`AUDIO`].
pub(crate) const VIDEO: u32 = 2;

impl World {
    /// A call: everybody sends audio and video and receives everybody else's.
    pub(crate) fn call<const N: usize>(&mut self, room: &str, names: [&str; N]) -> [Who; N] {
        let everybody = names.map(|name| self.member(room, name));
        for who in everybody {
            self.open(who, SEND, &Plan::SEND);
            self.open(who, RECEIVE, &Plan::RECEIVE);
            self.send(who, AUDIO, Kind::Audio, SEND);
            self.send(who, VIDEO, Kind::Video, SEND);
        }
        for who in everybody {
            self.watch_all(who, RECEIVE);
        }
        self.settle();
        everybody
    }

    /// Somebody who can send and has no source yet, and somebody who can watch.
    pub(crate) fn pair(seed: u64) -> (Self, [Who; 2]) {
        let mut world = Self::new(seed);
        let [a, b] = ["a", "b"].map(|name| world.member("room", name));
        world.open(a, SEND, &Plan::SEND);
        world.open(b, RECEIVE, &Plan::RECEIVE);
        (world, [a, b])
    }

    /// Sends the next packet of a source that need not be in the client's list.
    pub(crate) fn packet_of(&mut self, who: Who, source: &mut Source, picture: Picture) {
        let (seq, header_len, packet) = source.packet(self.now, picture);
        self.link(who, source.transport).send_rtp(source.ssrc, seq, header_len, &packet);
        self.flush();
    }

    /// Sends the source's next packet.
    pub(crate) fn packet(&mut self, who: Who, receiver: u32, picture: Picture) {
        let now = self.now;
        let source = self.source(who, receiver);
        let (transport, ssrc) = (source.transport, source.ssrc);
        let (seq, header_len, packet) = source.packet(now, picture);
        self.link(who, transport).send_rtp(ssrc, seq, header_len, &packet);
        self.flush();
    }

    /// Makes the source's next packet and loses it.
    pub(crate) fn lose_packet(&mut self, who: Who, receiver: u32) {
        let now = self.now;
        let _ = self.source(who, receiver).packet(now, Picture::Delta);
    }

    /// The source tells its clock.
    pub(crate) fn source_report(&mut self, who: Who, receiver: u32) {
        let now = self.now;
        let source = self.source(who, receiver);
        let (transport, ssrc) = (source.transport, source.ssrc);
        let report = rtcp::sender_report(ssrc, ntp(now), source.timestamp(now));
        self.link(who, transport).send_rtcp(&report);
        self.flush();
    }

    /// A viewer asks for a key frame by RTCP.
    pub(crate) fn send_pli(&mut self, who: Who, sender: u32) {
        let transport = self[who].watched[&sender].transport;
        let ssrc = self.ssrc_of(who, sender);
        self.link(who, transport).send_rtcp(&rtcp::pli(1, ssrc));
        self.flush();
    }

    /// The same by the older request (RFC 5104 §4.3.1).
    pub(crate) fn send_fir(&mut self, who: Who, sender: u32) {
        let transport = self[who].watched[&sender].transport;
        let ssrc = self.ssrc_of(who, sender);
        self.link(who, transport).send_rtcp(&rtcp::fir(1, ssrc, 1));
        self.flush();
    }

    /// The SSRC under which a viewer gets a Sender.
    pub(crate) fn ssrc_of(&self, viewer: Who, sender: u32) -> u32 {
        self[viewer].knowledge().sender(sender).expect("announced").ssrc()
    }

    /// What a viewer got of a Sender so far.
    pub(crate) fn received(&self, viewer: Who, sender: u32) -> Vec<RtpIn> {
        let ssrc = self.ssrc_of(viewer, sender);
        let packets = self[viewer].links.iter().flat_map(|link| &link.rtp);
        packets.filter(|packet| packet.ssrc == ssrc).cloned().collect()
    }

    /// When a source was asked for key frames.
    pub(crate) fn key_frame_requests(&self, who: Who, receiver: u32) -> Vec<Timestamp> {
        let ssrc = self[who].sources[&receiver].ssrc;
        let reports = self[who].links.iter().flat_map(|link| &link.rtcp);
        let requests = reports.filter(|(_, it)| *it == Rtcp::Pli { media_ssrc: ssrc });
        requests.map(|(at, _)| *at).collect()
    }

    /// Everybody sends one key frame of everything; it reaches exactly those who watch it.
    pub(crate) fn assert_media(&mut self) {
        self.settle();
        let (mut due, mut sent) = (BTreeSet::new(), Vec::new());
        for who in self.everybody().filter(|who| self[*who].is_member()) {
            for (receiver, source) in &self[who].sources {
                if self[who].link(source.transport).is_some_and(Link::is_live) {
                    sent.push((who, *receiver));
                    let viewers = self.members(&self[who].room);
                    due.extend(
                        viewers.filter(|v| self.gets(*v, source.tag)).map(|v| (v, source.tag)),
                    );
                }
            }
        }
        self.forget_packets();
        for (who, receiver) in sent {
            self.packet(who, receiver, Picture::Key);
        }
        self.settle();
        let links = self.everybody().flat_map(|who| {
            self[who].links.iter().flat_map(|link| &link.rtp).map(move |packet| (who, packet))
        });
        let mut arrived: Vec<_> = links.map(|(who, packet)| (who, packet.label.tag)).collect();
        arrived.sort_unstable();
        let due: Vec<_> = due.into_iter().collect();
        assert_eq!(arrived, due, "once each, to whom it should go: viewer and source");
    }

    /// Whether a client gets a source now.
    fn gets(&self, viewer: Who, tag: u32) -> bool {
        let client = &self[viewer];
        client.watched.iter().any(|(id, watched)| {
            let view = client.knowledge().sender(*id).expect("what is watched is known");
            view.tag() == tag
                && !view.paused
                && watched.playing
                && client.link(watched.transport).is_some_and(Link::is_live)
        })
    }

    /// What `viewer` of a call gets from `source` goes on to where it was when checks from another
    /// address come, nominating ones too, and goes there as soon as the client itself does.
    pub(crate) fn assert_moves_with_a_nomination(&mut self, source: Who, viewer: Who) {
        let audio = self.sender_of(viewer, (source, AUDIO));
        let home = self.link(viewer, RECEIVE).address;
        let elsewhere = self.new_address();
        self.own_address(elsewhere, viewer, RECEIVE);
        let goes_to = |world: &mut Self| {
            world.packet(source, AUDIO, Picture::Key);
            world.settle();
            world.received(viewer, audio).last().map(|packet| packet.to)
        };
        for nominates in [false, true] {
            self.link(viewer, RECEIVE).check(elsewhere, nominates, false);
            self.flush();
            assert_eq!(goes_to(self), Some(home));
        }
        self.report_from(viewer, RECEIVE, elsewhere);
        assert_eq!(goes_to(self), Some(elsewhere));
    }

    /// A client's own empty report, from this address.
    pub(crate) fn report_from(&mut self, who: Who, transport: u32, from: SocketAddr) {
        let link = self.link(who, transport);
        let home = std::mem::replace(&mut link.address, from);
        link.send_rtcp(&rtcp::empty_report(1));
        link.address = home;
        self.flush();
        self.settle();
    }

    /// Forgets what has arrived so far.
    pub(crate) fn forget_packets(&mut self) {
        for client in &mut self.clients {
            for link in &mut client.links {
                link.rtp.clear();
                link.rtcp.clear();
            }
        }
    }
}
