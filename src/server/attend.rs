//! What the main thread does while the shards serve: it waits for signals and requests, has the
//! configuration read again, keeps systemd informed, looks whether every shard moves, and brings
//! the server to its end.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;
use signal_hook::consts::SIGTERM;

use super::serve::Running;
use super::stamps::stamped;
use crate::shard::{DRAIN, ENDED, IDLE, Live, Order};
use crate::types::Timestamp;

/// A signal that comes again so soon is the same one: `timeout`, and whoever else signals a process
/// and then its group, sends it twice.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// How often the main thread looks around, at least.
const TICK: Duration = Duration::from_secs(1);

/// How long systemd shall wait for the next word of a server that stops: several ticks, and the
/// time that goodbyes may take.
const STOPPING_EXTENSION: u32 = 15_000_000;

/// Why what can change is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody wants it.
    Asked,
    /// A file that the configuration names has changed; the configuration itself counts as before.
    FilesChanged,
}

/// A server that takes no new rooms and ends when the last is gone, or at a time.
struct Drain {
    until: Timestamp,
    idle_shards: usize,
}

impl Running {
    /// Waits for a signal to stop, if they are caught, or for the end of a shard, and stops.
    /// SIGTERM drains first (DRAIN on `POST /admin/drain` too): no new rooms, until the last has
    /// ended or time is over. A further signal ends the process at once. At SIGHUP, and
    /// when files have changed, the shards go on with what `reload` returns; an error of it is
    /// logged and changes nothing.
    pub fn wait(mut self, mut reload: impl FnMut(Occasion) -> io::Result<Live>) -> io::Result<()> {
        self.tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
        let tick = sd_notify::watchdog_enabled().map_or(TICK, |max| TICK.min(max / 3));
        self.events.set_read_timeout(Some(tick))?;
        let mut drain: Option<Drain> = None;
        let mut stuck = false;
        loop {
            let event = self.next_event()?;
            self.look_after_shards(&mut stuck);
            self.reload_if_needed(&mut reload);
            let signal = self.signals.stop.swap(0, Ordering::Relaxed);
            let asked = signal == SIGTERM as usize || event == Some(DRAIN);
            if asked && drain.is_none() {
                drain = Some(self.begin_drain());
            }
            if signal != 0 {
                self.let_the_next_signal_end_it();
            }
            if event == Some(ENDED) || (signal != 0 && !asked) {
                break;
            }
            if let Some(drain) = &mut drain {
                drain.idle_shards += usize::from(event == Some(IDLE));
                if drain.idle_shards == self.shards.len() || drain.until <= self.clock.now() {
                    break;
                }
                self.tell(&[NotifyState::ExtendTimeoutUsec(STOPPING_EXTENSION)]);
            }
        }
        self.tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        self.stop()
    }

    /// What has come, or nothing within a tick.
    fn next_event(&mut self) -> io::Result<Option<u8>> {
        let mut event = [0];
        match self.events.read_exact(&mut event) {
            Ok(()) => Ok(Some(event[0])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// systemd hears from us as long as every shard moves: it starts a stuck server anew.
    fn look_after_shards(&self, stuck: &mut bool) {
        match self.pulse.stuck() {
            None => self.tell(&[NotifyState::Watchdog]),
            Some((shard, silence)) if !*stuck => {
                let seconds = silence.as_secs();
                tracing::error!(shard = shard.0, "the shard has not moved for {seconds} seconds");
            }
            Some(_) => {}
        }
        *stuck = self.pulse.stuck().is_some();
    }

    fn reload_if_needed(&mut self, reload: &mut impl FnMut(Occasion) -> io::Result<Live>) {
        // Before they are read: what changes after that is seen the next time.
        let files = stamped(self.files.iter().map(|(file, _)| file));
        let occasion = match self.signals.reload.swap(false, Ordering::Relaxed) {
            true => Occasion::Asked,
            false if files != self.files => Occasion::FilesChanged,
            false => return,
        };
        self.files = files;
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
        match reload(occasion) {
            Ok(live) => self.go_on_with(live, occasion),
            Err(error) => tracing::error!("everything stays as it was: {error}"),
        }
        self.tell(&[NotifyState::Ready]);
    }

    fn go_on_with(&mut self, live: Live, occasion: Occasion) {
        if !self.files.iter().map(|(file, _)| file).eq(live.files()) {
            self.files = stamped(live.files());
        }
        self.drain_time = live.drain_time;
        self.webhook.tell(live.webhook.clone());
        self.give(&Order::Live(Arc::new(live)));
        match occasion {
            Occasion::Asked => tracing::info!("the configuration has been read again"),
            Occasion::FilesChanged => tracing::info!("a changed certificate has been read"),
        }
    }

    fn begin_drain(&mut self) -> Drain {
        let seconds = self.drain_time.as_secs();
        tracing::info!("draining: no new rooms, and the end in {seconds} seconds at the latest");
        self.give(&Order::Drain);
        let extension = NotifyState::ExtendTimeoutUsec(STOPPING_EXTENSION);
        self.tell(&[NotifyState::Stopping, NotifyState::Status("draining"), extension]);
        Drain { until: self.clock.now() + self.drain_time, idle_shards: 0 }
    }

    fn let_the_next_signal_end_it(&self) {
        thread::sleep(SAME_SIGNAL);
        self.signals.stop.store(0, Ordering::Relaxed);
        self.signals.stopping.store(true, Ordering::Relaxed);
    }

    fn give(&mut self, order: &Order) {
        for commander in &mut self.commanders {
            commander.give(order.clone());
        }
    }

    /// Says something to systemd, where it has started us (`NOTIFY_SOCKET`).
    fn tell(&self, state: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(state) {
            tracing::debug!(%error, "cannot notify systemd");
        }
    }
}
