//! What one source may say, and the contradictions in which it is caught.

use serde_json::{Value, json};

use super::*;
use crate::protocol::{ErrorCode, Request};

fn parse(kind: &str, rtp_parameters: &Value) -> Result<SourceParameters, Error> {
    let data = json!({"id": 1, "kind": kind, "transportId": 2, "rtpParameters": rtp_parameters});
    let raw = serde_json::value::to_raw_value(&data).unwrap();
    match Request::parse("createReceiver", Some(&raw))? {
        Request::CreateReceiver(receiver) => Ok(receiver.source),
        other => panic!("{other:?}"),
    }
}

fn codec(mime_type: &str, payload_type: u8, parameters: Value) -> Value {
    let clock_rate = match mime_type.split_once('/') {
        Some(("video", _)) => 90_000,
        Some((_, "PCMU" | "PCMA" | "telephone-event")) => 8_000,
        _ => 48_000,
    };
    json!({"mimeType": mime_type, "clockRate": clock_rate, "payloadType": payload_type,
           "parameters": parameters})
}

fn vp8_and_rtx() -> Vec<Value> {
    vec![codec("video/VP8", 120, json!({})), codec("video/rtx", 124, json!({"apt": 120}))]
}

#[track_caller]
fn refused(kind: &str, rtp_parameters: &Value, expected: &str) {
    let error = parse(kind, rtp_parameters).expect_err("it was taken");
    assert_eq!(error, Error::bad_request(expected));
}

#[track_caller]
fn unsupported(kind: &str, codec: Value, part: &str) {
    let error = parse(kind, &json!({"codecs": [codec]})).expect_err("it was taken");
    assert_eq!(error.code, ErrorCode::Unsupported, "{error}");
    assert!(error.reason.starts_with("rtpParameters.codecs[0]: "), "{error}");
    assert!(error.reason.contains(part), "{error}");
}

/// Only `nack` without a parameter, of the codec itself, is an offer to send again; what is odd in
/// the list is none.
#[test]
fn a_source_that_sends_again_says_so() {
    let nack = |feedback: &str| {
        let text = format!(
            r#"{{"id":1,"kind":"video","transportId":2,"rtpParameters":{{"codecs":[
                {{"mimeType":"video/VP8","clockRate":90000,"payloadType":98,
                  "rtcpFeedback":{feedback}}}]}}}}"#
        );
        let raw: &serde_json::value::RawValue = serde_json::from_str(&text).unwrap();
        let Ok(Request::CreateReceiver(receiver)) = Request::parse("createReceiver", Some(raw))
        else {
            panic!("{feedback} was refused")
        };
        receiver.source.nack
    };
    for offer in [
        r#"[{"type":"nack"}]"#,
        r#"[{"type":"nack","parameter":""}]"#,
        r#"[7,{"type":"nack","parameter":"pli"},{"type":"nack","parameter":null}]"#,
    ] {
        assert!(nack(offer), "{offer}");
    }
    for none in ["[]", "null", r#"["nack"]"#, r#"[{"type":"nack","parameter":"pli"}]"#] {
        assert!(!nack(none), "{none}");
    }
}

/// JSON has no integers, and some languages write 1.0 for 1.
#[test]
fn whole_numbers_are_taken_however_they_are_written() {
    let text = r#"{"id":1.0,"kind":"video","transportId":2e0,"rtpParameters":{
        "codecs":[{"mimeType":"video/VP9","clockRate":90000.0,"payloadType":98.0,
                   "parameters":{"profile-id":2.0}},
                  {"mimeType":"video/rtx","clockRate":9e4,"payloadType":99.0,
                   "parameters":{"apt":98.0}}],
        "headerExtensions":[{"uri":"urn:ietf:params:rtp-hdrext:sdes:mid","id":4.0}],
        "encodings":[{"ssrc":4294967295.0,"rtx":{"ssrc":7.0},"maxBitrate":1.5e6}]}}"#;
    let raw: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
    let Ok(Request::CreateReceiver(receiver)) = Request::parse("createReceiver", Some(raw)) else {
        panic!("it was refused")
    };
    assert_eq!((receiver.id.0, receiver.transport_id.0), (1, 2));
    let source = receiver.source;
    assert_eq!(source.role(Pt(99)), Some(PtRole::Rtx { apt: Pt(98) }));
    assert_eq!(source.encodings[0].ssrc, Some(Ssrc(u32::MAX)));
    assert_eq!(source.encodings[0].rtx_ssrc, Some(Ssrc(7)));
    assert_eq!(source.extensions[0].1, 4);
    let half = text.replace("98.0,", "98.5,");
    let raw: &serde_json::value::RawValue = serde_json::from_str(&half).unwrap();
    let error = Request::parse("createReceiver", Some(raw)).unwrap_err();
    assert!(error.reason.contains("payloadType: invalid type: floating point `98.5`"), "{error}");
}

