//! A client's transport as the model sees it: the association itself, whose it is, and which RTP
//! stream of it belongs to which Receiver or Sender.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;

use super::allowance::Allowance;
use super::timers::Armed;
use crate::media::Arrivals;
use crate::protocol::{Direction, Error, HeaderExtension, SourceParameters};
use crate::transport::Transport;
use crate::transport::srtp::{OpenError, Retired, RtpWindow, SrtpRx};
use crate::types::limit::{DATAGRAM_MAX, SSRCS_MAX};
use crate::types::{
    Deadline, DropReason, Mid, Path, PeerKey, Pt, Reason, ReceiverKey, Rid, SenderKey, SeqNo, Ssrc,
    Timestamp, TransportId, TransportKey,
};
use crate::wire::rtp::RtpHeader;

/// What a client's word on its round trip is taken for at least, and at most.
const ROUND_TRIP_MIN: Duration = Duration::from_millis(5);
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// Which stream of which Receiver a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) receiver: ReceiverKey,
    pub(super) encoding: u8,
    pub(super) rtx: bool,
}

/// An SSRC that the client sends under. It is followed without a target before and after its
/// Receiver's life: what was received once under this transport's key stays received, and the count
/// of roll-overs goes on.
#[derive(Debug)]
struct Stream {
    window: RtpWindow,
    heard_at: Timestamp,
    target: Option<Target>,
    /// The target said that this SSRC is its own, rather than being matched by what a packet says.
    declared: bool,
    /// It has been somebody's, so no payload type makes it another's (PROTOCOL section 6).
    orphaned: bool,
}

/// What a Receiver declared besides SSRCs, to find its packets by.
#[derive(Debug)]
struct Declared {
    receiver: ReceiverKey,
    mid: Option<Mid>,
    rids: Vec<(Rid, u8)>,
    payload_types: Vec<Pt>,
    /// It said neither under which SSRCs nor with which mid its packets come.
    anonymous: bool,
}

/// What a packet says about whose it is.
#[derive(Debug, Default)]
struct Names {
    mid: Option<Mid>,
    rid: Option<Rid>,
    repaired: Option<Rid>,
}

/// Ids of the header extensions that say whose a packet is; one meaning a transport.
#[derive(Debug, Default, Clone, Copy)]
struct RoutingIds {
    mid: Option<u8>,
    rid: Option<u8>,
    repaired_rid: Option<u8>,
    transport_wide: Option<u8>,
}

/// One transport of one peer.
#[derive(Debug)]
pub(super) struct Association {
    pub(super) id: TransportId,
    pub(super) peer: PeerKey,
    pub(super) direction: Option<Direction>,
    /// Made without `dtlsParameters`: this client answers, so it receives here.
    pub(super) client_answers: bool,
    /// Counts up over the Router's life: which transport is the newest.
    pub(super) serial: u64,
    pub(super) transport: Transport,
    /// The SSRC that our reports and requests about received streams come from.
    pub(super) rtcp_ssrc: Ssrc,
    /// When reports are due next; `None` before there are keys.
    pub(super) reports_at: Option<Timestamp>,
    /// When its packets came, where they are counted over the transport.
    pub(super) arrivals: Arrivals,
    /// To the client and back, as its reports tell; smoothed.
    pub(super) round_trip: Option<Duration>,
    pub(super) armed: Armed,
    /// What the client may still send in this second.
    pub(super) allowance: Allowance,
    /// What is sent here, by SSRC.
    pub(super) senders: BTreeMap<Ssrc, (ReceiverKey, SenderKey)>,
    streams: HashMap<Ssrc, Stream, FixedState>,
    /// What had come of SSRCs that are followed no more.
    retired: Retired,
    declared: Vec<Declared>,
    ids: RoutingIds,
}

/// What a transport is made from.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: TransportId,
    pub(super) peer: PeerKey,
    pub(super) direction: Option<Direction>,
    pub(super) client_answers: bool,
    pub(super) serial: u64,
    pub(super) rtcp_ssrc: Ssrc,
}

impl Association {
    pub(super) fn new(made: Made, transport: Transport, hasher: FixedState) -> Self {
        Self {
            id: made.id,
            peer: made.peer,
            direction: made.direction,
            client_answers: made.client_answers,
            serial: made.serial,
            transport,
            rtcp_ssrc: made.rtcp_ssrc,
            reports_at: None,
            arrivals: Arrivals::default(),
            round_trip: None,
            armed: Armed::default(),
            allowance: Allowance::default(),
            senders: BTreeMap::new(),
            streams: HashMap::with_hasher(hasher),
            retired: Retired::default(),
            declared: Vec::new(),
            ids: RoutingIds::default(),
        }
    }

