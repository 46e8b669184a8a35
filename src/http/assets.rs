//! The demo page and the client library, as they are in `web/`; part of the binary.

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use super::{Request, Response};

struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";

const CSS: &str = "text/css; charset=utf-8";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of `web/` under its own name.
macro_rules! web {
    ($name:literal, $content_type:expr) => {
        Asset {
            path: concat!("/", $name),
            content_type: $content_type,
            body: include_bytes!(concat!("../../web/", $name)),
        }
    };
}

const ASSETS: &[Asset] = &[
    web!("index.html", HTML),
    web!("style.css", CSS),
    web!("demo.js", JAVASCRIPT),
    web!("client.js", JAVASCRIPT),
    web!("send.js", JAVASCRIPT),
    web!("recv.js", JAVASCRIPT),
    web!("transport.js", JAVASCRIPT),
    web!("sdp.js", JAVASCRIPT),
    web!("protoo.js", JAVASCRIPT),
    web!("favicon.svg", "image/svg+xml"),
    web!("admin.html", HTML),
    web!("admin.css", CSS),
    web!("admin.js", JAVASCRIPT),
];

/// The asset at the request's path, `/` being the demo page and `/admin` that of whoever runs it.
/// `None` where there is none.
pub fn asset(request: &Request) -> Option<Response> {
    let path = match request.path.as_str() {
        "/" => "/index.html",
        "/admin" => "/admin.html",
        path => path,
    };
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    // A fixed seed: the same build has the same tags on every machine that serves it.
    let tag = format!("\"{:016x}\"", FixedState::with_seed(0).hash_one(asset.body));
    let known = request.header_has("if-none-match", &tag);
    // Pages are asked for again each time, so that after an update nobody mixes old and new.
    let respond = |status, body: &[u8]| {
        Response::new(status, asset.content_type, body)
            .header("Cache-Control", "no-cache")
            .header("ETag", &tag)
    };
    Some(match known {
        true => respond(304, &[]).without_body(),
        false => respond(200, asset.body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, headers: &str) -> Option<Response> {
        let text = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
        asset(&Request::parse(text.as_bytes()).unwrap().unwrap().0)
    }

    #[test]
    fn an_asset_is_not_sent_twice() {
        let first = String::from_utf8(get("/", "").unwrap().into_bytes()).unwrap();
        let tag = first.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
        let again = get("/", &format!("If-None-Match: {tag}\r\n")).unwrap();
        assert_eq!(again.status(), 304);
        assert!(again.into_bytes().ends_with(b"\r\n\r\n"));
        assert_eq!(get("/", "If-None-Match: \"x\"\r\n").unwrap().status(), 200);
    }

    #[test]
    fn there_is_nothing_beside_the_assets() {
        for path in ["/../Cargo.toml", "/index.html/", "//index.html", "/src/main.rs"] {
            assert_eq!(get(path, ""), None, "{path}");
        }
    }
}
