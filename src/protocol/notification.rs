//! What the server tells clients unasked (PROTOCOL section 7). `data` is the seed's message whole,
//! with `method` and `notification` inside, so that a client can hand it on as it is.

use std::sync::Arc;

use serde::Serialize;

use super::{AppData, Description, DtlsState, IceState, Message};
use crate::types::{SenderId, TransportId};

/// `newPeer`: somebody joined. Its Senders are announced one by one.
pub fn new_peer(name: &str, app_data: Option<&AppData>) -> String {
    Members::default()
        .value("name", &name)
        .raw("senders", "[]")
        .app_data(app_data)
        .notification("newPeer")
}

/// `peerLeft`: somebody left, or was lost (then without `appData`).
pub fn peer_left(name: &str, app_data: Option<&AppData>) -> String {
    Members::default().value("name", &name).app_data(app_data).notification("peerLeft")
}

/// `transportState`, for clients that asked for it.
pub fn transport_state(id: TransportId, ice: IceState, dtls: DtlsState) -> String {
    Members::default()
        .value("id", &id)
        .value("ice", &ice)
        .value("dtls", &dtls)
        .notification("transportState")
}

/// `roomClosed`, for clients that asked for it: their room ends with the next frame, a Close.
pub fn room_closed(reason: &str) -> String {
    Members::default().value("reason", &reason).notification("roomClosed")
}

/// A notification about one source, which every peer knows by another Sender id: serialized once,
/// and shared by everybody who is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Up to the id.
    head: Arc<str>,
    /// From behind the id to the end of `data`.
    tail: Arc<str>,
}

impl Announcement {
    /// `newSender`; the description is shared with the answers to `join`.
    pub fn new_sender(peer_name: &str, description: &Description) -> Self {
        let head = Members::default().value("peerName", &peer_name).head("newSender");
        Self { head, tail: Arc::clone(description.text()) }
    }

    /// `senderClosed`
    pub fn sender_closed(peer_name: &str, app_data: Option<&AppData>) -> Self {
        Self::about("senderClosed", peer_name, app_data)
    }

    /// `senderPaused`
    pub fn sender_paused(peer_name: &str, app_data: Option<&AppData>) -> Self {
        Self::about("senderPaused", peer_name, app_data)
    }

    /// `senderResumed`
    pub fn sender_resumed(peer_name: &str, app_data: Option<&AppData>) -> Self {
        Self::about("senderResumed", peer_name, app_data)
    }

    fn about(method: &str, peer_name: &str, app_data: Option<&AppData>) -> Self {
        let Members(members) = Members::default().value("peerName", &peer_name).app_data(app_data);
        Self { head: Members::default().head(method), tail: (members + "}").into() }
    }

    /// Bytes that each who hears it is told.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.head.len() + ID_BYTES + self.tail.len()
    }

    /// For the peer that knows the source as `id`, which alone is its own.
    pub fn for_sender(&self, id: SenderId) -> Message {
        let mut message = Message::with_capacity(ID_BYTES, 2);
        message.share(&self.head);
        message.show(id);
        message.share(&self.tail);
        message.copy("}");
        message
    }
}

/// What one client's id takes, and the end of the envelope.
const ID_BYTES: usize = 11;

/// The members of `data` behind `method` and `notification`, each with a comma before it.
#[derive(Default)]
struct Members(String);

impl Members {
    fn raw(mut self, name: &str, json: &str) -> Self {
        for part in [",\"", name, "\":", json] {
            self.0.push_str(part);
        }
        self
    }

    fn value(self, name: &str, value: &impl Serialize) -> Self {
        let json = serde_json::to_string(value);
        self.raw(name, &json.expect("texts, numbers and names of states serialize"))
    }

    fn app_data(self, app_data: Option<&AppData>) -> Self {
        match app_data {
            Some(json) => self.raw("appData", json),
            None => self,
        }
    }

    fn notification(self, method: &str) -> String {
        [&head(method), &*self.0, TAIL].concat()
    }

    /// All of it up to the value of an `id`.
    fn head(self, method: &str) -> Arc<str> {
        [&head(method), &*self.0, ",\"id\":"].concat().into()
    }
}