    /// Steps 3 and 4 for RTP: finds the stream, opens the packet in place, and only then learns
    /// from it. The plain packet's length, its extended number and whose it is.
    pub(super) fn open_rtp(
        &mut self,
        now: Timestamp,
        path: Path,
        header: &RtpHeader,
        packet: &mut [u8],
    ) -> Result<(usize, SeqNo, Target), DropReason> {
        let known = self.streams.get(&header.ssrc);
        let target = match known {
            Some(stream) if stream.declared => stream.target,
            _ => self.resolve(header, packet, known),
        };
        let unknown;
        let window = match known {
            Some(stream) => &stream.window,
            None => {
                unknown = fresh_window(&self.retired, header.ssrc);
                &unknown
            }
        };
        let (seq, is_first) = (window.estimate(header.seq), window.highest().is_none());
        window.check(seq).map_err(drop_reason)?;
        let rx = self.transport.rx().ok_or(DropReason::NoKeys)?;
        let (len, seq) = match is_first {
            true => open_first(rx, packet, header, seq)?,
            false => (rx.open_rtp(packet, header.len, header.ssrc, seq).map_err(drop_reason)?, seq),
        };
        self.transport.ice_mut().handle_authentic(now, path);
        if let Some(seq) = self.ids.transport_wide_seq(header, packet) {
            self.arrivals.note(now, seq, header.ssrc);
        }
        // An SSRC that we send under is not the client's to use.
        let target = target.filter(|_| !self.senders.contains_key(&header.ssrc));
        let stream = self.stream(now, header.ssrc);
        stream.window.accept(seq);
        stream.heard_at = now;
        stream.target = target;
        stream.orphaned &= target.is_none();
        Ok((len, seq, target.ok_or(DropReason::NoReceiver)?))
    }

    /// An authentic retransmission holds the packet of this stream that had this number: its
    /// extended one, if the packet has not come before.
    pub(super) fn repeat(&mut self, now: Timestamp, ssrc: Ssrc, seq: u16) -> Option<SeqNo> {
        let stream = self.streams.get_mut(&ssrc)?;
        stream.window.highest()?;
        let seq = stream.window.estimate(seq);
        stream.window.take(seq).ok()?;
        stream.heard_at = now;
        Some(seq)
    }

    /// The stream of an SSRC, made if it is new.
    fn stream(&mut self, now: Timestamp, ssrc: Ssrc) -> &mut Stream {
        if self.streams.len() >= SSRCS_MAX && !self.streams.contains_key(&ssrc) {
            self.make_room();
        }
        let (streams, retired) = (&mut self.streams, &self.retired);
        streams.entry(ssrc).or_insert_with(|| Stream {
            window: fresh_window(retired, ssrc),
            heard_at: now,
            target: None,
            declared: false,
            orphaned: retired.highest(ssrc).is_some(),
        })
    }

    /// Where there are as many undeclared SSRCs as may be, the one that was silent longest is
    /// followed no more, of those that are nobody's if there are any. What has come of it is a
    /// replay all the same if it comes again.
    fn make_room(&mut self) {
        let undeclared = self.streams.iter().filter(|(_, stream)| !stream.declared);
        if undeclared.clone().count() < SSRCS_MAX {
            return;
        }
        let silent = undeclared.min_by_key(|(ssrc, it)| (it.target.is_some(), it.heard_at, **ssrc));
        let silent = silent.map(|(ssrc, _)| *ssrc);
        if let Some((ssrc, stream)) = silent.and_then(|ssrc| self.streams.remove_entry(&ssrc))
            && let Some(highest) = stream.window.highest()
        {
            self.retired.put(ssrc, highest.0);
        }
    }

    /// Opens a compound RTCP packet in place; its plain length.
    pub(super) fn open_rtcp(
        &mut self,
        now: Timestamp,
        path: Path,
        packet: &mut [u8],
    ) -> Result<usize, DropReason> {
        let rx = self.transport.rx().ok_or(DropReason::NoKeys)?;
        let len = rx.open_rtcp(packet).map_err(|error| match error {
            OpenError::TooShort => DropReason::RtcpMalformed,
            error => drop_reason(error),
        })?;
        self.transport.ice_mut().handle_authentic(now, path);
        Ok(len)
    }

