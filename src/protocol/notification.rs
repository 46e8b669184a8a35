//! What the server tells clients unasked (PROTOCOL section 7). `data` is the seed's message whole,
//! with `method` and `notification` inside, so that a client can hand it on as it is.

use std::fmt::Write;

use serde::Serialize;

use super::{AppData, DtlsState, IceState};
use crate::types::{Kind, SenderId, TransportId};

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
/// then joined with each id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Up to the id.
    head: String,
    /// From behind the id.
    tail: String,
}

impl Announcement {
    /// `newSender`; `rtp_parameters` is JSON.
    pub fn new_sender(
        kind: Kind,
        peer_name: &str,
        rtp_parameters: &str,
        paused: bool,
        app_data: Option<&AppData>,
    ) -> Self {
        Members::default()
            .value("kind", &kind)
            .value("peerName", &peer_name)
            .raw("rtpParameters", rtp_parameters)
            .value("paused", &paused)
            .app_data(app_data)
            .announcement("newSender")
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
        Members::default().value("peerName", &peer_name).app_data(app_data).announcement(method)
    }

    /// The text for the peer that knows the source as `id`: one allocation of the exact size.
    pub fn for_sender(&self, id: SenderId) -> String {
        let digits = id.0.checked_ilog10().map_or(1, |log| log as usize + 1);
        let mut text = String::with_capacity(self.head.len() + digits + self.tail.len());
        text.push_str(&self.head);
        write!(text, "{id}").expect("writing to a String does not fail");
        text.push_str(&self.tail);
        text
    }
}

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

    fn announcement(self, method: &str) -> Announcement {
        Announcement { head: head(method) + ",\"id\":", tail: self.0 + TAIL }
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
    use crate::protocol::{Incoming, envelope};

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
        let announcement = Announcement::new_sender(
            Kind::Video,
            "alice",
            r#"{"codecs":[]}"#,
            false,
            app_data("0").as_ref(),
        );
        assert_eq!(
            announcement.for_sender(SenderId(12)),
            concat!(
                r#"{"notification":true,"method":"newSender","data":{"method":"newSender","#,
                r#""notification":true,"id":12,"kind":"video","peerName":"alice","#,
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
            let text = make("bob", None).for_sender(SenderId(1));
            assert_eq!(data(&text).get(), head.clone() + r#""peerName":"bob"}"#);
            let text = make("bob", app_data("[]").as_ref()).for_sender(SenderId(1));
            assert_eq!(data(&text).get(), head + r#""peerName":"bob","appData":[]}"#);
        }
    }

    #[test]
    fn each_id_in_an_allocation_of_its_exact_size() {
        let announcement = Announcement::sender_closed("bob", None);
        for id in [0, 1, 9, 10, 99, 100, 999_999_999, 1_000_000_000, u32::MAX] {
            let text = announcement.for_sender(SenderId(id));
            assert_eq!(text.capacity(), text.len(), "{id}");
            assert!(data(&text).get().contains(&format!(r#""id":{id},"#)), "{text}");
        }
    }
}
