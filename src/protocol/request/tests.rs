//! Every way in which one message can be wrong, tried on a good one of each kind; beside it what
//! clients really send, and what nobody would.

mod random;
mod seed;

use serde_json::{Value, json};

use super::*;
use crate::protocol::ErrorCode;
use crate::types::limit::APP_DATA_MAX;

fn raw(data: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(data).unwrap()
}

fn request(method: &str, data: &Value) -> Result<Request, Error> {
    Request::parse(method, Some(&raw(data)))
}

fn notification(method: &str, data: &Value) -> Result<Notification, Error> {
    Notification::parse(method, Some(&raw(data)))
}

fn fingerprint(byte: &str) -> Value {
    json!({"algorithm": "sha-256", "value": vec![byte; 32].join(":")})
}

/// A good `data` for each message that clients send.
fn good(method: &str) -> Value {
    let dtls = json!({"role": "client", "fingerprints": [fingerprint("99")]});
    match method {
        "join" => json!({
            "appData": {"a": 1},
            "rtpCapabilities": {"codecs": [{
                "name": "opus", "mimeType": "audio/opus", "kind": "audio", "clockRate": 48000,
                "channels": 2, "preferredPayloadType": 111, "rtcpFeedback": [], "parameters": {},
            }], "headerExtensions": [], "fecMechanisms": []},
            "notify": ["transportState", "activeSpeaker"],
        }),
        "leave" => json!({"appData": 1}),
        "createTransport" => json!({
            "id": 1111,
            "options": {"udp": true, "tcp": false, "direction": "recv"},
            "direction": "recv",
            "dtlsParameters": dtls,
            "appData": [],
        }),
        "updateTransport" => json!({"id": 1111, "dtlsParameters": dtls}),
        "createReceiver" => json!({
            "id": 2222, "kind": "video", "transportId": 1111, "paused": true, "appData": {},
            "rtpParameters": {
                "muxId": "0",
                "mid": "0",
                "codecs": [{
                    "name": "VP8", "mimeType": "video/VP8", "clockRate": 90000,
                    "payloadType": 120, "channels": null,
                    "rtcpFeedback": [{"type": "nack", "parameter": "pli"}], "parameters": {"a": 1},
                }],
                "headerExtensions": [{"uri": "urn:3gpp:video-orientation", "id": 4}],
                "encodings": [{
                    "ssrc": 1, "rid": "h", "rtx": {"ssrc": 2}, "dtx": false,
                    "scalabilityMode": "L1T3", "maxBitrate": 100_000,
                }],
                "rtcp": {"cname": "c", "reducedSize": true, "mux": true},
            },
        }),
        "enableSender" => {
            json!({"id": 7, "transportId": 1111, "rtpSettings": {"useRtx": true}})
        }
        "requestKeyFrame" | "restartTransport" => json!({"id": 7}),
        "getStats" => json!({"transportId": 1, "receiverId": 2, "senderId": 3}),
        _ => json!({"id": 2222, "appData": {"why": "x"}}),
    }
}

const REQUESTS: [&str; 11] = [
    "join",
    "createTransport",
    "createReceiver",
    "pauseReceiver",
    "resumeReceiver",
    "enableSender",
    "playSender",
    "stopSender",
    "requestKeyFrame",
    "restartTransport",
    "getStats",
];

const NOTIFICATIONS: [&str; 4] = ["leave", "updateTransport", "closeTransport", "closeReceiver"];

/// The error of a message, whichever sort it is.
fn error_of(method: &str, data: &Value) -> Option<Error> {
    if REQUESTS.contains(&method) {
        request(method, data).err()
    } else {
        notification(method, data).err()
    }
}

/// Asserts a 400 whose reason has `parts`.
#[track_caller]
fn refused(method: &str, data: &Value, parts: &[&str]) {
    let error = error_of(method, data).unwrap_or_else(|| panic!("{method} {data} was taken"));
    assert_eq!(error.code, ErrorCode::BadRequest, "{method} {data}: {error}");
    for part in parts {
        assert!(error.reason.contains(part), "{method} {data}: no {part:?} in {error}");
    }
}

/// A member, by JSON pointer, and its path as reasons write it.
fn path_of(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        if step.parse::<usize>().is_ok() {
            path += &format!("[{step}]");
        } else if path.is_empty() {
            path += step;
        } else {
            path += &format!(".{step}");
        }
    }
    path
}

