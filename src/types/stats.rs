//! What one shard counts: plain integers, no atomics; published by copying.

use super::drop::{DROP_REASONS, DropReason};
use super::histogram::Histogram;
use super::limit::TRAIN_MAX;
use super::refusal::REFUSALS;
use super::{Pressure, Reason, Refusal, Unanswered};

/// Sizes of batches are counted by powers of two: 1, 2–3, 4–7, …, 32–63, 64.
pub const BATCH_CLASSES: usize = 7;

/// Counters of one shard since its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStats {
    /// Datagrams received on the media sockets.
    pub rx_datagrams: u64,
    /// Bytes of them.
    pub rx_bytes: u64,
    /// Batches that they were received in, by how many each had ([`BATCH_CLASSES`]).
    pub rx_batches: [u64; BATCH_CLASSES],
    /// Datagrams lost because a media socket's receive queue was full; the kernel counts them.
    pub rx_overflow: u64,
    /// How often the kernel had no buffer to receive into; what came waited in the socket's queue.
    pub rx_ring_overruns: u64,
    /// Datagrams handed to the kernel.
    pub tx_datagrams: u64,
    /// The messages to the kernel that they left in, by how many datagrams each was: the first
    /// entry counts what left alone.
    pub tx_trains: [u64; TRAIN_MAX],
    /// Bytes of them.
    pub tx_bytes: u64,
    /// Bytes that were added to packets to make them as long as others of their frame.
    pub tx_padding_bytes: u64,
    /// RTP packets of a source that were authentic and belong to a Receiver.
    pub rtp_received: u64,
    /// RTP packets sealed for a client.
    pub rtp_forwarded: u64,
    /// From the reading of the clock with which a turn began to the end of its last send, for each
    /// packet that was forwarded in it.
    pub forward_time: Histogram,
    /// Turns: receive, route, forward, send.
    pub turns: u64,
    /// How often the shard was woken because datagrams came.
    pub media_wakeups: u64,
    /// How often it was woken because time had come, by what for.
    pub timer_wakeups: [u64; Reason::ALL.len()],
    /// Which share of the last second the shard's thread was running, in thousandths.
    pub busy_permille: u64,
    /// What is to be done about that. The signal for whoever can make the shard's work less.
    pub pressure: Pressure,
    /// Packets that viewers have said they miss.
    pub nacked: u64,
    /// Of those, the ones that were sent again.
    pub resent: u64,
    /// Bytes of them, sealed.
    pub resent_bytes: u64,
    /// Round trips to viewers, as their reports tell.
    pub round_trips: Histogram,
    /// Packets that sources were asked to send again, each time.
    pub asked: u64,
    /// Packets that came as retransmissions and had not come before.
    pub recovered: u64,
    /// Packets that were missing and are asked for no more.
    pub given_up: u64,
    /// Packets of transport-wide feedback sent to sources.
    pub feedback_sent: u64,
    /// Key frame requests sent to sources.
    pub key_frame_requests: u64,
    /// DTLS datagrams that were taken into account, steps of handshakes nearly all.
    pub handshake_steps: u64,
    /// DTLS handshakes completed with a fingerprint that matched.
    pub dtls_connected: u64,
    /// WebSockets closed because their clients did not read what they were sent.
    pub slow_readers: u64,
    /// Rooms now.
    pub rooms: u64,
    /// Peers now (WebSocket connections, joined or not).
    pub peers: u64,
    /// Transports now.
    pub transports: u64,
    /// Rooms, of any shard, that this shard's part of the directory has an entry for now.
    pub directory_rooms: u64,
    drops: [u64; DROP_REASONS],
    refusals: [u64; REFUSALS],
    unanswered: [u64; Unanswered::ALL.len()],
}

impl Default for ShardStats {
    fn default() -> Self {
        Self {
            rx_datagrams: 0,
            rx_bytes: 0,
            rx_batches: [0; BATCH_CLASSES],
            rx_overflow: 0,
            rx_ring_overruns: 0,
            tx_datagrams: 0,
            tx_trains: [0; TRAIN_MAX],
            tx_bytes: 0,
            tx_padding_bytes: 0,
            rtp_received: 0,
            rtp_forwarded: 0,
            forward_time: Histogram::default(),
            turns: 0,
            media_wakeups: 0,
            timer_wakeups: [0; Reason::ALL.len()],
            busy_permille: 0,
            pressure: Pressure::None,
            nacked: 0,
            resent: 0,
            resent_bytes: 0,
            round_trips: Histogram::default(),
            asked: 0,
            recovered: 0,
            given_up: 0,
            feedback_sent: 0,
            key_frame_requests: 0,
            handshake_steps: 0,
            dtls_connected: 0,
            slow_readers: 0,
            rooms: 0,
            peers: 0,
            transports: 0,
            directory_rooms: 0,
            drops: [0; DROP_REASONS],
            refusals: [0; REFUSALS],
            unanswered: [0; Unanswered::ALL.len()],
        }
    }
}

impl ShardStats {
    /// Counts a batch of so many datagrams; an empty one is none.
    pub fn note_batch(&mut self, datagrams: usize) {
        if let Some(class) = datagrams.checked_ilog2() {
            self.rx_batches[(class as usize).min(BATCH_CLASSES - 1)] += 1;
        }
    }

    /// Datagrams that left in a train, several in one message to the kernel.
    pub fn tx_in_trains(&self) -> u64 {
        self.tx_datagrams - self.tx_trains[0]
    }

    /// Counts one drop.
    pub fn drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    /// Counts several drops for the same reason.
    pub fn drop_many(&mut self, reason: DropReason, count: u64) {
        self.drops[reason as usize] += count;
    }

    /// How often `reason` occurred.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Counts one refusal.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusals[refusal as usize] += 1;
    }

    /// How often somebody was refused for this.
    pub fn refusals(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize]
    }

    /// Counts a packet that a viewer misses and does not get.
    pub fn leave_unanswered(&mut self, reason: Unanswered) {
        self.unanswered[reason as usize] += 1;
    }

    /// How often that was for this reason.
    pub fn unanswered(&self, reason: Unanswered) -> u64 {
        self.unanswered[reason as usize]
    }

    /// All drops together.
    pub fn drops_total(&self) -> u64 {
        self.drops.iter().sum()
    }
}
