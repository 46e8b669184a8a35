//! Session descriptions as Janus wants and writes them (RFC 8829): one bundle, its media sections
//! named by `mid`, ICE credentials and fingerprint in each.

use std::io::Cursor;
use std::net::SocketAddr;

use ::sdp::{MediaDescription, SessionDescription};
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::super::{Feedback, LocalEnd, RemoteEnd};
use crate::dtls::Role;
use crate::ice::Remote;
use crate::peer::Source;
use crate::transport::Offer;

/// End of the URI of the transport-wide-cc header extension, whatever its draft.
const TRANSPORT_CC: &str = "transport-wide-cc-extensions-01";

/// Attributes of an offered section that its answer repeats.
const REPEATED: &[&str] = &["rtpmap", "fmtp", "rtcp-fb", "extmap"];

/// A description that Janus wrote.
pub(super) struct Description(SessionDescription);

/// An offer to send `sources`, each in a section named after its kind.
pub(super) fn offer(local: &LocalEnd, sources: &[Source]) -> String {
    let sections = sources.iter().map(|source| {
        let mut section = section(local, source.kind, source.kind, "actpass")
            .with_property_attribute("sendonly".into())
            .with_codec(
                source.payload_type,
                source.codec.into(),
                source.clock_rate,
                if source.codec == "opus" { 2 } else { 0 },
                format_parameters(&source.parameters),
            );
        if source.kind == "video" {
            for feedback in ["nack", "nack pli", "ccm fir", "transport-cc"] {
                let value = format!("{} {feedback}", source.payload_type);
                section = section.with_value_attribute("rtcp-fb".into(), value);
            }
        }
        for (id, uri) in &source.extensions {
            section = section.with_value_attribute("extmap".into(), format!("{id} {uri}"));
        }
        section
            .with_value_attribute("ssrc".into(), format!("{} cname:{}", source.ssrc, source.cname))
    });
    bundle(sections.collect())
}

