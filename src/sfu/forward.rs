//! Steps 6 and 7 of a packet: the fan-out loop, nothing else.

use slotmap::SlotMap;

use super::Outbox;
use super::association::Association;
use super::receiver::Receiver;
use super::sender::Sender;
use super::turn::{Packets, Staged};
use crate::transport::srtp::SrtpTx;
use crate::types::{DropReason, Path, ShardStats, Timestamp, TransportKey};
use crate::wire::rtp;

/// Sends what a turn has of a Receiver to each of its Senders: all of it to one, then all of it to
/// the next.
pub(super) fn fan_out(
    now: Timestamp,
    receiver: &mut Receiver,
    packets: Packets<'_>,
    transports: &mut SlotMap<TransportKey, Association>,
    stats: &mut ShardStats,
    out: &mut impl Outbox,
) {
    let mut awaiting_key_frame = false;
    for sender in receiver.senders.values_mut() {
        let transport = transports.get_mut(sender.transport);
        let Some((path, tx)) = transport.and_then(|association| association.transport.tx()) else {
            sender.interrupt();
            stats.drop_many(DropReason::SenderStopped, packets.clone().count() as u64);
            continue;
        };
        sender.seal_with(tx);
        for (packet, bytes) in packets.clone() {
            match send(sender, packet, bytes, path, tx, out) {
                Ok(()) => {
                    stats.rtp_forwarded += 1;
                    stats.tx_padding_bytes += packet.evened as u64;
                }
                Err(reason) => stats.drop(reason),
            }
        }
        awaiting_key_frame |= sender.awaits_key_frame();
    }
    if awaiting_key_frame {
        receiver.ask_key_frame(now);
    }
}

/// One packet to one viewer: copied behind what goes there already, numbered, sealed.
fn send(
    sender: &mut Sender,
    packet: &Staged,
    bytes: &[u8],
    path: Path,
    tx: &SrtpTx,
    out: &mut impl Outbox,
) -> Result<(), DropReason> {
    let (index, timestamp) = sender.fit(&packet.arrival)?;
    let slot = out.slot().ok_or(DropReason::EgressFull)?;
    slot[..bytes.len()].copy_from_slice(bytes);
    rtp::set_numbers(slot, index.seq(), timestamp);
    let len = tx.seal_rtp(slot, packet.header_len, bytes.len(), index);
    out.commit(path, len);
    sender.stream.handle_sent(bytes.len() - packet.header_len - packet.evened);
    Ok(())
}
