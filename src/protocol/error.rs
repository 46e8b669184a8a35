//! Why a request was refused (PROTOCOL section 8).

use std::fmt;

/// Longest `errorReason` in bytes; of a longer one the middle is left out.
const REASON_MAX: usize = 240;

/// What stands for the part that was left out.
const ELLIPSIS: &str = "…";

/// The numbers of `errorCode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    /// Data of the wrong shape, or contradicting itself.
    BadRequest = 400,
    /// No token, or a bad one.
    Unauthorized = 401,
    /// Not allowed by the token, or not joined.
    Forbidden = 403,
    /// Unknown method, transport, Receiver or Sender.
    NotFound = 404,
    /// In use, done already or not yet, wrong direction.
    Conflict = 409,
    /// A codec that the server does not have.
    Unsupported = 415,
    /// A limit is reached.
    TooMany = 429,
    /// A fault of the server.
    Internal = 500,
    /// Draining or full.
    Unavailable = 503,
}

impl ErrorCode {
    /// As the wire has it.
    pub fn as_u16(self) -> u16 {
        self as u16
    }
}

/// The answer to a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// `errorCode`.
    pub code: ErrorCode,
    /// `errorReason`: names the member and the value; at most 240 bytes.
    pub reason: String,
}

impl Error {
    /// An error of any code; a long reason is shortened in its middle, because values stand in the
    /// middle and both ends say what is wrong with them.
    pub fn new(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self { code, reason: shorten(reason.into()) }
    }

    /// 400.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, reason)
    }

    /// 403.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, reason)
    }

    /// 404.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, reason)
    }

    /// 409.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, reason)
    }

    /// 415.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unsupported, reason)
    }

    /// 429.
    pub fn too_many(reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::TooMany, reason)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.as_u16(), self.reason)
    }
}

impl std::error::Error for Error {}

fn shorten(reason: String) -> String {
    if reason.len() <= REASON_MAX {
        return reason;
    }
    let head_len = REASON_MAX * 2 / 3;
    let tail_len = REASON_MAX - head_len - ELLIPSIS.len();
    let boundary = |i: &usize| reason.is_char_boundary(*i);
    let head = (0..=head_len).rev().find(boundary).unwrap_or(0);
    let tail = (reason.len() - tail_len..).find(boundary).unwrap_or(reason.len());
    [&reason[..head], ELLIPSIS, &reason[tail..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_keeps_both_ends() {
        let error = Error::bad_request(format!("field: {}: expected u32", "ä".repeat(100_000)));
        assert!(error.reason.len() <= REASON_MAX, "{} bytes", error.reason.len());
        assert!(error.reason.starts_with("field: ää"), "{}", error.reason);
        assert!(error.reason.ends_with("ä: expected u32"), "{}", error.reason);
        assert!(error.reason.contains(ELLIPSIS), "{}", error.reason);
    }

    #[test]
    fn a_reason_that_fits_is_left_alone() {
        let reason = "x".repeat(REASON_MAX);
        assert_eq!(Error::conflict(reason.clone()).reason, reason);
    }
}
