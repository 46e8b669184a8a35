//! A peer of a room: signaling and transports together, and what is sent and received on them in
//! the protocol's words (`Sender` and `Receiver` are the server's ends).

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::dtls::{Identity, Role};
use crate::signaling::{Notification, Signaling};
use crate::srtp::Profile;
use crate::transport::{Config, Offer, Receiving, Transport};

/// When a notification that is waited for is taken to be missing.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(5);

/// How a transport is made.
#[derive(Debug, Clone, Copy)]
pub struct TransportOptions {
    /// Chosen by the client, unique within its peer.
    pub id: u32,
    /// What this side does in DTLS.
    pub role: Role,
    /// What this side says that it does; some clients say something else.
    pub stated_role: Role,
    /// The only SRTP profile that is offered.
    pub profile: Profile,
    /// Only for one direction: `send` or `recv`.
    pub direction: Option<&'static str>,
}

impl TransportOptions {
    /// A transport `id` for both directions, DTLS client, AES-256-GCM.
    pub fn new(id: u32) -> Self {
        Self {
            id,
            role: Role::Client,
            stated_role: Role::Client,
            profile: Profile::Aes256Gcm,
            direction: None,
        }
    }
}

/// One source that this peer sends.
#[derive(Debug, Clone)]
pub struct Source {
    /// The Receiver's id: chosen by the client, unique within its peer.
    pub id: u32,
    /// `audio` or `video`.
    pub kind: &'static str,
    /// Codec name as in `mimeType`, after the slash.
    pub codec: &'static str,
    /// RTP clock in Hz.
    pub clock_rate: u32,
    /// This client's own payload type.
    pub payload_type: u8,
    /// The stream's ssrc.
    pub ssrc: u32,
    /// Payload type and ssrc of its retransmissions, where there are any.
    pub rtx: Option<(u8, u32)>,
    /// The media section's name, sent in each packet where there is one.
    pub mid: Option<String>,
    /// Header extensions: this client's own id, and the URI.
    pub extensions: Vec<(u8, &'static str)>,
    /// RTCP's name for the peer.
    pub cname: String,
    /// The codec's parameters (`fmtp`).
    pub parameters: Value,
}

impl Source {
    /// Opus with payload type 109.
    pub fn opus(id: u32, ssrc: u32) -> Self {
        Self {
            id,
            kind: "audio",
            codec: "opus",
            clock_rate: 48_000,
            payload_type: 109,
            ssrc,
            rtx: None,
            mid: None,
            extensions: Vec::new(),
            cname: "corinth-perf".into(),
            parameters: json!({}),
        }
    }

    /// VP8 with payload type 120, without retransmission.
    pub fn vp8(id: u32, ssrc: u32) -> Self {
        Self {
            kind: "video",
            codec: "VP8",
            clock_rate: 90_000,
            payload_type: 120,
            ..Self::opus(id, ssrc)
        }
    }

    /// `rtpParameters` of `createReceiver`.
    pub fn rtp_parameters(&self) -> Value {
        let feedback = match self.kind {
            "video" => json!([{"type": "nack", "parameter": "pli"}]),
            _ => json!([]),
        };
        let mut codec = json!({
            "name": self.codec,
            "mimeType": format!("{}/{}", self.kind, self.codec),
            "clockRate": self.clock_rate,
            "payloadType": self.payload_type,
            "rtcpFeedback": feedback,
            "parameters": self.parameters,
        });
        if self.codec == "opus" {
            codec["channels"] = 2.into();
        }
        let mut codecs = vec![codec];
        let mut encoding = json!({"ssrc": self.ssrc});
        if let Some((payload_type, ssrc)) = self.rtx {
            codecs.push(json!({
                "name": "rtx",
                "mimeType": format!("{}/rtx", self.kind),
                "clockRate": self.clock_rate,
                "payloadType": payload_type,
                "parameters": {"apt": self.payload_type},
            }));
            encoding["rtx"] = json!({"ssrc": ssrc});
        }
        let extensions: Vec<Value> =
            self.extensions.iter().map(|(id, uri)| json!({"id": id, "uri": uri})).collect();
        json!({
            "muxId": self.mid,
            "codecs": codecs,
            "headerExtensions": extensions,
            "encodings": [encoding],
            "rtcp": {"cname": self.cname, "reducedSize": true, "mux": true},
        })
    }
}

/// A Sender as the server announces it: what it will send to this peer once it is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderInfo {
    /// The Sender's id.
    pub id: u32,
    /// `audio` or `video`.
    pub kind: String,
    /// Whose source it is.
    pub peer_name: String,
    /// Whether the source is paused.
    pub paused: bool,
    /// The server's payload type for the source's codec.
    pub payload_type: u8,
    /// The stream's ssrc towards this peer.
    pub ssrc: u32,
    /// The server's header extension ids, with their URIs.
    pub extensions: Vec<(u8, String)>,
    /// The source's cname.
    pub cname: String,
}

