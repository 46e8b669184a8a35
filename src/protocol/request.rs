//! What clients say: requests and notifications, checked as far as one message can be checked
//! (PROTOCOL section 4).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Object, Text, Word, parse_data};
use super::rtp_parameters::RtpParametersWire;
use super::{AppData, ClientCapabilities, DtlsParameters, Error, SourceParameters};
use crate::types::{Kind, ReceiverId, SenderId, TransportId};

/// What wants an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `join`
    Join(Join),
    /// `createTransport`
    CreateTransport(CreateTransport),
    /// `createReceiver`
    CreateReceiver(CreateReceiver),
    /// `pauseReceiver`
    PauseReceiver(ReceiverCommand),
    /// `resumeReceiver`
    ResumeReceiver(ReceiverCommand),
    /// `enableSender`
    EnableSender(EnableSender),
    /// `playSender`
    PlaySender(SenderCommand),
    /// `stopSender`
    StopSender(SenderCommand),
    /// `requestKeyFrame`
    RequestKeyFrame {
        /// A Sender of this client.
        id: SenderId,
    },
    /// `restartTransport`
    RestartTransport {
        /// A transport of this client.
        id: TransportId,
    },
    /// `getStats`
    GetStats(GetStats),
}

impl Request {
    /// Its `appData`.
    pub fn app_data(&self) -> Option<&AppData> {
        match self {
            Self::Join(it) => it.app_data.as_ref(),
            Self::CreateTransport(it) => it.app_data.as_ref(),
            Self::CreateReceiver(it) => it.app_data.as_ref(),
            Self::PauseReceiver(it) | Self::ResumeReceiver(it) => it.app_data.as_ref(),
            Self::PlaySender(it) | Self::StopSender(it) => it.app_data.as_ref(),
            Self::EnableSender(_)
            | Self::RequestKeyFrame { .. }
            | Self::RestartTransport { .. }
            | Self::GetStats(_) => None,
        }
    }
}

/// What wants no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Notification {
    /// `leave`
    Leave {
        /// For the other peers.
        app_data: Option<AppData>,
    },
    /// `updateTransport`
    UpdateTransport {
        /// A transport of this client.
        id: TransportId,
        /// What `createTransport` did not say.
        dtls_parameters: DtlsParameters,
    },
    /// `closeTransport`
    CloseTransport {
        /// A transport of this client.
        id: TransportId,
        /// For the other peers.
        app_data: Option<AppData>,
    },
    /// `closeReceiver`
    CloseReceiver {
        /// A Receiver of this client.
        id: ReceiverId,
        /// For the other peers.
        app_data: Option<AppData>,
    },
}

impl Notification {
    /// Its `appData`.
    pub fn app_data(&self) -> Option<&AppData> {
        match self {
            Self::Leave { app_data }
            | Self::CloseTransport { app_data, .. }
            | Self::CloseReceiver { app_data, .. } => app_data.as_ref(),
            Self::UpdateTransport { .. } => None,
        }
    }
}

/// `join`
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// For the other peers.
    pub app_data: Option<AppData>,
    /// What the client can decode; `None`: it is announced everything.
    pub rtp_capabilities: Option<ClientCapabilities>,
    /// Each once. Names that this version does not know are left out.
    pub notify: Vec<Notify>,
}

/// An extension that a client asked to be notified of (PROTOCOL section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notify {
    /// `transportState`
    TransportState,
    /// `roomClosed`
    RoomClosed,
}

impl Notify {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "transportState" => Some(Self::TransportState),
            "roomClosed" => Some(Self::RoomClosed),
            _ => None,
        }
    }
}

/// `createTransport`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTransport {
    /// The client's choice.
    pub id: TransportId,
    /// Whether it wants UDP candidates.
    pub udp: bool,
    /// Whether it wants TCP candidates.
    pub tcp: bool,
    /// What it will use it for; `None`: both.
    pub direction: Option<Direction>,
    /// Absent from a client that waits for the server's.
    pub dtls_parameters: Option<DtlsParameters>,
    /// Not handed on to anybody.
    pub app_data: Option<AppData>,
}

/// Which way media goes on a transport, seen from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client.
    Send,
    /// To the client.
    Recv,
}

