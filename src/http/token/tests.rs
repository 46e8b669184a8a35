//! Tests of tokens: each way to be refused, and that all three algorithms work.

use std::path::PathBuf;

use super::*;

const NOW: u64 = 1_800_000_000;

/// A folder of keys that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("corinth-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn new_token<'a>(key: &'a str, room: &'a str) -> NewToken<'a> {
    NewToken { key, room, peer: None, rights: &[Right::Receive], expires: NOW + 60 }
}

#[test]
fn each_algorithm_signs_and_verifies() {
    let folder = Folder::new("algorithms");
    let pair = |algorithm, name: &str| {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let private = folder.file(&format!("{name}.key"), pair.serialize_pem());
        (private, folder.file(&format!("{name}.pub"), pair.public_key_pem()))
    };
    let secret = folder.file("secret", [b'x'; 40]);
    let (ec, ec_public) = pair(&rcgen::PKCS_ECDSA_P256_SHA256, "ec");
    let (ed, ed_public) = pair(&rcgen::PKCS_ED25519, "ed");
    let files = [("a", &*secret), ("b", &*ec_public), ("c", &*ed_public)];
    let keys = Keys::load(files).unwrap();
    for (key, file) in [("a", &secret), ("b", &ec), ("c", &ed)] {
        let token = new_token(key, "room").sign(file).unwrap();
        let grant = keys.verify(&token, NOW).unwrap();
        assert_eq!(grant.room.as_deref(), Some("room"));
        assert_eq!(grant.rights, Rights { receive: true, ..Rights::NONE });
        // Signed by one key and said to be of another.
        let other = if key == "a" { "b" } else { "a" };
        let forged = new_token(other, "room").sign(file).unwrap();
        assert!(matches!(keys.verify(&forged, NOW), Err(Denied::Token(_))), "{key}");
    }
    // A public key is known to all: it must not do as a secret.
    let as_secret =
        folder.file("as-secret", [b"\n", &*std::fs::read(&ec_public).unwrap()].concat());
    let forged = new_token("b", "room").sign(&as_secret).unwrap();
    assert_eq!(keys.verify(&forged, NOW), Err(Denied::Token("the token's signature is wrong")));
    assert!(Keys::load([("b", &*ec)]).unwrap_err().to_string().contains("-pubout"));
}

#[test]
fn what_is_no_good_is_told_why() {
    let folder = Folder::new("refusals");
    let secret = folder.file("secret", format!("{}\n", "s".repeat(32)));
    let keys = Keys::load([("a", &*secret)]).unwrap();
    let sign = |claims: serde_json::Value| {
        let key = EncodingKey::from_secret("s".repeat(32).as_bytes());
        jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
    };
    for (claims, reason) in [
        (json!({ "room": "r", "exp": NOW - 11 }), "expired"),
        (json!({ "room": "r" }), "lacks exp"),
        (json!({ "exp": NOW + 9 }), "lacks exp or room"),
        (json!({ "room": "r", "exp": NOW + 9, "nbf": NOW + 11 }), "not good yet"),
        (json!({ "room": "r", "exp": NOW + 9, "rights": ["fly"] }), "malformed"),
    ] {
        match keys.verify(&sign(claims.clone()), NOW) {
            Err(Denied::Token(text)) if text.contains(reason) => {}
            other => panic!("{claims}: {other:?}"),
        }
    }
    for broken in ["", "a", "a.b.c", "eyJhbGciOiJub25lIn0.eyJyb29tIjoiciJ9."] {
        assert!(matches!(keys.verify(broken, NOW), Err(Denied::Token(_))), "{broken:?}");
    }
    let good = sign(json!({ "room": "r", "exp": NOW as f64 - 9.5, "aud": "somebody" }));
    assert_eq!(keys.verify(&good, NOW).unwrap().rights, Rights::PARTICIPANT);
    let mut altered = good.into_bytes();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    assert!(keys.verify(std::str::from_utf8(&altered).unwrap(), NOW).is_err());
    let short = folder.file("short", "hunter2");
    assert!(Keys::load([("a", &*short)]).unwrap_err().to_string().contains("32 are the least"));
}

/// Each is signed with the right key: what is wrong stands in the head, or in what claims mean.
#[test]
fn a_head_and_claims_are_read_strictly() {
    let folder = Folder::new("strict");
    let keys = Keys::load([("a", &*folder.file("secret", "s".repeat(32)))]).unwrap();
    let sign = |head: &str, claims: &str| {
        let part = |text| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, text);
        let signed = format!("{}.{}", part(head), part(claims));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[b's'; 32]);
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        let tag = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, tag);
        keys.verify(&format!("{signed}.{tag}"), NOW)
    };
    let good = r#"{"room":"r","exp":1800000060}"#;
    for head in [
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"a"}"#,
        r#"{"alg":"HS256","x-own":[1]}"#,
    ] {
        assert!(sign(head, good).is_ok(), "{head}");
    }
    for head in [
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":true}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":"exp"}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"b"}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"kid":"a"}"#,
        "[]",
    ] {
        assert!(matches!(sign(head, good), Err(Denied::Token(_))), "{head}");
    }
    let head = r#"{"alg":"HS256"}"#;
    for claims in [
        r#"{"room":"r","exp":1800000060.5,"nbf":1799999999.5}"#,
        r#"{"room":"r","exp":1e300}"#,
        r#"{"room":"r","exp":1800000060,"aud":["a","b"],"iss":"x","iat":0}"#,
    ] {
        assert!(sign(head, claims).is_ok(), "{claims}");
    }
    for claims in [
        r#"{"room":"r","exp":"1800000060"}"#,
        r#"{"room":"r","exp":1e999}"#,
        r#"{"room":"r","exp":null}"#,
        r#"{"room":"r","exp":-1}"#,
        r#"{"room":"r","exp":1800000060,"nbf":"1"}"#,
        r#"{"room":"r","exp":1,"exp":1800000060}"#,
        r#"{"room":"s","room":"r","exp":1800000060}"#,
        r#"{"room":["r"],"exp":1800000060}"#,
        r#"{"room":null,"exp":1800000060}"#,
        r#"{"room":"r","exp":1800000060,"peer":7}"#,
        r#"{"room":"r","exp":1800000060,"rights":"admin"}"#,
        r#"["r"]"#,
    ] {
        assert!(matches!(sign(head, claims), Err(Denied::Token(_))), "{claims}");
    }
}

#[test]
fn a_grant_is_for_its_room_and_name() {
    let rights = Rights::PARTICIPANT;
    let grant = Grant { room: Some("r".into()), peer: Some("p".into()), rights };
    assert_eq!(grant.admits("r", "p"), Ok(rights));
    assert!(matches!(grant.admits("s", "p"), Err(Denied::Rights(_))));
    assert!(matches!(grant.admits("r", "q"), Err(Denied::Rights(_))));
    assert_eq!(Grant { room: None, peer: None, rights }.admits("s", "q"), Ok(rights));
}

#[test]
fn a_token_is_found_in_header_or_query() {
    let of = |target: &str, header: &str| {
        let text = format!("GET {target} HTTP/1.1\r\n{header}\r\n");
        of_request(&Request::parse(text.as_bytes()).unwrap().unwrap().0)
    };
    assert_eq!(of("/?token=a.b", "").as_deref(), Some("a.b"));
    assert_eq!(of("/", "Authorization: bearer c.d\r\n").as_deref(), Some("c.d"));
    assert_eq!(of("/", "Authorization: Basic eA==\r\n"), None);
}
