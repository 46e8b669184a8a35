//! The server's table against what PROTOCOL promises of it, and clients against sources.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::*;
use crate::protocol::{ClientCapabilities, Request, SourceParameters};

fn server() -> Value {
    serde_json::from_str(&server_capabilities()).unwrap()
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value[name].as_array().unwrap().clone()
}

#[test]
fn codecs_in_their_order_each_video_codec_with_its_rtx() {
    let codecs = list(&server(), "codecs");
    let names: Vec<&str> = codecs.iter().map(|codec| codec["mimeType"].as_str().unwrap()).collect();
    let mut expected = vec!["audio/opus"];
    for (name, variants) in [("VP8", 1), ("VP9", 2), ("H264", 4), ("H265", 1), ("AV1", 1)] {
        for _ in 0..variants {
            expected.extend([format!("video/{name}").leak() as &str, "video/rtx"]);
        }
    }
    expected.extend(["audio/red", "audio/PCMU", "audio/PCMA"]);
    assert_eq!(names, expected);
    for (i, codec) in codecs.iter().enumerate().filter(|(_, codec)| codec["name"] == "rtx") {
        assert_eq!(codec["parameters"]["apt"], codecs[i - 1]["preferredPayloadType"]);
    }
}

#[test]
fn entries_letter_by_letter() {
    let text = server_capabilities();
    let begin = concat!(
        r#"{"codecs":[{"name":"opus","mimeType":"audio/opus","kind":"audio","clockRate":48000,"#,
        r#""preferredPayloadType":111,"channels":2,"#,
        r#""rtcpFeedback":[{"type":"transport-cc","parameter":""}],"#,
        r#""parameters":{"minptime":10,"useinbandfec":1}},"#,
        r#"{"name":"VP8","mimeType":"video/VP8","kind":"video","clockRate":90000,"#,
        r#""preferredPayloadType":96,"rtcpFeedback":[{"type":"transport-cc","parameter":""},"#,
        r#"{"type":"nack","parameter":""},"#,
        r#"{"type":"nack","parameter":"pli"},"#,
        r#"{"type":"ccm","parameter":"fir"}],"parameters":{}},"#,
        r#"{"name":"rtx","mimeType":"video/rtx","kind":"video","clockRate":90000,"#,
        r#""preferredPayloadType":97,"rtcpFeedback":[],"parameters":{"apt":96}},"#,
    );
    assert!(text.starts_with(begin), "{}", &*text);
    for part in [
        r#""parameters":{"profile-id":2}"#,
        concat!(
            r#""parameters":{"level-asymmetry-allowed":1,"packetization-mode":1,"#,
            r#""profile-level-id":"42e01f"}"#
        ),
        r#""preferredPayloadType":110,"channels":2,"rtcpFeedback":[],"parameters":{"":"111/111"}"#,
        r#""preferredPayloadType":0,"rtcpFeedback":[],"parameters":{}"#,
        r#"{"kind":"audio","uri":"urn:ietf:params:rtp-hdrext:sdes:mid","preferredId":1}"#,
    ] {
        assert!(text.contains(part), "{part} is not in {}", &*text);
    }
    assert!(text.ends_with(r#"],"fecMechanisms":[]}"#), "{}", &*text);
}

#[test]
fn payload_types_are_distinct_and_in_their_ranges() {
    let mut seen = HashSet::new();
    for codec in list(&server(), "codecs") {
        let pt = codec["preferredPayloadType"].as_u64().unwrap();
        assert!(seen.insert(pt), "{pt} twice");
        let is_static = codec["name"].as_str().unwrap().starts_with("PCM");
        assert!(is_static || (96..=127).contains(&pt), "{codec}");
    }
}

#[test]
fn extension_ids_are_distinct_and_fit_one_byte_elements() {
    let mut ids: HashMap<u64, String> = HashMap::new();
    for entry in list(&server(), "headerExtensions") {
        let (id, uri) = (entry["preferredId"].as_u64().unwrap(), entry["uri"].as_str().unwrap());
        assert!((1..=14).contains(&id), "{entry}");
        assert_eq!(ids.entry(id).or_insert_with(|| uri.to_owned()), uri);
    }
    let uris: HashSet<&String> = ids.values().collect();
    assert_eq!(uris.len(), ids.len(), "one id for each");
}

#[test]
fn only_what_is_served() {
    let text = server_capabilities();
    for absent in ["goog-remb", "abs-send-time", "toffset"] {
        assert!(!text.contains(absent), "{absent}");
    }
    for codec in list(&server(), "codecs") {
        for feedback in list(&codec, "rtcpFeedback") {
            let served = ["transport-cc", "nack", "nack pli", "ccm fir"];
            let words = [&feedback["type"], &feedback["parameter"]];
            let words = words.map(|it| it.as_str().expect("a word")).join(" ");
            assert!(served.contains(&words.trim_end()), "{words:?} of {codec}");
        }
    }
}

#[test]
fn what_the_server_offers_it_takes() {
    for codec in list(&server(), "codecs") {
        if codec["name"] == "rtx" || codec["name"] == "red" {
            continue;
        }
        let mut own = codec.clone();
        own["payloadType"] = codec["preferredPayloadType"].clone();
        let source = source(codec["kind"].as_str().unwrap(), &json!([own]));
        assert_eq!(u64::from(source.spec.pt.0), codec["preferredPayloadType"], "{codec}");
    }
}

#[test]
fn a_client_with_the_servers_capabilities_decodes_everything() {
    let client = client(&server());
    assert_eq!(client.formats.len(), TABLE.len());
    for codec in list(&server(), "codecs") {
        if codec["name"] != "rtx" && codec["name"] != "red" {
            let mut own = codec.clone();
            own["payloadType"] = codec["preferredPayloadType"].clone();
            assert!(client.can_decode(&source(codec["kind"].as_str().unwrap(), &json!([own]))));
        }
    }
}

fn source(kind: &str, codecs: &Value) -> SourceParameters {
    let data =
        json!({"id": 1, "kind": kind, "transportId": 1, "rtpParameters": {"codecs": codecs}});
    let raw = serde_json::value::to_raw_value(&data).unwrap();
    match Request::parse("createReceiver", Some(&raw)) {
        Ok(Request::CreateReceiver(receiver)) => receiver.source,
        other => panic!("{other:?}"),
    }
}

fn client(capabilities: &Value) -> ClientCapabilities {
    serde_json::from_str(&capabilities.to_string()).unwrap()
}

fn video(name: &str, parameters: Value) -> Value {
    json!({"mimeType": format!("video/{name}"), "clockRate": 90000, "payloadType": 96,
           "parameters": parameters})
}

#[test]
fn decoding_goes_by_name_rate_and_variant() {
    let h264 = |id: &str, mode: u8| {
        video("H264", json!({"profile-level-id": id, "packetization-mode": mode}))
    };
    for (known, used, expected) in [
        (video("VP8", json!({})), video("vp8", json!({"x": 1})), true),
        (video("VP8", json!({})), video("VP9", json!({})), false),
        (video("VP9", json!({})), video("VP9", json!({"profile-id": "0"})), true),
        (video("VP9", json!({"profile-id": 0})), video("VP9", json!({"profile-id": 2})), false),
        (h264("42e01f", 1), h264("42e034", 1), true),
        (h264("42e01f", 1), h264("42e01f", 0), true),
        (h264("42e01f", 0), h264("42e01f", 1), false),
        (h264("42e01f", 1), h264("42001f", 1), false),
        (h264("42e01f", 1), h264("64001f", 1), false),
        (h264("640c1f", 1), h264("640c34", 1), true),
        (h264("64001f", 1), h264("640c1f", 1), true),
        (h264("640c1f", 1), h264("64001f", 1), false),
        (h264("4d001f", 1), h264("640c1f", 1), false),
        (video("H265", json!({})), video("H265", json!({"profile-id": 1})), true),
        (video("H265", json!({})), video("H265", json!({"profile-id": 2})), false),
        (video("AV1", json!({})), video("AV1", json!({"profile": 0})), true),
    ] {
        let client = client(&json!({"codecs": [known]}));
        let source = source("video", &json!([used]));
        assert_eq!(client.can_decode(&source), expected, "{known} {used}");
    }
}

#[test]
fn redundancy_must_be_decodable_and_rtx_need_not() {
    let opus =
        json!({"mimeType": "audio/opus", "clockRate": 48000, "channels": 2, "payloadType": 1});
    let red = json!({"mimeType": "audio/red", "clockRate": 48000, "channels": 2, "payloadType": 2});
    let rtx = json!({"mimeType": "video/rtx", "clockRate": 90000, "payloadType": 2,
                     "parameters": {"apt": 96}});
    let with_red = source("audio", &json!([opus, red]));
    assert!(!client(&json!({"codecs": [opus]})).can_decode(&with_red));
    assert!(client(&json!({"codecs": [red, opus]})).can_decode(&with_red));
    let vp8 = video("VP8", json!({}));
    let with_rtx = source("video", &json!([vp8, rtx]));
    assert!(client(&json!({"codecs": [vp8]})).can_decode(&with_rtx));
    assert!(!client(&json!({"codecs": []})).can_decode(&with_rtx));
}

#[test]
fn unknown_codecs_of_a_client_are_left_out_and_known_ones_kept_once() {
    let vp8 = video("VP8", json!({}));
    let codecs = json!([video("H999", json!({})), vp8, vp8, {"name": "VP8", "clockRate": 90000}]);
    assert_eq!(client(&json!({"codecs": codecs})).formats, [Format::Plain(Codec::Vp8)]);
}

#[test]
fn what_the_server_never_sends_is_not_kept() {
    let profiles = (0..=255).flat_map(|profile| {
        let h264 = json!({"profile-level-id": "42e01f", "packetization-mode": profile});
        let profiles = json!({"profile": profile, "profile-id": profile});
        [video("VP9", profiles.clone()), video("AV1", profiles), video("H264", h264)]
    });
    let codecs: Vec<_> = profiles.collect();
    let formats = client(&json!({"codecs": codecs})).formats;
    assert!(formats.iter().all(|format| CodecSpec::find(*format).is_some()), "{formats:?}");
    assert!(formats.len() <= TABLE.len(), "{formats:?}");
}