    /// Whose a packet is under an SSRC that nobody has declared (PROTOCOL section 6): whose mid it
    /// names, whatever was thought before; else whose packets of this SSRC were; else whose payload
    /// type it can only be.
    fn resolve(&self, header: &RtpHeader, packet: &[u8], known: Option<&Stream>) -> Option<Target> {
        let names = self.ids.read(header, packet);
        let before = known.and_then(|stream| stream.target);
        if let Some(mid) = names.mid {
            // RFC 9143 §9.2: a mid that is nobody's makes the packet nobody's.
            let named = self.declared.iter().find(|declared| declared.mid == Some(mid))?;
            let same = before.filter(|before| before.receiver == named.receiver);
            return if names.has_rid() {
                named.target(&names)
            } else {
                same.or(named.target(&names))
            };
        }
        if before.is_some() || known.is_some_and(|stream| stream.orphaned) {
            return before;
        }
        let mut users = self
            .declared
            .iter()
            .filter(|declared| declared.anonymous && declared.payload_types.contains(&header.pt));
        let only = users.next().filter(|_| self.retired.highest(header.ssrc).is_none())?;
        if users.next().is_some() { None } else { only.target(&names) }
    }

    /// Whose this SSRC is, where that is known for sure.
    pub(super) fn target(&self, ssrc: Ssrc) -> Option<Target> {
        self.streams.get(&ssrc)?.target
    }

    /// Whether the client sends, or has said it will send, under this SSRC.
    pub(super) fn receives(&self, ssrc: Ssrc) -> bool {
        self.target(ssrc).is_some()
    }

    /// The Receivers on this transport, in the order they were made.
    pub(super) fn receivers(&self) -> impl Iterator<Item = ReceiverKey> {
        self.declared.iter().map(|declared| declared.receiver)
    }

    /// Whether a source contradicts what others on this transport declared.
    pub(super) fn check_source(&self, source: &SourceParameters) -> Result<(), Error> {
        for ssrc in source.encodings.iter().flat_map(|e| [e.ssrc, e.rtx_ssrc]).flatten() {
            // What an SSRC was matched to before somebody declared it was a guess.
            let declared = self.streams.get(&ssrc).is_some_and(|stream| stream.declared);
            if declared || self.senders.contains_key(&ssrc) {
                return Err(taken("encodings[].ssrc", ssrc));
            }
        }
        if let Some(mid) = source.mid
            && self.declared.iter().any(|declared| declared.mid == Some(mid))
        {
            return Err(taken("muxId", format_args!("{mid:?}")));
        }
        self.ids.merge(source).map(|_| ())
    }

    /// Sends under `ssrc` from now on. A client that took it meanwhile is not heard under it.
    pub(super) fn add_sender(&mut self, ssrc: Ssrc, receiver: ReceiverKey, sender: SenderKey) {
        self.senders.insert(ssrc, (receiver, sender));
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            stream.target = None;
        }
    }

    /// Takes a source in that [`Association::check_source`] let pass.
    pub(super) fn add_source(
        &mut self,
        now: Timestamp,
        receiver: ReceiverKey,
        source: &SourceParameters,
    ) {
        if let Ok(ids) = self.ids.merge(source) {
            self.ids = ids;
        }
        for (encoding, declared) in (0..).zip(&source.encodings) {
            for (ssrc, rtx) in [(declared.ssrc, false), (declared.rtx_ssrc, true)] {
                if let Some(ssrc) = ssrc {
                    let stream = self.stream(now, ssrc);
                    stream.target = Some(Target { receiver, encoding, rtx });
                    (stream.declared, stream.orphaned) = (true, false);
                }
            }
        }
        let rids = (0..).zip(&source.encodings);
        self.declared.push(Declared {
            receiver,
            mid: source.mid,
            rids: rids.filter_map(|(index, e)| e.rid.map(|rid| (rid, index))).collect(),
            payload_types: source.payload_types.iter().map(|(pt, _)| *pt).collect(),
            anonymous: source.mid.is_none()
                && source.encodings.iter().all(|it| it.ssrc.or(it.rtx_ssrc).is_none()),
        });
    }

    /// Forgets a Receiver; what comes on its SSRCs belongs to nobody until somebody declares them,
    /// or a packet names somebody.
    pub(super) fn remove_source(&mut self, receiver: ReceiverKey) {
        for stream in self.streams.values_mut() {
            if stream.target.is_some_and(|target| target.receiver == receiver) {
                (stream.target, stream.declared, stream.orphaned) = (None, false, true);
            }
        }
        self.declared.retain(|declared| declared.receiver != receiver);
        if self.declared.is_empty() {
            self.ids = RoutingIds::default();
        }
    }

    /// A client's report tells a round trip, whatever it may say.
    pub(super) fn note_round_trip(&mut self, latest: Duration) {
        let latest = latest.clamp(ROUND_TRIP_MIN, ROUND_TRIP_MAX);
        // RFC 6298 §2 smooths so.
        self.round_trip = Some(self.round_trip.map_or(latest, |it| (7 * it + latest) / 8));
    }

    /// When this transport has something to do.
    pub(super) fn poll_deadline(&self) -> Option<Deadline> {
        let reports = self.reports_at.map(|at| Deadline { at, reason: Reason::Rtcp });
        let feedback = self.arrivals.poll_deadline();
        let feedback = feedback.map(|at| Deadline { at, reason: Reason::Feedback });
        [self.transport.poll_deadline(), reports, feedback].into_iter().flatten().min()
    }
}

