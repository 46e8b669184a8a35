//! Tokens that somebody has made up: with a signature that is right and claims that are none, with
//! heads that would choose how they are looked at, and of any length. Each is refused, and counted.

mod common;

use std::io::{Read, Write};
use std::net::SocketAddr;

use aws_lc_rs::hmac;
use common::files::Folder;
use common::{refusals, server, status, tcp, upgrade};

/// 32 bytes.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The status of an upgrade for peer `p` of room `r`.
fn enter(http: SocketAddr, token: &str) -> u16 {
    upgrade(http, &format!("roomId=r&peerName=p&token={token}"), "")
}

/// RFC 4648 §5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        (0..=three.len()).for_each(|i| text.push(DIGITS[bits >> (18 - 6 * i) & 63].into()));
    }
    text
}

/// A token of any head and claims, with the HMAC that HS256 wants.
fn made_up(head: &str, claims: &str, secret: &[u8]) -> String {
    signed(head, claims, &hmac::Key::new(hmac::HMAC_SHA256, secret))
}

fn signed(head: &str, claims: &str, key: &hmac::Key) -> String {
    let signed = format!("{}.{}", base64url(head.as_bytes()), base64url(claims.as_bytes()));
    format!("{signed}.{}", base64url(hmac::sign(key, signed.as_bytes()).as_ref()))
}

/// Two keys: a secret, and a public key that everybody knows.
struct Keys {
    folder: Folder,
    options: [String; 4],
    public: String,
}

impl Keys {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let public = pair.public_key_pem();
        let main = format!("main={}", folder.write("main", SECRET));
        let ec = format!("ec={}", folder.write("ec", &public));
        let options = ["--token-key".into(), main, "--token-key".into(), ec];
        Self { folder, options, public }
    }
}

const HEAD: &str = r#"{"alg":"HS256","kid":"main"}"#;

/// Seconds since 1970, of the year 2100.
const FAR: &str = "4102444800";

