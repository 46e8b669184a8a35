//! The answer to `join`: what the server can do and who is there already.

use serde::Serialize;

use super::{AppData, Json};
use crate::types::{Kind, SenderId};

/// Response of `join`. Borrows everything: in a large room it is long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinResponse<'a> {
    /// [`server_capabilities`](super::server_capabilities).
    pub rtp_capabilities: &'a Json,
    /// The other joined peers.
    pub peers: Vec<PeerEntry<'a>>,
}

/// A peer that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerEntry<'a> {
    /// `peerName`.
    pub name: &'a str,
    /// What it sends, as far as the new peer can decode it.
    pub senders: Vec<SenderEntry<'a>>,
    /// From its `join`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_data: Option<&'a AppData>,
}

/// A source that can be received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderEntry<'a> {
    /// Of the new peer's Sender.
    pub id: SenderId,
    /// Sound or pictures.
    pub kind: Kind,
    /// [`SenderParameters::json`](super::SenderParameters::json).
    pub rtp_parameters: &'a Json,
    /// Whether its client paused it.
    pub paused: bool,
    /// From its `createReceiver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_data: Option<&'a AppData>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::envelope;

    #[test]
    fn the_answer_whole() {
        let capabilities = Json::of(&json!({"codecs": []}));
        let rtp_parameters = Json::of(&json!({"muxId": null}));
        let app_data: AppData = serde_json::from_str(r#"{ "a":1 }"#).unwrap();
        let sender = SenderEntry {
            id: SenderId(1),
            kind: Kind::Audio,
            rtp_parameters: &rtp_parameters,
            paused: true,
            app_data: Some(&app_data),
        };
        let peers = vec![
            PeerEntry { name: "alice", senders: vec![sender], app_data: Some(&app_data) },
            PeerEntry { name: "bob", senders: vec![], app_data: None },
        ];
        let response = JoinResponse { rtp_capabilities: &capabilities, peers };
        assert_eq!(
            envelope::success(1, &response),
            concat!(
                r#"{"response":true,"id":1,"ok":true,"data":{"rtpCapabilities":{"codecs":[]},"#,
                r#""peers":[{"name":"alice","senders":[{"id":1,"kind":"audio","#,
                r#""rtpParameters":{"muxId":null},"paused":true,"appData":{ "a":1 }}],"#,
                r#""appData":{ "a":1 }},{"name":"bob","senders":[]}]}}"#
            )
        );
    }
}
