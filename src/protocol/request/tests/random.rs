//! JSON that nobody would send.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{NOTIFICATIONS, REQUESTS, good, notification, pointers, request, set};
use crate::protocol::request::Request;

/// JSON of any shape, made of the protocol's own words so that it gets far.
fn any_json() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[
        "id",
        "appData",
        "options",
        "direction",
        "dtlsParameters",
        "role",
        "fingerprints",
        "algorithm",
        "value",
        "kind",
        "transportId",
        "rtpParameters",
        "codecs",
        "name",
        "mimeType",
        "clockRate",
        "payloadType",
        "parameters",
        "apt",
        "encodings",
        "ssrc",
        "rtx",
        "rid",
        "rtcp",
        "cname",
        "video",
        "video/VP8",
        "sha-256",
        "method",
        "notify",
        "rtpCapabilities",
    ];
    let word = || prop::sample::select(WORDS).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u8..130).prop_map(Value::from),
        Just(json!(90000)),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_data_panics(data in any_json()) {
        for method in REQUESTS.iter().chain(&NOTIFICATIONS) {
            let _ = request(method, &data);
            let _ = notification(method, &data);
        }
    }

    /// Replaces one member of a good message by anything, which gets deeper than chance does.
    #[test]
    fn no_member_panics(
        method in prop::sample::select(REQUESTS.to_vec()),
        member in any::<prop::sample::Index>(),
        value in any_json(),
    ) {
        let mut data = good(method);
        let mut found = Vec::new();
        pointers(&data, "", &mut found);
        set(&mut data, &found[member.index(found.len())], value);
        let _ = request(method, &data);
    }
}

#[test]
fn depth_is_an_error() {
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(60_000), close.repeat(60_000));
    for nested in [deep("[", "]"), deep("{\"id\":", "}")] {
        for member in ["id", "options", "rtpParameters", "dtlsParameters", "appData", "x"] {
            let text = format!(r#"{{"{member}":{nested}}}"#);
            let raw: &RawValue = serde_json::from_str(&text).unwrap();
            for method in ["createTransport", "createReceiver"] {
                assert!(Request::parse(method, Some(raw)).is_err(), "{method} {member}");
            }
        }
    }
}
