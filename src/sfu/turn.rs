//! What a turn has received and not yet sent on: packets that are open, accounted for and rewritten
//! for all Senders of their Receiver, in the history. They go out at the turn's end, viewer by
//! viewer, so that what a viewer needs is fetched once, and what goes to it lies side by side and
//! can leave as a train.

use super::sender::Arrival;
use crate::media::History;
use crate::media::history::Place;
use crate::types::ReceiverKey;
use crate::types::limit::{DATAGRAM_MAX, HISTORY_PACKETS_MIN, SRTP_TRAILER_MAX};

/// Packets that wait at most; the next one has them go out first. What one batch can bring.
const PACKETS_MAX: usize = 64;
const _: () = assert!(PACKETS_MAX < HISTORY_PACKETS_MIN, "none is overwritten before it went out");

/// RFC 3550 §5.1: the padding bit, in the first byte.
const PADDING_BIT: u8 = 0x20;

/// The media of one turn.
#[derive(Debug)]
pub(super) struct Turn {
    packets: Vec<Staged>,
    chains: Vec<Chain>,
}

/// A packet of a Receiver, plain, that reads as every Sender's does but for sequence number and
/// timestamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Staged {
    pub(super) arrival: Arrival,
    place: Place,
    pub(super) header_len: usize,
    pub(super) len: usize,
    /// Bytes that were added to make it as long as others of its frame.
    pub(super) evened: usize,
    /// The next one of the same Receiver.
    next: Option<usize>,
}

/// The packets of one Receiver, in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    pub(super) receiver: ReceiverKey,
    first: usize,
    last: usize,
}

impl Turn {
    /// Nothing received yet.
    pub(super) fn new() -> Self {
        Self { packets: Vec::with_capacity(PACKETS_MAX), chains: Vec::with_capacity(PACKETS_MAX) }
    }

    /// Whether what waits must go out before there is a slot again.
    pub(super) fn is_full(&self) -> bool {
        self.packets.len() == PACKETS_MAX
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Takes in a packet that the history has; there is room for it unless the turn is full.
    pub(super) fn stage(
        &mut self,
        receiver: ReceiverKey,
        arrival: Arrival,
        place: Place,
        (header_len, len): (usize, usize),
    ) {
        let this = self.packets.len();
        self.packets.push(Staged { arrival, place, header_len, len, evened: 0, next: None });
        // Few Receivers have something in one turn, and the latest is the likeliest.
        match self.chains.iter_mut().rev().find(|chain| chain.receiver == receiver) {
            Some(chain) => {
                self.packets[chain.last].next = Some(this);
                chain.last = this;
            }
            None => self.chains.push(Chain { receiver, first: this, last: this }),
        }
    }

    /// The Receiver of that number in this turn, in the order of their first packets.
    pub(super) fn chain(&self, i: usize) -> Option<Chain> {
        self.chains.get(i).copied()
    }

    /// A chain's packets with their bytes.
    pub(super) fn packets<'a>(&'a self, chain: Chain, history: &'a History) -> Packets<'a> {
        Packets { packets: &self.packets, history, next: Some(chain.first) }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.chains.clear();
    }

    /// Makes packets of a frame that are one byte shorter than its longest as long as that one, by
    /// RTP padding (RFC 3550 §5.1). Browsers cut a frame into equal packets of which some are one
    /// byte longer; evened, they are one train.
    pub(super) fn even(&mut self, chain: Chain, history: &mut History) {
        let mut first = Some(chain.first);
        while let Some(start) = first {
            let frame = self.packets[start].arrival.timestamp;
            let (mut longest, mut end) = (0, first);
            while let Some(i) = end.filter(|i| self.packets[*i].arrival.timestamp == frame) {
                longest = longest.max(self.packets[i].len);
                end = self.packets[i].next;
            }
            let mut next = first;
            while let Some(i) = next.filter(|_| next != end) {
                if self.packets[i].len + 1 == longest && longest + SRTP_TRAILER_MAX <= DATAGRAM_MAX
                {
                    self.pad(i, history);
                }
                next = self.packets[i].next;
            }
            first = end;
        }
    }

    /// Adds one byte of padding, unless the packet has all the padding that there can be.
    fn pad(&mut self, i: usize, history: &mut History) {
        let packet = &mut self.packets[i];
        let bytes = history.bytes(packet.place, packet.len);
        let padded = bytes[0] & PADDING_BIT != 0;
        // The last byte counts the padding, itself included; the others may be anything.
        let count = if padded { bytes[packet.len - 1] } else { 0 };
        let Some(count) = count.checked_add(1) else { return };
        packet.len += 1;
        packet.evened += 1;
        let bytes = history.lengthen(packet.place, packet.len);
        bytes[packet.len - 1] = count;
        bytes[0] |= PADDING_BIT;
    }
}

/// The packets of one [`Chain`].
#[derive(Debug, Clone)]
pub(super) struct Packets<'a> {
    packets: &'a [Staged],
    history: &'a History,
    next: Option<usize>,
}

impl<'a> Iterator for Packets<'a> {
    type Item = (&'a Staged, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let i = self.next?;
        let packet = &self.packets[i];
        self.next = packet.next;
        Some((packet, self.history.bytes(packet.place, packet.len)))
    }
}