#[test]
fn every_codec_of_the_server() {
    for (kind, mime_type, parameters, expected) in [
        ("audio", "audio/opus", json!({}), Codec::Opus),
        ("audio", "AUDIO/OPUS", json!({}), Codec::Opus),
        ("audio", "audio/PCMU", json!({}), Codec::Pcmu),
        ("audio", "audio/PCMA", json!({}), Codec::Pcma),
        ("video", "video/vp8", json!({}), Codec::Vp8),
        ("video", "video/VP9", json!({"profile-id": 2}), Codec::Vp9),
        ("video", "video/H264", json!({"profile-level-id": "42e01f"}), Codec::H264),
        ("video", "video/H264", json!({"profile-level-id": "640c1f"}), Codec::H264),
        ("video", "video/H265", json!({}), Codec::H265),
        ("video", "video/H265", json!({"profile-id": 2}), Codec::H265),
        ("video", "video/AV1", json!({}), Codec::Av1),
    ] {
        let source = parse(kind, &json!({"codecs": [codec(mime_type, 96, parameters)]})).unwrap();
        assert_eq!(source.codec, expected, "{mime_type}");
        assert_eq!(source.kind, expected.kind(), "{mime_type}");
        let clock_rate = if matches!(expected, Codec::Pcmu | Codec::Pcma) { 8_000 } else { 48_000 };
        let clock_rate = if kind == "video" { 90_000 } else { clock_rate };
        assert_eq!(source.clock_rate, clock_rate, "{mime_type}");
    }
}