/// `createReceiver`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateReceiver {
    /// The client's choice.
    pub id: ReceiverId,
    /// Of the source.
    pub kind: Kind,
    /// Where its packets will come from.
    pub transport_id: TransportId,
    /// `rtpParameters`, free of contradictions.
    pub source: SourceParameters,
    /// Whether it starts paused.
    pub paused: bool,
    /// For the other peers.
    pub app_data: Option<AppData>,
}

/// `pauseReceiver`, `resumeReceiver`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverCommand {
    /// A Receiver of this client.
    pub id: ReceiverId,
    /// For the other peers.
    pub app_data: Option<AppData>,
}

/// `playSender`, `stopSender`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderCommand {
    /// A Sender of this client.
    pub id: SenderId,
    /// Not handed on to anybody.
    pub app_data: Option<AppData>,
}

/// `enableSender`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnableSender {
    /// A Sender of this client.
    pub id: SenderId,
    /// Where to send it; `None`: the server chooses.
    pub transport_id: Option<TransportId>,
    /// Whether lost packets are sent again on the rtx stream; `None`: where it was announced.
    pub use_rtx: Option<bool>,
}

/// `getStats`: what is named, or everything where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetStats {
    /// A transport of this client.
    pub transport_id: Option<TransportId>,
    /// A Receiver of this client.
    pub receiver_id: Option<ReceiverId>,
    /// A Sender of this client.
    pub sender_id: Option<SenderId>,
}

