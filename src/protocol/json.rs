//! JSON that is handed on unread, and the way from a bad value to a reason that names it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Error;
use crate::types::limit::{APP_DATA_DEPTH_MAX, APP_DATA_MAX};

/// A JSON value as text. Cheap to clone; other messages refer to it. Equal as text: white space
/// counts.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Arc<str>);

impl Json {
    /// Serializes one of the server's own messages.
    pub(super) fn of(value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value);
        Self(text.expect("only maps with keys that are no strings fail to serialize").into())
    }

    /// The text, for a [`Message`](super::Message).
    pub(super) fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl Deref for Json {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// `appData`: any JSON value but `null`, up to [`APP_DATA_MAX`] bytes, handed on byte for byte.
///
/// It must be such that no reader of it stumbles (RFC 7493, and [`APP_DATA_DEPTH_MAX`]): what one
/// client says ends up in others' parsers, with the message around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppData(Json);

impl AppData {
    /// The text, for a [`Message`](super::Message).
    pub(super) fn shared(&self) -> &Arc<str> {
        self.0.shared()
    }
}

impl Deref for AppData {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for AppData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let bytes = raw.get().len();
        if bytes > APP_DATA_MAX {
            return Err(D::Error::custom(format_args!("{bytes} bytes, more than {APP_DATA_MAX}")));
        }
        let mut within = serde_json::Deserializer::from_str(raw.get());
        Legible { depth: 0 }
            .deserialize(&mut within)
            .map_err(|error| D::Error::custom(without_position(&error.to_string())))?;
        Ok(Self(Json(raw.get().into())))
    }
}

/// A value that every reader of JSON can take in: nested no deeper than [`APP_DATA_DEPTH_MAX`],
/// numbers that are finite as doubles, texts that are Unicode (no half of a surrogate pair). Looked
/// through once, and thrown away.
struct Legible {
    /// How many arrays and objects it is in.
    depth: usize,
}

impl Legible {
    /// What is in an array or object.
    fn inner<E: serde::de::Error>(&self) -> Result<usize, E> {
        match self.depth {
            APP_DATA_DEPTH_MAX => {
                Err(E::custom(format_args!("nested deeper than {APP_DATA_DEPTH_MAX}")))
            }
            depth => Ok(depth + 1),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Legible {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Legible {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    /// One that is not finite as a double does not come so far.
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    /// Nor a text with half of a surrogate pair.
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let depth = self.inner()?;
        while elements.next_element_seed(Legible { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let depth = self.inner()?;
        while let Some(Text(_)) = members.next_key()? {
            members.next_value_seed(Legible { depth })?;
        }
        Ok(())
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A `T` that was written as one of a few words. Serde's derived enums alone would also take
/// `{"word":null}` from `serde_json`, and not show a value of another type.
pub(super) struct Word<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(word) = Text::deserialize(deserializer)?;
        T::deserialize(StrDeserializer::new(&word)).map(Word)
    }
}

/// A `T` that was written as an object. Serde's derived structs alone would also take an array of
/// the fields in their order, which no client means.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

/// Reads the object `data` of a message; absent data is an object without members.
///
/// The error (400) begins with the path of the bad value, `data` for the object itself.
pub(super) fn parse_data<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>) -> Result<T, Error> {
    let text = data.map_or("{}", RawValue::get);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer) {
        Ok(Object(value)) => Ok(value),
        Err(error) => {
            let path = error.path().to_string();
            let path = if path == "." { "data" } else { &path };
            let message = error.inner().to_string();
            Err(Error::bad_request(format!("{path}: {}", without_position(&message))))
        }
    }
}

/// serde_json ends with the position, which tells nobody anything once there is a path.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(head, _)| head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample<'a> {
        id: u32,
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
        app_data: Option<AppData>,
    }

    fn parse(text: &str) -> Result<(u32, Option<String>, Option<AppData>), Error> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let sample: Sample<'_> = parse_data(Some(raw))?;
        Ok((sample.id, sample.raw.map(|raw| raw.get().to_owned()), sample.app_data))
    }

    #[test]
    fn raw_values_keep_every_byte() {
        let text = r#"{"id":1,"raw":[1, {"b":  2}],"appData": {"z":1.0,"a":"\ud83d\ude00"} }"#;
        let (_, raw, app_data) = parse(text).unwrap();
        assert_eq!(raw.unwrap(), r#"[1, {"b":  2}]"#);
        assert_eq!(&*app_data.unwrap(), r#"{"z":1.0,"a":"\ud83d\ude00"}"#);
    }

    #[test]
    fn null_is_absent() {
        assert_eq!(parse(r#"{"id":1,"raw":null,"appData":null}"#).unwrap(), (1, None, None));
    }

    #[test]
    fn an_array_of_the_fields_is_no_object() {
        let error = parse("[1,2,3]").unwrap_err();
        assert_eq!(error.reason, "data: invalid type: sequence, expected an object");
    }

    #[test]
    fn absent_data_is_an_empty_object() {
        let error = parse_data::<Sample<'_>>(None).unwrap_err();
        assert_eq!(error.reason, "data: missing field `id`");
    }

    #[test]
    fn app_data_is_bounded_by_its_bytes() {
        let text = |len: usize| format!(r#"{{"id":1,"appData":"{}"}}"#, "x".repeat(len - 2));
        assert_eq!(parse(&text(APP_DATA_MAX)).unwrap().2.unwrap().len(), APP_DATA_MAX);
        let error = parse(&text(APP_DATA_MAX + 1)).unwrap_err();
        assert_eq!(error.reason, "appData: 16385 bytes, more than 16384");
    }

    #[test]
    fn app_data_is_such_that_nobody_stumbles_over_it() {
        let app_data = |json: &str| parse(&format!(r#"{{"id":1,"appData":{json}}}"#));
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let deep = nested(APP_DATA_DEPTH_MAX);
        let wide = format!("[{}0]", r#"{"a":[{}]},"#.repeat(1000));
        for good in [
            "0",
            "-1.5e308",
            "12345678901234567890123456789",
            "1e-999",
            r#""\u0000\ud83d\ude00""#,
            r#"{"a":{"a":1},"A":[null,true,false],"a":2}"#,
            &deep,
            &wide,
        ] {
            assert_eq!(&*app_data(good).unwrap().2.unwrap(), good);
        }
        let objects = r#"{"a":"#.repeat(33) + "1" + &"}".repeat(33);
        let digits = "9".repeat(400);
        for (bad, reason) in [
            (&*nested(APP_DATA_DEPTH_MAX + 1), "nested deeper than 32"),
            (&*nested(8000), "nested deeper than 32"),
            (&objects, "nested deeper than 32"),
            ("[1e999]", "number out of range"),
            ("-1e400", "number out of range"),
            (&digits, "number out of range"),
            (r#""\ud800""#, "unexpected end of hex escape"),
            (r#"{"\udc00":1}"#, "lone leading surrogate in hex escape"),
            (r#""\ud800\ud800""#, "lone leading surrogate in hex escape"),
        ] {
            let error = app_data(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert_eq!(error.reason, format!("appData: {reason}"), "{bad:.20}");
        }
    }
}
