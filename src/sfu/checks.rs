//! STUN: checks are judged by their credentials, wherever they come from, and open paths.

use super::Outbox;
use super::handshakes::send_held;
use super::router::Router;
use crate::transport::Check;
use crate::transport::ice::{Freshness, Ufrag};
use crate::types::{DropReason, Path, Timestamp, TransportKey};
use crate::wire::stun::{self, BindingRequest, IceRole};

/// RFC 8445 §7.3.1.1.
const ROLE_CONFLICT: u16 = 487;
/// RFC 8489 §6.3.1.
const UNKNOWN_ATTRIBUTE: u16 = 420;

impl Router {
    /// A STUN message is judged by its credentials, wherever it comes from.
    pub(super) fn handle_stun(
        &mut self,
        now: Timestamp,
        path: Path,
        datagram: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), DropReason> {
        let request = BindingRequest::parse(datagram)?;
        let ufrag: &Ufrag =
            request.username_local.try_into().map_err(|_| DropReason::StunUnknownUfrag)?;
        let key = *self.ufrags.get(ufrag).ok_or(DropReason::StunUnknownUfrag)?;
        let association = self.transports.get_mut(key).ok_or(DropReason::StunUnknownUfrag)?;
        let credentials = association.transport.ice().credentials().find(|it| it.ufrag == *ufrag);
        let credentials = credentials.ok_or(DropReason::StunUnknownUfrag)?;
        if !request.verify(&credentials.key) {
            return Err(DropReason::StunBadIntegrity);
        }
        let transaction = fold(&request.transaction_id);
        let freshness = association.transport.ice().freshness(transaction, path);
        if freshness == Freshness::Replayed {
            return Err(DropReason::StunReplay);
        }
        let slot = out.slot().ok_or(DropReason::EgressFull)?;
        let (id, unknown) = (&request.transaction_id, request.unknown_required.as_slice());
        let refusal = if !unknown.is_empty() {
            Some((UNKNOWN_ATTRIBUTE, "Unknown Attribute"))
        } else if let Some(IceRole::Controlled(_)) = request.role {
            Some((ROLE_CONFLICT, "Role Conflict"))
        } else {
            None
        };
        if let Some((code, reason)) = refusal {
            let len = stun::write_error(slot, id, code, reason, unknown, &credentials.key);
            out.commit(path, len);
            return Ok(());
        }
        let len = stun::write_success(slot, id, path.remote(), &credentials.key);
        if freshness == Freshness::Again {
            out.commit(path, len);
            return Ok(());
        }
        if !self.paths.admit(now, path, key, &mut self.transports) {
            return Err(DropReason::PathTaken);
        }
        out.commit(path, len);
        let ice = self.transports[key].transport.ice_mut();
        if let Some(over) = ice.confirm(ufrag) {
            self.ufrags.remove(&over);
        }
        let check = Check { path, transaction, nominate: request.use_candidate };
        self.open_path(now, key, check, (datagram.len(), len), out);
        Ok(())
    }

    /// A valid check came that had not come before: its path leads to this transport from now on.
    fn open_path(
        &mut self,
        now: Timestamp,
        key: TransportKey,
        check: Check,
        (received, sent): (usize, usize),
        out: &mut impl Outbox,
    ) {
        let transport = &mut self.transports[key].transport;
        let change = transport.handle_check(now, check);
        let paths = transport.ice_mut().paths_mut();
        paths.note_received(check.path, received);
        // The answer is shorter than what it answers.
        let _ = paths.may_send(check.path, sent);
        send_held(transport, out);
        if change.opened {
            self.paths.add(check.path, key);
        }
        if let Some(evicted) = change.evicted {
            self.paths.remove(evicted, key);
        }
        if change.connected {
            self.notify_transport_state(key, out);
            self.start_sending(now, key, out);
        }
        self.arm_transport(key);
    }

    /// Whether a valid check has opened this path, and its transport is there.
    pub fn has_path(&self, path: Path) -> bool {
        self.paths.has(path)
    }

    /// Nothing can come and go on this path any more: its connection is gone.
    pub fn handle_path_closed(&mut self, now: Timestamp, path: Path) {
        for key in self.paths.close(path) {
            if let Some(association) = self.transports.get_mut(key) {
                association.transport.ice_mut().forget(now, path);
            }
        }
    }
}

/// 64 bits of a transaction id to which each of its bytes counts: clients should draw all of them
/// at random (RFC 8489 §5), but there are those that count in a part of them.
fn fold(id: &[u8; 12]) -> u64 {
    let [a, b, c, d, rest @ ..] = *id;
    u64::from_be_bytes(rest) ^ u64::from(u32::from_be_bytes([a, b, c, d])).rotate_left(16)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn every_bit_of_a_transaction_id_counts() {
        let id = [0x5a; 12];
        let flipped = (0..96).map(|bit| {
            let mut other = id;
            other[bit / 8] ^= 1 << (bit % 8);
            other
        });
        assert!(flipped.into_iter().all(|other| fold(&other) != fold(&id)));
    }
}
