//! The envelope's forms, and what is none of them.

use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> EnvelopeError {
    match parse(text) {
        Err(error) => error,
        Ok(incoming) => panic!("{text} was taken as {incoming:?}"),
    }
}

#[test]
fn a_request() {
    let text = r#"{"request":true,"id":7,"method":"join","data":{"appData": 1}}"#;
    let Ok(Incoming::Request { id, method, data }) = parse(text) else { panic!("{text}") };
    assert_eq!((id, &*method), (7, "join"));
    assert!(matches!(method, Cow::Borrowed(_)), "a plain method is not copied");
    assert_eq!(data.unwrap().get(), r#"{"appData": 1}"#);
}

#[test]
fn a_notification_with_null_for_absent_and_members_nobody_knows() {
    let text = r#"{"x":{"y":[1]},"notification":true,"request":null,"response":false,
                   "method":"le\u0061ve","data":null}"#;
    let Ok(Incoming::Notification { method, data }) = parse(text) else { panic!("{text}") };
    assert_eq!(method, "leave");
    assert!(data.is_none());
}

#[test]
fn responses_of_both_kinds() {
    for text in [
        r#"{"response":true,"id":0,"ok":true,"data":{}}"#,
        r#"{"response":true,"id":1,"ok":false,"errorCode":404,"errorReason":"x"}"#,
    ] {
        assert!(matches!(parse(text), Ok(Incoming::Response)), "{text}");
    }
}

#[test]
fn ids_up_to_two_to_the_53() {
    let text = |id: &str| format!(r#"{{"request":true,"id":{id},"method":"m"}}"#);
    for id in ["0", "9007199254740992", "1.0", "1e3", "9007199254740992.0"] {
        assert!(parse(&text(id)).is_ok(), "{id}");
    }
    for id in ["9007199254740993", "-1", "1.5", "\"1\"", "null", "[1]", "1e400"] {
        assert_eq!(refused(&text(id)), EnvelopeError::NotAnEnvelope, "{id}");
    }
}

#[test]
fn json_that_is_no_envelope() {
    for text in [
        "{}",
        "[]",
        "null",
        "\"request\"",
        "1",
        "[true,null,null,1,\"join\",{}]",
        r#"{"request":true,"id":1}"#,
        r#"{"request":true,"method":"join"}"#,
        r#"{"request":true,"id":1,"method":1}"#,
        r#"{"request":true,"id":1,"id":2,"method":"join"}"#,
        r#"{"request":1,"id":1,"method":"join"}"#,
        r#"{"request":true,"notification":true,"id":1,"method":"join"}"#,
        r#"{"notification":true}"#,
        r#"{"response":true,"ok":true}"#,
        r#"{"request":true,"id":1,"method":"\ud800"}"#,
    ] {
        assert_eq!(refused(text), EnvelopeError::NotAnEnvelope, "{text}");
    }
}

#[test]
fn text_that_is_not_json() {
    for text in [
        "",
        " ",
        "{",
        "hello",
        r#"{"request":true,"id":1,"method":"join"} x"#,
        r#"{"request":true,"id":1,"method":"join","data":{]}"#,
        r#"{"request":5,]"#,
        "{'request':true}",
        "\u{feff}{}",
    ] {
        assert_eq!(refused(text), EnvelopeError::NotJson, "{text}");
    }
}

#[test]
fn depth_is_no_danger() {
    let deep = format!("{}{}", "[".repeat(120_000), "]".repeat(120_000));
    assert_eq!(refused(&deep), EnvelopeError::NotAnEnvelope);
    assert_eq!(refused(&"[".repeat(250_000)), EnvelopeError::NotJson);
    let inside = format!(r#"{{"notification":true,"method":"m","data":{deep},"x":{deep}}}"#);
    assert!(parse(&inside).is_ok());
}

#[test]
fn answers() {
    #[derive(Serialize)]
    struct Empty {}
    assert_eq!(success(3, &Empty {}), r#"{"response":true,"id":3,"ok":true,"data":{}}"#);
    assert_eq!(
        error(4, &Error::not_found("no transport: 1")),
        r#"{"response":true,"id":4,"ok":false,"errorCode":404,"errorReason":"no transport: 1"}"#
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_json_pieces_panics(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ":", ",", "\"request\"", "\"id\"", "\"method\"", "\"data\"", "true",
        "null", "1", "-", "1e9", "\"\\u", "\"", "\\",
    ]), 0..40)) {
        let _ = parse(&pieces.concat());
    }
}
