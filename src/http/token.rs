//! Tokens (JWT, RFC 7519): who may enter which room, under which name, to do what. Verified before
//! the upgrade, made by `corinth token` or by whatever else has the key.

use std::fmt;
use std::io;
use std::path::Path;

use clap::ValueEnum;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Request, Response, secret_file};
use crate::types::{Refusal, Rights};

/// RFC 7518 §3.2: a key of the size of the hash, at least.
const SECRET_MIN: usize = 32;

/// How far clocks may be apart, in seconds.
const LEEWAY: f64 = 10.0;

/// `room` of a token that is good for all of them.
const ANY_ROOM: &str = "*";

/// What tokens are verified with. Several at a time, so that one can follow another.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

// What verifies may also sign.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id).field(&self.algorithm).finish()
    }
}

/// A right, as tokens write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Send audio.
    Audio,
    /// Send video.
    Video,
    /// Receive what others send.
    Receive,
    /// See the room, end it, put peers out.
    Admin,
}

/// What a token says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Claims {
    room: String,
    peer: Option<String>,
    /// Seconds since 1970, and perhaps a fraction (RFC 7519 §2, NumericDate).
    exp: f64,
    nbf: Option<f64>,
    rights: Option<Vec<Right>>,
}

/// What a good token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `None`: every room.
    pub room: Option<String>,
    /// `None`: under every name.
    pub peer: Option<String>,
    /// There, what?
    pub rights: Rights,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// 401: without a token, or with one that is no good.
    Token(&'static str),
    /// 403: the token is good, for something else.
    Rights(&'static str),
}

impl Denied {
    /// Under which it is counted.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Token(_) => Refusal::Token,
            Self::Rights(_) => Refusal::Rights,
        }
    }

    /// The answer that says so.
    pub fn response(self) -> Response {
        match self {
            Self::Token(reason) => {
                Response::text(401, reason).header("WWW-Authenticate", "Bearer realm=\"corinth\"")
            }
            Self::Rights(reason) => Response::text(403, reason),
        }
    }
}

impl Keys {
    /// Reads keys, each an id and the file that has it. Errors name the file and what is wrong.
    pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a Path)>) -> io::Result<Keys> {
        files.into_iter().map(|(id, file)| Key::load(id, file)).collect::<io::Result<_>>().map(Keys)
    }

    /// Whether there are none, and so there can be no good token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What this token allows at `now`, in seconds since 1970.
    pub fn verify(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        let header = jsonwebtoken::decode_header(token);
        let header = header.map_err(|_| Denied::Token("the token is no JWT"))?;
        // RFC 7515 §4.1.11: what must be understood and is not makes it no good; none is here.
        if header.crit.is_some() {
            return Err(Denied::Token("the token's head has crit, of which nothing is understood"));
        }
        let key = match (&header.kid, self.0.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|key| key.id == *id),
        };
        let key = key.ok_or(Denied::Token("the token names no key of this server"))?;
        // The key says which algorithm, never the token. Time is looked at below.
        let mut validation = Validation::new(key.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation);
        let claims = claims.map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::Json(_) => {
                Denied::Token("the token lacks exp or room, or something in it is malformed")
            }
            _ => Denied::Token("the token's signature is wrong"),
        })?;
        let (claims, now) = (claims.claims, now as f64);
        if claims.exp.is_nan() || claims.exp + LEEWAY <= now {
            return Err(Denied::Token("the token has expired"));
        }
        if claims.nbf.is_some_and(|from| from - LEEWAY > now) {
            return Err(Denied::Token("the token is not good yet"));
        }
        Ok(claims.grant())
    }
}