/// The end of the envelope.
const TAIL: &str = "}}";

/// The envelope, and of `data` what repeats it.
fn head(method: &str) -> String {
    format!(
        concat!(
            r#"{{"notification":true,"method":"{0}","#,
            r#""data":{{"method":"{0}","notification":true"#
        ),
        method
    )
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol::{Incoming, Json, envelope};
    use crate::types::Kind;

    fn app_data(json: &str) -> Option<AppData> {
        Some(serde_json::from_str(json).unwrap())
    }

    /// `data` of a notification that the envelope's own parser takes for one.
    fn data(text: &str) -> &RawValue {
        match envelope::parse(text) {
            Ok(Incoming::Notification { data: Some(data), .. }) => data,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn new_peer_whole() {
        assert_eq!(
            new_peer("al\"ice", app_data(r#"{"a": [1,  2]}"#).as_ref()),
            concat!(
                r#"{"notification":true,"method":"newPeer","data":{"method":"newPeer","#,
                r#""notification":true,"name":"al\"ice","senders":[],"appData":{"a": [1,  2]}}}"#
            )
        );
    }

    #[test]
    fn peer_left_with_and_without_app_data() {
        assert_eq!(
            data(&peer_left("bob", None)).get(),
            r#"{"method":"peerLeft","notification":true,"name":"bob"}"#
        );
        assert_eq!(
            data(&peer_left("bob", app_data("\"bye\"").as_ref())).get(),
            r#"{"method":"peerLeft","notification":true,"name":"bob","appData":"bye"}"#
        );
    }

    #[test]
    fn transport_state_whole() {
        assert_eq!(
            transport_state(TransportId(7), IceState::Connected, DtlsState::Connecting),
            concat!(
                r#"{"notification":true,"method":"transportState","data":{"#,
                r#""method":"transportState","notification":true,"#,
                r#""id":7,"ice":"connected","dtls":"connecting"}}"#
            )
        );
    }

    #[test]
    fn new_sender_whole() {
        let rtp_parameters = Json::of(&serde_json::json!({"codecs": []}));
        let app_data = app_data("0");
        let description = Description::new(Kind::Video, &rtp_parameters, false, app_data.as_ref());
        let announcement = Announcement::new_sender("alice", &description);
        assert_eq!(
            announcement.for_sender(SenderId(12)).to_string(),
            concat!(
                r#"{"notification":true,"method":"newSender","data":{"method":"newSender","#,
                r#""notification":true,"peerName":"alice","id":12,"kind":"video","#,
                r#""rtpParameters":{"codecs":[]},"paused":false,"appData":0}}"#
            )
        );
    }

    #[test]
    fn the_three_short_announcements() {
        type Make = fn(&str, Option<&AppData>) -> Announcement;
        let makers: [(&str, Make); 3] = [
            ("senderClosed", Announcement::sender_closed),
            ("senderPaused", Announcement::sender_paused),
            ("senderResumed", Announcement::sender_resumed),
        ];
        for (method, make) in makers {
            let head = format!(r#"{{"method":"{method}","notification":true,"id":1,"#);
            let text = make("bob", None).for_sender(SenderId(1)).to_string();
            assert_eq!(data(&text).get(), head.clone() + r#""peerName":"bob"}"#);
            let text = make("bob", app_data("[]").as_ref()).for_sender(SenderId(1)).to_string();
            assert_eq!(data(&text).get(), head + r#""peerName":"bob","appData":[]}"#);
        }
    }

    #[test]
    fn each_id_is_the_only_part_that_is_not_shared() {
        let announcement = Announcement::sender_closed("bob", app_data("[1]").as_ref());
        let ids = [0, 1, 9, 10, 99, 100, 999_999_999, 1_000_000_000, u32::MAX];
        let messages = ids.map(|id| announcement.for_sender(SenderId(id)));
        let alone = announcement.for_sender(SenderId(1)).len();
        for (id, message) in ids.into_iter().zip(&messages) {
            let text = message.to_string();
            assert!(data(&text).get().contains(&format!(r#""id":{id},"#)), "{text}");
            assert!(message.held() < alone, "{} bytes for {id}", message.held());
        }
    }
}
