//! The head of a request: httparse's view of it, copied out.

use super::{HEAD_MAX, HEADERS_MAX};

/// The head of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As sent; methods are case-sensitive.
    pub method: String,
    /// Before the `?`, not decoded.
    pub path: String,
    /// Path and query, as sent.
    pub target: String,
    /// After the `?`, not decoded.
    query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// It is of HTTP/1.0.
    old: bool,
}

/// Why a head is no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRequest {
    /// It is not HTTP/1.1 or 1.0 (proxies ask in it whether a server is well), or no HTTP at all.
    Malformed,
    /// More than `HEAD_MAX` bytes or `HEADERS_MAX` fields.
    TooLarge,
}

impl Request {
    /// Reads a head from the beginning of `bytes`; with it comes its length. `None`: it is not
    /// complete yet.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, BadRequest> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        let len = match head.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= HEAD_MAX => len,
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadRequest::TooLarge),
            Err(_) => return Err(BadRequest::Malformed),
        };
        let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version)
        else {
            return Err(BadRequest::Malformed);
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // RFC 9110 §7.8: from HTTP/1.0 nothing is upgraded.
        let upgrades = |name: &str| minor > 0 || !name.eq_ignore_ascii_case("upgrade");
        let headers = head.headers.iter().filter(|header| upgrades(header.name)).map(|header| {
            let value = String::from_utf8_lossy(header.value).trim().to_owned();
            (header.name.to_ascii_lowercase(), value)
        });
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            target: target.to_owned(),
            query: query.to_owned(),
            headers: headers.collect(),
            old: minor == 0,
        };
        Ok(Some((request, len)))
    }

    /// The first field of this name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Whether a list-valued field of this name has `token` in it, in any case.
    pub fn header_has(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|item| item.eq_ignore_ascii_case(token))
    }

    /// The items of a list-valued field of this name, in order.
    pub fn list(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    /// The values of all fields of this name, in order.
    pub fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        let fields = self.headers.iter().filter(move |field| field.0 == name);
        fields.map(|field| field.1.as_str())
    }

    /// The names of all fields, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|field| field.0.as_str())
    }

    /// Whether it is of HTTP/1.0, as browsers send none.
    pub fn is_old(&self) -> bool {
        self.old
    }

    /// Part of a path, decoded (`%XX`; `+` is itself). `None` where that is not UTF-8.
    pub fn decode(part: &str) -> Option<String> {
        String::from_utf8(percent_decode(&part.replace('+', "%2B"))).ok()
    }

    /// The first value of `key` in the query, decoded as forms are (`%XX`, and `+` for a space).
    /// An error: what it decodes to is not UTF-8.
    pub fn query(&self, key: &str) -> Option<Result<String, std::string::FromUtf8Error>> {
        let mut pairs =
            self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.find(|(name, _)| percent_decode(name) == key.as_bytes())?;
        Some(String::from_utf8(percent_decode(value)))
    }
}

/// A `%` without two hexadecimal digits stands for itself (URL standard, percent-decode).
fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = |i: usize| tail.get(i).and_then(|digit| char::from(*digit).to_digit(16));
        rest = tail;
        decoded.push(match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                rest = &tail[2..];
                (high * 16 + low) as u8
            }
            (b'+', _, _) => b' ',
            _ => byte,
        });
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_and_what_follows_is_left() {
        let bytes = b"GET /ws?a=1&b=%41+%zz HTTP/1.1\r\nHost: x\r\nConnection: a , B\r\n\r\nrest";
        let (request, len) = Request::parse(bytes).unwrap().unwrap();
        assert_eq!(&bytes[len..], b"rest");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/ws"));
        assert_eq!(request.header("host"), Some("x"));
        assert!(request.header_has("connection", "b"));
        assert!(!request.header_has("connection", "c"));
        assert_eq!(request.query("b"), Some(Ok("A %zz".to_owned())));
        assert_eq!(request.query("c"), None);
    }

    #[test]
    fn names_stand_in_paths_too() {
        let bytes = b"GET /rooms/a%20b+c%2f HTTP/1.1\r\n\r\n";
        let (request, _) = Request::parse(bytes).unwrap().unwrap();
        let part = request.path.strip_prefix("/rooms/").and_then(Request::decode);
        assert_eq!(part.as_deref(), Some("a b+c/"));
    }

    #[test]
    fn of_the_older_version_everything_is_read_but_an_upgrade() {
        let head = |version| {
            format!("GET /readyz HTTP/{version}\r\nUpgrade: websocket\r\nAccept: x\r\n\r\n")
        };
        let parse = |version| Request::parse(head(version).as_bytes()).unwrap().unwrap().0;
        let (old, new) = (parse("1.0"), parse("1.1"));
        assert_eq!((old.header("accept"), old.header("upgrade")), (Some("x"), None));
        assert_eq!((new.header("accept"), new.header("upgrade")), (Some("x"), Some("websocket")));
    }

    #[test]
    fn an_incomplete_head_wants_more_at_every_length() {
        let bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for len in 0..bytes.len() {
            assert_eq!(Request::parse(&bytes[..len]), Ok(None), "{len}");
        }
    }

    #[test]
    fn limits_hold() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_MAX));
        assert_eq!(Request::parse(long.as_bytes()), Err(BadRequest::TooLarge));
        assert_eq!(Request::parse(&long.as_bytes()[..HEAD_MAX]), Err(BadRequest::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(Request::parse(many.as_bytes()), Err(BadRequest::TooLarge));
        for bad in ["\x16\x03\x01\x02", "GET / HTTP/2.0\r\n\r\n", "GET  HTTP/1.1\r\n\r\n"] {
            assert_eq!(Request::parse(bad.as_bytes()), Err(BadRequest::Malformed), "{bad:?}");
        }
    }
}