#[test]
fn codecs_the_server_does_not_have() {
    unsupported("audio", codec("audio/G722", 9, json!({})), "G722/48000");
    unsupported("video", codec("video/H263", 34, json!({})), "H263/90000");
    unsupported("video", codec("video/VP9", 98, json!({"profile-id": 1})), r#"{"profile-id":1}"#);
    unsupported("video", codec("video/AV1", 98, json!({"profile": 1})), r#"{"profile":1}"#);
    let chroma = json!({"profile-level-id": "f4001f", "packetization-mode": 1});
    unsupported("video", codec("video/H264", 98, chroma), "f4001f");
    let interleaved = json!({"profile-level-id": "42e01f", "packetization-mode": 2});
    unsupported("video", codec("video/H264", 98, interleaved), "packetization-mode");
    let mono =
        json!({"mimeType": "audio/opus", "clockRate": 48000, "payloadType": 1, "channels": 1});
    unsupported("audio", mono, "opus");
    let slow = json!({"mimeType": "audio/opus", "clockRate": 16000, "payloadType": 1});
    unsupported("audio", slow, "opus/16000");
    // Repair formats are no source, whatever they would repair.
    unsupported("audio", codec("audio/red", 63, json!({})), "red");
    unsupported("video", codec("video/rtx", 97, json!({"apt": 97})), "rtx");
}

#[test]
fn what_comes_with_the_codec() {
    let source = parse(
        "audio",
        &json!({"codecs": [
            codec("audio/opus", 111, json!({"useinbandfec": 1})),
            codec("audio/red", 63, json!({"": "111/111"})),
            codec("audio/telephone-event", 110, json!({})),
            codec("audio/PCMU", 0, json!({})),
        ]}),
    )
    .unwrap();
    assert_eq!(source.payload_types, [(Pt(111), PtRole::Media), (Pt(63), PtRole::Red)]);
    assert_eq!((source.role(Pt(63)), source.role(Pt(0))), (Some(PtRole::Red), None));

    let codecs = json!([codec("audio/PCMU", 0, json!({})), codec("audio/red", 63, json!({}))]);
    let source = parse("audio", &json!({ "codecs": codecs })).unwrap();
    assert_eq!(source.payload_types, [(Pt(0), PtRole::Media)], "red is for opus");

    let source = parse(
        "video",
        &json!({"codecs": [
            codec("video/VP9", 98, json!({})),
            codec("video/VP8", 96, json!({})),
            codec("video/rtx", 97, json!({"apt": 96})),
            codec("video/rtx", 99, json!({"apt": "98"})),
            codec("video/red", 35, json!({})),
            codec("video/rtx", 36, json!({"apt": 35})),
        ]}),
    )
    .unwrap();
    let rtx = PtRole::Rtx { apt: Pt(98) };
    assert_eq!(source.payload_types, [(Pt(98), PtRole::Media), (Pt(99), rtx)]);
}

#[test]
fn contradictions_between_codecs() {
    let with = |codecs: Vec<Value>| json!({"codecs": codecs});
    refused("video", &with(vec![]), "rtpParameters.codecs: empty");
    refused(
        "audio",
        &with(vpx_first(json!({}))),
        "rtpParameters.codecs[0].mimeType: video/VP8, expected audio/…",
    );
    let apt =
        |parameters| vec![codec("video/VP8", 120, json!({})), codec("video/rtx", 124, parameters)];
    refused(
        "video",
        &with(apt(json!({"apt": 121}))),
        "rtpParameters.codecs[1].parameters.apt: no codec has payload type 121",
    );
    refused(
        "video",
        &with(apt(json!({"apt": 124}))),
        "rtpParameters.codecs[1].parameters.apt: no codec has payload type 124",
    );
    refused(
        "video",
        &with(apt(json!({"apt": "x"}))),
        "rtpParameters.codecs[1].parameters.apt: no codec has payload type x",
    );
    refused(
        "video",
        &with(apt(json!({}))),
        "rtpParameters.codecs[1].parameters: missing field `apt`",
    );
    let mut twice = vp8_and_rtx();
    twice.push(codec("video/rtx", 125, json!({"apt": 120})));
    refused("video", &with(twice), "rtpParameters.codecs[2]: a second rtx for payload type 120");
    let mut same = vp8_and_rtx();
    same[1]["payloadType"] = json!(120);
    refused("video", &with(same), "rtpParameters.codecs[1].payloadType: 120 a second time");
}

fn vpx_first(parameters: Value) -> Vec<Value> {
    vec![codec("video/VP8", 120, parameters)]
}

#[test]
fn payload_types_keep_away_from_rtcp() {
    for pt in [0, 35, 63, 96, 127] {
        assert!(parse("video", &json!({"codecs": [codec("video/VP8", pt, json!({}))]})).is_ok());
    }
    for pt in [64, 72, 95, 128, 255] {
        refused(
            "video",
            &json!({"codecs": [codec("video/VP8", pt, json!({}))]}),
            &format!("rtpParameters.codecs[0].payloadType: {pt}, expected 0 to 63 or 96 to 127"),
        );
    }
}

#[test]
fn names() {
    let with = |name: Value, mime_type: Value| {
        json!({"codecs": [{"name": name, "mimeType": mime_type, "clockRate": 90000,
                           "payloadType": 96}]})
    };
    for (name, mime_type) in [
        (json!("VP8"), Value::Null),
        (Value::Null, json!("video/VP8")),
        (json!("vp8"), json!("Video/VP8")),
    ] {
        assert!(parse("video", &with(name, mime_type)).is_ok());
    }
    refused(
        "video",
        &with(json!("VP9"), json!("video/VP8")),
        "rtpParameters.codecs[0].name: \"VP9\", but mimeType is \"video/VP8\"",
    );
    refused(
        "video",
        &with(Value::Null, json!("VP8")),
        "rtpParameters.codecs[0].mimeType: \"VP8\", expected audio/… or video/…",
    );
    refused("video", &with(Value::Null, Value::Null), "rtpParameters.codecs[0].mimeType: missing");
}

#[test]
fn parameters_are_scalars_of_bounded_size() {
    let with = |value: Value| json!({"codecs": vpx_first(json!({"max-fr": value}))});
    refused(
        "video",
        &with(json!([30])),
        "rtpParameters.codecs[0].parameters.max-fr: expected a string, number or boolean",
    );
    refused(
        "video",
        &with(json!("30\r\na=x")),
        "rtpParameters.codecs[0].parameters.max-fr: control character in \"30\\r\\na=x\"",
    );
    refused(
        "video",
        &with(json!("x".repeat(2048))),
        "rtpParameters.codecs[0].parameters: 2056 bytes, more than 2048",
    );
}

#[test]
fn mux_id_and_mid_are_one_thing() {
    let mid = |mux_id: Value, mid: Value| {
        parse("video", &json!({"muxId": mux_id, "mid": mid, "codecs": vp8_and_rtx()}))
    };
    let expected = Mid::new(b"a1");
    assert_eq!(mid(json!("a1"), Value::Null).unwrap().mid, expected);
    assert_eq!(mid(Value::Null, json!("a1")).unwrap().mid, expected);
    assert_eq!(mid(json!("a1"), json!("a1")).unwrap().mid, expected);
    assert_eq!(mid(json!(""), Value::Null).unwrap().mid, None);
    let error = mid(json!("a"), json!("b")).unwrap_err();
    assert_eq!(error, Error::bad_request("rtpParameters.mid: b, but muxId is a"));
    let error = mid(json!("12345678901234567"), Value::Null).unwrap_err();
    assert!(error.reason.starts_with("rtpParameters.muxId: longer than 16 bytes"), "{error}");
}

fn with_extensions(extensions: Value) -> Value {
    json!({"codecs": vp8_and_rtx(), "headerExtensions": extensions})
}

#[test]
fn extensions_by_their_uri() {
    let source = parse(
        "video",
        &with_extensions(json!([
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 255},
            {"uri": "urn:x", "id": 2},
            {"uri": "urn:x", "id": 3},
        ])),
    )
    .unwrap();
    let other = HeaderExtension::Other;
    assert_eq!(source.extensions, [(HeaderExtension::Mid, 255), (other, 2), (other, 3)]);
    assert_eq!(source.extension_id(HeaderExtension::Mid), Some(255));
    assert_eq!(source.extension_id(HeaderExtension::AudioLevel), None);
}

#[test]
fn contradictions_between_extensions() {
    for (list, expected) in [
        (json!([{"uri": "a", "id": 0}]), "[0].id: 0, expected 1 to 255"),
        (json!([{"uri": "a", "id": 1}, {"uri": "b", "id": 1}]), "[1].id: 1 a second time"),
        (
            json!([{"uri": "urn:3gpp:video-orientation", "id": 1},
                   {"uri": "urn:3gpp:video-orientation", "id": 2}]),
            "[1].uri: urn:3gpp:video-orientation a second time",
        ),
    ] {
        let expected = format!("rtpParameters.headerExtensions{expected}");
        refused("video", &with_extensions(list), &expected);
    }
    let error = parse("video", &with_extensions(json!([{"uri": "a", "id": 256}]))).unwrap_err();
    assert!(error.reason.starts_with("rtpParameters.headerExtensions[0].id: "), "{error}");
}

fn with_encodings(encodings: Value) -> Value {
    json!({"codecs": vp8_and_rtx(), "encodings": encodings})
}

#[test]
fn encodings_by_ssrc_or_rid_or_neither() {
    let encodings = |list: Value| parse("video", &with_encodings(list)).unwrap().encodings;
    let none = Encoding { ssrc: None, rid: None, rtx_ssrc: None };
    assert_eq!(encodings(json!([])), []);
    assert_eq!(encodings(json!([{}])), [none]);
    assert_eq!(
        encodings(json!([{"rid": "h"}, {"ssrc": 0, "rtx": {"ssrc": u32::MAX}}])),
        [
            Encoding { rid: Rid::new(b"h"), ..none },
            Encoding { ssrc: Some(Ssrc(0)), rtx_ssrc: Some(Ssrc(u32::MAX)), ..none },
        ]
    );
}

#[test]
fn contradictions_between_encodings() {
    let nine: Vec<Value> = (0..9).map(|ssrc| json!({"ssrc": ssrc})).collect();
    for (list, expected) in [
        (json!([{"ssrc": 1}, {"ssrc": 1}]), "[1].ssrc: 1 a second time"),
        (json!([{"ssrc": 1, "rtx": {"ssrc": 1}}]), "[0].rtx.ssrc: 1 a second time"),
        (json!([{"ssrc": 1, "rtx": {"ssrc": 2}}, {"ssrc": 2}]), "[1].ssrc: 2 a second time"),
        (json!([{"rid": "a"}, {"rid": "a"}]), "[1].rid: a a second time"),
        (json!([{"rid": ""}]), "[0].rid: \"\", expected 1 to 16 bytes"),
        (json!([{"rid": "a"}, {}]), "[1].ssrc: missing, and rid as well, with several encodings"),
        (json!(nine), ": 9, more than 8"),
    ] {
        refused("video", &with_encodings(list), &format!("rtpParameters.encodings{expected}"));
    }
}

#[test]
fn cnames_stay_within_their_line() {
    let with = |cname: &str| json!({"codecs": vp8_and_rtx(), "rtcp": {"cname": cname}});
    let cname = |text: &str| parse("video", &with(text)).unwrap().cname;
    assert_eq!(cname("{65a5}").as_deref(), Some("{65a5}"));
    assert_eq!(cname(""), None);
    assert!(cname(&"x".repeat(255)).is_some());
    refused("video", &with(&"x".repeat(256)), "rtpParameters.rtcp.cname: 256 bytes, more than 255");
    refused(
        "video",
        &with("x\r\na=y"),
        "rtpParameters.rtcp.cname: control character in \"x\\r\\na=y\"",
    );
}
