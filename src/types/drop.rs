//! Why a packet, or a message, went no further. Every one ends in exactly one of these or goes on.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// Why something received was not used, or something to send was not sent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $name,)*
        }

        impl DropReason {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// Stable name for logs and statistics.
            pub fn label(self) -> &'static str {
                match self {
                    $(DropReason::$name => $label,)*
                }
            }
        }
    };
}

drop_reasons! {
    /// First byte is none of STUN, DTLS, RTP (RFC 7983), or the datagram is empty.
    Unknown => "unknown",
    /// The datagram was longer than a receive slot.
    Truncated => "truncated",
    /// Not a STUN message, or a malformed one.
    StunMalformed => "stun_malformed",
    /// STUN, but not a Binding request.
    StunNotRequest => "stun_not_request",
    /// USERNAME absent, or its local part names no transport.
    StunUnknownUfrag => "stun_unknown_ufrag",
    /// MESSAGE-INTEGRITY absent or wrong.
    StunBadIntegrity => "stun_bad_integrity",
    /// A check that had come before, from another address.
    StunReplay => "stun_replay",
    /// A check from an address that leads to as many other transports as may be.
    PathTaken => "path_taken",
    /// DTLS to an address from which too little has come, nothing of it only the client's to send.
    Unverified => "unverified",
    /// DTLS, RTP or RTCP from an address that no check has opened.
    NoPath => "no_path",
    /// A DTLS record while the transport can take none.
    DtlsUnexpected => "dtls_unexpected",
    /// Too many DTLS datagrams wait for their step already. DTLS sends again.
    HandshakeBacklog => "handshake_backlog",
    /// RTP or RTCP before there are keys.
    NoKeys => "no_keys",
    /// RTP header does not parse.
    RtpMalformed => "rtp_malformed",
    /// RTCP does not parse to its end; what stands before that is used.
    RtcpMalformed => "rtcp_malformed",
    /// The authentication tag is wrong.
    SrtpBadTag => "srtp_bad_tag",
    /// Received already, or too old to tell (RFC 3711 §3.3.2).
    SrtpReplay => "srtp_replay",
    /// Beyond the 2^48 packets, or the SSRCs, that one key can be used for (RFC 3711 §9.2).
    IndexSpent => "index_spent",
    /// Authentic, but belongs to no Receiver.
    NoReceiver => "no_receiver",
    /// Payload type that the source did not declare.
    PayloadType => "payload_type",
    /// Another encoding than the one that is forwarded.
    OtherEncoding => "other_encoding",
    /// A retransmission that brings nothing new: padding, or a packet that had come.
    Rtx => "rtx",
    /// Its transport brings more than it may in a second.
    Bitrate => "bitrate",
    /// The Receiver is paused.
    ReceiverPaused => "receiver_paused",
    /// The Sender is stopped, or its transport cannot send.
    SenderStopped => "sender_stopped",
    /// The Sender waits for a key frame.
    AwaitingKeyFrame => "awaiting_key_frame",
    /// From before the point where the Sender (re)started; its number is taken.
    Late => "late",
    /// The packet would not fit into a datagram.
    TooLong => "too_long",
    /// No room in the send arena.
    EgressFull => "egress_full",
    /// The socket would block, or the kernel had no buffer.
    SendBlocked => "send_blocked",
    /// The kernel refused this datagram.
    SendRefused => "send_refused",
    /// A notification from a client that is unknown, malformed or in a wrong state.
    SignalIgnored => "signal_ignored",
}

/// How many reasons there are.
pub const DROP_REASONS: usize = DropReason::ALL.len();
