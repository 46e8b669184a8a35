//! What viewers are told, letter by letter.

use serde_json::{Value, json};

use super::*;
use crate::protocol::Request;

fn source(kind: &str, rtp_parameters: &Value) -> SourceParameters {
    let data = json!({"id": 1, "kind": kind, "transportId": 1, "rtpParameters": rtp_parameters});
    let raw = serde_json::value::to_raw_value(&data).unwrap();
    match Request::parse("createReceiver", Some(&raw)) {
        Ok(Request::CreateReceiver(receiver)) => receiver.source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn video_with_rtx() {
    let source = source(
        "video",
        &json!({
            "muxId": "v",
            "codecs": [
                {"mimeType": "video/h264", "clockRate": 90000, "payloadType": 126,
                 "parameters": {"profile-level-id": "42e034", "packetization-mode": 1}},
                {"mimeType": "video/rtx", "clockRate": 90000, "payloadType": 127,
                 "parameters": {"apt": 126}},
            ],
            "headerExtensions": [
                {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 3},
                {"uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": 4},
                {"uri": "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", "id": 5},
                {"uri": "urn:3gpp:video-orientation", "id": 13},
                {"uri": "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", "id": 2},
                {"uri": "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay", "id": 99},
            ],
            "encodings": [{"rid": "l"}, {"rid": "h"}],
        }),
    );
    let sender = source.sender_parameters(Ssrc(11), Some(Ssrc(12)), "peer");
    assert_eq!(
        &*sender.json,
        concat!(
            r#"{"muxId":null,"codecs":[{"name":"H264","mimeType":"video/H264","clockRate":90000,"#,
            r#""payloadType":102,"rtcpFeedback":[{"type":"nack","parameter":""},"#,
            r#"{"type":"nack","parameter":"pli"},"#,
            r#"{"type":"ccm","parameter":"fir"}],"#,
            r#""parameters":{"packetization-mode":1,"profile-level-id":"42e034"}},"#,
            r#"{"name":"rtx","mimeType":"video/rtx","clockRate":90000,"payloadType":103,"#,
            r#""rtcpFeedback":[],"parameters":{"apt":102}}],"headerExtensions":["#,
            r#"{"uri":"urn:3gpp:video-orientation","id":7},"#,
            r#"{"uri":"http://www.webrtc.org/experiments/rtp-hdrext/playout-delay","id":10}],"#,
            r#""encodings":[{"ssrc":11,"rtx":{"ssrc":12}}],"#,
            r#""rtcp":{"cname":"peer","reducedSize":true,"mux":true}}"#
        )
    );
    assert_eq!(sender.payload_types, [(Pt(126), Pt(102))]);
    assert_eq!(sender.extensions, [(13, 7), (99, 10)]);
    assert_eq!(sender.rtx, Some(Pt(103)));
}

#[test]
fn audio_with_redundancy_and_never_with_rtx() {
    let source = source(
        "audio",
        &json!({
            "codecs": [
                {"mimeType": "audio/opus", "clockRate": 48000, "payloadType": 111, "channels": 2,
                 "parameters": {"useinbandfec": 1, "stereo": null}},
                {"mimeType": "audio/red", "clockRate": 48000, "payloadType": 63, "channels": 2,
                 "parameters": {"": "111/111"}},
            ],
            "headerExtensions": [{"uri": "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "id": 1}],
        }),
    );
    let sender = source.sender_parameters(Ssrc(7), Some(Ssrc(8)), "c");
    assert_eq!(
        &*sender.json,
        concat!(
            r#"{"muxId":null,"codecs":[{"name":"opus","mimeType":"audio/opus","clockRate":48000,"#,
            r#""payloadType":111,"channels":2,"rtcpFeedback":[],"parameters":{"useinbandfec":1}},"#,
            r#"{"name":"red","mimeType":"audio/red","clockRate":48000,"payloadType":110,"#,
            r#""channels":2,"rtcpFeedback":[],"parameters":{"":"111/111"}}],"headerExtensions":["#,
            r#"{"uri":"urn:ietf:params:rtp-hdrext:ssrc-audio-level","id":6}],"#,
            r#""encodings":[{"ssrc":7}],"rtcp":{"cname":"c","reducedSize":true,"mux":true}}"#
        )
    );
    assert_eq!(sender.payload_types, [(Pt(111), Pt(111)), (Pt(63), Pt(110))]);
    assert_eq!(sender.extensions, [(1, 6)]);
    assert_eq!(sender.rtx, None);
}

#[test]
fn without_an_rtx_ssrc_rtx_is_not_announced() {
    let codec = json!({"mimeType": "video/VP8", "clockRate": 90000, "payloadType": 120});
    let sender = source("video", &json!({"codecs": [codec]})).sender_parameters(Ssrc(1), None, "c");
    assert!(sender.rtx.is_none() && !sender.json.contains("rtx"), "{:?}", sender.json);
}

#[test]
fn what_viewers_are_told_the_server_would_take_back() {
    for name in ["VP8", "VP9", "H264", "H265", "AV1"] {
        let codec =
            json!({"mimeType": format!("video/{name}"), "clockRate": 90000, "payloadType": 35});
        let theirs = source("video", &json!({"codecs": [codec]}));
        let told = theirs.sender_parameters(Ssrc(1), Some(Ssrc(2)), "c").json;
        let ours = source("video", &serde_json::from_str(&told).unwrap());
        assert_eq!(ours.codec, theirs.codec);
        assert_eq!(ours.fmtp, theirs.fmtp);
        assert_eq!(ours.encodings[0].rtx_ssrc, Some(Ssrc(2)));
    }
}
