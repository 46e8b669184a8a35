//! Every bound of the server, with the relations between them checked when it is compiled.

use std::time::Duration;

/// Bytes of one datagram slot, received or sent: an Ethernet frame's IP payload. What is longer
/// was not made for the Internet and is dropped as `Truncated` or `TooLong`.
pub const DATAGRAM_MAX: usize = 1500;

/// Packets that a shard's history has room for at least: several turns, so that none is overwritten
/// before it was sent.
pub const HISTORY_PACKETS_MIN: usize = 512;

/// Packets that one NACK may say are missed: as many as libwebrtc keeps track of. More is not
/// looked at.
pub const NACKED_MAX: usize = 1000;

/// Bytes of packets that a shard keeps to send again, where nothing else is said.
pub const HISTORY_BYTES: usize = 32 << 20;

/// Datagrams in one train at most: what a viewer's queue and the network take as one burst.
pub const TRAIN_MAX: usize = 16;

/// Longest authentication trailer that sealing adds: 16 (GCM tag) + 4 (SRTCP index).
pub const SRTP_TRAILER_MAX: usize = 20;

/// Longest `roomId` and `peerName` in bytes (PROTOCOL section 2).
pub const NAME_MAX: usize = 128;

/// Largest WebSocket frame from a client (PROTOCOL section 2).
pub const FRAME_MAX: usize = 256 * 1024;

/// Bytes queued for one client, besides the longest message, before it is closed as a slow reader
/// however it reads (PROTOCOL section 2).
pub const SIGNAL_QUEUE_MAX: usize = 8 * 1024 * 1024;

/// Bytes that may be queued in the same way for a client that takes nothing for
/// [`SIGNAL_STALL_MAX`].
pub const SIGNAL_UNREAD_MAX: usize = 1024 * 1024;

/// How long a client may take nothing while more than [`SIGNAL_UNREAD_MAX`] waits for it.
pub const SIGNAL_STALL_MAX: Duration = Duration::from_secs(10);

/// Bytes of memory that a shard has for what is queued for its clients; beyond it those go that
/// hold most.
pub const SIGNAL_QUEUES_MAX: usize = 256 * 1024 * 1024;

/// Bytes in one frame to a client: a longer message is sent in several.
pub const FRAGMENT_MAX: usize = 32 * 1024;

/// Largest `appData` in bytes of JSON (PROTOCOL section 4).
pub const APP_DATA_MAX: usize = 16 * 1024;

/// How many arrays and objects of an `appData` may be inside one another.
pub const APP_DATA_DEPTH_MAX: usize = 32;

/// Bytes of `appData` that one peer and its Receivers are described by, all together. Above it 429.
pub const APP_DATA_PER_PEER_MAX: usize = 64 * 1024;

/// Bytes of them that do not count for the room.
pub const APP_DATA_FREE: usize = 2 * 1024;

/// Bytes of `appData` that a room's peers may be described by beyond [`APP_DATA_FREE`] each: with
/// those, what every answer to `join` brings and every peer's client keeps. Above it 429.
pub const APP_DATA_PER_ROOM_MAX: usize = 16 * 1024 * 1024;

/// Paths remembered by one transport; the oldest goes (PROTOCOL section 5).
pub const PATHS_MAX: usize = 8;

/// Valid checks of one transport whose transactions are remembered: none of them is good on another
/// path. 16 bytes each, as they come: of a client that checks every 2.5 s, the last 85 minutes.
pub const CHECKS_REMEMBERED: usize = 2048;

/// How many times the bytes that came from a path may go there before it has shown that the client
/// is at its end (RFC 9000 §8.1).
pub const UNVERIFIED_FACTOR: usize = 3;

/// Datagrams of a handshake that wait until more has come from where they go: a flight.
pub const FLIGHT_HELD_MAX: usize = 4;

/// Transports that one path leads to.
pub const TRANSPORTS_PER_PATH_MAX: usize = 4;

