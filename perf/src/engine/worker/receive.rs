//! What arrives: to which link, which stream, and what becomes of it.

use std::cmp::Reverse;

use bytes::Bytes;
use rand::Rng;
use rtp::header::Header;
use webrtc_util::marshal::Unmarshal;

use super::{ASK_AGAIN, NACK_FIRST, Timer, Worker};
use crate::engine::feedback::{self, Said};
use crate::engine::link::Connected;
use crate::engine::payload;
use crate::engine::stream::{StreamRx, Verdict};
use crate::ice;

impl Worker {
    /// Takes one datagram for link `slot`; `None` if it is for nobody.
    pub(super) fn take(&mut self, slot: usize, at: u64, datagram: &[u8]) -> Option<()> {
        let link = self.links.get_mut(slot)?.as_deref_mut()?;
        // RFC 7983 §7; RFC 5761 §4.
        match *datagram.first()? {
            0..=3 if link.connected.is_some() => {
                let connected = link.connected.as_ref()?;
                let answer = ice::answer(datagram, connected.remote.into(), &connected.password);
                if let Some(answer) = answer {
                    self.socket.send(link.local, connected.remote, &answer).ok();
                }
                Some(())
            }
            0..=3 | 20..=63 => {
                // Once it is connected nobody may read there any more.
                link.door.try_send(Bytes::copy_from_slice(datagram)).ok();
                Some(())
            }
            128..=191 if matches!(datagram.get(1), Some(192..=223)) => {
                self.take_rtcp(slot, at, datagram);
                Some(())
            }
            128..=191 => self.take_rtp(slot, at, datagram),
            _ => None,
        }
    }

    pub(super) fn take_rtp(&mut self, slot: usize, at: u64, datagram: &[u8]) -> Option<()> {
        let ssrc = u32::from_be_bytes(datagram.get(8..12)?.try_into().ok()?);
        let seq = u16::from_be_bytes(datagram.get(2..4)?.try_into().ok()?);
        self.tally.datagrams += 1;
        self.tally.messages += u64::from(self.last != (slot, at));
        self.last = (slot, at);
        let link = self.links.get_mut(slot)?.as_deref_mut()?;
        let connected = link.connected.as_mut()?;
        if connected.probe
            && let Some(id) = link.feedback.transport_cc
        {
            note_transport_number(&mut link.transport, datagram, id, at);
        }
        let known = link.find(ssrc);
        let index = match known {
            Some(index) => index,
            None if link.foreign.contains(&ssrc) => {
                return self.take_foreign(slot, at, datagram);
            }
            None => match self.meet(slot, ssrc, datagram) {
                Some(index) => index,
                None => return Some(()),
            },
        };
        let link = self.links.get_mut(slot)?.as_deref_mut()?;
        let connected = link.connected.as_mut()?;
        let stream = link.streams.get_mut(index)?;
        if self.downlink_loss > 0.0 && self.rng.random_bool(self.downlink_loss) {
            stream.lose(seq);
            return Some(());
        }
        // The first one was opened when the stream was met.
        if known.is_some() && (connected.probe || stream.wants_opening()) {
            match open(connected, datagram) {
                Some((identity, _)) if identity.source != stream.source => {
                    // The SSRC has another source now.
                    let index = link.bind(ssrc, identity.source)?;
                    link.streams[index].learn(seq, identity.number);
                    return self.take_known(slot, index, seq, datagram.len(), at);
                }
                Some((identity, whole)) => {
                    self.tally.slips += u64::from(!stream.learn(seq, identity.number));
                    self.tally.corrupt += u64::from(!whole);
                }
                // Also what comes again: the opener takes nothing twice.
                None if stream.number(seq).is_some_and(|number| stream.has(number)) => {}
                None => {
                    self.tally.corrupt += 1;
                    return Some(());
                }
            }
        }
        self.take_known(slot, index, seq, datagram.len(), at)
    }

    pub(super) fn take_known(
        &mut self,
        slot: usize,
        index: usize,
        seq: u16,
        len: usize,
        at: u64,
    ) -> Option<()> {
        let link = self.links.get_mut(slot)?.as_deref_mut()?;
        let stream = link.streams.get_mut(index)?;
        let had_frame = stream.first_frame().is_some();
        let could_show = !stream.waits_for_key();
        match stream.take(seq, len, at, self.freeze) {
            Verdict::Came(Some(latency)) => self.tally.latency.note(latency),
            Verdict::Came(None) | Verdict::Duplicate => {}
            Verdict::Astray => self.tally.slips += 1,
        }
        if !had_frame && let Some(time) = stream.first_frame() {
            let within = stream.asked_at >= self.window_began;
            match within {
                true => self.tally.first_frame.note(time),
                false => self.tally.first_frame_before.note(time),
            }
        }
        if stream.waits_for_key() && !link.key_frame_due {
            // Whoever just begins waits for the key frame that the server has asked for.
            link.key_frame_due = true;
            let due = if could_show { at } else { at + ASK_AGAIN };
            self.timers.push(Reverse((due, Timer::KeyFrame(slot))));
            return Some(());
        }
        if link.feedback.nack && !link.nack_due && stream.has_gap() {
            link.nack_due = true;
            self.timers.push(Reverse((at + NACK_FIRST, Timer::Nack(slot))));
        }
        Some(())
    }

