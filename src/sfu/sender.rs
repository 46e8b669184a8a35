//! A Sender gives one media source to one client. This is its enabled half, in the list of its
//! Receiver; what is only announced is an entry in its peer's [`super::peer::Subscriptions`].

use std::time::Duration;

use crate::media::{Kept, Resends, Rewrite, SourceClock, StreamTx};
use crate::transport::srtp::{PacketIndex, PacketIndices, SrtpTx};
use crate::types::limit::{DATAGRAM_MAX, KEY_FRAME_WAIT, SRTP_TRAILER_MAX};
use crate::types::{
    DropReason, Kind, PeerKey, Pt, SenderId, SeqNo, Ssrc, Timestamp, TransportKey, Unanswered,
};
use crate::wire::rtcp::SenderReport;
use crate::wire::{rtp, rtx};

/// Whether, and from where on, packets go to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// The client does not want any.
    Stopped,
    /// Audio: the next packet is the first.
    NextPacket,
    /// Video: the next key frame is the first; `since` the first packet that was refused.
    KeyFrame {
        since: Option<Timestamp>,
    },
    Open,
}

/// An enabled Sender.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) transport: TransportKey,
    gate: Gate,
    /// The source's stream that the numbers belong to.
    generation: u32,
    rewrite: Rewrite,
    /// What may still be sealed under the transport's key; `None` before there is one.
    indices: Option<PacketIndices>,
    pub(super) stream: StreamTx,
    /// What is sent again, once the client has missed something.
    again: Option<Box<Again>>,
    /// Under which SSRC and payload type; `None`: as it was sent the first time.
    rtx: Option<(Ssrc, Pt)>,
    kind: Kind,
    clock_rate: u32,
    pub(super) peer: PeerKey,
    pub(super) id: SenderId,
}

/// What a Sender gives on.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) clock_rate: u32,
    /// Under which all its Senders send.
    pub(super) ssrc: Ssrc,
    /// Under which they send again, to clients that want it so.
    pub(super) rtx: Option<(Ssrc, Pt)>,
    /// Which of its streams is the latest.
    pub(super) generation: u32,
}

/// What the fan-out asks a Sender about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) now: Timestamp,
    /// Which of the source's streams it is of: in each, numbers and timestamps start anew.
    pub(super) generation: u32,
    pub(super) seq: SeqNo,
    pub(super) timestamp: u32,
    /// Forwarding may start with this packet.
    pub(super) starts_key_frame: bool,
}

impl Sender {
    pub(super) fn new(
        peer: PeerKey,
        id: SenderId,
        transport: TransportKey,
        source: &Source,
        uses_rtx: bool,
        rng: &mut fastrand::Rng,
    ) -> Self {
        Self {
            transport,
            gate: start(source.kind),
            generation: source.generation,
            rewrite: Rewrite::new(rng),
            indices: None,
            stream: StreamTx::new(source.ssrc),
            again: None,
            rtx: source.rtx.filter(|_| uses_rtx),
            kind: source.kind,
            clock_rate: source.clock_rate,
            peer,
            id,
        }
    }

    /// The client wants it again. `false` if it never stopped.
    pub(super) fn play(&mut self) -> bool {
        let stopped = self.gate == Gate::Stopped;
        if stopped {
            self.gate = start(self.kind);
        }
        stopped
    }

    /// The client does not want it.
    pub(super) fn stop(&mut self) {
        self.gate = Gate::Stopped;
    }

    /// Packets were left out: what comes next must be a beginning, and the wait for it begins anew.
    pub(super) fn interrupt(&mut self) {
        if self.gate != Gate::Stopped {
            self.gate = start(self.kind);
        }
    }

    /// Whether what it has sent last is of this stream of the source.
    pub(super) fn follows(&self, generation: u32) -> bool {
        self.generation == generation
    }

    /// Whether the client has stopped it.
    pub(super) fn is_stopped(&self) -> bool {
        self.gate == Gate::Stopped
    }

    /// Whether nothing goes out before a key frame.
    pub(super) fn awaits_key_frame(&self) -> bool {
        matches!(self.gate, Gate::KeyFrame { .. })
    }

    /// There are keys: what it sends from now on is sealed with this one.
    pub(super) fn seal_with(&mut self, tx: &mut SrtpTx) {
        if self.indices.is_none() {
            self.indices = tx.indices(self.stream.ssrc());
        }
    }

    /// Step 7, the decision: our numbers for this packet, or why it stays here.
    #[inline]
    pub(super) fn fit(&mut self, arrival: &Arrival) -> Result<(PacketIndex, u32), DropReason> {
        if arrival.generation != self.generation && self.gate != Gate::Stopped {
            self.replace_source(arrival)?;
        }
        match &mut self.gate {
            Gate::Open => {}
            Gate::Stopped => return Err(DropReason::SenderStopped),
            Gate::KeyFrame { since } if !arrival.starts_key_frame => {
                let since = *since.get_or_insert(arrival.now);
                // Encrypted or unknown payload hides its key frames: after a while the client's
                // decoder is the better judge.
                if arrival.now.since(since) < KEY_FRAME_WAIT {
                    return Err(DropReason::AwaitingKeyFrame);
                }
                self.begin(arrival);
            }
            Gate::NextPacket | Gate::KeyFrame { .. } => self.begin(arrival),
        }
        let numbers = self.rewrite.apply(arrival.now, arrival.seq, arrival.timestamp);
        let (seq, timestamp) = numbers.ok_or(DropReason::Late)?;
        let indices = self.indices.as_mut().ok_or(DropReason::IndexSpent)?;
        Ok((indices.claim(seq)?, timestamp))
    }