impl Key {
    fn load(id: &str, file: &Path) -> io::Result<Key> {
        let refuse = |reason: String| io::Error::other(format!("{}: {reason}", file.display()));
        let bytes = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
        let (algorithm, decoding) = if is_pem(&bytes) {
            let ec = DecodingKey::from_ec_pem(&bytes).map(|key| (Algorithm::ES256, key));
            let ed = || DecodingKey::from_ed_pem(&bytes).map(|key| (Algorithm::EdDSA, key));
            ec.or_else(|_| ed()).map_err(|_| {
                refuse(
                    "no public key of P-256 or Ed25519; out of a private one \
                     `openssl pkey -pubout` makes it"
                        .to_owned(),
                )
            })?
        } else {
            secret_file::warn_of_readers(file);
            (Algorithm::HS256, DecodingKey::from_secret(secret(&bytes).map_err(refuse)?))
        };
        Ok(Key { id: id.to_owned(), algorithm, decoding })
    }
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-----BEGIN ")
}

/// The file's text without the end of its line.
fn secret(bytes: &[u8]) -> Result<&[u8], String> {
    let secret = bytes.trim_ascii_end();
    match secret.len() {
        SECRET_MIN.. => Ok(secret),
        len => Err(format!("a secret of {len} bytes, and {SECRET_MIN} are the least (HS256)")),
    }
}

impl Claims {
    fn grant(self) -> Grant {
        let rights = match self.rights {
            None => Rights::PARTICIPANT,
            Some(list) => Rights {
                audio: list.contains(&Right::Audio),
                video: list.contains(&Right::Video),
                receive: list.contains(&Right::Receive),
                admin: list.contains(&Right::Admin),
            },
        };
        let room = Some(self.room).filter(|room| room != ANY_ROOM);
        Grant { room, peer: self.peer, rights }
    }
}

impl Grant {
    /// Whether it opens this room to somebody of this name.
    pub fn admits(&self, room: &str, peer: &str) -> Result<Rights, Denied> {
        if self.room.as_ref().is_some_and(|own| own != room) {
            return Err(Denied::Rights("the token is for another room"));
        }
        if self.peer.as_ref().is_some_and(|own| own != peer) {
            return Err(Denied::Rights("the token is for another peerName"));
        }
        Ok(self.rights)
    }
}

/// The token of a request: `Authorization: Bearer`, or `token` in its query, for browsers cannot
/// set a header on a WebSocket.
pub fn of_request(request: &Request) -> Option<String> {
    let header = request.header("authorization");
    let bearer = header.and_then(|value| value.split_once(' '));
    match bearer {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Some(token.trim().to_owned())
        }
        _ => request.query("token")?.ok(),
    }
}

/// What a new token shall say.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// The key's id.
    pub key: &'a str,
    /// Which room, or `*`.
    pub room: &'a str,
    /// Under which name; `None`: every one.
    pub peer: Option<&'a str>,
    /// To do what.
    pub rights: &'a [Right],
    /// When it ends, in seconds since 1970.
    pub expires: u64,
}

impl NewToken<'_> {
    /// Signs it with the secret (HS256) or the private key in PEM (ES256, EdDSA) of this file.
    pub fn sign(&self, file: &Path) -> io::Result<String> {
        let refuse = |reason: String| io::Error::other(format!("{}: {reason}", file.display()));
        let bytes = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
        let (algorithm, encoding) = if is_pem(&bytes) {
            let ec = EncodingKey::from_ec_pem(&bytes).map(|key| (Algorithm::ES256, key));
            let ed = || EncodingKey::from_ed_pem(&bytes).map(|key| (Algorithm::EdDSA, key));
            ec.or_else(|_| ed()).map_err(|_| {
                refuse("no private key of P-256 or Ed25519 in PKCS #8, which signs".to_owned())
            })?
        } else {
            (Algorithm::HS256, EncodingKey::from_secret(secret(&bytes).map_err(refuse)?))
        };
        let header = Header { kid: Some(self.key.to_owned()), ..Header::new(algorithm) };
        let mut claims = json!({ "room": self.room, "exp": self.expires, "rights": self.rights });
        if let Some(peer) = self.peer {
            claims["peer"] = peer.into();
        }
        jsonwebtoken::encode(&header, &claims, &encoding).map_err(|error| refuse(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