impl Declared {
    /// Which of its streams a packet is of; `None`: one that it did not declare.
    fn target(&self, names: &Names) -> Option<Target> {
        let encoding = match names.repaired.or(names.rid) {
            Some(rid) if !self.rids.is_empty() => {
                self.rids.iter().find(|(known, _)| *known == rid)?.1
            }
            _ => 0,
        };
        Some(Target { receiver: self.receiver, encoding, rtx: names.repaired.is_some() })
    }
}

impl Names {
    fn has_rid(&self) -> bool {
        self.rid.or(self.repaired).is_some()
    }
}

impl RoutingIds {
    /// What a packet says in these extensions.
    fn read(&self, header: &RtpHeader, packet: &[u8]) -> Names {
        let mut names = Names::default();
        if self.mid.or(self.rid).or(self.repaired_rid).is_none() {
            return names;
        }
        for (id, element) in header.extensions(packet) {
            match Some(id) {
                id if id == self.mid => names.mid = Mid::new(element),
                id if id == self.rid => names.rid = Rid::new(element),
                id if id == self.repaired_rid => names.repaired = Rid::new(element),
                _ => {}
            }
        }
        names
    }

    /// A packet's number among all of its transport.
    fn transport_wide_seq(&self, header: &RtpHeader, packet: &[u8]) -> Option<u16> {
        let id = self.transport_wide?;
        let (_, element) = header.extensions(packet).find(|(other, _)| *other == id)?;
        Some(u16::from_be_bytes(element.try_into().ok()?))
    }

    /// With a further source's ids; an id or a meaning that is taken otherwise is an error.
    fn merge(mut self, source: &SourceParameters) -> Result<Self, Error> {
        for (extension, id) in &source.extensions {
            let slot = match extension {
                HeaderExtension::Mid => &mut self.mid,
                HeaderExtension::RtpStreamId => &mut self.rid,
                HeaderExtension::RepairedRtpStreamId => &mut self.repaired_rid,
                HeaderExtension::TransportWideCc => &mut self.transport_wide,
                _ => continue,
            };
            if slot.is_some_and(|taken| taken != *id) {
                return Err(taken("headerExtensions[].id", id));
            }
            *slot = Some(*id);
        }
        Ok(self)
    }
}

fn taken(field: &str, value: impl std::fmt::Display) -> Error {
    Error::bad_request(format!("rtpParameters.{field}: {value} is taken on this transport"))
}

/// Opens a packet of an SSRC of which nothing has come yet. Where a stream starts just before the
/// sequence rolls over and its first packets are lost, this one is of roll-over count 1.
#[cold]
fn open_first(
    rx: &SrtpRx,
    packet: &mut [u8],
    header: &RtpHeader,
    seq: SeqNo,
) -> Result<(usize, SeqNo), DropReason> {
    let mut copy = [0; DATAGRAM_MAX];
    let copy = copy.get_mut(..packet.len()).ok_or(DropReason::TooLong)?;
    copy.copy_from_slice(packet);
    match rx.open_rtp(packet, header.len, header.ssrc, seq) {
        Err(OpenError::BadTag) if header.seq < 1 << 15 => {
            let seq = SeqNo(seq.0 + (1 << 16));
            packet.copy_from_slice(copy);
            let len = rx.open_rtp(packet, header.len, header.ssrc, seq).map_err(drop_reason)?;
            Ok((len, seq))
        }
        opened => Ok((opened.map_err(drop_reason)?, seq)),
    }
}

/// Of an SSRC that is not followed: nothing has come yet, or nobody knows what but how far.
fn fresh_window(retired: &Retired, ssrc: Ssrc) -> RtpWindow {
    retired.highest(ssrc).map_or_else(RtpWindow::new, RtpWindow::behind)
}

fn drop_reason(error: OpenError) -> DropReason {
    match error {
        OpenError::TooShort => DropReason::RtpMalformed,
        OpenError::BadTag => DropReason::SrtpBadTag,
        OpenError::Replay => DropReason::SrtpReplay,
        OpenError::IndexSpent => DropReason::IndexSpent,
    }
}

/// A transport's key beside what it is, for sorting by age.
pub(super) fn newest<'a>(
    transports: impl Iterator<Item = (TransportKey, &'a Association)>,
) -> Option<TransportKey> {
    transports.max_by_key(|(_, association)| association.serial).map(|(key, _)| key)
}

#[cfg(test)]
mod tests;
