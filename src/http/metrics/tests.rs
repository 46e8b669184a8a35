//! The page as Prometheus would read it.

use std::collections::BTreeMap;

use super::*;
use crate::types::{DropReason, Reason};

fn process() -> Process {
    Process {
        cpu: Duration::from_millis(1500),
        resident_bytes: 4096,
        open_descriptors: 30,
        descriptors_max: 1024,
        started: 1_700_000_000,
        webhook: Webhook { waiting: 3, delivered: 5, lost: 7, failures: 9 },
    }
}

/// Every sample of the page, by its name with labels.
fn samples(stats: ShardStats) -> BTreeMap<String, f64> {
    let shards = [(ShardId(0), ShardStats::default()), (ShardId(3), stats)];
    let page: String = pieces(&shards, &process()).collect();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn each_counter_is_where_it_belongs() {
    let mut stats = ShardStats::default();
    (stats.rooms, stats.peers, stats.transports, stats.directory_rooms) = (2, 3, 5, 7);
    (stats.rx_datagrams, stats.rx_bytes, stats.rx_overflow) = (11, 13, 17);
    (stats.rx_ring_overruns, stats.tx_datagrams, stats.tx_bytes) = (19, 23, 29);
    (stats.tx_padding_bytes, stats.rtp_received, stats.rtp_forwarded) = (31, 37, 41);
    (stats.turns, stats.media_wakeups, stats.key_frame_requests) = (43, 47, 53);
    (stats.handshake_steps, stats.dtls_connected, stats.busy_permille) = (59, 61, 670);
    stats.slow_readers = 67;
    stats.rx_batches[1] = 71;
    stats.tx_trains[15] = 73;
    stats.timer_wakeups[Reason::Rtcp as usize] = 79;
    stats.drop_many(DropReason::SrtpReplay, 83);
    let found = samples(stats);
    for (name, value) in [
        ("corinth_rooms", 2.0),
        ("corinth_peers", 3.0),
        ("corinth_transports", 5.0),
        ("corinth_directory_rooms", 7.0),
        ("corinth_rx_datagrams_total", 11.0),
        ("corinth_rx_bytes_total", 13.0),
        ("corinth_rx_overflow_total", 17.0),
        ("corinth_rx_ring_overruns_total", 19.0),
        ("corinth_tx_datagrams_total", 23.0),
        ("corinth_tx_bytes_total", 29.0),
        ("corinth_tx_padding_bytes_total", 31.0),
        ("corinth_rtp_received_packets_total", 37.0),
        ("corinth_rtp_forwarded_packets_total", 41.0),
        ("corinth_turns_total", 43.0),
        ("corinth_media_wakeups_total", 47.0),
        ("corinth_key_frame_requests_total", 53.0),
        ("corinth_dtls_steps_total", 59.0),
        ("corinth_dtls_connected_total", 61.0),
        ("corinth_slow_readers_total", 67.0),
        ("corinth_busy_ratio", 0.67),
    ] {
        assert_eq!(found.get(&format!("{name}{{shard=\"3\"}}")), Some(&value), "{name}");
        assert_eq!(found.get(&format!("{name}{{shard=\"0\"}}")), Some(&0.0), "{name}");
    }
    for (name, value) in [
        ("corinth_rx_batches_total{shard=\"3\",datagrams=\"2-3\"}", 71.0),
        ("corinth_tx_messages_total{shard=\"3\",datagrams=\"16\"}", 73.0),
        ("corinth_timer_wakeups_total{shard=\"3\",reason=\"rtcp\"}", 79.0),
        ("corinth_dropped_total{shard=\"3\",reason=\"srtp_replay\"}", 83.0),
        ("process_cpu_seconds_total", 1.5),
        ("process_resident_memory_bytes", 4096.0),
        ("process_open_fds", 30.0),
        ("process_max_fds", 1024.0),
        ("process_start_time_seconds", 1.7e9),
        ("corinth_webhook_waiting", 3.0),
        ("corinth_webhook_events_total{result=\"delivered\"}", 5.0),
        ("corinth_webhook_events_total{result=\"lost\"}", 7.0),
        ("corinth_webhook_failures_total", 9.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {found:#?}");
    }
}

#[test]
fn the_histogram_is_in_seconds_and_cumulative() {
    let mut stats = ShardStats::default();
    stats.forward_time.record(Duration::from_micros(20), 5);
    stats.forward_time.record(Duration::from_micros(100), 2);
    stats.forward_time.record(Duration::from_secs(1), 1);
    let found = samples(stats);
    let bucket =
        |le: &str| found[&format!("corinth_forward_seconds_bucket{{shard=\"3\",le=\"{le}\"}}")];
    assert_eq!(bucket("0.000016"), 0.0);
    assert_eq!(bucket("0.000032"), 5.0);
    assert_eq!(bucket("0.000064"), 5.0);
    assert_eq!(bucket("0.000128"), 7.0);
    assert_eq!(bucket("0.131072"), 7.0);
    assert_eq!(bucket("+Inf"), 8.0);
    assert_eq!(found["corinth_forward_seconds_count{shard=\"3\"}"], 8.0);
    assert!((found["corinth_forward_seconds_sum{shard=\"3\"}"] - 1.0003).abs() < 1e-9);
}

#[test]
fn without_shards_there_is_a_page_all_the_same() {
    let page: String = pieces(&[], &process()).collect();
    assert!(page.contains("process_open_fds 30\n") && !page.contains("corinth_rooms"), "{page}");
}