impl Request {
    /// Reads a request. Error 404 for a method that nobody knows, 400 for a notification's and
    /// for data of the wrong shape, 415 for a codec that the server does not have.
    pub fn parse(method: &str, data: Option<&RawValue>) -> Result<Self, Error> {
        let request = match method {
            "join" => Self::Join(parse_data::<JoinWire<'_>>(data)?.into()),
            "createTransport" => {
                Self::CreateTransport(parse_data::<CreateTransportWire>(data)?.check()?)
            }
            "createReceiver" => {
                Self::CreateReceiver(parse_data::<CreateReceiverWire<'_>>(data)?.check()?)
            }
            "pauseReceiver" => Self::PauseReceiver(parse_data(data)?),
            "resumeReceiver" => Self::ResumeReceiver(parse_data(data)?),
            "enableSender" => Self::EnableSender(parse_data::<EnableSenderWire>(data)?.into()),
            "playSender" => Self::PlaySender(parse_data(data)?),
            "stopSender" => Self::StopSender(parse_data(data)?),
            "requestKeyFrame" => {
                let SenderWire { id } = parse_data(data)?;
                Self::RequestKeyFrame { id }
            }
            "restartTransport" => {
                let TransportWire { id } = parse_data(data)?;
                Self::RestartTransport { id }
            }
            "getStats" => Self::GetStats(parse_data(data)?),
            "leave" | "updateTransport" | "closeTransport" | "closeReceiver" => {
                return Err(Error::bad_request(format!("method: {method} is a notification")));
            }
            _ => return Err(Error::not_found(format!("unknown method: {method}"))),
        };
        check_stated(method, false, data)?;
        Ok(request)
    }
}

impl Notification {
    /// Reads a notification. Nobody is told about an error: the caller counts it.
    pub fn parse(method: &str, data: Option<&RawValue>) -> Result<Self, Error> {
        let notification = match method {
            "leave" => {
                let LeaveWire { app_data } = parse_data(data)?;
                Self::Leave { app_data }
            }
            "updateTransport" => {
                let UpdateTransportWire { id, dtls_parameters } = parse_data(data)?;
                Self::UpdateTransport { id, dtls_parameters }
            }
            "closeTransport" => {
                let CloseTransportWire { id, app_data } = parse_data(data)?;
                Self::CloseTransport { id, app_data }
            }
            "closeReceiver" => {
                let ReceiverCommand { id, app_data } = parse_data(data)?;
                Self::CloseReceiver { id, app_data }
            }
            _ => return Err(Error::not_found(format!("unknown notification: {method}"))),
        };
        check_stated(method, true, data)?;
        Ok(notification)
    }
}

/// `data` may repeat what the envelope says (the seed's messages do), but not contradict it.
fn check_stated(method: &str, notification: bool, data: Option<&RawValue>) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Stated<'a> {
        #[serde(borrow)]
        method: Option<Text<'a>>,
        notification: Option<bool>,
    }
    let stated: Stated<'_> = parse_data(data)?;
    match stated {
        Stated { method: Some(Text(stated)), .. } if stated != method => {
            Err(Error::bad_request(format!("method: {stated:?}, but the envelope says {method}")))
        }
        Stated { notification: Some(stated), .. } if stated != notification => {
            Err(Error::bad_request(format!("notification: {stated}, unlike the envelope")))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JoinWire<'a> {
    app_data: Option<AppData>,
    rtp_capabilities: Option<ClientCapabilities>,
    #[serde(borrow)]
    notify: Option<Vec<Text<'a>>>,
}

impl From<JoinWire<'_>> for Join {
    fn from(wire: JoinWire<'_>) -> Self {
        let mut notify = Vec::new();
        for Text(name) in wire.notify.unwrap_or_default() {
            notify.extend(Notify::from_name(&name).filter(|known| !notify.contains(known)));
        }
        Self { app_data: wire.app_data, rtp_capabilities: wire.rtp_capabilities, notify }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateTransportWire {
    id: TransportId,
    options: Option<Object<TransportOptionsWire>>,
    direction: Option<Word<Direction>>,
    dtls_parameters: Option<DtlsParameters>,
    app_data: Option<AppData>,
}

#[derive(Default, Deserialize)]
struct TransportOptionsWire {
    udp: Option<bool>,
    tcp: Option<bool>,
    direction: Option<Word<Direction>>,
}

impl CreateTransportWire {
    /// PROTOCOL leaves open whether `direction` stands in `options` or beside it: both are taken.
    fn check(self) -> Result<CreateTransport, Error> {
        let options = self.options.map(|Object(options)| options).unwrap_or_default();
        let direction = match (self.direction, options.direction) {
            (Some(Word(outer)), Some(Word(inner))) if outer != inner => {
                return Err(Error::bad_request("options.direction: contradicts direction"));
            }
            (outer, inner) => outer.or(inner).map(|Word(direction)| direction),
        };
        Ok(CreateTransport {
            id: self.id,
            udp: options.udp.unwrap_or(true),
            tcp: options.tcp.unwrap_or(true),
            direction,
            dtls_parameters: self.dtls_parameters,
            app_data: self.app_data,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateReceiverWire<'a> {
    id: ReceiverId,
    kind: Word<Kind>,
    transport_id: TransportId,
    #[serde(borrow)]
    rtp_parameters: Object<RtpParametersWire<'a>>,
    paused: Option<bool>,
    app_data: Option<AppData>,
}

impl CreateReceiverWire<'_> {
    fn check(self) -> Result<CreateReceiver, Error> {
        let (Word(kind), Object(rtp_parameters)) = (self.kind, self.rtp_parameters);
        Ok(CreateReceiver {
            id: self.id,
            kind,
            transport_id: self.transport_id,
            source: SourceParameters::new(kind, rtp_parameters)?,
            paused: self.paused.unwrap_or(false),
            app_data: self.app_data,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnableSenderWire {
    id: SenderId,
    transport_id: Option<TransportId>,
    rtp_settings: Option<Object<RtpSettingsWire>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RtpSettingsWire {
    use_rtx: Option<bool>,
}

impl From<EnableSenderWire> for EnableSender {
    fn from(wire: EnableSenderWire) -> Self {
        let use_rtx = wire.rtp_settings.and_then(|Object(settings)| settings.use_rtx);
        Self { id: wire.id, transport_id: wire.transport_id, use_rtx }
    }
}

#[derive(Deserialize)]
struct SenderWire {
    id: SenderId,
}

#[derive(Deserialize)]
struct TransportWire {
    id: TransportId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeaveWire {
    app_data: Option<AppData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateTransportWire {
    id: TransportId,
    dtls_parameters: DtlsParameters,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloseTransportWire {
    id: TransportId,
    app_data: Option<AppData>,
}

#[cfg(test)]
mod tests;
