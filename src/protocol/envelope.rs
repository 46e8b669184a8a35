//! protoo's envelope: four forms of message, of which a client sends three (PROTOCOL section 2).

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Error;
use super::json::{Object, Text};
use crate::types::Whole;

/// Largest request id: beyond it JavaScript's numbers skip integers.
const ID_MAX: u64 = 1 << 53;

/// A message from a client, its `data` not looked at yet.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// Wants exactly one answer, a [`success`] or an [`error`] with this id.
    Request {
        /// The client's number for it.
        id: u64,
        /// What it wants.
        method: Cow<'a, str>,
        /// The message itself; `null` is absent.
        data: Option<&'a RawValue>,
    },
    /// Wants no answer.
    Notification {
        /// What it says.
        method: Cow<'a, str>,
        /// The message itself; `null` is absent.
        data: Option<&'a RawValue>,
    },
    /// An answer. The server asks nothing, so there is nothing to know about it.
    Response,
}

/// Why a text is no message; the connection ends over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Not JSON at all: close code 1007.
    NotJson,
    /// JSON, but none of the forms: close code 1002.
    NotAnEnvelope,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    request: Option<bool>,
    response: Option<bool>,
    notification: Option<bool>,
    id: Option<Whole<u64>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Reads the envelope of one text frame. Its cost is linear in the frame, however deeply nested.
pub fn parse(text: &str) -> Result<Incoming<'_>, EnvelopeError> {
    match serde_json::from_str(text) {
        Ok(Object(envelope)) => classify(envelope).ok_or(EnvelopeError::NotAnEnvelope),
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            Err(EnvelopeError::NotAnEnvelope)
        }
        Err(_) => Err(EnvelopeError::NotJson),
    }
}

fn classify(envelope: Envelope<'_>) -> Option<Incoming<'_>> {
    let Envelope { request, response, notification, id, method, data } = envelope;
    let id = id.map(|Whole(id)| id).filter(|&id| id <= ID_MAX);
    let method = method.map(|Text(method)| method);
    let forms = [request, response, notification].map(|form| form == Some(true));
    match forms {
        [true, false, false] => Some(Incoming::Request { id: id?, method: method?, data }),
        [false, true, false] => id.map(|_| Incoming::Response),
        [false, false, true] => Some(Incoming::Notification { method: method?, data }),
        _ => None,
    }
}

/// The answer to a request that was done.
pub fn success(id: u64, data: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Success<'a, T> {
        response: bool,
        id: u64,
        ok: bool,
        data: &'a T,
    }
    to_text(&Success { response: true, id, ok: true, data })
}

/// The answer to a request that was refused.
pub fn error(id: u64, error: &Error) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure<'a> {
        response: bool,
        id: u64,
        ok: bool,
        error_code: u16,
        error_reason: &'a str,
    }
    let (error_code, error_reason) = (error.code.as_u16(), &*error.reason);
    to_text(&Failure { response: true, id, ok: false, error_code, error_reason })
}

fn to_text(message: &impl Serialize) -> String {
    serde_json::to_string(message)
        .expect("only maps with keys that are no strings fail to serialize")
}

#[cfg(test)]
mod tests;
