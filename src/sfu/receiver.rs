//! A Receiver takes one media source from one client: its streams, what its Senders announce, and
//! the list of enabled Senders that the fan-out walks.

use std::time::Duration;

use slotmap::DenseSlotMap;

use super::peer::{Announced, Listener};
use super::sender::{Arrival, Sender, Source};
use super::timers::Armed;
use crate::media::{KeyFrameRequest, Nacks, Places, Skipped, SourceClock, StreamRx};
use crate::protocol::{AppData, Description, PtRole, SourceParameters};
use crate::types::limit::{DATAGRAM_MAX, SRTP_TRAILER_MAX};
use crate::types::{
    DropReason, Kind, PeerKey, Pt, ReceiverId, SenderKey, SeqNo, Ssrc, Timestamp, TransportKey,
};
use crate::wire::codec::{self, Start, red};
use crate::wire::rtp::{HeaderRewrite, RtpHeader};
use crate::wire::rtp_ext::ExtensionMap;

/// What a payload type of the source is, and which one its Senders use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload {
    Undeclared,
    Media(Pt),
    Red(Pt),
    /// Of what has this one of the source's.
    Rtx(Pt),
}

/// A packet of the source, open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) encoding: usize,
    pub(super) header: &'a RtpHeader,
    pub(super) seq: SeqNo,
    pub(super) bytes: &'a [u8],
    /// It came as a retransmission.
    pub(super) recovered: bool,
}

/// Which of the source's encodings is forwarded until there is layer selection.
const FORWARDED_ENCODING: usize = 0;

/// Packets of a source that are found again: more than a second of 20 ms frames, and of 20 Mbit/s.
const AUDIO_PLACES: usize = 128;
const VIDEO_PLACES: usize = 2048;

/// How long a stream has to be silent before the one that it replaced may come back: what is still
/// under way of that one must not interrupt it.
const SILENCE: Duration = Duration::from_millis(500);

/// The server's end of one source.
///
/// All its Senders use one SSRC, so that what is announced is serialized once; keys differ by
/// transport, so no packet index is shared between two of them.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) id: ReceiverId,
    pub(super) peer: PeerKey,
    pub(super) transport: TransportKey,
    pub(super) kind: Kind,
    pub(super) clock_rate: u32,
    pub(super) source: SourceParameters,
    pub(super) paused: bool,
    /// What everybody is told of it.
    pub(super) description: Description,
    /// Bytes of its `appData`.
    pub(super) app_data: usize,
    /// SSRC of its Senders.
    pub(super) tx_ssrc: Ssrc,
    pub(super) tx_rtx_ssrc: Option<Ssrc>,
    /// Payload type of what its Senders send again.
    tx_rtx_pt: Option<Pt>,
    pub(super) cname: Box<str>,
    payloads: [Payload; 128],
    extensions: ExtensionMap,
    /// One an encoding; `None` where no SSRC is known yet.
    pub(super) streams: Vec<Option<StreamRx>>,
    /// Counts the streams that have followed each other in the forwarded encoding.
    generation: u32,
    /// What of the forwarded stream goes to nobody.
    skipped: Skipped,
    /// Where the history has the forwarded stream's packets, by the numbers that skip some.
    pub(super) places: Places,
    pub(super) key_frames: KeyFrameRequest,
    /// What of the forwarded stream is missing.
    pub(super) nacks: Nacks,
    pub(super) senders: DenseSlotMap<SenderKey, Sender>,
    /// Who was told of it; peers that are gone are dead.
    pub(super) listeners: Announced<Listener>,
    pub(super) armed: Armed,
}

/// Who made a Receiver, and how its client names it.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) id: ReceiverId,
    pub(super) peer: PeerKey,
    pub(super) transport: TransportKey,
    pub(super) paused: bool,
    pub(super) app_data: Option<&'a AppData>,
}

