//! Fingerprints in and out, and the answers about transports letter by letter.

use super::*;

fn parse(text: &str) -> Result<DtlsParameters, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn with_value(algorithm: &str, value: &str) -> String {
    format!(r#"{{"fingerprints":[{{"algorithm":"{algorithm}","value":"{value}"}}]}}"#)
}

fn digest(len: usize) -> String {
    vec!["aB"; len].join(":")
}

#[test]
fn each_algorithm_in_any_case() {
    for (name, len) in [("sha-256", 32), ("sha-384", 48), ("SHA-512", 64)] {
        let parameters = parse(&with_value(name, &digest(len))).unwrap();
        assert_eq!(parameters.role, None);
        assert_eq!(parameters.fingerprints[0].value, vec![0xab; len]);
        let back = serde_json::to_string(&parameters).unwrap();
        let expected = with_value(&name.to_lowercase(), &digest(len).to_uppercase());
        assert_eq!(back, expected);
    }
}

#[test]
fn fingerprints_that_are_refused() {
    for (algorithm, value, why) in [
        ("sha-1", digest(20), "no fingerprint by sha-256, sha-384 or sha-512"),
        ("md5", digest(16), "no fingerprint by"),
        ("", digest(32), "no fingerprint by"),
        ("sha-256", digest(31), "`value` has 31 bytes, sha-256 has 32"),
        ("sha-256", digest(33), "`value` has 33 bytes"),
        ("sha-512", digest(32), "`value` has 32 bytes, sha-512 has 64"),
        ("sha-256", String::new(), "expected"),
        ("sha-256", digest(32) + ":", "expected"),
        ("sha-256", digest(32).replace(':', ""), "expected"),
        ("sha-256", digest(31) + ":0g", "expected"),
        ("sha-256", digest(31) + ":+1", "expected"),
        ("sha-256", digest(31) + ":é", "expected"),
        ("sha-256", digest(31) + ":abc", "expected"),
    ] {
        let error = parse(&with_value(algorithm, &value)).unwrap_err();
        assert!(error.contains(why), "{algorithm} {value}: {error}");
    }
}

/// RFC 8122 §5: who states several means alternatives.
#[test]
fn of_several_fingerprints_those_that_are_known_count() {
    let one = |algorithm: &str, len| {
        format!(r#"{{"algorithm":"{algorithm}","value":"{}"}}"#, digest(len))
    };
    let list = [one("sha-1", 20), one("sha-256", 32), one("sha3-256", 32)].join(",");
    let parameters = parse(&format!(r#"{{"fingerprints":[{list}]}}"#)).unwrap();
    let known: Vec<_> = parameters.fingerprints.iter().map(|it| it.algorithm).collect();
    assert_eq!(known, [FingerprintAlgorithm::Sha256]);
}

#[test]
fn one_to_eight_fingerprints() {
    let one = format!(r#"{{"algorithm":"sha-256","value":"{}"}}"#, digest(32));
    let list = |count: usize| {
        parse(&format!(r#"{{"role":"auto","fingerprints":[{}]}}"#, vec![&*one; count].join(",")))
    };
    assert_eq!(list(8).unwrap().fingerprints.len(), 8);
    assert_eq!(list(1).unwrap().role, Some(DtlsRole::Auto));
    assert!(list(0).unwrap_err().contains("0 fingerprints"));
    assert!(list(9).unwrap_err().contains("9 fingerprints"));
}

#[test]
fn the_answers_to_create_transport_and_restart_transport() {
    let candidate = IceCandidate {
        foundation: "udp1".into(),
        ip: "192.0.2.1".parse().unwrap(),
        port: 40000,
        priority: 2_130_706_431,
        protocol: IceProtocol::Udp,
        candidate_type: IceCandidateType::Host,
        tcp_type: None,
    };
    let tcp = IceCandidate {
        foundation: "tcp1".into(),
        ip: "2001:db8::1".parse().unwrap(),
        protocol: IceProtocol::Tcp,
        tcp_type: Some(IceTcpType::Passive),
        ..candidate
    };
    let created = TransportCreated {
        ice_parameters: IceParameters {
            username_fragment: "0abc".into(),
            password: "secret".into(),
            ice_lite: true,
        },
        ice_candidates: vec![candidate, tcp],
        dtls_parameters: DtlsParameters {
            role: Some(DtlsRole::Auto),
            fingerprints: vec![Fingerprint {
                algorithm: FingerprintAlgorithm::Sha256,
                value: vec![0x0f; 32],
            }],
        },
    };
    let expected = format!(
        concat!(
            r#"{{"iceParameters":{{"usernameFragment":"0abc","password":"secret","#,
            r#""iceLite":true}},"#,
            r#""iceCandidates":[{{"foundation":"udp1","ip":"192.0.2.1","port":40000,"#,
            r#""priority":2130706431,"protocol":"udp","type":"host"}},"#,
            r#"{{"foundation":"tcp1","ip":"2001:db8::1","port":40000,"#,
            r#""priority":2130706431,"protocol":"tcp","type":"host","tcpType":"passive"}}],"#,
            r#""dtlsParameters":{{"role":"auto","fingerprints":"#,
            r#"[{{"algorithm":"sha-256","value":"{}"}}]}}}}"#
        ),
        vec!["0F"; 32].join(":")
    );
    assert_eq!(serde_json::to_string(&created).unwrap(), expected);

    let restarted = TransportRestarted { ice_parameters: created.ice_parameters };
    let (parameters, _) = expected.split_once(r#","iceCandidates""#).unwrap();
    assert_eq!(serde_json::to_string(&restarted).unwrap(), format!("{parameters}}}"));
}
