//! L1: bytes to values and back. Stateless, sans-IO, without allocation on the way in.
//!
//! `sfu` asks [`demux`] what a datagram is and hands it on: STUN to [`stun`], for `transport`'s
//! ICE-lite; RTP to [`rtp`], whose header is in the clear before the packet is decrypted; RTCP,
//! once decrypted, to [`rtcp`]. [`codec`] looks into a decrypted payload as far as forwarding
//! needs to: where a key frame starts. DTLS records are dimpl's to read.
//!
//! Everything here reads what strangers send. A parser returns a value or the `DropReason`, never
//! panics, borrows from the datagram instead of copying, and does work in proportion to its
//! length. Writers write into the caller's buffer. What belongs together over several packets
//! (sequence numbers, reports, requests) is `media`'s; secrets and replay are `transport`'s.
//!
//! RFC 7983 and 5761 (demultiplexing), 8489 and 8445 (STUN for ICE), 3550 and 8285 (RTP), 3550,
//! 4585, 5104 and 5506 (RTCP); the payload formats are named in [`codec`].

pub mod codec;
pub mod demux;
pub mod rtcp;
pub mod rtp;
pub mod rtp_ext;
pub mod rtx;
pub mod stun;
