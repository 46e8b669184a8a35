//! Origins of web pages (RFC 6454), as browsers write them: what may be listed, and what is listed.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What pages have that are nobody's: from a file, or shut in a sandbox.
const NULL: &str = "null";

/// Where a page comes from: a browser's `Origin`, in one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// In lower case.
    scheme: String,
    /// In lower case; an IPv6 address in brackets.
    host: String,
    /// `None`: the scheme's own.
    port: Option<u16>,
}

impl Origin {
    /// Reads `SCHEME://HOST[:PORT]`; a `/` behind it means nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let (host, port) = authority_of(authority.strip_suffix('/').unwrap_or(authority))?;
        let port = port.filter(|port| own_port(&scheme) != Some(*port));
        is_scheme.then_some(Self { scheme, host, port })
    }

    /// Whether a page of this origin was asked for under this `Host`.
    pub fn is_of(&self, host: &str) -> bool {
        let asked = authority_of(host)
            .map(|(host, port)| (host, port.filter(|port| own_port(&self.scheme) != Some(*port))));
        asked.is_some_and(|(host, port)| host == self.host && port == self.port)
    }

    /// A name, or an address, that of IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// Which pages one item of `allowed-origin` lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `*`
    Every,
    /// `null`
    Null,
    /// `https://app.example`
    One(Origin),
    /// `https://*.example`: every name below that one, and not itself.
    Below(Origin),
}

impl AllowedOrigin {
    /// Whether a browser that says `origin` shows such a page.
    pub fn admits(&self, origin: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Null => origin == NULL,
            Self::One(own) => Origin::parse(origin).is_some_and(|origin| origin == *own),
            Self::Below(parent) => Origin::parse(origin).is_some_and(|origin| {
                let below = origin.host.strip_suffix(&parent.host);
                let below = below.and_then(|below| below.strip_suffix('.'));
                below.is_some_and(|below| !below.is_empty())
                    && (&origin.scheme, origin.port) == (&parent.scheme, parent.port)
            }),
        }
    }
}

impl FromStr for AllowedOrigin {
    type Err = String;

    /// Refused is whatever no browser would ever say, with the reason.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |reason: &str| Err(format!("{text:?}: {reason}"));
        match text {
            "*" => return Ok(Self::Every),
            NULL => return Ok(Self::Null),
            _ if !text.is_ascii() => {
                return wrong("browsers write such a name in ASCII, as xn--…; so do it here");
            }
            _ => {}
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return wrong("https://HOST or https://HOST:PORT is wanted, or * or null");
        };
        match &*scheme.to_ascii_lowercase() {
            "ws" | "wss" => {
                return wrong("a page is of http or https, its WebSocket does not count");
            }
            "file" => return wrong("pages of files have the origin null"),
            _ => {}
        }
        let (plain, below) = match text.split_once("://*.") {
            Some((scheme, parent)) => (format!("{scheme}://{parent}"), true),
            None => (text.to_owned(), false),
        };
        match Origin::parse(&plain) {
            Some(origin) if origin.host.contains('*') => {
                wrong("a * stands for names in front alone: https://*.HOST")
            }
            Some(origin) if below && is_address(&origin.host) => {
                wrong("below an address there are no names")
            }
            Some(origin) if below => Ok(Self::Below(origin)),
            Some(origin) => Ok(Self::One(origin)),
            None => wrong("https://HOST or https://HOST:PORT is wanted, and nothing behind it"),
        }
    }
}

/// The port that is not written.
fn own_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Host, in one spelling, and port of `HOST[:PORT]`.
pub fn authority_of(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address end with its bracket.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some((format!("[{address}]"), port));
    }
    let is_host = |byte: u8| byte.is_ascii_graphic() && !b"/\\?#@:[]<>^|%".contains(&byte);
    let host = host.to_ascii_lowercase();
    // A name that ends in a number is an address (URL standard, host parsing).
    let last = host.strip_suffix('.').unwrap_or(&host).rsplit('.').next()?;
    let numeric = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let good = !host.is_empty() && host.bytes().all(is_host);
    (good && (!numeric || host.parse::<Ipv4Addr>().is_ok())).then_some((host, port))
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(listed: &str, origin: &str) -> bool {
        listed.parse::<AllowedOrigin>().unwrap().admits(origin)
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        for (listed, origin) in [
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80/", "http://app.example"),
            (" HTTPS://App.Example ", "https://app.example"),
            ("https://app.example:8443", "https://app.example:8443"),
            ("https://[2001:DB8:0::1]", "https://[2001:db8::1]"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("null", "null"),
            ("*", "anything"),
            ("https://*.example.org", "https://a.example.org"),
            ("https://*.example.org:443", "https://a.b.example.org"),
        ] {
            assert!(admits(listed, origin), "{listed} {origin}");
        }
        for (listed, origin) in [
            ("https://app.example", "http://app.example"),
            ("https://app.example", "https://app.example:8443"),
            ("https://app.example", "null"),
            ("https://app.example", "https://app.example.evil.example"),
            ("https://*.example.org", "https://example.org"),
            ("https://*.example.org", "https://.example.org"),
            ("https://*.example.org", "https://evilexample.org"),
            ("https://*.example.org", "http://a.example.org"),
            ("https://*.example.org", "https://a.example.org:8443"),
            ("https://*.example.org", "https://evil.example/?.example.org"),
            ("null", "https://app.example"),
        ] {
            assert!(!admits(listed, origin), "{listed} {origin}");
        }
    }

    #[test]
    fn what_no_browser_says_is_refused_with_the_reason() {
        for (text, reason) in [
            ("app.example", "https://HOST"),
            ("https://", "https://HOST"),
            ("https://app.example/path", "nothing behind it"),
            ("https://user@app.example", "nothing behind it"),
            ("https://app.example:port", "nothing behind it"),
            ("https://app.example:65536", "nothing behind it"),
            ("https://192.0.2", "nothing behind it"),
            ("https://bücher.example", "xn--"),
            ("wss://app.example", "http or https"),
            ("file:///page.html", "null"),
            ("https://a.*.example", "names in front"),
            ("https://*", "names in front"),
            ("https://*.192.0.2.1", "an address"),
        ] {
            let error = text.parse::<AllowedOrigin>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_page_is_of_the_host_that_it_was_asked_of() {
        let is_of = |origin, host| Origin::parse(origin).unwrap().is_of(host);
        assert!(is_of("http://a:1", "A:1") && is_of("https://a", "a:443"));
        assert!(is_of("http://[::1]:80", "[::1]"));
        assert!(!is_of("http://a:1", "a:2") && !is_of("http://a", "b") && !is_of("http://a", ""));
    }
}
