//! What requests are signed with: HMAC-SHA256 over id, time and body, by Standard Webhooks 1.0.

use std::io;
use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::http::secret_file;

/// What the specification says of a secret's length, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// Before a secret in text.
const PREFIX: &str = "whsec_";

/// While one secret follows another there are both.
const SECRETS_MAX: usize = 4;

/// One secret, or several.
#[derive(Debug)]
pub struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Reads a file with a secret a line, each in base64, `whsec_` before it or not. Errors name
    /// the file and what is wrong with it.
    pub fn load(file: &Path) -> io::Result<Secrets> {
        let refuse = |reason: String| io::Error::other(format!("{}: {reason}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
        secret_file::warn_of_readers(file);
        Self::parse(&text).map_err(refuse)
    }

    fn parse(text: &str) -> Result<Secrets, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(|line| {
            let secret = BASE64_STANDARD.decode(line.strip_prefix(PREFIX).unwrap_or(line));
            match secret {
                Ok(secret) if LENGTHS.contains(&secret.len()) => {
                    Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret))
                }
                Ok(secret) => Err(format!("a secret of {} bytes: 24 to 64 it has", secret.len())),
                Err(_) => Err("not base64; `openssl rand -base64 32` makes one".to_owned()),
            }
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            1..=SECRETS_MAX => Ok(Self(keys)),
            0 => Err("no secret; `openssl rand -base64 32` makes one".to_owned()),
            many => Err(format!("{many} secrets: {SECRETS_MAX} at most")),
        }
    }

    /// `webhook-signature`, one by each secret; `timestamp` is in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let by = |key| BASE64_STANDARD.encode(hmac::sign(key, signed.as_bytes()));
        let signatures: Vec<_> = self.0.iter().map(|key| format!("v1,{}", by(key))).collect();
        signatures.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_specifications_example_is_signed_as_it_says() {
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "{\"test\": 2432232314}");
        let signed = Secrets::parse(SECRET).unwrap().sign(id, 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn one_secret_can_follow_another() {
        let other = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let both = Secrets::parse(&format!("{SECRET}\n\n  {other}\n")).unwrap().sign("i", 1, "b");
        let each = [SECRET, other].map(|text| Secrets::parse(text).unwrap().sign("i", 1, "b"));
        assert_eq!(both, each.join(" "));
    }

    #[test]
    fn what_is_no_secret_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "no secret"),
            ("not a secret!", "not base64"),
            ("c2hvcnQ=", "5 bytes"),
            (&[SECRET; 5].join("\n"), "5 secrets"),
        ] {
            let error = Secrets::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
