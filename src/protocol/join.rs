//! The answer to `join`: what the server can do and who is there already. In a large room it is
//! long, so it refers to what describes the room's sources and peers instead of copying it.

use std::sync::Arc;

use serde::Serialize;

use super::{AppData, Json, Message};
use crate::types::{Kind, SenderId};

/// Bytes that a source has of its own in the answer: a comma, and its Sender's id.
const SENDER_BYTES: usize = 18;

/// Bytes that a peer has of its own, besides its name.
const PEER_BYTES: usize = 40;

/// What is told of a source behind the id that each client knows it by: the same text in
/// `newSender` and in the answer to `join`. It begins with a comma and closes the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    text: Arc<str>,
    /// Where the value of `paused` is in it.
    paused_at: usize,
    paused: bool,
}

impl Description {
    /// `rtp_parameters` is [`SenderParameters::json`](super::SenderParameters::json).
    pub fn new(
        kind: Kind,
        rtp_parameters: &Json,
        paused: bool,
        app_data: Option<&AppData>,
    ) -> Self {
        let kind = to_json(&kind);
        let head = format!(r#","kind":{kind},"rtpParameters":{},"paused":"#, &**rtp_parameters);
        let tail = match app_data {
            Some(json) => format!(r#","appData":{}}}"#, &**json),
            None => "}".to_owned(),
        };
        Self { text: [&head, word(paused), &tail].concat().into(), paused_at: head.len(), paused }
    }

    /// From now on the source is paused, or is not. What was said before stays as it was.
    pub fn set_paused(&mut self, paused: bool) {
        if self.paused != paused {
            let (head, rest) = self.text.split_at(self.paused_at);
            let tail = &rest[word(self.paused).len()..];
            (self.text, self.paused) = ([head, word(paused), tail].concat().into(), paused);
        }
    }

    /// The text as it is now.
    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Its length.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.text.len()
    }
}

fn word(paused: bool) -> &'static str {
    if paused { "true" } else { "false" }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and names of kinds serialize")
}

/// Response of `join`, peer by peer.
#[derive(Debug)]
pub struct JoinResponse {
    message: Message,
    is_empty: bool,
}

impl JoinResponse {
    /// The answer to the request `id`. `capabilities` are
    /// [`server_capabilities`](super::server_capabilities); of so many peers and sources it will
    /// tell.
    pub fn new(id: u64, capabilities: &Json, peers: usize, senders: usize) -> Self {
        let own = 128 + peers * PEER_BYTES + senders * SENDER_BYTES;
        let mut message = Message::with_capacity(own, 1 + peers + senders);
        let head = r#"{"response":true,"id":"#;
        message.copy(head);
        message.show(id);
        message.copy(r#","ok":true,"data":{"rtpCapabilities":"#);
        message.share(capabilities.shared());
        message.copy(r#","peers":["#);
        Self { message, is_empty: true }
    }

    /// A peer that is there already, and what it sends, as far as the new peer can decode it; the
    /// ids are those of the new peer's Senders.
    pub fn peer<'a>(
        &mut self,
        name: &str,
        senders: impl Iterator<Item = (SenderId, &'a Description)>,
        app_data: Option<&AppData>,
    ) {
        let message = &mut self.message;
        if !std::mem::replace(&mut self.is_empty, false) {
            message.copy(",");
        }
        message.copy(r#"{"name":"#);
        message.copy(&to_json(&name));
        message.copy(r#","senders":["#);
        for (index, (id, description)) in senders.enumerate() {
            message.copy(if index > 0 { r#",{"id":"# } else { r#"{"id":"# });
            message.show(id);
            message.share(description.text());
        }
        message.copy("]");
        if let Some(app_data) = app_data {
            message.copy(r#","appData":"#);
            message.share(app_data.shared());
        }
        message.copy("}");
    }

    /// That was everybody.
    pub fn finish(mut self) -> Message {
        self.message.copy("]}}");
        self.message
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn description() -> (Description, AppData) {
        let rtp_parameters = Json::of(&json!({"muxId": null}));
        let app_data: AppData = serde_json::from_str(r#"{ "a":1 }"#).unwrap();
        (Description::new(Kind::Audio, &rtp_parameters, true, Some(&app_data)), app_data)
    }

    #[test]
    fn the_answer_whole() {
        let capabilities = Json::of(&json!({"codecs": []}));
        let (first, app_data) = description();
        let second = Description::new(Kind::Video, &Json::of(&json!({})), false, None);
        let mut response = JoinResponse::new(1, &capabilities, 2, 2);
        let senders = [(SenderId(1), &first), (SenderId(2), &second)];
        response.peer("al\"ice", senders.into_iter(), Some(&app_data));
        response.peer("bob", std::iter::empty(), None);
        assert_eq!(
            response.finish().to_string(),
            concat!(
                r#"{"response":true,"id":1,"ok":true,"data":{"rtpCapabilities":{"codecs":[]},"#,
                r#""peers":[{"name":"al\"ice","senders":[{"id":1,"kind":"audio","#,
                r#""rtpParameters":{"muxId":null},"paused":true,"appData":{ "a":1 }},"#,
                r#"{"id":2,"kind":"video","rtpParameters":{},"paused":false}],"#,
                r#""appData":{ "a":1 }},{"name":"bob","senders":[]}]}}"#
            )
        );
    }

    #[test]
    fn a_pause_changes_what_is_said_next_and_nothing_that_was_said() {
        let (mut description, _) = description();
        let mut response = JoinResponse::new(1, &Json::of(&json!({})), 1, 1);
        response.peer("alice", [(SenderId(1), &description)].into_iter(), None);
        for paused in [true, false, false, true, false] {
            description.set_paused(paused);
            let now: serde_json::Value =
                serde_json::from_str(&format!(r#"{{"id":1{}"#, description.text())).unwrap();
            assert_eq!(now["paused"], paused);
            assert_eq!(now["appData"], json!({"a": 1}));
        }
        assert!(response.finish().to_string().contains(r#""paused":true"#));
    }
}
