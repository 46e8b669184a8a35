//! Answers. Every one but the upgrade says `Connection: close`, and all carry the headers that
//! keep a page from being more than the page.

use std::fmt::Write;

use super::Request;

/// The page loads nothing from elsewhere and is in nobody's frame; media streams are blobs, and
/// the WebSocket may be to another corinth than the one that served the page.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
    media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// One answer, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// The length of the body is announced, and it is not sent (HEAD, 304).
    bodiless: bool,
}

impl Response {
    /// An answer of any type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let response = Self { status, headers: String::new(), body: body.into(), bodiless: false };
        response
            .header("Content-Type", content_type)
            .header("Connection", "close")
            .header("Content-Security-Policy", POLICY)
            .header("X-Content-Type-Options", "nosniff")
            .header("Referrer-Policy", "no-referrer")
    }

    /// A line of text for a person.
    pub fn text(status: u16, reason: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{reason}\n"))
            .header("Cache-Control", "no-store")
    }

    /// For a client that came without TLS to where there is TLS: the same address with it.
    pub fn to_https(request: &Request) -> Self {
        match request.header("host") {
            Some(host) if request.target.starts_with('/') => {
                let address = format!("https://{host}{}", request.target);
                Self::text(308, "this address speaks HTTPS").header("Location", &address)
            }
            _ => Self::text(400, "this address speaks HTTPS"),
        }
    }

    /// The beginning of a 101; the caller names the protocol.
    pub fn upgrade() -> Self {
        Self { status: 101, headers: String::new(), body: Vec::new(), bodiless: true }
    }

    /// One more header field; `value` is ours, or has been checked.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        debug_assert!(!value.contains(['\r', '\n']), "a header of two lines");
        // Writing to a String cannot fail.
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    /// The same without its body, as HEAD and 304 want it.
    pub fn without_body(mut self) -> Self {
        self.bodiless = true;
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// As it goes over the wire.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        head.push_str(&self.headers);
        if !matches!(self.status, 101 | 304) {
            // Writing to a String cannot fail.
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !self.bodiless {
            bytes.extend(self.body);
        }
        bytes
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        202 => "Accepted",
        304 => "Not Modified",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_announces_what_get_sends() {
        let get = Response::text(404, "nothing here");
        let head = String::from_utf8(get.clone().without_body().into_bytes()).unwrap();
        let get = String::from_utf8(get.into_bytes()).unwrap();
        assert_eq!(get, head.clone() + "nothing here\n");
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"));
        assert!(head.contains("Content-Length: 13\r\n") && head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn an_upgrade_has_neither_body_nor_close() {
        let text = String::from_utf8(Response::upgrade().into_bytes()).unwrap();
        assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    }
}