fn set(data: &mut Value, pointer: &str, value: Value) {
    *data.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
}

fn remove(data: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    data.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
}

#[test]
fn every_good_message_is_taken() {
    for method in REQUESTS.iter().chain(&NOTIFICATIONS) {
        assert_eq!(error_of(method, &good(method)), None, "{method}");
    }
}

#[test]
fn required_members() {
    for (method, pointer) in [
        ("createTransport", "/id"),
        ("createTransport", "/dtlsParameters/fingerprints"),
        ("createTransport", "/dtlsParameters/fingerprints/0/algorithm"),
        ("createTransport", "/dtlsParameters/fingerprints/0/value"),
        ("updateTransport", "/id"),
        ("updateTransport", "/dtlsParameters"),
        ("updateTransport", "/dtlsParameters/fingerprints"),
        ("closeTransport", "/id"),
        ("createReceiver", "/id"),
        ("createReceiver", "/kind"),
        ("createReceiver", "/transportId"),
        ("createReceiver", "/rtpParameters"),
        ("createReceiver", "/rtpParameters/codecs"),
        ("createReceiver", "/rtpParameters/codecs/0/clockRate"),
        ("createReceiver", "/rtpParameters/codecs/0/payloadType"),
        ("createReceiver", "/rtpParameters/headerExtensions/0/uri"),
        ("createReceiver", "/rtpParameters/headerExtensions/0/id"),
        ("closeReceiver", "/id"),
        ("pauseReceiver", "/id"),
        ("resumeReceiver", "/id"),
        ("enableSender", "/id"),
        ("playSender", "/id"),
        ("stopSender", "/id"),
        ("requestKeyFrame", "/id"),
        ("restartTransport", "/id"),
        ("join", "/rtpCapabilities/codecs"),
        ("join", "/rtpCapabilities/codecs/0/clockRate"),
    ] {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut data = good(method);
        remove(&mut data, pointer);
        let missing = format!("missing field `{name}`");
        refused(method, &data, &[&path_of(parent), &missing]);

        let mut data = good(method);
        set(&mut data, pointer, Value::Null);
        refused(method, &data, &[&path_of(pointer), "null"]);
    }
}

#[test]
fn optional_members_may_be_absent_or_null() {
    for (method, pointers) in [
        ("join", &["/appData", "/rtpCapabilities", "/notify"][..]),
        ("join", &["/rtpCapabilities/codecs/0/name", "/rtpCapabilities/codecs/0/kind"]),
        ("join", &["/rtpCapabilities/codecs/0/channels", "/rtpCapabilities/codecs/0/parameters"]),
        ("leave", &["/appData"]),
        ("getStats", &["/transportId", "/receiverId", "/senderId"]),
        ("createTransport", &["/options", "/dtlsParameters", "/appData", "/direction"]),
        ("createTransport", &["/options/udp", "/options/tcp", "/options/direction"]),
        ("createTransport", &["/dtlsParameters/role"]),
        ("closeTransport", &["/appData"]),
        ("createReceiver", &["/paused", "/appData", "/rtpParameters/muxId", "/rtpParameters/mid"]),
        ("createReceiver", &["/rtpParameters/headerExtensions", "/rtpParameters/encodings"]),
        ("createReceiver", &["/rtpParameters/rtcp", "/rtpParameters/codecs/0/rtcpFeedback"]),
        ("createReceiver", &["/rtpParameters/codecs/0/name", "/rtpParameters/rtcp/cname"]),
        ("createReceiver", &["/rtpParameters/codecs/0/mimeType"]),
        ("createReceiver", &["/rtpParameters/codecs/0/channels"]),
        ("createReceiver", &["/rtpParameters/codecs/0/parameters"]),
        ("createReceiver", &["/rtpParameters/encodings/0/ssrc", "/rtpParameters/encodings/0/rid"]),
        ("createReceiver", &["/rtpParameters/encodings/0/rtx", "/rtpParameters/encodings/0/dtx"]),
        ("createReceiver", &["/rtpParameters/rtcp/reducedSize", "/rtpParameters/rtcp/mux"]),
        ("closeReceiver", &["/appData"]),
        ("pauseReceiver", &["/appData"]),
        ("enableSender", &["/transportId", "/rtpSettings"]),
        ("enableSender", &["/rtpSettings/useRtx"]),
        ("stopSender", &["/appData"]),
    ] {
        let (mut nulls, mut absent) = (good(method), good(method));
        for pointer in pointers {
            set(&mut nulls, pointer, Value::Null);
            remove(&mut absent, pointer);
        }
        assert_eq!(error_of(method, &nulls), None, "{method} {nulls}");
        assert_eq!(error_of(method, &absent), None, "{method} {absent}");
        if REQUESTS.contains(&method) {
            assert_eq!(request(method, &nulls), request(method, &absent), "{method} {pointers:?}");
        }
    }
}