impl Receiver {
    pub(super) fn new(
        origin: Origin<'_>,
        source: SourceParameters,
        tx_ssrc: Ssrc,
        tx_rtx_ssrc: Option<Ssrc>,
        cname: Box<str>,
    ) -> Self {
        let ours = source.sender_parameters(tx_ssrc, tx_rtx_ssrc, &cname);
        let mut payloads = [Payload::Undeclared; 128];
        for (pt, role) in &source.payload_types {
            let mapped = ours.payload_types.iter().find(|(theirs, _)| theirs == pt);
            payloads[usize::from(pt.0)] = match (role, mapped) {
                (PtRole::Rtx { apt }, _) => Payload::Rtx(*apt),
                (PtRole::Media, Some((_, pt))) => Payload::Media(*pt),
                (PtRole::Red, Some((_, pt))) => Payload::Red(*pt),
                (PtRole::Media | PtRole::Red, None) => Payload::Undeclared,
            };
        }
        let mut extensions = ExtensionMap::new();
        for (theirs, ours) in &ours.extensions {
            extensions.set(*theirs, *ours);
        }
        let stream = |ssrc: Option<Ssrc>| ssrc.map(|ssrc| StreamRx::new(ssrc, source.clock_rate));
        let mut streams: Vec<_> = source.encodings.iter().map(|e| stream(e.ssrc)).collect();
        if streams.is_empty() {
            streams.push(None);
        }
        let source_kind = source.kind;
        let has_rtx = source.payload_types.iter().any(|(_, it)| matches!(it, PtRole::Rtx { .. }));
        let description = Description::new(source.kind, &ours.json, origin.paused, origin.app_data);
        Self {
            id: origin.id,
            peer: origin.peer,
            transport: origin.transport,
            kind: source.kind,
            clock_rate: source.clock_rate,
            source,
            paused: origin.paused,
            app_data: origin.app_data.map_or(0, |data| data.len()),
            description,
            tx_ssrc,
            tx_rtx_ssrc,
            tx_rtx_pt: ours.rtx,
            cname,
            payloads,
            extensions,
            streams,
            generation: 0,
            skipped: Skipped::default(),
            places: Places::new(match source_kind {
                Kind::Audio => AUDIO_PLACES,
                Kind::Video => VIDEO_PLACES,
            }),
            key_frames: KeyFrameRequest::default(),
            nacks: Nacks::new(has_rtx),
            senders: DenseSlotMap::with_key(),
            listeners: Announced::default(),
            armed: Armed::default(),
        }
    }

    /// Step 5: counts an authentic packet, and writes to `staged` what every Sender sends of it but
    /// for two numbers: with our payload type, SSRC and extension ids, in the same length.
    pub(super) fn account(
        &mut self,
        now: Timestamp,
        incoming: Packet<'_>,
        staged: &mut [u8; DATAGRAM_MAX],
    ) -> Result<Arrival, DropReason> {
        let Packet { encoding, header, seq, bytes: packet, recovered } = incoming;
        let payload = self.payloads[usize::from(header.pt.0)];
        let pt = match payload {
            Payload::Undeclared => {
                self.note_other(now, encoding, header, seq);
                return Err(DropReason::PayloadType);
            }
            Payload::Rtx(_) => {
                self.note_other(now, encoding, header, seq);
                return Err(DropReason::Rtx);
            }
            Payload::Media(pt) | Payload::Red(pt) => pt,
        };
        if !recovered {
            self.note_arrival(now, encoding, header, seq)?;
        }
        if encoding != FORWARDED_ENCODING {
            return Err(DropReason::OtherEncoding);
        }
        let start = codec::start(self.source.codec, &packet[header.len..]);
        if start == Start::Whole {
            self.key_frames.handle_key_frame();
            self.nacks.handle_key_frame(seq);
        }
        if self.paused {
            return Err(DropReason::ReceiverPaused);
        }
        if packet.len() + SRTP_TRAILER_MAX > DATAGRAM_MAX {
            self.skipped.skip(seq);
            return Err(DropReason::TooLong);
        }
        let seq = self.skipped.pass(seq);
        let (extensions, ssrc) = (&self.extensions, self.tx_ssrc);
        let rewrite = HeaderRewrite { pt, seq: 0, timestamp: 0, ssrc, extensions };
        let header_len = header.rewrite(packet, &rewrite, staged);
        let body = &mut staged[header_len..packet.len()];
        body.copy_from_slice(&packet[header_len..]);
        if let Payload::Red(_) = payload {
            red::rewrite_payload_types(body, |pt| self.block_pt(pt));
        }
        let (generation, timestamp) = (self.generation, header.timestamp);
        Ok(Arrival { now, generation, seq, timestamp, starts_key_frame: start != Start::None })
    }

