//! Steps 6 and 7 of a packet: the fan-out loop, nothing else.

use slotmap::SlotMap;

use super::Outbox;
use super::association::Association;
use super::receiver::Receiver;
use super::sender::Arrival;
use crate::types::limit::{DATAGRAM_MAX, SRTP_TRAILER_MAX};
use crate::types::{DropReason, SeqNo, ShardStats, TransportKey};
use crate::wire::rtp::RtpHeader;

/// Sends one packet of a Receiver to each of its Senders. `packet` is plain and reads as every
/// Sender's does but for sequence number and timestamp.
pub(super) fn fan_out(
    receiver: &mut Receiver,
    arrival: &Arrival,
    header: &RtpHeader,
    packet: &[u8],
    transports: &mut SlotMap<TransportKey, Association>,
    stats: &mut ShardStats,
    out: &mut impl Outbox,
) {
    if packet.len() + SRTP_TRAILER_MAX > DATAGRAM_MAX {
        return stats.drop(DropReason::TooLong);
    }
    let mut awaiting_key_frame = false;
    for sender in receiver.senders.values_mut() {
        let transport = transports.get_mut(sender.transport);
        let Some((path, tx)) = transport.and_then(|association| association.transport.tx()) else {
            sender.interrupt();
            stats.drop(DropReason::SenderStopped);
            continue;
        };
        let (seq, timestamp) = match sender.fit(arrival) {
            Ok(numbers) => numbers,
            Err(reason) => {
                awaiting_key_frame |= reason == DropReason::AwaitingKeyFrame;
                stats.drop(reason);
                continue;
            }
        };
        let Some(slot) = out.slot() else {
            stats.drop(DropReason::EgressFull);
            continue;
        };
        slot[..packet.len()].copy_from_slice(packet);
        set_numbers(slot, seq, timestamp);
        let len = tx.seal_rtp(slot, header.len, packet.len(), sender.stream.ssrc(), seq);
        out.commit(path, len);
        sender.stream.handle_sent(packet.len() - header.len);
        stats.rtp_forwarded += 1;
    }
    if awaiting_key_frame {
        receiver.ask_key_frame(arrival.now);
    }
}

/// RFC 3550 §5.1: sequence number and timestamp are bytes 2 to 7.
fn set_numbers(packet: &mut [u8], seq: SeqNo, timestamp: u32) {
    packet[2..4].copy_from_slice(&seq.wire().to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
}
