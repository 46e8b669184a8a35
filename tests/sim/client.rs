//! A simulated client: one WebSocket connection with all that hangs on it. It panics when it hears
//! or receives what it should not.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use corinth::sfu::CloseReason;
use corinth::types::{Kind, PeerKey, Timestamp};
use serde_json::Value;

use crate::knowledge::{Knowledge, SenderView};
use crate::link::{Link, RtpIn};
use crate::rtcp::Rtcp;
use crate::source::Source;

/// An enabled Sender, as the client that enabled it sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    /// The transport that it comes on.
    pub(crate) transport: u32,
    pub(crate) playing: bool,
}

/// `transportState`: id, ice, dtls.
pub(crate) type StateChange = (u32, String, String);

/// One client.
pub(crate) struct Client {
    pub(crate) room: String,
    pub(crate) name: String,
    pub(crate) key: PeerKey,
    /// It closed its connection, or the server did.
    pub(crate) gone: bool,
    /// Why the server closed the connection.
    pub(crate) closed: Option<CloseReason>,
    /// `None` before it joined.
    pub(crate) knowledge: Option<Knowledge>,
    /// All it ever had, in the order of making; ids are unique among the open ones.
    pub(crate) links: Vec<Link>,
    /// What it sends, by Receiver id.
    pub(crate) sources: BTreeMap<u32, Source>,
    /// What it enabled, by Sender id.
    pub(crate) watched: BTreeMap<u32, Watched>,
    /// It asked to be told of its transports' states.
    pub(crate) wants_states: bool,
    pub(crate) states: Vec<StateChange>,
    /// Notifications heard in all.
    pub(crate) heard: usize,
    requests: u64,
    responses: VecDeque<(u64, Result<Value, u16>)>,
    /// SSRCs whose end RTCP should have said, and those whose end it did say.
    byes_due: Vec<u32>,
    byes: Vec<u32>,
}

impl Client {
    pub(crate) fn new(room: &str, name: &str, key: PeerKey) -> Self {
        Self {
            room: room.to_owned(),
            name: name.to_owned(),
            key,
            gone: false,
            closed: None,
            knowledge: None,
            links: Vec::new(),
            sources: BTreeMap::new(),
            watched: BTreeMap::new(),
            wants_states: false,
            states: Vec::new(),
            heard: 0,
            requests: 0,
            responses: VecDeque::new(),
            byes_due: Vec::new(),
            byes: Vec::new(),
        }
    }

    pub(crate) fn is_member(&self) -> bool {
        !self.gone && self.knowledge.is_some()
    }

    pub(crate) fn knowledge(&self) -> &Knowledge {
        self.knowledge.as_ref().expect("joined")
    }

    pub(crate) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The answer to the latest request, which must be the only one waiting.
    pub(crate) fn take_response(&mut self) -> Option<Result<Value, u16>> {
        let (id, response) = self.responses.pop_front()?;
        assert_eq!((id, self.responses.len()), (self.requests, 0), "each request once, in order");
        Some(response)
    }

