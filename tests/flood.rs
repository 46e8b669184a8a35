//! Clients that send as fast as they can, on paths that are theirs: other rooms and signaling go
//! on.
//!
//! A program of its own: nothing that runs in real time should run beside it.
#![allow(dead_code, reason = "it uses a part of what those modules offer")]

#[path = "webrtc_rs/call.rs"]
mod call;
#[path = "webrtc_rs/server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use corinth_perf::peer::{Peer, Source, TransportOptions};
use serde_json::json;

use crate::call::{Call, Stream};
use crate::server::Server;

/// Each flood ends by itself, should nobody end it.
const DATAGRAMS_MAX: usize = 2_000_000;

/// Requests, and packets of the other room, while it lasts.
const REQUESTS: usize = 30;
const PACKETS: usize = 300;

#[tokio::test]
async fn a_flood_starves_neither_another_room_nor_signaling() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let options = TransportOptions::new(1);
    // Two rooms are on two shards; so one of the floods meets the call, wherever that is.
    let mut floods = Vec::new();
    let over = Arc::new(AtomicBool::new(false));
    let mut hostile = Vec::new();
    for room in ["flood0", "flood1"] {
        let peer = Peer::join(&server.url, room, "hostile").await?;
        let (transport, receiving) = peer.create_transport(options).await?;
        hostile.push((peer, transport.detach(receiving)?.socket));
    }
    let mut call = Call::start(&server.url, "room", options).await?;
    let source = Source::opus(1, 1000);
    call.connect(&source).await?;
    for (_, socket) in &hostile {
        let (socket, over) = (socket.try_clone()?, Arc::clone(&over));
        floods.push(tokio::task::spawn_blocking(move || {
            // RTP as far as can be told without a key.
            let packet = [0x80; 1200];
            for _ in 0..DATAGRAMS_MAX {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let _ = socket.send(&packet);
            }
        }));
    }
    let mut stream = Stream::new(&source);
    for i in 0..PACKETS {
        call.a.transport.send_rtp(&stream.random(100)).await?;
        if i % (PACKETS / REQUESTS) == 0 {
            // Answered with an error, and answered.
            let answer = call.a.peer.signaling.request("pauseReceiver", json!({"id": 77})).await;
            let code = answer.expect_err("there is no such Receiver").code;
            assert_eq!(code, 404);
        }
    }
    // A full queue drops what comes, of the call as well; some of it finds room.
    call.b.inbox.until("packets of the other room", |inbox| inbox.rtp_count() >= 5).await?;
    over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.await?;
    }
    assert!(server.drops("srtp_bad_tag").await? > 1000, "there was a flood");
    Ok(())
}