/// Silence after which a transport has failed (PROTOCOL section 5, RFC 7675 §5.1).
pub const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server waits for the ClientHello of a client that said it would be the DTLS server.
pub const DTLS_ROLE_WAIT: Duration = Duration::from_secs(1);

/// The same where a ClientHello has come that has led nowhere: anybody can forge one.
pub const DTLS_ROLE_PATIENCE: Duration = Duration::from_secs(10);

/// DTLS datagrams of one shard that wait for their step: those of some hundred clients whose
/// handshakes begin at once. 1.5 KB each.
pub const HANDSHAKES_MAX: usize = 512;

/// What one transport may have waiting, as a part of what is free: where it is alone 57, enough
/// for the longest chain of certificates that is read, in datagrams of 400 bytes. The more there
/// are, the less has each, and some are kept free for those who have nothing waiting yet.
pub const HANDSHAKES_SHARE: usize = 8;

/// At most one key frame request per source in this time; also its repetition.
pub const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);

/// How long a video Sender waits for a key frame before it forwards what it cannot read.
pub const KEY_FRAME_WAIT: Duration = Duration::from_secs(3);

/// SSRCs followed on one transport besides those that are declared, and those of SRTCP: of each, a
/// replay window. Who was silent longest makes room.
pub const SSRCS_MAX: usize = 256;

/// SSRCs of one transport that have made room and of which the highest number is still known
/// exactly. Some 100 KB, of a client that has had so many.
pub const SSRCS_RETIRED_MAX: usize = 4096;

/// SSRCs that one transport is sent under in its life: each Sender that is enabled there has its
/// own. A new one every second, for 18 hours.
pub const TX_SSRCS_MAX: usize = 65_536;

/// Receivers of one peer, whatever is configured.
pub const RECEIVERS_PER_PEER_MAX: usize = 32;

/// Encodings of one source.
pub const ENCODINGS_MAX: usize = 8;

/// Certificate fingerprints that a client may state for one transport.
pub const FINGERPRINTS_MAX: usize = 8;

/// Bytes of a source's codec parameters, names and values as JSON; each viewer is sent them.
pub const FMTP_MAX: usize = 2048;

/// Longest `cname` in bytes (an SDES item's length is one octet, RFC 3550 §6.5).
pub const CNAME_MAX: usize = 255;

/// Requests and notifications that one client may send in a burst, as seconds of
/// [`Limits::requests_per_second`]. Above it requests get 429; above four times as many the
/// connection is closed (1008).
pub const REQUESTS_BURST_SECONDS: u32 = 4;

/// What one address may save up of [`Limits::openings_per_address`]: by default 300, more than the
/// connections that it may have. An office that lost its network comes back at once, and who
/// connects and leaves again and again costs a room five joins a second.
pub const ADDRESS_BURST: Duration = Duration::from_secs(60);

/// What one room may save up of [`Limits::openings_per_room`]: by default 300, and 1000 within 35
/// seconds.
pub const ROOM_BURST: Duration = Duration::from_secs(15);

/// What one address may save up of [`Limits::visits_per_address`]: by default 500, so that an
/// office of a hundred can open the page at once.
pub const VISITS_BURST: Duration = Duration::from_secs(10);

/// Bytes that one client may have others told, a second: what each of them hears is counted.
/// Requests beyond it get 429, notifications are ignored. In a room of 3000 that is some 25 mutes,
/// or five new sources, a second for each of them, for ever.
pub const AUDIENCE_RATE: u64 = 16_000_000;

/// The same at once, as seconds of it: in a room of 3000 some twenty new sources.
pub const AUDIENCE_BURST_SECONDS: u64 = 4;

/// What of that a connection begins with, at least, so that nobody has more for coming again and
/// again: 31 KB for each in a room of [`AUDIENCE_MIN`].
pub const AUDIENCE_START: u64 = AUDIENCE_RATE / 2;

/// The same for each who is in a larger room: it joins, and has a few sources announced.
pub const AUDIENCE_START_EACH: u64 = 6_000;