    /// The source continues with another stream. What is left of the one before is too late.
    #[cold]
    fn replace_source(&mut self, arrival: &Arrival) -> Result<(), DropReason> {
        let ahead = arrival.generation.wrapping_sub(self.generation);
        if ahead > u32::MAX / 2 {
            return Err(DropReason::Late);
        }
        self.generation = arrival.generation;
        self.rewrite.replace_source(arrival.now, arrival.timestamp, self.clock_rate);
        self.interrupt();
        Ok(())
    }

    fn begin(&mut self, arrival: &Arrival) {
        self.rewrite.begin(arrival.seq);
        self.gate = Gate::Open;
    }

    /// Which packet the client means by this number: ours for it, and the source's.
    pub(super) fn sent_as(&self, wire: u16) -> Result<(SeqNo, SeqNo), Unanswered> {
        let ours = self.rewrite.used(wire).ok_or(Unanswered::NeverSent)?;
        let source = self.rewrite.source_of(ours).ok_or(Unanswered::Gone)?;
        Ok((ours, source))
    }

    /// Whether a packet may be sent again now to a client this far away.
    pub(super) fn may_resend(
        &mut self,
        now: Timestamp,
        round_trip: Duration,
        ours: SeqNo,
        kept: &Kept,
    ) -> Result<(), Unanswered> {
        let again = self.again.get_or_insert_with(|| Box::new(Again::new(ours)));
        again.resends.earn(self.stream.octets());
        again.resends.check(now, round_trip, ours, kept.at, kept.len)
    }

    /// Writes a packet as it is sent again: as a retransmission, or the very bytes that were sent.
    pub(super) fn write_again(
        &mut self,
        ours: SeqNo,
        kept: &Kept,
        bytes: &[u8],
        tx: &mut SrtpTx,
        slot: &mut [u8],
    ) -> Result<Repetition, Unanswered> {
        let timestamp = self.timestamp(kept.timestamp);
        let (index, len) = match self.rtx {
            Some(_) if bytes.len() + rtx::OSN_LEN + SRTP_TRAILER_MAX > DATAGRAM_MAX => {
                return Err(Unanswered::TooLong);
            }
            Some((ssrc, pt)) => {
                let again = self.again.get_or_insert_with(|| Box::new(Again::new(ours)));
                let index = again.claim(ssrc, tx).ok_or(Unanswered::Gone)?;
                (index, rtx::write(bytes, kept.header_len, (pt, ssrc), ours.wire(), slot))
            }
            None => {
                let indices = self.indices.as_mut();
                let index = indices.and_then(|it| it.again(ours)).ok_or(Unanswered::Gone)?;
                slot[..bytes.len()].copy_from_slice(bytes);
                (index, bytes.len())
            }
        };
        rtp::set_numbers(slot, index.seq(), timestamp);
        Ok(Repetition { index, len })
    }

    /// A packet was sent again, of so many bytes.
    pub(super) fn note_resent(&mut self, now: Timestamp, ours: SeqNo, len: usize) {
        if let Some(again) = &mut self.again {
            again.resends.note(now, ours, len);
        }
    }

    /// Packets and bytes that were sent again.
    pub(super) fn resent(&self) -> (u64, u64) {
        let resends = self.again.as_ref().map(|again| &again.resends);
        resends.map_or((0, 0), |resends| (resends.packets(), resends.octets()))
    }

    /// What it reports of itself, once it has sent something.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        clock: &SourceClock,
        clock_rate: u32,
    ) -> Option<SenderReport> {
        let ours = |timestamp| self.rewrite.timestamp(timestamp);
        let has_sent = self.stream.has_sent();
        has_sent.then(|| self.stream.sender_report(now, clock, clock_rate, ours))
    }

    /// A timestamp of the source as the client knows it.
    pub(super) fn timestamp(&self, timestamp: u32) -> u32 {
        self.rewrite.timestamp(timestamp)
    }
}

/// What it takes to send again; made when the client first misses something.
#[derive(Debug)]
struct Again {
    resends: Resends,
    /// What may be sealed as retransmissions.
    indices: Option<PacketIndices>,
    /// The next number of them.
    next: SeqNo,
}

/// A packet that was written to be sent again: to be sealed under this index, `len` bytes of it.
#[derive(Debug)]
pub(super) struct Repetition {
    pub(super) index: PacketIndex,
    pub(super) len: usize,
}

impl Again {
    /// Numbers begin anywhere below 2^15 (RFC 3711 §3.3.1), as the first one's that was missed.
    fn new(missed: SeqNo) -> Self {
        Self { resends: Resends::default(), indices: None, next: SeqNo(missed.0 % (1 << 15)) }
    }

    /// The index of the next retransmission.
    fn claim(&mut self, ssrc: Ssrc, tx: &mut SrtpTx) -> Option<PacketIndex> {
        if self.indices.is_none() {
            self.indices = tx.indices(ssrc);
        }
        let index = self.indices.as_mut()?.claim(self.next).ok()?;
        self.next = SeqNo(self.next.0 + 1);
        Some(index)
    }
}

/// Audio can be understood from any packet on, video from a key frame on.
fn start(kind: Kind) -> Gate {
    match kind {
        Kind::Audio => Gate::NextPacket,
        Kind::Video => Gate::KeyFrame { since: None },
    }
}
