//! One ICE + DTLS association of a peer, as a media thread has it once it is connected: addresses,
//! keys, what it sends and what it receives.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::feedback::TransportFeedback;
use super::log::SourceLog;
use super::stream::StreamRx;
use crate::sfu::Feedback;
use crate::srtp::{Opener, Sealer};

/// What a connected association needs.
pub struct Connected {
    /// The server's address.
    pub remote: SocketAddrV4,
    /// A STUN check that may be sent over and over: keeps the server's consent.
    pub check: Vec<u8>,
    /// Of this side's ICE: some servers that call themselves lite make checks all the same.
    pub password: String,
    /// Seals what is sent.
    pub sealer: Sealer,
    /// Opens what is received.
    pub opener: Opener,
    /// Opens and verifies every packet, and gives transport-wide feedback.
    pub probe: bool,
    /// The RTP streams that it receives are told about with this SSRC.
    pub own_ssrc: u32,
}

/// An association.
pub struct Link {
    /// Its own address.
    pub local: Ipv4Addr,
    /// STUN and DTLS go here, as long as somebody reads.
    pub door: mpsc::Sender<Bytes>,
    /// There once it is connected.
    pub connected: Option<Connected>,
    /// Indices of what it sends.
    pub sources: Vec<usize>,
    /// SSRCs of the streams that have begun, beside [`Link::streams`]: a short list that is
    /// looked through for each packet.
    pub ssrcs: Vec<u32>,
    /// In the same order; those that have not begun come after.
    pub streams: Vec<StreamRx>,
    /// Streams of no use to anybody: padding, retransmissions.
    pub foreign: Vec<u32>,
    /// What feedback the server wants.
    pub feedback: Feedback,
    /// For [`Feedback::transport_cc`].
    pub transport: TransportFeedback,
    /// Nanoseconds between requests for key frames that nobody needs; 0: none.
    pub ask_every: u64,
    /// A look for missing packets is coming.
    pub nack_due: bool,
    /// A look for streams that wait for a key frame is coming.
    pub key_frame_due: bool,
    /// How often its timer came.
    pub beats: u32,
}

impl Link {
    /// One that is not connected yet.
    pub fn new(local: Ipv4Addr, door: mpsc::Sender<Bytes>) -> Self {
        Self {
            local,
            door,
            connected: None,
            sources: Vec::new(),
            ssrcs: Vec::new(),
            streams: Vec::new(),
            foreign: Vec::new(),
            feedback: Feedback::default(),
            transport: TransportFeedback::default(),
            ask_every: 0,
            nack_due: false,
            key_frame_due: false,
            beats: 0,
        }
    }

    /// Wants a source from `asked_at` on.
    pub fn expect(&mut self, source: u32, log: Arc<SourceLog>, asked_at: u64) {
        self.streams.push(StreamRx::new(source, log, asked_at));
    }

    /// Which stream has this SSRC.
    pub fn find(&self, ssrc: u32) -> Option<usize> {
        self.ssrcs.iter().position(|known| *known == ssrc)
    }

    /// A packet of `ssrc` was opened and is `source`'s: from now on its stream has that SSRC.
    /// `None` if the source is not wanted.
    pub fn bind(&mut self, ssrc: u32, source: u32) -> Option<usize> {
        let at = self.streams.iter().position(|stream| stream.source == source)?;
        if at < self.ssrcs.len() {
            self.ssrcs[at] = ssrc;
            return Some(at);
        }
        let begun = self.ssrcs.len();
        self.streams.swap(at, begun);
        self.ssrcs.push(ssrc);
        Some(begun)
    }

    /// Does not want a source any more; hands out what its stream was.
    pub fn forget(&mut self, source: u32) -> Option<StreamRx> {
        let at = self.streams.iter().position(|stream| stream.source == source)?;
        if at < self.ssrcs.len() {
            self.ssrcs.remove(at);
        }
        Some(self.streams.remove(at))
    }

    /// Streams that have begun, with their SSRCs.
    pub fn begun(&self) -> impl Iterator<Item = (u32, &StreamRx)> {
        self.ssrcs.iter().copied().zip(&self.streams)
    }
}
