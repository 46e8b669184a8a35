//! `GET /stats`: what the shards have counted, as JSON.

use serde_json::{Map, Value, json};

use super::Response;
use crate::types::{DropReason, Histogram, Reason, Refusal, ShardId, ShardStats, Unanswered};

/// The counters of the shards that answered.
pub fn response(shards: &[(ShardId, ShardStats)]) -> Response {
    let shards: Vec<_> = shards.iter().map(|(id, stats)| shard(*id, stats)).collect();
    let body = json!({ "shards": shards }).to_string();
    Response::new(200, "application/json", body).header("Cache-Control", "no-store")
}

/// Drops and refusals that did not happen are left out.
fn shard(id: ShardId, stats: &ShardStats) -> Value {
    let drops: Map<_, _> = DropReason::ALL
        .iter()
        .map(|&reason| (reason.label().to_owned(), stats.drops(reason)))
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| (label, count.into()))
        .collect();
    let refusals: Map<_, _> = Refusal::ALL
        .iter()
        .map(|&refusal| (refusal.label().to_owned(), stats.refusals(refusal)))
        .filter(|(_, count)| *count > 0)
        .map(|(label, count)| (label, count.into()))
        .collect();
    let unanswered: Map<_, _> = Unanswered::ALL
        .iter()
        .map(|reason| (reason.label().to_owned(), stats.unanswered(*reason).into()))
        .collect();
    let timer_wakeups: Map<_, _> = Reason::ALL
        .iter()
        .map(|reason| (reason.label().to_owned(), stats.timer_wakeups[*reason as usize].into()))
        .collect();
    json!({
        "shard": id.0,
        "rooms": stats.rooms,
        "peers": stats.peers,
        "transports": stats.transports,
        "directoryRooms": stats.directory_rooms,
        "rxDatagrams": stats.rx_datagrams,
        "rxBytes": stats.rx_bytes,
        "rxBatches": stats.rx_batches,
        "rxOverflow": stats.rx_overflow,
        "rxRingOverruns": stats.rx_ring_overruns,
        "txDatagrams": stats.tx_datagrams,
        "txInTrains": stats.tx_in_trains(),
        "txTrains": stats.tx_trains,
        "txBytes": stats.tx_bytes,
        "txPaddingBytes": stats.tx_padding_bytes,
        "rtpReceived": stats.rtp_received,
        "rtpForwarded": stats.rtp_forwarded,
        "forwardTime": times(&stats.forward_time),
        "turns": stats.turns,
        "mediaWakeups": stats.media_wakeups,
        "timerWakeups": timer_wakeups,
        "busyShare": stats.busy_permille as f64 / 1000.0,
        "pressure": stats.pressure as u8,
        "nacked": stats.nacked,
        "resent": stats.resent,
        "resentBytes": stats.resent_bytes,
        "notResent": unanswered,
        "roundTrips": times(&stats.round_trips),
        "asked": stats.asked,
        "recovered": stats.recovered,
        "givenUp": stats.given_up,
        "feedbackSent": stats.feedback_sent,
        "keyFrameRequests": stats.key_frame_requests,
        "handshakeSteps": stats.handshake_steps,
        "dtlsConnected": stats.dtls_connected,
        "slowReaders": stats.slow_readers,
        "drops": drops,
        "refusals": refusals,
    })
}

/// Times in microseconds.
fn times(histogram: &Histogram) -> Value {
    let micros = |share| histogram.quantile(share).as_micros() as u64;
    json!({
        "count": histogram.count(),
        "p50": micros(0.5),
        "p99": micros(0.99),
        "p999": micros(0.999),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_named() {
        let mut stats = ShardStats::default();
        stats.rooms = 3;
        stats.drop(DropReason::NoPath);
        let text = String::from_utf8(response(&[(ShardId(1), stats)]).into_bytes()).unwrap();
        let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["shards"][0]["shard"], 1);
        assert_eq!(body["shards"][0]["rooms"], 3);
        assert_eq!(body["shards"][0]["drops"], json!({ "no_path": 1 }));
    }
}
