//! The metrics that each shard has: name, meaning, and where to read it.

use crate::types::limit::TRAIN_MAX;
use crate::types::stats::BATCH_CLASSES;
use crate::types::{DropReason, Histogram, Reason, Refusal, ShardStats, Unanswered};

/// What a metric of each shard is, and where to read it.
pub(super) enum Reading {
    /// Counts up for ever.
    Counter(fn(&ShardStats) -> u64),
    /// Counts up for ever, by one more label.
    CounterBy(&'static str, fn(&ShardStats) -> Vec<(&'static str, u64)>),
    /// Goes up and down.
    Gauge(fn(&ShardStats) -> f64),
    /// Times.
    Seconds(fn(&ShardStats) -> &Histogram),
}

/// A metric of each shard: name, meaning, reading.
pub(super) type PerShard = (&'static str, &'static str, Reading);

/// All of them, in the order of the page.
pub(super) const PER_SHARD: &[PerShard] = &[
    ("corinth_rooms", "Rooms now.", Reading::Gauge(|stats| stats.rooms as f64)),
    (
        "corinth_peers",
        "Peers now: WebSocket connections, joined or not.",
        Reading::Gauge(|stats| stats.peers as f64),
    ),
    ("corinth_transports", "Transports now.", Reading::Gauge(|stats| stats.transports as f64)),
    (
        "corinth_directory_rooms",
        "Rooms, of any shard, that this shard's part of the directory knows now.",
        Reading::Gauge(|stats| stats.directory_rooms as f64),
    ),
    (
        "corinth_busy_ratio",
        "Share of the last second that the shard's thread was running, 0 to 1.",
        Reading::Gauge(|stats| stats.busy_permille as f64 / 1000.0),
    ),
    (
        "corinth_pressure",
        "What the shard does about its load: 0 nothing, 1 takes no new peers, 2 should shed video.",
        Reading::Gauge(|stats| f64::from(stats.pressure as u8)),
    ),
    (
        "corinth_refused_total",
        "Connections and requests that were refused, by why.",
        Reading::CounterBy("reason", |stats| {
            Refusal::ALL.iter().map(|r| (r.label(), stats.refusals(*r))).collect()
        }),
    ),
    (
        "corinth_rx_datagrams_total",
        "Datagrams received on the media sockets.",
        Reading::Counter(|stats| stats.rx_datagrams),
    ),
    (
        "corinth_rx_bytes_total",
        "Bytes of datagrams received.",
        Reading::Counter(|stats| stats.rx_bytes),
    ),
    (
        "corinth_rx_batches_total",
        "Turns by how many datagrams they received.",
        Reading::CounterBy("datagrams", |stats| pair(&BATCH_LABELS, &stats.rx_batches)),
    ),
    (
        "corinth_rx_overflow_total",
        "Datagrams lost because a media socket's receive queue was full.",
        Reading::Counter(|stats| stats.rx_overflow),
    ),
    (
        "corinth_rx_ring_overruns_total",
        "Times that the ring found no buffer to receive into; nothing is lost by it.",
        Reading::Counter(|stats| stats.rx_ring_overruns),
    ),
    (
        "corinth_tx_datagrams_total",
        "Datagrams that the kernel took.",
        Reading::Counter(|stats| stats.tx_datagrams),
    ),
    (
        "corinth_tx_bytes_total",
        "Bytes of datagrams that the kernel took.",
        Reading::Counter(|stats| stats.tx_bytes),
    ),
    (
        "corinth_tx_messages_total",
        "Messages to the kernel by how many datagrams each was (a train, where several).",
        Reading::CounterBy("datagrams", |stats| pair(&TRAIN_LABELS, &stats.tx_trains)),
    ),
    (
        "corinth_tx_padding_bytes_total",
        "Bytes added to packets to make them as long as others of their frame.",
        Reading::Counter(|stats| stats.tx_padding_bytes),
    ),
    (
        "corinth_rtp_received_packets_total",
        "RTP packets of sources: authentic, and of a Receiver.",
        Reading::Counter(|stats| stats.rtp_received),
    ),
    (
        "corinth_rtp_forwarded_packets_total",
        "RTP packets sealed for a viewer.",
        Reading::Counter(|stats| stats.rtp_forwarded),
    ),
    (
        "corinth_forward_seconds",
        "Time of a forwarded packet from the beginning of its turn to the end of its send.",
        Reading::Seconds(|stats| &stats.forward_time),
    ),
    (
        "corinth_turns_total",
        "Turns: receive, route, forward, send.",
        Reading::Counter(|stats| stats.turns),
    ),
    (
        "corinth_media_wakeups_total",
        "Times that datagrams woke the shard.",
        Reading::Counter(|stats| stats.media_wakeups),
    ),
    (
        "corinth_timer_wakeups_total",
        "Times that time woke the shard, by what for.",
        Reading::CounterBy("reason", |stats| {
            Reason::ALL.iter().map(|r| (r.label(), stats.timer_wakeups[*r as usize])).collect()
        }),
    ),
    (
        "corinth_nacked_packets_total",
        "Packets that viewers have said they miss.",
        Reading::Counter(|stats| stats.nacked),
    ),
    (
        "corinth_resent_packets_total",
        "Packets that were sent again.",
        Reading::Counter(|stats| stats.resent),
    ),
    (
        "corinth_resent_bytes_total",
        "Bytes of packets that were sent again.",
        Reading::Counter(|stats| stats.resent_bytes),
    ),
    (
        "corinth_not_resent_packets_total",
        "Packets that viewers miss and did not get, by why.",
        Reading::CounterBy("reason", |stats| {
            Unanswered::ALL.iter().map(|r| (r.label(), stats.unanswered(*r))).collect()
        }),
    ),
    (
        "corinth_round_trip_seconds",
        "Round trips to viewers, by their reports.",
        Reading::Seconds(|stats| &stats.round_trips),
    ),
    (
        "corinth_asked_packets_total",
        "Packets that sources were asked to send again, each time.",
        Reading::Counter(|stats| stats.asked),
    ),
    (
        "corinth_recovered_packets_total",
        "Packets of sources that came as retransmissions and had not come before.",
        Reading::Counter(|stats| stats.recovered),
    ),
    (
        "corinth_given_up_packets_total",
        "Packets of sources that were missing and are asked for no more.",
        Reading::Counter(|stats| stats.given_up),
    ),
    (
        "corinth_feedback_packets_total",
        "Packets of transport-wide feedback sent to sources.",
        Reading::Counter(|stats| stats.feedback_sent),
    ),
    (
        "corinth_key_frame_requests_total",
        "Key frame requests sent to sources.",
        Reading::Counter(|stats| stats.key_frame_requests),
    ),
    (
        "corinth_dtls_steps_total",
        "DTLS datagrams worked off.",
        Reading::Counter(|stats| stats.handshake_steps),
    ),
    (
        "corinth_dtls_connected_total",
        "DTLS handshakes completed.",
        Reading::Counter(|stats| stats.dtls_connected),
    ),
    (
        "corinth_slow_readers_total",
        "WebSockets closed because their clients did not read what they were sent.",
        Reading::Counter(|stats| stats.slow_readers),
    ),
    (
        "corinth_dropped_total",
        "Packets, and messages of clients, that went no further, by why.",
        Reading::CounterBy("reason", |stats| {
            DropReason::ALL.iter().map(|r| (r.label(), stats.drops(*r))).collect()
        }),
    ),
];

const BATCH_LABELS: [&str; BATCH_CLASSES] = ["1", "2-3", "4-7", "8-15", "16-31", "32-63", "64"];

const TRAIN_LABELS: [&str; TRAIN_MAX] =
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];

fn pair(labels: &[&'static str], counts: &[u64]) -> Vec<(&'static str, u64)> {
    labels.iter().copied().zip(counts.iter().copied()).collect()
}
