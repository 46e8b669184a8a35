//! `GET /healthz` and `GET /readyz`, for whoever watches over the server: is it alive, and may new
//! calls be sent to it.

use std::time::Duration;

use super::Response;
use crate::types::ShardId;

/// Alive unless a shard is stuck: then the server should be started anew.
pub fn health(stuck: Option<(ShardId, Duration)>) -> Response {
    match stuck {
        None => Response::text(200, "ok"),
        Some((shard, silence)) => {
            let seconds = silence.as_secs();
            let shard = shard.0;
            Response::text(503, &format!("shard {shard} has not moved for {seconds} seconds"))
        }
    }
}

/// Ready unless there is a reason why not.
pub fn readiness(hindrance: Option<&str>) -> Response {
    match hindrance {
        None => Response::text(200, "ready"),
        Some(reason) => Response::text(503, reason),
    }
}
