//! Somebody who sends a source as libwebrtc does: who keeps what it has sent, and sends again what
//! it is told was lost.

use std::collections::BTreeMap;

use corinth::types::Kind;

use crate::rtcp::Rtcp;
use crate::source::{Picture, RTX_PT};
use crate::world::media::SEND;
use crate::world::{Who, World};

/// A packet as it was sent: extended number, length of the header, bytes.
type Sent = (u64, usize, Vec<u8>);

/// One source of one client.
pub(crate) struct Publisher {
    pub(crate) who: Who,
    pub(crate) receiver: u32,
    /// By what the header carries of its number.
    sent: BTreeMap<u16, Sent>,
    looked_at: usize,
    rtx_seq: u64,
    /// Packets that it was asked for, each time.
    pub(crate) asked: u64,
    /// The same, each once.
    pub(crate) missed: BTreeMap<u16, u64>,
}

impl Publisher {
    /// Announces a source of video that says it sends again, in a stream of its own or not.
    pub(crate) fn new(world: &mut World, who: Who, receiver: u32, rtx: bool) -> Self {
        let mut source = world.new_source(Kind::Video, SEND);
        source.nack = true;
        source.rtx_ssrc = rtx.then_some(source.ssrc ^ 0x5555_5555);
        world.create_receiver(who, receiver, source).expect("a Receiver");
        let looked_at = world.link(who, SEND).rtcp.len();
        let (sent, missed) = (BTreeMap::new(), BTreeMap::new());
        Self { who, receiver, sent, looked_at, rtx_seq: 100, asked: 0, missed }
    }

    /// Sends the source's next packet.
    pub(crate) fn packet(&mut self, world: &mut World, picture: Picture) {
        let sent = self.make(world, picture);
        self.send(world, &sent);
    }

    /// Makes the source's next packet.
    pub(crate) fn make(&mut self, world: &mut World, picture: Picture) -> Sent {
        let now = world.now;
        let sent = world.source(self.who, self.receiver).packet(now, picture);
        self.sent.insert(sent.0 as u16, sent.clone());
        sent
    }

    /// Sends a packet that was made.
    pub(crate) fn send(&mut self, world: &mut World, (seq, header_len, packet): &Sent) {
        let ssrc = world.source(self.who, self.receiver).ssrc;
        world.link(self.who, SEND).send_rtp(ssrc, *seq, *header_len, packet);
        world.flush();
    }

    /// Answers what it has been told.
    pub(crate) fn step(&mut self, world: &mut World) {
        let source = world.source(self.who, self.receiver);
        let (ssrc, rtx_ssrc) = (source.ssrc, source.rtx_ssrc);
        let link = world.link(self.who, SEND);
        let asked = link.rtcp[self.looked_at..].iter().filter_map(|(_, report)| match report {
            Rtcp::Nack { media_ssrc, lost } if *media_ssrc == ssrc => Some(lost.clone()),
            _ => None,
        });
        let asked: Vec<u16> = asked.flatten().collect();
        self.looked_at = link.rtcp.len();
        for number in asked {
            self.asked += 1;
            *self.missed.entry(number).or_default() += 1;
            let sent =
                self.sent.get(&number).expect("what was never sent cannot be missed").clone();
            match rtx_ssrc {
                Some(rtx_ssrc) => self.repeat(world, rtx_ssrc, &sent),
                None => self.send(world, &sent),
            }
        }
    }

    /// Sends a packet as a retransmission (RFC 4588).
    pub(crate) fn repeat(&mut self, world: &mut World, rtx_ssrc: u32, sent: &Sent) {
        let (seq, header_len, packet) = sent;
        let mut again = packet[..*header_len].to_vec();
        again[1] = packet[1] & 0x80 | RTX_PT;
        again[2..4].copy_from_slice(&(self.rtx_seq as u16).to_be_bytes());
        again[8..12].copy_from_slice(&rtx_ssrc.to_be_bytes());
        again.extend((*seq as u16).to_be_bytes());
        again.extend(&packet[*header_len..]);
        world.link(self.who, SEND).send_rtp(rtx_ssrc, self.rtx_seq, *header_len, &again);
        self.rtx_seq += 1;
        world.flush();
    }
}
