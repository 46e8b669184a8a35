//! A codec's `parameters`: what SDP writes into `a=fmtp`.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::types::limit::FMTP_MAX;
use crate::types::whole_of;

/// Parameters by name: texts, numbers and booleans, of bounded size, and such that they cannot
/// break out of the SDP line that another client writes them into.
///
/// A value without a name (red's `111/111`, RFC 2198 §5) has the empty name, as in libwebrtc.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Fmtp(BTreeMap<String, Value>);

impl Fmtp {
    /// The value as SDP writes it. Names compare without case (RFC 2045 §5.1).
    pub fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// One of the server's own, written as a JSON object.
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members.into_iter().collect()),
            _ => Self::default(),
        }
    }
}

impl<'de> Deserialize<'de> for Fmtp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = BTreeMap::<String, Option<Scalar>>::deserialize(deserializer)?;
        let mut members = BTreeMap::new();
        let mut bytes = 0;
        for (name, scalar) in wire {
            if name.contains(|c: char| c.is_control() || c.is_whitespace() || "=;".contains(c)) {
                return Err(D::Error::custom(format_args!("bad parameter name {name:?}")));
            }
            if let Some(Scalar(value)) = scalar {
                bytes += name.len() + value.to_string().len();
                members.insert(name, value);
            }
        }
        if bytes > FMTP_MAX {
            return Err(D::Error::custom(format_args!("{bytes} bytes, more than {FMTP_MAX}")));
        }
        Ok(Self(members))
    }
}

/// One value, which is neither object nor array nor `null`.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match &value {
            Value::Array(_) | Value::Object(_) => {
                Err(D::Error::custom("expected a string, number or boolean"))
            }
            Value::String(text) if text.contains(char::is_control) => {
                Err(D::Error::custom(format_args!("control character in {text:?}")))
            }
            // As SDP writes it, which has no 96.0.
            Value::Number(number) => {
                let whole = number.as_f64().filter(|_| number.is_f64()).and_then(whole_of);
                Ok(Self(whole.map_or(value, Value::from)))
            }
            _ => Ok(Self(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Fmtp, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn values_as_sdp_writes_them() {
        let fmtp = parse(r#"{"Apt":96.0,"x":"1","y":true,"z":null,"":"111/111"}"#).unwrap();
        assert_eq!(fmtp.text("apt").as_deref(), Some("96"));
        assert_eq!(fmtp.text("x").as_deref(), Some("1"));
        assert_eq!(fmtp.text("y").as_deref(), Some("true"));
        assert_eq!(fmtp.text("z"), None);
        assert_eq!(fmtp.text("").as_deref(), Some("111/111"));
        assert_eq!(
            serde_json::to_string(&fmtp).unwrap(),
            r#"{"":"111/111","Apt":96,"x":"1","y":true}"#
        );
    }

    #[test]
    fn nothing_that_could_break_out_of_its_line() {
        for text in [
            r#"{"a":"1\r\na=candidate"}"#,
            r#"{"a\nb":"1"}"#,
            r#"{"a=b":"1"}"#,
            r#"{"a;b":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{}}"#,
            "[]",
            "1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_size_is_bounded() {
        let text = |len: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(len - 3));
        assert!(parse(&text(FMTP_MAX)).is_ok());
        assert!(parse(&text(FMTP_MAX + 1)).unwrap_err().contains("more than 2048"));
        let many: Vec<String> = (0..FMTP_MAX).map(|i| format!(r#""{i}":1"#)).collect();
        assert!(parse(&format!("{{{}}}", many.join(","))).is_err());
    }

    #[test]
    fn depth_is_an_error() {
        let text = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&text).is_err());
    }
}