impl SenderInfo {
    /// Reads `newSender`'s data, or an element of a `senders` list of the peer `peer_name`.
    ///
    /// # Errors
    /// A member is missing or of another type.
    pub fn parse(data: &Value, peer_name: &str) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
        let number = |value: &Value| {
            let number = value.as_u64().context("not a number")?;
            anyhow::Ok(u32::try_from(number)?)
        };
        let rtp = &data["rtpParameters"];
        let mut extensions = Vec::new();
        for one in rtp["headerExtensions"].as_array().context("no headerExtensions")? {
            extensions.push((number(&one["id"])?.try_into()?, text(&one["uri"])?));
        }
        Ok(Self {
            id: number(&data["id"])?,
            kind: text(&data["kind"])?,
            peer_name: peer_name.to_owned(),
            paused: data["paused"].as_bool().context("paused")?,
            payload_type: number(&rtp["codecs"][0]["payloadType"])?.try_into()?,
            ssrc: number(&rtp["encodings"][0]["ssrc"])?,
            extensions,
            cname: text(&rtp["rtcp"]["cname"])?,
        })
    }

    /// The server's id for an extension, where the Sender carries it.
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extensions.iter().find(|(_, known)| known == uri).map(|(id, _)| *id)
    }
}

/// A peer that has joined a room. Dropping it drops the connection without a `leave`.
#[derive(Debug)]
pub struct Peer {
    /// Its name in the room.
    pub name: String,
    /// For requests and notifications that have no method here.
    pub signaling: Signaling,
    /// `join`'s response.
    pub joined: Value,
    /// What it shows in DTLS.
    pub identity: Identity,
    notifications: mpsc::Receiver<Notification>,
    /// Read while something else was waited for.
    unread: VecDeque<Notification>,
}

impl Peer {
    /// Connects to the server at `url` (`http://HOST:PORT`) and joins.
    ///
    /// # Errors
    /// The server is not reached or refuses.
    pub async fn join(url: &str, room: &str, name: &str) -> anyhow::Result<Self> {
        let (signaling, notifications) = Signaling::connect(url, room, name).await?;
        let joined = signaling.request("join", json!({})).await?;
        Ok(Self {
            name: name.to_owned(),
            signaling,
            joined,
            identity: Identity::generate()?,
            notifications,
            unread: VecDeque::new(),
        })
    }

    /// Makes a transport and connects it.
    ///
    /// # Errors
    /// The server refuses, or the connection does not come about.
    pub async fn create_transport(
        &self,
        options: TransportOptions,
    ) -> anyhow::Result<(Transport, Receiving)> {
        self.connect_transport(self.offer_transport(options).await?, options).await
    }

    /// Connects to the server's end that [`Peer::offer_transport`] made; the caller may have put a
    /// relay's address into the offer.
    ///
    /// # Errors
    /// As [`Transport::connect`].
    pub async fn connect_transport(
        &self,
        offer: Offer,
        options: TransportOptions,
    ) -> anyhow::Result<(Transport, Receiving)> {
        let TransportOptions { role, profile, .. } = options;
        Transport::connect(offer, Config { identity: self.identity.clone(), role, profile }).await
    }