#[test]
fn claims_that_make_no_sense_are_refused_though_the_signature_is_right() {
    let Keys { folder: _folder, options, .. } = Keys::new("claims");
    let server = server(1, &options.each_ref().map(String::as_str));
    let http = server.http_addr();
    let deep = "[".repeat(5_000);
    let claims = |exp: &str, more: &str| format!(r#"{{"room":"r","exp":{exp}{more}}}"#);
    let mut refused = 0;
    for (claims, expected) in [
        (claims(FAR, ""), 101),
        (claims("4102444800.5", ""), 101),
        (claims("1e308", ""), 101),
        (claims("1e400", ""), 401),
        (claims("-1", ""), 401),
        (claims("-1e308", ""), 401),
        (claims("NaN", ""), 401),
        (claims("null", ""), 401),
        (claims("[]", ""), 401),
        (claims(r#""4102444800""#, ""), 401),
        (claims(FAR, r#","rights":[]"#), 101),
        (claims(FAR, r#","rights":["audio","fly"]"#), 401),
        (claims(FAR, r#","rights":["Audio"]"#), 401),
        (claims(FAR, r#","rights":"audio""#), 401),
        (claims(FAR, r#","nbf":1e308"#), 401),
        (claims(FAR, r#","nbf":"0""#), 401),
        (claims(FAR, r#","peer":7"#), 401),
        (claims(FAR, r#","peer":"""#), 403),
        // Said twice, and who reads it may believe either.
        (claims(FAR, r#","exp":1"#), 401),
        (claims("1", r#","exp":4102444800"#), 401),
        (claims(FAR, r#","room":"*""#), 401),
        (claims(FAR, r#","rights":[],"rights":["admin"]"#), 401),
        (format!(r#"{{"room":7,"exp":{FAR}}}"#), 401),
        (format!(r#"{{"room":"","exp":{FAR}}}"#), 403),
        (format!(r#"{{"room":["r"],"exp":{FAR}}}"#), 401),
        (format!(r#"["r",{FAR}]"#), 401),
        (claims(FAR, &format!(r#","more":{deep}"#)), 401),
        (String::new(), 401),
    ] {
        let token = made_up(HEAD, &claims, SECRET.as_bytes());
        let start: String = claims.chars().take(80).collect();
        assert_eq!(enter(http, &token), expected, "{start}");
        refused += u64::from(expected != 101);
    }
    assert_eq!(refusals(http, "token") + refusals(http, "rights"), refused);
    server.stop().unwrap();
}

#[test]
fn a_head_chooses_no_algorithm_and_no_key_but_its_own() {
    let Keys { folder: _folder, options, public } = Keys::new("heads");
    let server = server(1, &options.each_ref().map(String::as_str));
    let http = server.http_addr();
    let claims = format!(r#"{{"room":"r","exp":{FAR}}}"#);
    let unsigned = |head: &str| {
        let whole = made_up(head, &claims, b"");
        whole.rsplit_once('.').unwrap().0.to_owned()
    };
    let secret = SECRET.as_bytes();
    let longer = hmac::Key::new(hmac::HMAC_SHA384, secret);
    let mut tokens = vec![
        unsigned(HEAD),
        format!("{}.", unsigned(HEAD)),
        format!("{}.", unsigned(r#"{"alg":"none"}"#)),
        format!("{}.", unsigned(r#"{"alg":"none","kid":"main"}"#)),
        format!("{}.AAAA.AAAA", unsigned(HEAD)),
        made_up(HEAD, &claims, b""),
        // Everybody has the public key: it is no secret to sign with.
        made_up(r#"{"alg":"HS256","kid":"ec"}"#, &claims, public.as_bytes()),
        made_up(r#"{"alg":"HS256","kid":"ec"}"#, &claims, public.trim_end().as_bytes()),
        made_up(r#"{"alg":"ES256","kid":"ec"}"#, &claims, public.as_bytes()),
        // A key is for one algorithm, also where it would do for another.
        signed(r#"{"alg":"HS384","kid":"main"}"#, &claims, &longer),
        made_up(&format!("{}x", "a".repeat(11_000)), &claims, secret),
        "%ff.%00.%0a".to_owned(),
        "..".to_owned(),
    ];
    for head in [
        r#"{"alg":"none","kid":"main"}"#,
        r#"{"alg":"NONE","kid":"main"}"#,
        r#"{"alg":"HS384","kid":"main"}"#,
        r#"{"alg":"ES256","kid":"main"}"#,
        r#"{"alg":"HS256","kid":"ec"}"#,
        r#"{"alg":"HS256","kid":"nobody's"}"#,
        r#"{"alg":"HS256","kid":["main"]}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"kid":"main"}"#,
        r#"{"alg":"none","alg":"HS256","kid":"main"}"#,
        r#"{"alg":"HS256","kid":"ec","kid":"main"}"#,
        r#"[]"#,
        "",
    ] {
        tokens.push(made_up(head, &claims, secret));
    }
    for token in &tokens {
        assert_eq!(enter(http, token), 401, "{token}");
    }
    assert_eq!(refusals(http, "token"), tokens.len() as u64);
    assert_eq!(enter(http, &made_up(HEAD, &claims, secret)), 101, "the right way");
    server.stop().unwrap();
}

#[test]
fn a_token_of_a_megabyte_is_not_read() {
    let Keys { folder: _folder, options, .. } = Keys::new("long-token");
    let server = server(1, &options.each_ref().map(String::as_str));
    let http = server.http_addr();
    let token = "a".repeat(1 << 20);
    for head in [
        format!("GET /ws?roomId=r&peerName=p&token={token} HTTP/1.1\r\n"),
        format!("GET /ws?roomId=r&peerName=p HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"),
    ] {
        let mut stream = tcp(http);
        // It may stop to listen before the end.
        let _ = stream.write_all(format!("{head}\r\n").as_bytes());
        let mut answer = [0; 64];
        let len = stream.read(&mut answer).unwrap();
        assert_eq!(status(std::str::from_utf8(&answer[..len]).unwrap()), 431);
    }
    server.stop().unwrap();
}
