//! Whose a packet is, by what it says and what was declared (PROTOCOL section 6).

use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use slotmap::SlotMap;

use super::*;
use crate::protocol::Request;
use crate::transport::dtls::Identity;
use crate::transport::ice::Credentials;
use crate::types::ShardId;

const MID: u8 = 4;
const RID: u8 = 10;
const REPAIRED_RID: u8 = 11;

#[expect(clippy::disallowed_methods, reason = "an epoch for the engine, which is not used")]
fn association() -> Association {
    let identity = Identity::generate().expect("a certificate can be made");
    let credentials = Credentials::generate(ShardId(0), &mut StdRng::from_seed([1; 32]));
    let now = Timestamp::START;
    let transport = Transport::new(credentials, &identity, Instant::now(), now);
    let made = Made {
        id: TransportId(1),
        peer: PeerKey::default(),
        direction: None,
        client_answers: false,
        serial: 1,
        rtcp_ssrc: Ssrc(1),
    };
    Association::new(made, transport, FixedState::default())
}

/// A video source with payload type `pt` and 97 for its rtx.
fn source(mux_id: Option<&str>, pt: u8, encodings: &Value) -> SourceParameters {
    let data = json!({
        "id": 1, "kind": "video", "transportId": 1,
        "rtpParameters": {
            "muxId": mux_id,
            "codecs": [
                {"name": "VP8", "clockRate": 90_000, "payloadType": pt},
                {"name": "rtx", "clockRate": 90_000, "payloadType": 97, "parameters": {"apt": pt}},
            ],
            "headerExtensions": [
                {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": MID},
                {"uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": RID},
                {"uri": "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
                 "id": REPAIRED_RID},
            ],
            "encodings": encodings,
        },
    });
    let data = RawValue::from_string(data.to_string()).expect("it is JSON");
    match Request::parse("createReceiver", Some(&data)) {
        Ok(Request::CreateReceiver(request)) => request.source,
        other => panic!("{other:?}"),
    }
}

/// Which of the sources a packet with these elements belongs to, and as what.
fn resolve(
    association: &Association,
    receivers: &[ReceiverKey],
    pt: u8,
    elements: &[(u8, &str)],
) -> Option<(usize, u8, bool)> {
    let mut block: Vec<u8> = Vec::new();
    for (id, value) in elements {
        block.push(id << 4 | (value.len() - 1) as u8);
        block.extend(value.bytes());
    }
    block.resize(block.len().next_multiple_of(4), 0);
    let mut packet = vec![0x90, pt, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0];
    packet.push((block.len() / 4) as u8);
    packet.extend(block);
    let header = RtpHeader::parse(&packet).expect("it is well-formed");
    let target = association.resolve(&header, &packet, None)?;
    let index = receivers.iter().position(|key| *key == target.receiver)?;
    Some((index, target.encoding, target.rtx))
}

/// A transport with these sources on it.
fn with(sources: &[SourceParameters]) -> (Association, Vec<ReceiverKey>) {
    let mut keys = SlotMap::<ReceiverKey, ()>::with_key();
    let mut association = association();
    let receivers: Vec<_> = sources.iter().map(|_| keys.insert(())).collect();
    for (key, source) in receivers.iter().zip(sources) {
        association.check_source(source).expect("they do not contradict each other");
        association.add_source(Timestamp::START, *key, source);
    }
    (association, receivers)
}

#[test]
fn by_mid_and_rid_then_by_mid_then_by_payload_type() {
    let layers = json!([{"rid": "l"}, {"rid": "h"}]);
    let (association, keys) = with(&[
        source(Some("cam"), 96, &layers),
        source(Some("mic"), 100, &json!([])),
        source(None, 102, &json!([])),
    ]);
    let whose = |pt, elements: &[(u8, &str)]| resolve(&association, &keys, pt, elements);

    assert_eq!(whose(96, &[(MID, "cam"), (RID, "h")]), Some((0, 1, false)));
    assert_eq!(whose(97, &[(MID, "cam"), (REPAIRED_RID, "h")]), Some((0, 1, true)));
    assert_eq!(whose(96, &[(MID, "cam")]), Some((0, 0, false)));
    assert_eq!(whose(96, &[(MID, "cam"), (RID, "x")]), None, "a layer that was not declared");
    assert_eq!(whose(100, &[(MID, "mic"), (RID, "h")]), Some((1, 0, false)), "it has no layers");

    assert_eq!(whose(102, &[]), Some((2, 0, false)), "it has said nothing else");
    assert_eq!(whose(96, &[]), None, "its packets have a mid");
    assert_eq!(whose(98, &[]), None, "nobody uses it");
    assert_eq!(
        whose(102, &[(MID, "?")]),
        None,
        "somebody who was not declared yet, or not any more"
    );
}

/// A client may send before its `createReceiver` has come.
#[test]
fn a_declared_ssrc_is_whose_it_was_declared_to_be_whatever_was_guessed_before() {
    let camera = source(None, 96, &json!([{"ssrc": 1}]));
    let screen = source(None, 96, &json!([{"ssrc": 2}]));
    let (mut association, keys) = with(&[camera]);
    let guess = Target { receiver: keys[0], encoding: 0, rtx: false };
    association.stream(Timestamp::START, Ssrc(2)).target = Some(guess);

    association.check_source(&screen).expect("nobody declared it");
    let other = ReceiverKey::default();
    association.add_source(Timestamp::START, other, &screen);
    assert_eq!(association.target(Ssrc(2)).map(|target| target.receiver), Some(other));
    assert!(association.check_source(&screen).is_err(), "now somebody did");
    association.remove_source(other);
    assert!(association.check_source(&screen).is_ok(), "and took it back");
    assert!(association.check_source(&source(None, 98, &json!([{"ssrc": 1}]))).is_err());
}