    /// Makes a transport on the server and leaves the connecting to the caller.
    ///
    /// # Errors
    /// The server refuses, or answers with less than is needed.
    pub async fn offer_transport(&self, options: TransportOptions) -> anyhow::Result<Offer> {
        let fingerprint = json!({"algorithm": "sha-256", "value": self.identity.fingerprint()});
        let mut data = json!({
            "id": options.id,
            "options": {},
            "dtlsParameters": {"role": options.stated_role.name(), "fingerprints": [fingerprint]},
        });
        if let Some(direction) = options.direction {
            data["options"]["direction"] = direction.into();
        }
        Offer::parse(&self.signaling.request("createTransport", data).await?)
    }

    /// Announces a source, which is then sent on `transport_id`.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn send_source(&self, transport_id: u32, source: &Source) -> anyhow::Result<()> {
        let data = json!({
            "id": source.id,
            "kind": source.kind,
            "transportId": transport_id,
            "rtpParameters": source.rtp_parameters(),
            "paused": false,
        });
        self.signaling.request("createReceiver", data).await?;
        Ok(())
    }

    /// Enables an announced Sender on `transport_id`.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn receive(&self, sender_id: u32, transport_id: u32) -> anyhow::Result<()> {
        let data = json!({
            "id": sender_id,
            "transportId": transport_id,
            "rtpSettings": {"useRtx": false},
        });
        self.signaling.request("enableSender", data).await?;
        Ok(())
    }

    /// The next `newSender`.
    ///
    /// # Errors
    /// None comes, or it cannot be read.
    pub async fn new_sender(&mut self) -> anyhow::Result<SenderInfo> {
        let data = self.notification("newSender").await?;
        let peer_name = data["peerName"].as_str().context("peerName")?.to_owned();
        SenderInfo::parse(&data, &peer_name)
    }

    /// The data of the next notification `method`; others before it are kept for later calls.
    ///
    /// # Errors
    /// None comes in five seconds, or the connection ends.
    pub async fn notification(&mut self, method: &str) -> anyhow::Result<Value> {
        if let Some(at) = self.unread.iter().position(|one| one.method == method)
            && let Some(found) = self.unread.remove(at)
        {
            return Ok(found.data);
        }
        let found = async {
            while let Some(one) = self.notifications.recv().await {
                if one.method == method {
                    return Ok(one.data);
                }
                self.unread.push_back(one);
            }
            bail!("the connection ended before {method}")
        };
        timeout(NOTIFICATION_TIMEOUT, found).await.with_context(|| format!("no {method}"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_read_from_its_announcement() {
        let data = json!({
            "id": 7, "kind": "video", "peerName": "alice", "paused": false,
            "rtpParameters": {
                "codecs": [{"name": "VP8", "payloadType": 101}],
                "headerExtensions": [{"uri": "urn:x", "id": 3}],
                "encodings": [{"ssrc": 42}],
                "rtcp": {"cname": "c"},
            },
        });
        let sender = SenderInfo::parse(&data, "alice").expect("it is complete");
        assert_eq!((sender.id, sender.payload_type, sender.ssrc), (7, 101, 42));
        assert_eq!(sender.extension("urn:x"), Some(3));
        assert_eq!(sender.extension("urn:y"), None);
        assert!(SenderInfo::parse(&json!({"id": 7}), "alice").is_err());
    }

    #[test]
    fn retransmission_is_announced_with_its_codec_and_ssrc() {
        let source = Source { rtx: Some((121, 6)), ..Source::vp8(1, 5) };
        let rtp = source.rtp_parameters();
        assert_eq!(rtp["codecs"][1]["parameters"]["apt"], 120);
        assert_eq!(rtp["encodings"][0], json!({"ssrc": 5, "rtx": {"ssrc": 6}}));
    }
}
