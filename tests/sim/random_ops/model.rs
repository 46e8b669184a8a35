//! PROTOCOL sections 4 and 8 as a client can foresee them: which errors a request may get.

use std::fmt;

use serde_json::Value;

use crate::client::Client;
use crate::link::Link;
use crate::source::Source;

/// Requests that need data.
pub(crate) const REQUESTS: [&str; 9] = [
    "createTransport",
    "createReceiver",
    "pauseReceiver",
    "resumeReceiver",
    "enableSender",
    "playSender",
    "stopSender",
    "requestKeyFrame",
    "restartTransport",
];

/// The errors that a request may get: any of them, and none only if there are none.
#[derive(Debug, Default)]
pub(crate) struct Codes(Vec<u16>);

impl Codes {
    /// From conditions and what they mean.
    pub(crate) fn of(reasons: &[(bool, u16)]) -> Self {
        let mut codes = Self::default();
        reasons.iter().for_each(|(holds, code)| codes.add(*holds, *code));
        codes
    }

    pub(crate) fn add(&mut self, holds: bool, code: u16) {
        if holds {
            self.0.push(code);
        }
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn assert_answer(&self, answer: &Result<Value, u16>, request: impl fmt::Display) {
        match answer {
            Ok(_) => assert!(self.is_empty(), "{request} was done, in spite of {:?}", self.0),
            Err(code) => assert!(self.0.contains(code), "{request}: {code}, not of {:?}", self.0),
        }
    }
}

/// What a client can foresee.
pub(crate) struct Model<'a>(pub(crate) &'a Client);

impl Model<'_> {
    pub(crate) fn create_transport(&self, id: u32) -> Codes {
        Codes::of(&[(self.0.knowledge.is_none(), 403), (self.0.link(id).is_some(), 409)])
    }

    pub(crate) fn create_receiver(&self, id: u32, source: &Source) -> Codes {
        let link = self.0.link(source.transport);
        let mut neighbours = self.0.sources.values().filter(|it| it.transport == source.transport);
        Codes::of(&[
            (self.0.knowledge.is_none(), 403),
            (link.is_none(), 404),
            (self.0.sources.contains_key(&id), 409),
            (link.is_some_and(|link| link.plan.direction == Some("recv")), 409),
            (neighbours.any(|it| it.ssrc == source.ssrc), 400),
        ])
    }

    /// Of a transport that must be there.
    pub(crate) fn transport(&self, id: u32) -> Codes {
        let unknown = self.0.link(id).is_none();
        Codes::of(&[(self.0.knowledge.is_none(), 403), (unknown, 404)])
    }

    pub(crate) fn receiver(&self, id: u32) -> Codes {
        let unknown = !self.0.sources.contains_key(&id);
        Codes::of(&[(self.0.knowledge.is_none(), 403), (unknown, 404)])
    }

    /// Of a Sender that must be enabled.
    pub(crate) fn enabled(&self, id: u32) -> Codes {
        let known = self.knows(id);
        Codes::of(&[(!known, 404), (known && !self.0.watched.contains_key(&id), 409)])
    }

    /// `enableSender`, and the transport that it will be sent on.
    pub(crate) fn enable(&self, id: u32, named: Option<u32>) -> (Codes, Option<u32>) {
        let is = |direction| move |link: &Link| link.plan.direction == Some(direction);
        let (sends, receives) = (is("send"), is("recv"));
        let carries = |link: &Link| self.0.sources.values().any(|it| it.transport == link.id);
        let mut open: Vec<&Link> = self.0.links.iter().filter(|link| !link.closed).collect();
        open.reverse(); // newest first
        let named = named.map(|named| open.iter().copied().find(|link| link.id == named));
        let transport = match named {
            Some(named) => named,
            None => {
                open.retain(|link| !sends(link));
                let newest =
                    |rule: &dyn Fn(&Link) -> bool| open.iter().find(|link| rule(link)).copied();
                newest(&receives)
                    .or_else(|| newest(&|link| link.plan.answers))
                    .or_else(|| newest(&|link| !carries(link)))
            }
        };
        let codes = Codes::of(&[
            (!self.knows(id), 404),
            (self.0.watched.contains_key(&id), 409),
            (matches!(named, Some(None)), 404),
            (transport.is_some_and(sends), 409),
            (named.is_none() && transport.is_none(), 409),
        ]);
        (codes, transport.map(|link| link.id))
    }

    fn knows(&self, id: u32) -> bool {
        let knowledge = self.0.knowledge.as_ref();
        knowledge.is_some_and(|knowledge| knowledge.sender(id).is_some())
    }
}