    /// The open transport of this id.
    pub(crate) fn link(&self, id: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.id == id && !link.closed)
    }

    /// The same, to act on.
    pub(crate) fn link_mut(&mut self, id: u32) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.id == id && !link.closed)
    }

    /// Takes note that a transport is closed, with all that ended by it.
    pub(crate) fn forget_link(&mut self, id: u32) {
        if let Some(link) = self.link_mut(id) {
            link.closed = true;
        }
        self.sources.retain(|_, source| source.transport != id);
        self.watched.retain(|_, watched| watched.transport != id);
    }

    /// The connection is gone and everything with it.
    pub(crate) fn forget_all(&mut self) {
        self.gone = true;
        for link in &mut self.links {
            link.closed = true;
        }
        self.byes_due.clear();
        self.byes.clear();
    }

    /// A text frame came.
    pub(crate) fn hear(&mut self, text: &str) {
        assert!(!self.gone, "{} is gone and still told: {text}", self.name);
        let message: Value = serde_json::from_str(text).expect("the server writes JSON");
        if message["response"] == true {
            let id = message["id"].as_u64().expect("id");
            let code = message["errorCode"].as_u64().and_then(|code| u16::try_from(code).ok());
            let response = match message["ok"].as_bool().expect("ok") {
                true => Ok(message["data"].clone()),
                false => Err(code.expect("errorCode")),
            };
            return self.responses.push_back((id, response));
        }
        let (method, data) = (message["method"].as_str().expect("method"), &message["data"]);
        assert_eq!(message["notification"], true);
        assert_eq!((&data["method"], &data["notification"]), (&message["method"], &true.into()));
        self.heard += 1;
        self.notice(method, data);
    }

    fn notice(&mut self, method: &str, data: &Value) {
        if method == "transportState" {
            assert!(self.wants_states, "{} never asked for states", self.name);
            let text = |name: &str| data[name].as_str().expect(name).to_owned();
            let id = data["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("id");
            let change = (id, text("ice"), text("dtls"));
            if matches!(&*change.2, "failed" | "closed") {
                self.forget_link(id); // the server closes it
            }
            return self.states.push(change);
        }
        let knowledge = self.knowledge.as_mut();
        let knowledge = knowledge.unwrap_or_else(|| panic!("told before it joined: {data}"));
        for (id, view) in knowledge.hear(method, data) {
            if let Some(watched) = self.watched.remove(&id)
                && self.link(watched.transport).is_some_and(Link::is_live)
            {
                self.byes_due.push(view.ssrc());
            }
        }
    }

    /// A datagram came to the address `to` of one of its links.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        link: usize,
        to: SocketAddr,
        datagram: &mut [u8],
        perfect: bool,
    ) {
        let link = &mut self.links[link];
        if link.closed && !perfect {
            return; // it was under way when the transport closed
        }
        let (packets, reports, id) = (link.rtp.len(), link.rtcp.len(), link.id);
        let repeated = link.repeated;
        link.handle_datagram(now, to, datagram);
        assert!(!perfect || link.repeated == repeated, "a number was used twice under one key");
        let packet = link.rtp.get(packets).cloned();
        let reports: Vec<_> = link.rtcp[reports..].iter().map(|(_, it)| it.clone()).collect();
        if perfect && let Some(packet) = packet {
            self.judge_rtp(id, &packet);
        }
        for report in reports {
            self.judge_rtcp(id, &report, perfect);
        }
    }

    /// A packet that nobody wanted, or that reads otherwise than it was announced.
    fn judge_rtp(&self, link: u32, packet: &RtpIn) {
        let name = &self.name;
        let (id, view) = self.watched_by_ssrc(link, packet.ssrc).unwrap_or_else(|| {
            panic!("{name}: nothing enabled on transport {link} has this SSRC: {packet:?}")
        });
        assert!(self.watched[&id].playing, "{name}: Sender {id} was stopped: {packet:?}");
        assert!(!view.paused, "{name}: the source of Sender {id} is paused: {packet:?}");
        // rtx is the next one behind its codec in the server's table.
        let pt = view.payload_type() + u64::from(packet.resent);
        assert_eq!(u64::from(packet.pt), pt, "{name}: Sender {id}");
        assert_eq!(packet.label.tag, view.tag(), "{name}: Sender {id} carries another source");
        let ids: Vec<_> = packet.extension_ids.iter().map(|id| u64::from(*id)).collect();
        assert_eq!(ids, view.extension_ids(), "{name}: Sender {id}");
    }

    fn judge_rtcp(&mut self, link: u32, report: &Rtcp, perfect: bool) {
        let name = &self.name;
        match report {
            Rtcp::SenderReport { ssrc, .. } if perfect => {
                assert!(self.watched_by_ssrc(link, *ssrc).is_some(), "{name}: {report:?}");
            }
            Rtcp::Name { ssrc, cname } if perfect => {
                let (_, view) = self.watched_by_ssrc(link, *ssrc).expect("a name for a Sender");
                assert_eq!(cname, view.cname());
            }
            Rtcp::Pli { media_ssrc } => {
                let here = self.sources.values().filter(|it| it.transport == link);
                let source = here.clone().find(|it| it.ssrc == *media_ssrc);
                let source = source.or(here.clone().find(|it| it.sends_under(*media_ssrc)));
                let source = source.unwrap_or_else(|| panic!("{name}: whose is {report:?}?"));
                assert_eq!(source.kind, Kind::Video);
                assert!(!source.paused, "{name}: asked for key frames while paused");
            }
            Rtcp::Nack { media_ssrc, lost } => {
                let mut here = self.sources.values().filter(|it| it.transport == link);
                let source = here.find(|it| it.sends_under(*media_ssrc));
                let source = source.unwrap_or_else(|| panic!("{name}: whose is {report:?}?"));
                assert!(source.nack && !lost.is_empty(), "{name}: {report:?}");
            }
            Rtcp::ReceiverReport { blocks } => {
                let ours = |ssrc| {
                    let mut sources = self.sources.values();
                    sources.any(|source| source.transport == link && source.sends_under(ssrc))
                };
                assert!(blocks.iter().all(|block| ours(block.ssrc)), "{name}: {report:?}");
            }
            Rtcp::Bye { ssrcs } => self.byes.extend(ssrcs),
            Rtcp::SenderReport { .. } | Rtcp::Name { .. } | Rtcp::TransportCc { .. } => {}
        }
    }

    fn watched_by_ssrc(&self, link: u32, ssrc: u32) -> Option<(u32, &SenderView)> {
        let on_link = self.watched.iter().filter(|(_, watched)| watched.transport == link);
        let mut views = on_link.filter_map(|(id, _)| Some((*id, self.knowledge().sender(*id)?)));
        views.find(|(_, view)| view.ssrc() == ssrc)
    }

    /// What ended while it was received was said to end, and nothing else.
    pub(crate) fn assert_byes(&mut self) {
        let (mut due, mut said) =
            (std::mem::take(&mut self.byes_due), std::mem::take(&mut self.byes));
        due.sort_unstable();
        said.sort_unstable();
        assert_eq!(due, said, "{}: BYE for what closed, and only for it", self.name);
    }
}
