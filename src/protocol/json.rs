//! JSON that is handed on unread, and the way from a bad value to a reason that names it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Error;
use crate::types::limit::APP_DATA_MAX;

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
        Ok(Self(Json(raw.get().into())))
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
            // serde_json ends with the position, which tells nobody anything once there is a path.
            let message = message.rsplit_once(" at line ").map_or(&*message, |(head, _)| head);
            Err(Error::bad_request(format!("{path}: {message}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let text = r#"{"id":1,"raw":[1, {"b":  2}],"appData": {"z":1.0,"a":"\ud800"} }"#;
        let (_, raw, app_data) = parse(text).unwrap();
        assert_eq!(raw.unwrap(), r#"[1, {"b":  2}]"#);
        assert_eq!(&*app_data.unwrap(), r#"{"z":1.0,"a":"\ud800"}"#);
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
}
