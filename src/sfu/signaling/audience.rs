//! What one client may have others told, and what of it they are made to keep: bytes, by how many
//! hear them. So nobody's words fill a room's queues, however many are in it.

use crate::protocol::{AppData, Error};
use crate::sfu::router::Router;
use crate::types::limit::{
    APP_DATA_FREE, APP_DATA_PER_PEER_MAX, APP_DATA_PER_ROOM_MAX, AUDIENCE_MIN,
};
use crate::types::{PeerKey, Refusal, Timestamp};

impl Router {
    /// Everybody in the room of this peer is about to be told so many bytes because of it: whether
    /// it may have them told.
    pub(in crate::sfu) fn charge(
        &mut self,
        now: Timestamp,
        key: PeerKey,
        bytes: usize,
    ) -> Result<(), Error> {
        let peer = &mut self.peers[key];
        let audience = self.rooms[peer.room].peers.len().max(AUDIENCE_MIN);
        if peer.audience.take(now, (bytes * audience) as u64) {
            return Ok(());
        }
        let what = "bytes told to others a second";
        Err(self.too_many(Refusal::Audience, &format!("{what}: {bytes} to {audience}")))
    }

    /// Whether a peer may add this `appData` to what it and its room are described by.
    pub(super) fn check_held(
        &mut self,
        key: PeerKey,
        app_data: Option<&AppData>,
    ) -> Result<(), Error> {
        let peer = &self.peers[key];
        let (before, after) = (peer.app_data_held, peer.app_data_held + size(app_data));
        let of_room = self.rooms[peer.room].app_data_held - not_free(before) + not_free(after);
        let (whose, bytes, most) = if after > APP_DATA_PER_PEER_MAX {
            ("a peer", after, APP_DATA_PER_PEER_MAX)
        } else if not_free(after) > not_free(before) && of_room > APP_DATA_PER_ROOM_MAX {
            ("a room", of_room, APP_DATA_PER_ROOM_MAX)
        } else {
            return Ok(());
        };
        let what = format!("appData of {whose} and its sources: {bytes} bytes, at most {most}");
        Err(self.too_many(Refusal::AppData, &what))
    }

    /// A peer is described by more, or by less, `appData` now.
    pub(in crate::sfu) fn hold(&mut self, key: PeerKey, bytes: isize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let before = not_free(peer.app_data_held);
        peer.app_data_held = peer.app_data_held.saturating_add_signed(bytes);
        let after = not_free(peer.app_data_held);
        if let Some(room) = self.rooms.get_mut(peer.room) {
            room.app_data_held = room.app_data_held - before + after;
        }
    }
}

/// Bytes of an `appData` that may be there.
pub(in crate::sfu) fn size(app_data: Option<&AppData>) -> usize {
    app_data.map_or(0, |data| data.len())
}

/// What counts of it for the room: each peer has some, whatever the others have.
pub(in crate::sfu) fn not_free(held: usize) -> usize {
    held.saturating_sub(APP_DATA_FREE)
}