/// Every member of every good message, found by walking it.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    if at.ends_with("appData") {
        return;
    }
    if !at.is_empty() {
        found.push(at.to_owned());
    }
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, v)| pointers(v, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), found));
        }
        _ => {}
    }
}

/// Members that are checked by whoever will read them one day, or that nobody reads.
fn is_free(pointer: &str) -> bool {
    let unread = ["preferredPayloadType", "rtcpFeedback", "headerExtensions", "fecMechanisms"];
    let capability = pointer.strip_prefix("/rtpCapabilities");
    capability.is_some_and(|rest| unread.iter().any(|name| rest.ends_with(name)))
        || pointer.contains("/rtcpFeedback/")
        || pointer.contains("/parameters/")
}

#[test]
fn wrong_types_are_named_with_their_value() {
    let wrong = [json!(true), json!("wrong"), json!(-77), json!(0.5), json!([{}]), json!({"x": 1})];
    let mut cases = 0;
    for method in REQUESTS.iter().chain(&NOTIFICATIONS) {
        let mut found = Vec::new();
        pointers(&good(method), "", &mut found);
        for pointer in found.iter().filter(|pointer| !is_free(pointer)) {
            let right = good(method).pointer(pointer).unwrap().clone();
            for value in &wrong {
                let same_type = std::mem::discriminant(value) == std::mem::discriminant(&right);
                // No number here is negative or has a fraction.
                if same_type && !value.is_number() {
                    continue;
                }
                let mut data = good(method);
                set(&mut data, pointer, value.clone());
                let shown = match value {
                    Value::Array(_) => "sequence".into(),
                    Value::Object(_) => "map".into(),
                    other => other.to_string().trim_matches('"').to_owned(),
                };
                let error = error_of(method, &data)
                    .unwrap_or_else(|| panic!("{method} {pointer} {value} was taken"));
                assert_eq!(error.code, ErrorCode::BadRequest, "{method} {pointer}: {error}");
                let path = path_of(pointer);
                assert!(error.reason.starts_with(&path), "{method} {pointer} {value}: {error}");
                let is_enum = error.reason.contains("unknown variant") || value.is_object();
                assert!(is_enum || error.reason.contains(&shown), "{pointer} {value}: {error}");
                cases += 1;
            }
        }
        for value in wrong.iter().filter(|value| !value.is_object()) {
            refused(method, value, &["data: ", "an object"]);
        }
    }
    assert!(cases > 250, "only {cases} cases: the walk missed members");
}

#[test]
fn numbers_fit_32_bits() {
    for (method, pointer) in [
        ("createTransport", "/id"),
        ("updateTransport", "/id"),
        ("closeTransport", "/id"),
        ("createReceiver", "/id"),
        ("createReceiver", "/transportId"),
        ("createReceiver", "/rtpParameters/codecs/0/clockRate"),
        ("createReceiver", "/rtpParameters/encodings/0/ssrc"),
        ("createReceiver", "/rtpParameters/encodings/0/rtx/ssrc"),
        ("closeReceiver", "/id"),
        ("pauseReceiver", "/id"),
        ("resumeReceiver", "/id"),
        ("enableSender", "/id"),
        ("enableSender", "/transportId"),
        ("playSender", "/id"),
        ("stopSender", "/id"),
        ("requestKeyFrame", "/id"),
        ("restartTransport", "/id"),
    ] {
        let mut data = good(method);
        set(&mut data, pointer, json!(4_294_967_296_u64));
        refused(method, &data, &[&path_of(pointer), "4294967296", "u32"]);
        if pointer == "/id" {
            set(&mut data, pointer, json!(u32::MAX));
            assert_eq!(error_of(method, &data), None, "{method}");
        }
    }
}