/// A codec's parameters as `fmtp` has them (RFC 8866 §6.15).
fn format_parameters(parameters: &Value) -> String {
    let one = |(name, value): (&String, &Value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    };
    let all = parameters.as_object().into_iter().flatten().map(one);
    all.collect::<Vec<_>>().join(";")
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let description = SessionDescription::unmarshal(&mut Cursor::new(text))
            .map_err(|error| anyhow::anyhow!("{error} in Janus's session description"))?;
        Ok(Self(description))
    }

    /// The answer that receives everything offered, without retransmissions of their own ssrc:
    /// Janus then sends a lost packet again as it was. Janus is to start the handshake: it drops a
    /// ClientHello that comes before its own ICE has ended, and only a retransmission gets through.
    pub(super) fn answer(&self, local: &LocalEnd) -> String {
        let sections = self.0.media_descriptions.iter().map(|offered| {
            let kind = &offered.media_name.media;
            let mid = value(offered, "mid").unwrap_or_default();
            let direction = if offered.has_attribute("inactive") { "inactive" } else { "recvonly" };
            let rtx = retransmissions(offered);
            let mut section = section(local, kind, mid, "passive");
            section = section.with_property_attribute(direction.into());
            let formats = offered.media_name.formats.iter();
            section.media_name.formats =
                formats.filter(|format| !rtx.contains(&format.as_str())).cloned().collect();
            let repeated = offered.attributes.iter().filter(|attribute| {
                let format = attribute.value.as_deref().and_then(|value| value.split(' ').next());
                let of_rtx = attribute.key != "extmap" && format.is_some_and(|f| rtx.contains(&f));
                REPEATED.contains(&attribute.key.as_str()) && !of_rtx
            });
            section.attributes.extend(repeated.cloned());
            section
        });
        bundle(sections.collect())
    }

    /// Where Janus is, and what this side does in DTLS: it waits unless Janus does.
    ///
    /// # Errors
    /// Something that is needed is not there.
    pub(super) fn remote(&self) -> anyhow::Result<RemoteEnd> {
        let fingerprint = self.attribute("fingerprint")?;
        let fingerprint = fingerprint.strip_prefix("sha-256 ").context("no sha-256 fingerprint")?;
        let remote = Remote {
            address: self.candidate()?,
            ufrag: self.attribute("ice-ufrag")?.to_owned(),
            password: self.attribute("ice-pwd")?.to_owned(),
        };
        let role = if self.attribute("setup")? == "passive" { Role::Client } else { Role::Server };
        Ok(RemoteEnd { offer: Offer { remote, fingerprint: fingerprint.to_owned() }, role })
    }

    /// That an answer takes every source that was offered.
    ///
    /// # Errors
    /// The one that it does not.
    pub(super) fn takes(&self, sources: &[Source]) -> anyhow::Result<()> {
        let sections = &self.0.media_descriptions;
        ensure!(sections.len() == sources.len(), "Janus answers {} sources", sections.len());
        for (section, source) in sections.iter().zip(sources) {
            if section.media_name.port.value == 0 || !section.has_attribute("recvonly") {
                bail!("Janus does not take {}/{}", source.kind, source.codec);
            }
        }
        Ok(())
    }

    /// What Janus says that it understands of feedback; video's, where there is any.
    pub(super) fn feedback(&self) -> Feedback {
        let sections = &self.0.media_descriptions;
        let all = || sections.iter().flat_map(|section| &section.attributes);
        let values = |key: &'static str| {
            all().filter(move |one| one.key == key).filter_map(|one| one.value.as_deref())
        };
        let nack = values("rtcp-fb").any(|value| value.ends_with(" nack"));
        let transport_cc = values("extmap")
            .filter_map(|value| value.split_once(' '))
            .find(|(_, uri)| uri.ends_with(TRANSPORT_CC))
            .and_then(|(id, _)| id.split('/').next()?.parse().ok());
        Feedback { nack, transport_cc }
    }

    /// Of the whole or of the first section: with one bundle it is the same for all.
    fn attribute(&self, key: &'static str) -> anyhow::Result<&str> {
        let session = self.0.attribute(key).map(String::as_str);
        let first = || self.0.media_descriptions.iter().find_map(|section| value(section, key));
        session.or_else(first).with_context(|| format!("no {key} in Janus's description"))
    }

    /// The first UDP candidate's address.
    fn candidate(&self) -> anyhow::Result<SocketAddr> {
        let attributes = self.0.media_descriptions.iter().flat_map(|section| &section.attributes);
        let values = attributes.filter(|one| one.key == "candidate");
        for candidate in values.filter_map(|one| one.value.as_deref()) {
            // RFC 8839 §5.1: foundation, component, transport, priority, address, port.
            let fields: Vec<_> = candidate.split(' ').collect();
            if let [_, _, transport, _, ip, port, ..] = fields[..]
                && transport.eq_ignore_ascii_case("udp")
            {
                return Ok(SocketAddr::new(ip.parse()?, port.parse()?));
            }
        }
        bail!("no UDP candidate in Janus's description")
    }
}

fn value<'a>(section: &'a MediaDescription, key: &str) -> Option<&'a str> {
    section.attribute(key).flatten()
}

/// Formats of an offered section that carry retransmissions (RFC 4588).
fn retransmissions(offered: &MediaDescription) -> Vec<&str> {
    let maps = offered.attributes.iter().filter(|one| one.key == "rtpmap");
    let maps = maps.filter_map(|one| one.value.as_deref()?.split_once(' '));
    maps.filter(|(_, codec)| codec.starts_with("rtx/")).map(|(format, _)| format).collect()
}

/// A section without formats and direction.
fn section(local: &LocalEnd, kind: &str, mid: &str, setup: &str) -> MediaDescription {
    let section = MediaDescription::new_jsep_media_description(kind.into(), Vec::new())
        .with_value_attribute("mid".into(), mid.into())
        .with_ice_credentials(local.ufrag.clone(), local.password.clone())
        .with_fingerprint("sha-256".into(), local.fingerprint.clone())
        .with_value_attribute("setup".into(), setup.into())
        .with_property_attribute("rtcp-mux".into());
    let LocalEnd { address, .. } = local;
    if address.ip().is_unspecified() || address.port() == 0 {
        // Janus learns it from the first check.
        return section;
    }
    let candidate = format!("1 1 udp 2113937151 {} {} typ host", address.ip(), address.port());
    section.with_candidate(candidate)
}

