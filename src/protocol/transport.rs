//! ICE and DTLS dictionaries (PROTOCOL section 5), and the states of `transportState`.

use std::fmt::{self, Write};
use std::net::IpAddr;

use serde::{Deserialize, Serialize, Serializer};

use super::json::{Object, Text, Word};
use crate::types::limit::FINGERPRINTS_MAX;

/// The server's ICE credentials (RFC 8445 §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceParameters {
    /// The local ufrag, by which checks find their transport.
    pub username_fragment: String,
    /// Key of the checks' MESSAGE-INTEGRITY.
    pub password: String,
    /// Always true: the server answers checks and makes none.
    pub ice_lite: bool,
}

/// Transport protocol of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IceProtocol {
    /// Datagrams.
    Udp,
    /// RFC 6544.
    Tcp,
}

/// Kind of a candidate (RFC 8445 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IceCandidateType {
    /// An address of the server itself, as far as the client can tell.
    Host,
}

/// Who opens the connection of a TCP candidate (RFC 6544 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IceTcpType {
    /// The client.
    Passive,
}

/// An address that the client may send to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceCandidate {
    /// Equal for candidates of one base and protocol.
    pub foundation: String,
    /// Where to send.
    pub ip: IpAddr,
    /// Where to send.
    pub port: u16,
    /// Higher is better (RFC 8445 §5.1.2).
    pub priority: u32,
    /// Over what.
    pub protocol: IceProtocol,
    /// Always host.
    #[serde(rename = "type")]
    pub candidate_type: IceCandidateType,
    /// For TCP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_type: Option<IceTcpType>,
}

/// Role in the DTLS handshake, of the side that states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtlsRole {
    /// Either; the other side decides.
    Auto,
    /// Sends the ClientHello.
    Client,
    /// Waits for the ClientHello.
    Server,
}

/// How one side will be known in its DTLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Object<DtlsWire>")]
pub struct DtlsParameters {
    /// `None` where the side has not said; the server always says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<DtlsRole>,
    /// Of the certificate, one to [`FINGERPRINTS_MAX`]; one that matches is enough.
    pub fingerprints: Vec<Fingerprint>,
}

#[derive(Deserialize)]
struct DtlsWire {
    role: Option<Word<DtlsRole>>,
    fingerprints: Vec<Stated>,
}

/// A fingerprint as a client states it; `None`: by an algorithm that nobody uses here. RFC 8122 §5:
/// of alternatives those that are known count.
#[derive(Deserialize)]
#[serde(try_from = "Object<FingerprintWire>")]
struct Stated(Option<Fingerprint>);

impl TryFrom<Object<DtlsWire>> for DtlsParameters {
    type Error = String;

    fn try_from(Object(wire): Object<DtlsWire>) -> Result<Self, String> {
        let (role, stated) = (wire.role.map(|Word(role)| role), wire.fingerprints);
        if !(1..=FINGERPRINTS_MAX).contains(&stated.len()) {
            let count = stated.len();
            return Err(format!("{count} fingerprints, expected 1 to {FINGERPRINTS_MAX}"));
        }
        let fingerprints: Vec<_> = stated.into_iter().filter_map(|Stated(known)| known).collect();
        match fingerprints.is_empty() {
            true => Err("no fingerprint by sha-256, sha-384 or sha-512".to_owned()),
            false => Ok(Self { role, fingerprints }),
        }
    }
}

/// Hash function of a fingerprint (RFC 8122 §5). SHA-1 and older ones are no longer safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FingerprintAlgorithm {
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl FingerprintAlgorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// By its name; they compare without case (RFC 8122 §5).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// As written in SDP and in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Bytes of a digest.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Digest of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// How it was made.
    pub algorithm: FingerprintAlgorithm,
    /// As many bytes as the algorithm gives.
    pub value: Vec<u8>,
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            algorithm: &'a str,
            value: String,
        }
        let (algorithm, value) = (self.algorithm.name(), Hex(&self.value).to_string());
        Wire { algorithm, value }.serialize(serializer)
    }
}

#[derive(Deserialize)]
struct FingerprintWire<'a> {
    #[serde(borrow)]
    algorithm: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
}

impl TryFrom<Object<FingerprintWire<'_>>> for Stated {
    type Error = String;

    fn try_from(Object(wire): Object<FingerprintWire<'_>>) -> Result<Self, String> {
        let (Text(name), Text(text)) = (wire.algorithm, wire.value);
        let Some(algorithm) = FingerprintAlgorithm::named(&name) else { return Ok(Self(None)) };
        let value: Option<Vec<u8>> = text.split(':').map(hex_pair).collect();
        let value = value.ok_or_else(|| format!("`value` is {text:?}, expected \"AB:CD:…\""))?;
        let (name, expected, bytes) = (algorithm.name(), algorithm.digest_len(), value.len());
        if bytes != expected {
            return Err(format!("`value` has {bytes} bytes, {name} has {expected}"));
        }
        Ok(Self(Some(Fingerprint { algorithm, value })))
    }
}

fn hex_pair(pair: &str) -> Option<u8> {
    let is_hex = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
}

/// Bytes as `AB:CD:EF`.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_char(':')?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

/// The answer to `createTransport`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransportCreated {
    /// The server's credentials.
    pub ice_parameters: IceParameters,
    /// Best first.
    pub ice_candidates: Vec<IceCandidate>,
    /// The server's role and certificate.
    pub dtls_parameters: DtlsParameters,
}

/// The answer to `restartTransport`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransportRestarted {
    /// The server's new credentials.
    pub ice_parameters: IceParameters,
}

/// `ice` of `transportState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IceState {
    /// No valid check yet.
    New,
    /// Checks or authentic media came within the consent time.
    Connected,
    /// None came (RFC 7675); a valid check revives it.
    Failed,
    /// The transport is gone.
    Closed,
}

/// `dtls` of `transportState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DtlsState {
    /// No record yet.
    New,
    /// The handshake runs, or waits for the client's fingerprint.
    Connecting,
    /// Done, and the fingerprint matched.
    Connected,
    /// It failed, or the fingerprint did not match.
    Failed,
    /// The transport is gone.
    Closed,
}

#[cfg(test)]
mod tests;
