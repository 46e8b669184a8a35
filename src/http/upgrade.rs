//! The upgrade from HTTP to WebSocket, seen from the server (RFC 6455 §4.2; PROTOCOL section 2).

use tungstenite::handshake::derive_accept_key;

use super::{Request, Response};
use crate::types::limit::NAME_MAX;

/// The one subprotocol that is spoken.
const SUBPROTOCOL: &str = "protoo";

/// A request that may become a WebSocket, checked as far as one connection can be checked alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// `roomId`, decoded.
    pub room: String,
    /// `peerName`, decoded.
    pub peer: String,
    /// `Sec-WebSocket-Accept` of the answer.
    accept: String,
    /// The client offered the subprotocol and expects it back.
    subprotocol: bool,
}

impl Upgrade {
    /// Reads an upgrade out of a request; an error is the answer that refuses it.
    pub fn parse(request: &Request) -> Result<Upgrade, Response> {
        if request.method != "GET" {
            return Err(Response::text(405, "a WebSocket starts with GET").header("Allow", "GET"));
        }
        let upgrade = request.header_has("upgrade", "websocket");
        if !upgrade || !request.header_has("connection", "upgrade") {
            return Err(
                Response::text(426, "this address is a WebSocket").header("Upgrade", "websocket")
            );
        }
        if request.header("sec-websocket-version") != Some("13") {
            return Err(Response::text(426, "only WebSocket version 13 is spoken")
                .header("Sec-WebSocket-Version", "13"));
        }
        // 16 bytes in base64 (RFC 6455 §4.1); what they are does not matter.
        let key = request.header("sec-websocket-key").unwrap_or_default();
        if key.len() != 24 {
            return Err(Response::text(400, "Sec-WebSocket-Key is missing or malformed"));
        }
        Ok(Upgrade {
            room: name(request, "roomId")?,
            peer: name(request, "peerName")?,
            accept: derive_accept_key(key.as_bytes()),
            subprotocol: subprotocol(request)?,
        })
    }

    /// The answer that makes the connection a WebSocket.
    pub fn response(&self) -> Response {
        let response = Response::upgrade()
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Accept", &self.accept);
        if self.subprotocol {
            response.header("Sec-WebSocket-Protocol", SUBPROTOCOL)
        } else {
            response
        }
    }
}

/// Whether the subprotocol was offered: a client that offers none is served all the same, one that
/// offers others only would not understand a word.
fn subprotocol(request: &Request) -> Result<bool, Response> {
    if request.header_has("sec-websocket-protocol", SUBPROTOCOL) {
        Ok(true)
    } else if request.header("sec-websocket-protocol").is_some() {
        Err(Response::text(400, "only the subprotocol protoo is spoken"))
    } else {
        Ok(false)
    }
}

/// A name from the query: 1 to `NAME_MAX` bytes of UTF-8, no control characters.
fn name(request: &Request, key: &str) -> Result<String, Response> {
    let Some(name) = request.query(key) else {
        return Err(Response::text(400, &format!("{key} is missing")));
    };
    match name {
        Ok(name) if name.is_empty() => Err(Response::text(400, &format!("{key} is empty"))),
        Ok(name) if name.len() > NAME_MAX => {
            Err(Response::text(400, &format!("{key} is longer than {NAME_MAX} bytes")))
        }
        Ok(name) if name.chars().any(char::is_control) => {
            Err(Response::text(400, &format!("{key} contains a control character")))
        }
        Ok(name) => Ok(name),
        Err(_) => Err(Response::text(400, &format!("{key} is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &str) -> Request {
        let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        Request::parse(text.as_bytes()).unwrap().unwrap().0
    }

    /// The example of RFC 6455 §1.3.
    const HEADERS: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn status(target: &str, headers: &str) -> u16 {
        match Upgrade::parse(&request(target, headers)) {
            Ok(upgrade) => upgrade.response().status(),
            Err(response) => response.status(),
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_answered() {
        let upgrade = Upgrade::parse(&request("/ws?roomId=a%20b&peerName=%C3%A9+", HEADERS));
        let upgrade = upgrade.unwrap();
        assert_eq!((upgrade.room.as_str(), upgrade.peer.as_str()), ("a b", "é "));
        let bytes = upgrade.response().into_bytes();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
        assert!(text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!text.contains("Sec-WebSocket-Protocol"));
    }

    #[test]
    fn names_are_checked() {
        let long = "a".repeat(NAME_MAX + 1);
        for query in [
            "",
            "roomId=a",
            "peerName=b",
            "roomId=&peerName=b",
            "roomId=a&peerName=",
            "roomId=%00&peerName=b",
            "roomId=%ff&peerName=b",
            "roomId=a&peerName=%0a",
            "roomId=%C2%85&peerName=b",
            &format!("roomId={long}&peerName=b"),
        ] {
            assert_eq!(status(&format!("/ws?{query}"), HEADERS), 400, "{query}");
        }
        let longest = "a".repeat(NAME_MAX);
        assert_eq!(status(&format!("/ws?roomId={longest}&peerName=b"), HEADERS), 101);
    }

    #[test]
    fn protoo_is_the_only_subprotocol() {
        let with = |offer: &str| format!("{HEADERS}Sec-WebSocket-Protocol: {offer}\r\n");
        let target = "/ws?roomId=a&peerName=b";
        assert_eq!(status(target, &with("janus-protocol")), 400);
        let offered = request(target, &with("chat, protoo"));
        let text = Upgrade::parse(&offered).unwrap().response().into_bytes();
        assert!(String::from_utf8(text).unwrap().contains("Sec-WebSocket-Protocol: protoo\r\n"));
    }

    #[test]
    fn what_is_no_upgrade_is_refused() {
        let target = "/ws?roomId=a&peerName=b";
        assert_eq!(status(target, ""), 426);
        assert_eq!(status(target, &HEADERS.replace("13", "8")), 426);
        assert_eq!(status(target, &HEADERS.replace("dGhl", "")), 400);
    }
}
