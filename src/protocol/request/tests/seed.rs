//! The messages that a client of the seed's time sends, taken from a capture.

use serde_json::json;

use super::{fingerprint, notification, request};
use crate::protocol::request::{EnableSender, Join, Notification, Request};
use crate::protocol::{CreateReceiver, DtlsRole, HeaderExtension, PtRole};
use crate::types::{Codec, Kind, Pt, SenderId, Ssrc, TransportId};

#[test]
fn what_a_client_of_the_seeds_time_sends() {
    let join = request("join", &json!({"appData": {"a": 1}})).unwrap();
    assert!(matches!(join, Request::Join(Join { app_data: Some(_), .. })));

    let dtls = json!({"role": "server", "fingerprints": [fingerprint("7D")]});
    let data = json!({"id": 84_742_150, "options": {}, "dtlsParameters": dtls});
    let Ok(Request::CreateTransport(transport)) = request("createTransport", &data) else {
        panic!("{data}");
    };
    assert_eq!((transport.id, transport.udp, transport.tcp), (TransportId(84_742_150), true, true));
    let dtls = transport.dtls_parameters.unwrap();
    assert_eq!(dtls.role, Some(DtlsRole::Server));
    assert_eq!(dtls.fingerprints[0].value, vec![0x7d; 32]);

    let dtls = json!({"role": "client", "fingerprints": [fingerprint("99")]});
    let data = json!({"notification": true, "id": 74_668_199, "dtlsParameters": dtls});
    assert!(matches!(
        notification("updateTransport", &data),
        Ok(Notification::UpdateTransport { id: TransportId(74_668_199), .. })
    ));

    let data = json!({"id": 7, "rtpSettings": {"useRtx": true}});
    let enable = EnableSender { id: SenderId(7), transport_id: None, use_rtx: Some(true) };
    assert_eq!(request("enableSender", &data), Ok(Request::EnableSender(enable)));
}

fn create_receiver(data: &str) -> CreateReceiver {
    match Request::parse("createReceiver", Some(serde_json::from_str(data).unwrap())) {
        Ok(Request::CreateReceiver(receiver)) => receiver,
        other => panic!("{data}: {other:?}"),
    }
}

#[test]
fn its_microphone() {
    let audio = create_receiver(
        r#"{"id":26971121,"kind":"audio","transportId":84742150,"rtpParameters":{"muxId":null,
        "codecs":[{"name":"opus","mimeType":"audio/opus","clockRate":48000,"payloadType":109,
        "channels":2,"rtcpFeedback":[],"parameters":{"useinbandfec":1}}],
        "headerExtensions":[{"uri":"urn:ietf:params:rtp-hdrext:ssrc-audio-level","id":1}],
        "encodings":[{"ssrc":1510316512}],
        "rtcp":{"cname":"{65a5}","reducedSize":true,"mux":true}},
        "paused":false,"appData":{"k":"audio"}}"#,
    );
    assert_eq!((audio.kind, audio.source.codec, audio.paused), (Kind::Audio, Codec::Opus, false));
    assert_eq!(audio.source.mid, None);
    assert_eq!(audio.source.payload_types, [(Pt(109), PtRole::Media)]);
    assert_eq!(audio.source.extensions, [(HeaderExtension::AudioLevel, 1)]);
    assert_eq!(audio.source.cname.as_deref(), Some("{65a5}"));
}

#[test]
fn its_camera() {
    let video = create_receiver(
        r#"{"id":75138064,"kind":"video","transportId":84742150,"rtpParameters":{"muxId":null,
        "codecs":[{"name":"VP8","mimeType":"video/VP8","clockRate":90000,"payloadType":120,
        "rtcpFeedback":[{"type":"nack","parameter":""},{"type":"nack","parameter":"pli"},
        {"type":"ccm","parameter":"fir"},{"type":"goog-remb","parameter":""}],"parameters":{}},
        {"name":"rtx","mimeType":"video/rtx","clockRate":90000,"payloadType":124,
        "parameters":{"apt":120}}],"headerExtensions":[
        {"uri":"http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time","id":4}],
        "encodings":[{"ssrc":1947574323,"rtx":{"ssrc":3417763183}}],
        "rtcp":{"cname":"{65a5}","reducedSize":true,"mux":true}},
        "paused":false,"appData":{"k":"video"}}"#,
    );
    let rtx = PtRole::Rtx { apt: Pt(120) };
    assert_eq!(video.source.payload_types, [(Pt(120), PtRole::Media), (Pt(124), rtx)]);
    assert_eq!(video.source.extensions, [(HeaderExtension::Other, 4)]);
    let encoding = video.source.encodings[0];
    assert_eq!(encoding.ssrc, Some(Ssrc(1_947_574_323)));
    assert_eq!(encoding.rtx_ssrc, Some(Ssrc(3_417_763_183)));
    assert_eq!(&*video.app_data.unwrap(), r#"{"k":"video"}"#);
}