fn bundle(sections: Vec<MediaDescription>) -> String {
    let mids: Vec<_> = sections.iter().filter_map(|section| value(section, "mid")).collect();
    let group = format!("BUNDLE {}", mids.join(" "));
    let mut session = SessionDescription::new_jsep_session_description(false)
        .with_value_attribute("group".into(), group);
    session.media_descriptions = sections;
    session.marshal()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Janus writes them, shortened.
    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 10.9.0.1\r\ns=VideoRoom room\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=fingerprint:sha-256 AB:CD\r\na=ice-lite\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 10.9.0.1\r\na=inactive\r\na=mid:0\r\n\
        a=ice-ufrag:uuuu\r\na=ice-pwd:pppp\r\na=setup:actpass\r\na=rtpmap:111 opus/48000/2\r\n\
        a=candidate:1 1 udp 2015363327 10.9.0.1 57588 typ host\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 10.9.0.1\r\na=sendonly\r\na=mid:1\r\n\
        a=ice-ufrag:uuuu\r\na=ice-pwd:pppp\r\na=setup:actpass\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\n\
        a=fmtp:97 apt=96\r\n\
        a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";

    fn local() -> LocalEnd {
        LocalEnd {
            ufrag: "ours".into(),
            password: "secret".into(),
            fingerprint: "12:34".into(),
            address: ([10, 9, 0, 2], 4000).into(),
        }
    }

    #[test]
    fn an_offer_is_answered_section_by_section() {
        let answer = Description::parse(OFFER).expect("an offer").answer(&local());
        let sections: Vec<_> = answer.split("m=").collect();
        let [session, audio, video] = sections[..] else { panic!("{answer}") };
        assert!(session.contains("a=group:BUNDLE 0 1\r\n"), "{session}");
        assert!(audio.contains("a=mid:0\r\n") && audio.contains("a=inactive\r\n"), "{audio}");
        assert!(video.starts_with("video 9 UDP/TLS/RTP/SAVPF 96\r\n"), "{video}");
        let has = [
            "a=mid:1",
            "a=recvonly",
            "a=setup:passive",
            "a=ice-ufrag:ours",
            "a=fingerprint:sha-256 12:34",
            "a=candidate:1 1 udp 2113937151 10.9.0.2 4000 typ host",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 nack",
            "a=extmap:3 http",
        ];
        let lacks: Vec<_> = has.iter().filter(|line| !video.contains(*line)).collect();
        assert!(lacks.is_empty() && !video.contains("97"), "no {lacks:?}, or rtx, in {video}");
    }

    #[test]
    fn an_offer_says_where_janus_is_and_what_it_understands() {
        let offer = Description::parse(OFFER).expect("an offer");
        let RemoteEnd { offer: remote, role } = offer.remote().expect("it is complete");
        assert_eq!(remote.remote.address, ([10, 9, 0, 1], 57588).into());
        assert_eq!((remote.remote.ufrag.as_str(), remote.fingerprint.as_str()), ("uuuu", "AB:CD"));
        assert_eq!(role, Role::Server);
        assert_eq!(offer.feedback(), Feedback { nack: true, transport_cc: Some(3) });
    }

    #[test]
    fn what_is_missing_is_named() {
        for (line, word) in [
            ("a=fingerprint:sha-256 AB:CD", "fingerprint"),
            ("a=ice-pwd:pppp", "ice-pwd"),
            ("a=candidate:1 1 udp 2015363327 10.9.0.1 57588 typ host", "candidate"),
        ] {
            let offer = OFFER.replace(&format!("{line}\r\n"), "");
            let refused = Description::parse(&offer).expect("an offer").remote().err();
            let refused = refused.expect("it is incomplete").to_string();
            assert!(refused.contains(word), "{refused}");
        }
        assert!(Description::parse("no description").is_err());
    }
}
