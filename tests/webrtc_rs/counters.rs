//! What `/stats` counts of the forward path is moved by a call, and adds up.

use std::time::Duration;

use anyhow::Context as _;
use corinth_perf::peer::{Source, TransportOptions};
use serde_json::Value;

use crate::call::{Call, Stream};
use crate::server::Server;

const PACKETS: usize = 50;

/// The shard that has the room.
async fn owner(server: &Server) -> anyhow::Result<Value> {
    let shards = server.shards().await?;
    shards.into_iter().find(|shard| shard["rooms"] == 1).context("nobody has the room")
}

fn count(shard: &Value, name: &str) -> u64 {
    shard.pointer(name).and_then(Value::as_u64).unwrap_or_else(|| panic!("{name} in {shard}"))
}

/// The entries of a list of counters.
fn list(shard: &Value, name: &str) -> Vec<u64> {
    let entries = shard[name].as_array().unwrap_or_else(|| panic!("{name} in {shard}"));
    entries.iter().map(|entry| entry.as_u64().expect("a count")).collect()
}

#[tokio::test]
async fn a_call_moves_the_counters_of_the_forward_path() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut call = Call::start(&server.url, "room", TransportOptions::new(1)).await?;
    let source = Source::opus(1, 1000);
    call.connect(&source).await?;
    let mut stream = Stream::new(&source);
    for _ in 0..PACKETS {
        call.a.transport.send_rtp(&stream.random(100)).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    call.b.inbox.until("all packets", |inbox| inbox.rtp_count() == PACKETS).await?;
    // Reports come once a second, and so does the busy share.
    call.b.inbox.listen(Duration::from_millis(2500)).await?;
    let shard = owner(&server).await?;

    let batches = list(&shard, "rxBatches");
    assert!(batches[0] > 0, "{batches:?}");
    let turns = count(&shard, "/turns");
    assert!(batches.iter().sum::<u64>() <= turns);
    assert!(batches.iter().sum::<u64>() <= count(&shard, "/rxDatagrams"));
    let trains = list(&shard, "txTrains").into_iter().zip(1..);
    let datagrams: u64 = trains.map(|(messages, datagrams)| messages * datagrams).sum();
    assert_eq!(datagrams, count(&shard, "/txDatagrams"));

    assert_eq!(count(&shard, "/forwardTime/count"), PACKETS as u64);
    let [p50, p99, p999] =
        ["p50", "p99", "p999"].map(|quantile| count(&shard, &format!("/forwardTime/{quantile}")));
    assert!(0 < p50 && p50 <= p99 && p99 <= p999, "{p50} {p99} {p999} µs");

    assert!(count(&shard, "/mediaWakeups") > 0);
    assert!(count(&shard, "/timerWakeups/rtcp") > 0);
    assert!(count(&shard, "/handshakeSteps") >= 4, "two handshakes");
    let busy = shard["busyShare"].as_f64().context("busyShare")?;
    assert!(busy > 0.0 && busy <= 1.0, "{busy}");
    assert_eq!(count(&shard, "/rxRingOverruns") + count(&shard, "/txPaddingBytes"), 0);
    Ok(())
}