    /// Statistics of the stream; another SSRC in the same encoding is a new stream, and its packets
    /// say so: those of the one before may still wait to be forwarded.
    fn note_arrival(
        &mut self,
        now: Timestamp,
        encoding: usize,
        header: &RtpHeader,
        seq: SeqNo,
    ) -> Result<(), DropReason> {
        let stream = &mut self.streams[encoding];
        if stream.as_ref().is_none_or(|stream| stream.ssrc() != header.ssrc) {
            let before = stream.as_ref();
            if before
                .is_some_and(|it| it.follows(header.ssrc) && now.since(it.heard_at()) < SILENCE)
            {
                return Err(DropReason::Late);
            }
            let before = before.map(StreamRx::ssrc);
            if before.is_some() && encoding == FORWARDED_ENCODING {
                self.generation = self.generation.wrapping_add(1);
                self.skipped = Skipped::default();
                self.places.clear();
                self.nacks.restart();
            }
            *stream = Some(StreamRx::new(header.ssrc, self.clock_rate).after(before));
        }
        if let Some(stream) = stream {
            stream.handle_packet(now, seq, header.timestamp);
        }
        if encoding == FORWARDED_ENCODING && self.source.nack {
            self.nacks.handle_packet(now, seq);
        }
        Ok(())
    }

    /// A packet that is no media of the source's, among those that are: it has come, and for
    /// viewers it never was there.
    fn note_other(&mut self, now: Timestamp, encoding: usize, header: &RtpHeader, seq: SeqNo) {
        let stream = self.streams[encoding].as_mut();
        if let Some(stream) = stream.filter(|stream| stream.ssrc() == header.ssrc) {
            stream.handle_other(seq);
            if encoding == FORWARDED_ENCODING {
                self.skipped.skip(seq);
                if self.source.nack {
                    self.nacks.handle_packet(now, seq);
                }
            }
        }
    }

    /// Of which stream, and under which of the source's payload types, a retransmission of this
    /// encoding repeats packets.
    pub(super) fn repeats(&self, encoding: usize, pt: Pt) -> Option<(Ssrc, Pt)> {
        let stream = self.streams.get(encoding)?.as_ref()?;
        match self.payloads[usize::from(pt.0)] {
            Payload::Rtx(apt) => Some((stream.ssrc(), apt)),
            _ => None,
        }
    }

    /// A packet has come again that had not come before; the round trip, if that tells it.
    pub(super) fn handle_recovered(
        &mut self,
        now: Timestamp,
        encoding: usize,
        seq: SeqNo,
    ) -> Option<Duration> {
        let forwarded = encoding == FORWARDED_ENCODING;
        forwarded.then(|| self.nacks.handle_recovered(now, seq)).flatten()
    }

    /// Whether the source is to be asked for something, now or later.
    pub(super) fn has_requests(&self) -> bool {
        self.key_frames.poll_deadline().is_some() || !self.nacks.is_idle()
    }

    /// RFC 2198 blocks name payload types too; what is not declared stays and is not understood.
    fn block_pt(&self, pt: Pt) -> Pt {
        match self.payloads.get(usize::from(pt.0)) {
            Some(Payload::Media(ours) | Payload::Red(ours)) => *ours,
            _ => pt,
        }
    }

    /// The stream that is forwarded, once its SSRC is known.
    pub(super) fn forwarded_stream(&self) -> Option<&StreamRx> {
        self.streams[FORWARDED_ENCODING].as_ref()
    }

    /// What its Senders begin with.
    pub(super) fn as_source(&self) -> Source {
        Source {
            kind: self.kind,
            clock_rate: self.clock_rate,
            ssrc: self.tx_ssrc,
            rtx: self.tx_rtx_ssrc.zip(self.tx_rtx_pt),
            generation: self.generation,
        }
    }

    /// The clock of the stream that this Sender has sent on last, if the source has told.
    pub(super) fn clock_of(&self, sender: &Sender) -> Option<&SourceClock> {
        let clock = self.forwarded_stream()?.clock();
        clock.filter(|_| sender.follows(self.generation))
    }

    /// A client needs a key frame to begin with.
    pub(super) fn ask_key_frame(&mut self, now: Timestamp) {
        if self.kind == Kind::Video && !self.paused {
            self.key_frames.ask(now);
        }
    }

    /// Stops forwarding.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        self.description.set_paused(true);
        self.key_frames.cancel();
        self.nacks.clear();
        for sender in self.senders.values_mut() {
            sender.interrupt();
        }
    }

    /// Goes on, video at a key frame.
    pub(super) fn resume(&mut self, now: Timestamp) {
        self.paused = false;
        self.description.set_paused(false);
        if self.senders.values().any(Sender::awaits_key_frame) {
            self.ask_key_frame(now);
        }
    }
}
