//! How a shard stands: how busy it is, whether it drains, and who is told.

use std::io::Write;

use super::{Drain, Shard};
use crate::shard::clock::BusyMeter;
use crate::shard::mailbox::Mail;
use crate::shard::words::{DRAIN, IDLE};
use crate::types::{Load, Pressure, ShardId};

impl Shard {
    /// Judges how busy the shard's thread was since this was last asked.
    pub(in crate::shard) fn measure_busy_share(&self, busy: &mut BusyMeter) {
        let busy = (1000.0 * busy.share()) as u64;
        let mut admission = self.admission.borrow_mut();
        let before = admission.pressure();
        admission.measure(busy);
        let pressure = admission.pressure();
        if pressure != before {
            let (shard, busy) = (self.id.0, busy as f64 / 1000.0);
            tracing::warn!(shard, busy, "the shard's pressure is {pressure:?}, was {before:?}");
        }
        let core = &mut *self.core.borrow_mut();
        let stats = core.router.stats_mut();
        (stats.busy_permille, stats.pressure) = (busy, pressure);
    }

    /// Keeps what waits for slow clients within its bound.
    pub(in crate::shard) fn relieve_queues(&self) {
        self.core.borrow_mut().out.relieve();
    }

    /// Whether this shard takes no new peers.
    pub(in crate::shard) fn is_full(&self) -> bool {
        self.admission.borrow().pressure() >= Pressure::Full
    }

    /// Why no new calls should be sent to this server now, if there is a reason.
    pub(in crate::shard) fn hindrance(&self) -> Option<String> {
        if let Some((shard, silence)) = self.common.pulse.stuck() {
            let seconds = silence.as_secs();
            return Some(format!("shard {} has not moved for {seconds} seconds", shard.0));
        }
        if self.drain.get() != Drain::None {
            return Some("draining".to_owned());
        }
        self.directory.borrow().is_full().then(|| "every shard is full".to_owned())
    }

    /// How this shard stands.
    pub(in crate::shard) fn load(&self) -> Load {
        let strain = self.admission.borrow().strain();
        let rooms = self.directory.borrow().rooms();
        Load { full: self.is_full(), strain, peers: self.peers(), rooms }
    }

    /// Asks the main thread for a drain of the whole server.
    pub(in crate::shard) fn ask_for_drain(&self) {
        if self.drain.get() == Drain::None {
            self.wake_main_thread(DRAIN);
        }
    }

    /// From now on there are no new rooms.
    pub(in crate::shard) fn drain(&self) {
        self.drain.set(Drain::Draining);
        self.directory.borrow_mut().close();
    }

    /// Tells the main thread, once, that this shard's part of the directory has no rooms left. As
    /// none come into a closed one, all rooms are gone when all shards have said so.
    pub(in crate::shard) fn report_idle(&self) {
        if self.drain.get() == Drain::Draining && self.directory.borrow().rooms() == 0 {
            self.drain.set(Drain::Idle);
            self.wake_main_thread(IDLE);
        }
    }

    fn wake_main_thread(&self, why: u8) {
        // A main thread that has gone needs no waking.
        let _ = (&*self.common.event).write_all(&[why]);
    }

    /// Tells all directories how this shard stands.
    pub(in crate::shard) fn publish_load(&self, load: Load) {
        self.note_load(self.id, load);
        for shard in (0..self.common.shards).map(|shard| ShardId(shard as u8)) {
            if shard != self.id {
                // The next one will do as well.
                let _ = self.post(shard, Mail::Load(load));
            }
        }
    }

    /// Another shard says how it stands.
    pub(in crate::shard) fn note_load(&self, from: ShardId, load: Load) {
        self.directory.borrow_mut().publish(from, load);
    }
}