/// A room of fewer counts as if it were so many. So nobody is told more than 250 KB at once and 62
/// KB a second by any one other client, which is a small part of [`SIGNAL_UNREAD_MAX`].
pub const AUDIENCE_MIN: usize = 256;

/// Bounds that whoever runs the server may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rooms of the server. Above it 503.
    pub rooms: usize,
    /// Peers in one room, joined or not. Above it 429.
    pub peers_per_room: usize,
    /// Open transports of one peer, some 20 KiB each. Above it 429.
    pub transports_per_peer: usize,
    /// Receivers of one peer, at most [`RECEIVERS_PER_PEER_MAX`]. Above it 429.
    pub receivers_per_peer: usize,
    /// Requests and notifications of one peer in a second. Above it 429.
    pub requests_per_second: u32,
    /// WebSockets of one address, connections of it for media over TCP, and on each shard those
    /// that are neither yet; each counted by itself. Above it 429.
    pub connections_per_address: u32,
    /// WebSockets that one address opens in a second, and at once as many as in [`ADDRESS_BURST`].
    /// Above it 429.
    pub openings_per_address: u32,
    /// WebSockets that are opened to one room in a second, and in a burst as many as in
    /// [`ROOM_BURST`]. Above it 429.
    pub openings_per_room: u32,
    /// Connections of a shard that are no WebSockets (yet). Above it one that has said nothing yet
    /// has to go, 503.
    pub visitors: u32,
    /// Connections that come to a shard from one address in a second, and in a burst as many as in
    /// [`VISITS_BURST`]. Above it 429. Each is a TLS handshake or a request, half a millisecond.
    pub visits_per_address: u32,
    /// What one transport may bring, in bits a second; what is more is dropped.
    pub bitrate: u64,
    /// Bytes of an `appData`, at most [`APP_DATA_MAX`]. Above it 429.
    pub app_data: usize,
}

impl Limits {
    /// What suits one host.
    pub const DEFAULT: Limits = Limits {
        rooms: 10_000,
        peers_per_room: 10_000,
        transports_per_peer: 16,
        receivers_per_peer: RECEIVERS_PER_PEER_MAX,
        requests_per_second: 100,
        connections_per_address: 256,
        openings_per_address: 5,
        openings_per_room: 20,
        visitors: 1024,
        visits_per_address: 50,
        bitrate: 50_000_000,
        app_data: APP_DATA_MAX,
    };
}

// Who may have so many connections may open them at once.
const _: () = assert!(
    Limits::DEFAULT.openings_per_address as u64 * ADDRESS_BURST.as_secs()
        >= Limits::DEFAULT.connections_per_address as u64
);
// A frame must be able to carry the largest appData beside a full createReceiver.
const _: () = assert!(APP_DATA_MAX * 4 < FRAME_MAX);
// One frame of a client may cause an answer of about its size without closing it as slow.
const _: () = assert!(FRAME_MAX < SIGNAL_UNREAD_MAX && SIGNAL_UNREAD_MAX < SIGNAL_QUEUE_MAX);
// No single client's words make another a slow reader.
const _: () = assert!(
    AUDIENCE_RATE * AUDIENCE_BURST_SECONDS / AUDIENCE_MIN as u64 <= SIGNAL_UNREAD_MAX as u64 / 4
);
// The largest appData can be told to a room of that size, and be kept by whoever has no other.
const _: () = assert!(APP_DATA_FREE < APP_DATA_MAX && APP_DATA_MAX < APP_DATA_PER_PEER_MAX);
// What one message with the largest appData becomes is still one frame.
const _: () = assert!(APP_DATA_MAX + FMTP_MAX + 6 * CNAME_MAX + 2048 < FRAGMENT_MAX);
// Every Receiver of a peer can have four encodings, each with rtx, on one transport.
const _: () = assert!(SSRCS_MAX >= 4 * 2 * RECEIVERS_PER_PEER_MAX);
