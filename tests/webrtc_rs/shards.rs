//! Two shards: rooms are spread over both, and the media of each is counted on its owner only.

use std::time::Duration;

use corinth_perf::peer::{Source, TransportOptions};

use crate::call::{Call, Stream};
use crate::server::Server;

const ROOMS: usize = 20;

/// Fewer on one shard would not be called spread.
const ROOMS_MIN: u64 = 5;

#[tokio::test]
async fn each_rooms_packets_are_routed_by_its_owner_and_nobody_else() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut calls = Vec::new();
    for room in 0..ROOMS {
        let mut call =
            Call::start(&server.url, &format!("room{room}"), TransportOptions::new(1)).await?;
        let source = Source::opus(1, 1000);
        call.connect(&source).await?;
        let mut stream = Stream::new(&source);
        let before = counts(&server).await?;
        // A number of its own for each room, so that no two can be mistaken for each other.
        let packets = 10 + room;
        for _ in 0..packets {
            call.a.transport.send_rtp(&stream.random(100)).await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        call.b.inbox.until("all packets", |inbox| inbox.rtp_count() == packets).await?;
        let after = counts(&server).await?;
        let mut grown = [0, 1].map(|i| [0, 1].map(|what| after[i][what] - before[i][what]));
        grown.sort();
        let packets = packets as u64;
        assert_eq!(grown, [[0, 0], [packets, packets]], "received and forwarded, by shard");
        calls.push(call);
    }
    let rooms = counts(&server).await?.map(|shard| shard[2]);
    assert_eq!(rooms.iter().sum::<u64>(), ROOMS as u64);
    assert!(rooms.iter().all(|rooms| *rooms >= ROOMS_MIN), "not spread: {rooms:?}");
    Ok(())
}

/// Packets received and forwarded, and rooms, by shard.
async fn counts(server: &Server) -> anyhow::Result<[[u64; 3]; 2]> {
    let [received, forwarded, rooms] = [
        server.by_shard("rtpReceived").await?,
        server.by_shard("rtpForwarded").await?,
        server.by_shard("rooms").await?,
    ];
    Ok([0, 1].map(|shard| [received[shard], forwarded[shard], rooms[shard]]))
}
