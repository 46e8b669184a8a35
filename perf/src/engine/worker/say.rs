//! What a client says of its own accord: reports, checks, requests for key frames and lost packets.

use std::cmp::Reverse;
use std::net::Ipv4Addr;

use super::{
    ASK_AGAIN, BEAT, BEATS_A_CHECK, NACK_AGAIN, NACKS_MAX, TRANSPORT_FEEDBACK, Timer, Worker,
};
use crate::engine::feedback::{self, AnyPacket};
use crate::engine::link::Connected;
use crate::engine::socket::SharedSocket;
use crate::engine::stream::StreamRx;

impl Worker {
    /// What a client says once a second.
    pub(super) fn beat(&mut self, slot: usize, due: u64) {
        let now = self.now();
        let Some(link) = self.links.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        let Some(connected) = link.connected.as_mut() else { return };
        self.timers.push(Reverse((due.max(now) + BEAT, Timer::Beat(slot))));
        link.beats += 1;
        let wall = self.epoch + now;
        for index in &link.sources {
            if let Some(sending) = self.sources[*index].as_ref() {
                let report = feedback::sender_report(&sending.tx, now, wall);
                say(&self.socket, link.local, connected, &report);
            }
        }
        for (ssrc, stream) in link.ssrcs.iter().copied().zip(&link.streams) {
            let report = feedback::receiver_report(connected.own_ssrc, ssrc, stream, now);
            say(&self.socket, link.local, connected, &[report]);
        }
        if link.beats.is_multiple_of(BEATS_A_CHECK) {
            self.check(slot);
        }
    }

    pub(super) fn check(&mut self, slot: usize) {
        if let Some(link) = self.links.get(slot).and_then(Option::as_deref)
            && let Some(connected) = &link.connected
        {
            // One that is lost is made good by the next.
            self.socket.send(link.local, connected.remote, &connected.check).ok();
        }
    }

    /// A viewer that can show nothing asks for a key frame, as long as that is so.
    pub(super) fn ask_for_key_frames(&mut self, slot: usize, now: u64) {
        let Some(link) = self.links.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        link.key_frame_due = false;
        let Some(connected) = link.connected.as_mut() else { return };
        let begun = link.ssrcs.iter().copied().zip(&link.streams);
        for (ssrc, stream) in begun.filter(|(_, stream)| stream.waits_for_key()) {
            link.key_frame_due = true;
            self.tally.key_frame_reasons += 1;
            let request = feedback::key_frame_request(connected.own_ssrc, ssrc);
            about(&self.socket, link.local, connected, (ssrc, stream), now, request);
        }
        if link.key_frame_due {
            self.timers.push(Reverse((now + ASK_AGAIN, Timer::KeyFrame(slot))));
        }
    }

    /// Asks for a key frame of everything, needed or not.
    pub(super) fn ask_for_nothing(&mut self, slot: usize, due: u64) {
        let Some(link) = self.links.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        let Some(connected) = link.connected.as_mut() else { return };
        if link.ask_every == 0 {
            return;
        }
        self.timers.push(Reverse((due + link.ask_every, Timer::Ask(slot))));
        let begun = link.ssrcs.iter().copied().zip(&link.streams);
        for (ssrc, stream) in begun.filter(|(_, stream)| stream.log.video) {
            let request = feedback::key_frame_request(connected.own_ssrc, ssrc);
            about(&self.socket, link.local, connected, (ssrc, stream), due, request);
        }
    }

    pub(super) fn give_transport_feedback(&mut self, slot: usize, due: u64) {
        let Some(link) = self.links.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        let Some(connected) = link.connected.as_mut() else { return };
        self.timers.push(Reverse((due + TRANSPORT_FEEDBACK, Timer::TransportFeedback(slot))));
        let media_ssrc = link.ssrcs.first().copied().unwrap_or(0);
        if let Some(packet) = link.transport.take(connected.own_ssrc, media_ssrc) {
            say(&self.socket, link.local, connected, &[packet]);
        }
    }

    /// Asks for what is missing, as long as something is.
    pub(super) fn ask_again(&mut self, slot: usize, now: u64) {
        let Some(link) = self.links.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        link.nack_due = false;
        let Some(connected) = link.connected.as_mut() else { return };
        for (ssrc, stream) in link.ssrcs.iter().copied().zip(&link.streams) {
            let missing = stream.missing(NACKS_MAX);
            if !missing.is_empty() {
                link.nack_due = true;
                let request = feedback::again(connected.own_ssrc, ssrc, &missing);
                about(&self.socket, link.local, connected, (ssrc, stream), now, request);
            }
        }
        if link.nack_due {
            self.timers.push(Reverse((now + NACK_AGAIN, Timer::Nack(slot))));
        }
    }
}

/// Seals and sends RTCP. What cannot be sent is lost, as on any network.
fn say(socket: &SharedSocket, from: Ipv4Addr, connected: &mut Connected, packets: &[AnyPacket]) {
    if let Ok(plain) = rtcp::packet::marshal(packets)
        && let Ok(sealed) = connected.sealer.rtcp(&plain)
    {
        socket.send(from, connected.remote, &sealed).ok();
    }
}

/// Says something about one stream, behind its report (RFC 3550 §6.1).
fn about(
    socket: &SharedSocket,
    from: Ipv4Addr,
    connected: &mut Connected,
    (ssrc, stream): (u32, &StreamRx),
    now: u64,
    request: AnyPacket,
) {
    let report = feedback::receiver_report(connected.own_ssrc, ssrc, stream, now);
    say(socket, from, connected, &[report, request]);
}
