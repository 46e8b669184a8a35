//! A Sender gives one media source to one client. This is its enabled half, in the list of its
//! Receiver; what is only announced is an entry in its peer's [`super::peer::Subscriptions`].

use crate::media::{Rewrite, StreamTx};
use crate::transport::srtp::{PacketIndex, PacketIndices, SrtpTx};
use crate::types::limit::KEY_FRAME_WAIT;
use crate::types::{DropReason, Kind, PeerKey, SenderId, SeqNo, Ssrc, Timestamp, TransportKey};

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
        rng: &mut fastrand::Rng,
    ) -> Self {
        Self {
            transport,
            gate: start(source.kind),
            generation: source.generation,
            rewrite: Rewrite::new(rng),
            indices: None,
            stream: StreamTx::new(source.ssrc),
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

    /// A timestamp of the source as the client knows it.
    pub(super) fn timestamp(&self, timestamp: u32) -> u32 {
        self.rewrite.timestamp(timestamp)
    }
}

/// Audio can be understood from any packet on, video from a key frame on.
fn start(kind: Kind) -> Gate {
    match kind {
        Kind::Audio => Gate::NextPacket,
        Kind::Video => Gate::KeyFrame { since: None },
    }
}