    /// The first packet of an SSRC: opens it to see whose it is.
    pub(super) fn meet(&mut self, slot: usize, ssrc: u32, datagram: &[u8]) -> Option<usize> {
        let link = self.links.get_mut(slot)?.as_deref_mut()?;
        let connected = link.connected.as_mut()?;
        let seq = u16::from_be_bytes(datagram.get(2..4)?.try_into().ok()?);
        let Some((identity, whole)) = open(connected, datagram) else {
            self.tally.corrupt += 1;
            return None;
        };
        // What is one of a source that is received already under another SSRC, with its number in
        // front, is a retransmission stream's.
        let taken = link.begun().any(|(_, stream)| stream.source == identity.source);
        if taken && link.feedback.nack {
            link.foreign.push(ssrc);
            return None;
        }
        let index = link.bind(ssrc, identity.source)?;
        let stream = &mut link.streams[index];
        if stream.log.video && stream.asked_at >= self.window_began {
            self.tally.key_frame_reasons += 1;
        }
        self.tally.corrupt += u64::from(!whole);
        stream.learn(seq, identity.number);
        Some(index)
    }

    /// A retransmission (RFC 4588): the packet is taken as the one that it repeats.
    pub(super) fn take_foreign(&mut self, slot: usize, at: u64, datagram: &[u8]) -> Option<()> {
        let link = self.links.get_mut(slot)?.as_deref_mut()?;
        let (identity, _) = open(link.connected.as_mut()?, datagram)?;
        let begun = link.ssrcs.len();
        let of = |stream: &StreamRx| stream.source == identity.source;
        let index = link.streams[..begun].iter().position(of)?;
        let seq = link.streams[index].seq(identity.number)?;
        self.take_known(slot, index, seq, datagram.len(), at)
    }

    pub(super) fn take_rtcp(&mut self, slot: usize, at: u64, datagram: &[u8]) -> Option<()> {
        let link = self.links.get_mut(slot)?.as_deref_mut()?;
        let connected = link.connected.as_mut()?;
        let Ok(plain) = connected.opener.rtcp(datagram) else {
            self.tally.corrupt += 1;
            return None;
        };
        for said in feedback::said(&plain) {
            let ssrc = match said {
                Said::Report { ssrc, .. } | Said::KeyFrame { ssrc } | Said::Again { ssrc, .. } => {
                    ssrc
                }
            };
            if let Said::Report { ntp, .. } = said {
                let index = link.ssrcs.iter().position(|known| *known == ssrc);
                if let Some(stream) = index.and_then(|index| link.streams.get_mut(index)) {
                    stream.reported = Some((ntp, at));
                }
                continue;
            }
            let known = |index: &&usize| {
                self.sources[**index].as_ref().is_some_and(|it| it.tx.spec.ssrc == ssrc)
            };
            let index = link.sources.iter().find(known);
            let Some(sending) = index.and_then(|index| self.sources[*index].as_mut()) else {
                continue;
            };
            match said {
                Said::Again { numbers, .. } => {
                    for again in numbers.into_iter().filter_map(|seq| sending.tx.again(seq)) {
                        self.socket.send(link.local, connected.remote, &again).ok();
                    }
                }
                Said::KeyFrame { .. } => sending.tx.ask_for_key_frame(at),
                Said::Report { .. } => {}
            }
        }
        Some(())
    }
}

/// Opens a packet: whose it is, and whether it is whole.
fn open(connected: &mut Connected, datagram: &[u8]) -> Option<(payload::Identity, bool)> {
    let plain = connected.opener.rtp(datagram).ok()?;
    let packet = rtp::packet::Packet::unmarshal(&mut &plain[..]).ok()?;
    let identity = payload::identify(&packet.payload)?;
    Some((identity, payload::is_whole(&packet.payload, identity)))
}

/// The transport-wide number is in the header, which is not sealed.
fn note_transport_number(
    transport: &mut feedback::TransportFeedback,
    datagram: &[u8],
    id: u8,
    at: u64,
) {
    let Ok(header) = Header::unmarshal(&mut &*datagram) else { return };
    if let Some(value) = header.get_extension(id)
        && let Some(number) = value.get(..2)
    {
        transport.note(u16::from_be_bytes([number[0], number[1]]), at);
    }
}