#[test]
fn app_data_is_bounded_everywhere() {
    for method in REQUESTS.iter().chain(&NOTIFICATIONS) {
        if good(method).get("appData").is_none() {
            continue;
        }
        let mut data = good(method);
        data["appData"] = json!("x".repeat(APP_DATA_MAX - 2));
        assert_eq!(error_of(method, &data), None, "{method}");
        data["appData"] = json!("x".repeat(APP_DATA_MAX - 1));
        refused(method, &data, &["appData: 16385 bytes, more than 16384"]);
    }
}

#[test]
fn app_data_is_handed_on_byte_for_byte() {
    let data: &RawValue =
        serde_json::from_str(r#"{"id":5,"appData":{"z" : 1e2, "a":["\u00e4",null]}}"#).unwrap();
    let Ok(Request::PauseReceiver(command)) = Request::parse("pauseReceiver", Some(data)) else {
        panic!("{data}");
    };
    assert_eq!(&*command.app_data.unwrap(), r#"{"z" : 1e2, "a":["\u00e4",null]}"#);
}

#[test]
fn long_values_are_shortened() {
    let data = json!({"id": "x".repeat(100_000)});
    refused("closeReceiver", &data, &["id: invalid type: string \"xxx", "…", "expected u32"]);
    let error = Request::parse(&"m".repeat(100_000), None).unwrap_err();
    assert!(error.code == ErrorCode::NotFound && error.reason.len() < 300, "{error}");
}

#[test]
fn methods_of_the_other_sort_and_unknown_ones() {
    for method in NOTIFICATIONS {
        let error = request(method, &good(method)).unwrap_err();
        assert_eq!(error, Error::bad_request(format!("method: {method} is a notification")));
    }
    for method in REQUESTS {
        assert!(notification(method, &good(method)).is_err(), "{method}");
    }
    for method in ["", "Join", "getstats", "newPeer"] {
        let error = request(method, &json!({})).unwrap_err();
        assert_eq!(error, Error::not_found(format!("unknown method: {method}")));
        assert!(notification(method, &json!({})).is_err(), "{method}");
    }
}

#[test]
fn data_may_repeat_the_envelope_but_not_contradict_it() {
    for method in REQUESTS.iter().chain(&NOTIFICATIONS) {
        let is_notification = NOTIFICATIONS.contains(method);
        let mut data = good(method);
        data["method"] = json!(method);
        data["notification"] = json!(is_notification);
        assert_eq!(error_of(method, &data), None, "{method}");
        data["notification"] = json!(!is_notification);
        refused(method, &data, &["notification: "]);
        data["notification"] = Value::Null;
        data["method"] = json!("other");
        refused(method, &data, &["method: \"other\"", method]);
        data["method"] = json!(1);
        refused(method, &data, &["method: invalid type: integer `1`"]);
    }
}

#[test]
fn join_without_data_and_with_everything() {
    let nothing = Join { app_data: None, rtp_capabilities: None, notify: vec![] };
    assert_eq!(Request::parse("join", None), Ok(Request::Join(nothing)));
    let mut data = good("join");
    data["notify"] = json!(["audioLevels", "transportState", "x", "roomClosed", "transportState"]);
    let Ok(Request::Join(join)) = request("join", &data) else { panic!("{data}") };
    assert_eq!(join.notify, [Notify::TransportState, Notify::RoomClosed]);
    assert!(join.rtp_capabilities.is_some());
}

#[test]
fn the_direction_stands_in_options_or_beside_them() {
    let direction = |data: Value| match request("createTransport", &data) {
        Ok(Request::CreateTransport(transport)) => transport.direction,
        other => panic!("{data}: {other:?}"),
    };
    assert_eq!(direction(json!({"id": 1})), None);
    assert_eq!(direction(json!({"id": 1, "direction": "send"})), Some(Direction::Send));
    let inside = json!({"id": 1, "options": {"direction": "recv"}});
    assert_eq!(direction(inside), Some(Direction::Recv));
    let both = json!({"id": 1, "direction": "send", "options": {"direction": "recv"}});
    refused("createTransport", &both, &["options.direction"]);
    refused("createTransport", &json!({"id": 1, "direction": "both"}), &["direction", "both"]);
}

#[test]
fn enable_sender_without_settings() {
    let expected = EnableSender { id: SenderId(7), transport_id: None, use_rtx: None };
    for data in [json!({"id": 7}), json!({"id": 7, "rtpSettings": {}})] {
        assert_eq!(request("enableSender", &data), Ok(Request::EnableSender(expected.clone())));
    }
}
