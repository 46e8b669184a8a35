//! One stream as a viewer sees it: which packets came, how long the server kept them, which frames
//! could be shown and how long the pauses between them were. Reads headers; only now and then, or
//! at a probe, does somebody open a packet to say what number it really has.

use std::sync::Arc;

use super::log::SourceLog;

/// Packets around the newest in which one is known to have come or not.
const WINDOW: u32 = 128;

/// A stream that is wanted, or received.
#[derive(Debug)]
pub struct StreamRx {
    /// What is received.
    pub source: u32,
    /// When its source sent what.
    pub log: Arc<SourceLog>,
    /// When it was asked for, engine's clock.
    pub asked_at: u64,
    /// The server's last report of it: the middle of its NTP time, and when it came.
    pub reported: Option<(u32, u64)>,
    /// What the server's sequence numbers are ahead of the source's; `None` until a packet of the
    /// stream was opened.
    offset: Option<u16>,
    /// The first packet that came, and how many numbers had been skipped by then.
    first: Option<(u32, u32)>,
    /// The newest.
    highest: u32,
    /// Which of the [`WINDOW`] before and with `highest` have come: bit 0 is `highest`.
    came: u128,
    decoder: Decoder,
    last_transit: Option<u64>,
    /// RFC 3550 §6.4.1, in nanoseconds, of the time that the server adds.
    jitter: f64,
    counts: StreamCounts,
    /// Packets since one was opened.
    unopened: u32,
}

/// What a stream counted in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Packets, each once.
    pub received: u64,
    /// Bytes of their datagrams.
    pub bytes: u64,
    /// Came again.
    pub duplicates: u64,
    /// Came behind a later one.
    pub reordered: u64,
    /// Lost by us, as the scenario wants.
    pub lost_on_purpose: u64,
    /// Pauses above the limit.
    pub freezes: u64,
    /// The longest pause, nanoseconds.
    pub longest: u64,
}

impl StreamCounts {
    /// Takes in another stream's.
    pub fn add(&mut self, other: Self) {
        self.received += other.received;
        self.bytes += other.bytes;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.lost_on_purpose += other.lost_on_purpose;
        self.freezes += other.freezes;
        self.longest = self.longest.max(other.longest);
    }
}

/// What a packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In its place; what the server added, in nanoseconds, where the source still knows when it
    /// sent it and the packet counts.
    Came(Option<u64>),
    /// It had come before.
    Duplicate,
    /// Its number makes no sense: the server has begun to count anew, so somebody has to open it.
    Astray,
}

/// Which frames a decoder could have shown.
#[derive(Debug, Default)]
struct Decoder {
    /// Everything before it has come or was given up.
    next: u32,
    /// Of those behind `next`, which have come: bit 0 is `next + 1`.
    ahead: u128,
    /// A frame could not be shown; the next one that can is a key frame.
    waits_for_key: bool,
    started: bool,
    shown_at: Option<u64>,
    first_shown_at: Option<u64>,
}

impl StreamRx {
    /// One that was asked for at `asked_at`.
    pub fn new(source: u32, log: Arc<SourceLog>, asked_at: u64) -> Self {
        let waits_for_key = log.video;
        Self {
            source,
            log,
            asked_at,
            reported: None,
            offset: None,
            first: None,
            highest: 0,
            came: 0,
            decoder: Decoder { waits_for_key, ..Decoder::default() },
            last_transit: None,
            jitter: 0.0,
            counts: StreamCounts::default(),
            unopened: 0,
        }
    }

    /// Whether somebody should open the packet with this sequence number before it is taken: one
    /// of the first, or one in so many.
    pub fn wants_opening(&self) -> bool {
        self.offset.is_none() || self.unopened >= 512
    }

    /// A packet with sequence number `seq` was opened and is the source's `number`. Returns whether
    /// that is what the stream would have thought.
    pub fn learn(&mut self, seq: u16, number: u32) -> bool {
        let offset = seq.wrapping_sub(number as u16);
        let known = self.offset.replace(offset);
        self.unopened = 0;
        if known.is_none_or(|known| known != offset) && self.first.is_some() {
            // What came before has no place in the new count.
            self.highest = number;
            self.came = 0;
        }
        known.is_none_or(|known| known == offset)
    }

    /// The source's number of the packet that came with `seq`.
    pub fn number(&self, seq: u16) -> Option<u32> {
        let low = seq.wrapping_sub(self.offset?);
        let Some(_) = self.first else {
            // The first one came with its number: the source's newest tell which turn it is.
            let newest = self.log.next();
            let back = (newest as u16).wrapping_sub(low);
            return Some(newest.wrapping_sub(u32::from(back)));
        };
        let ahead = low.wrapping_sub(self.highest as u16).cast_signed();
        Some(self.highest.wrapping_add_signed(ahead.into()))
    }

    /// Takes a packet of `bytes` that came at `at`. `freeze` is the pause in nanoseconds above
    /// which a viewer is said to freeze.
    pub fn take(&mut self, seq: u16, bytes: usize, at: u64, freeze: u64) -> Verdict {
        let Some(number) = self.number(seq) else { return Verdict::Astray };
        self.unopened += 1;
        match self.mark(number) {
            Mark::New => {}
            Mark::Again => {
                // Resent after it was lost on purpose: a decoder has use for it.
                self.decode(number, at, freeze);
                self.counts.duplicates += u64::from(self.log.counts(number));
                return Verdict::Duplicate;
            }
            Mark::Astray => return Verdict::Astray,
        }
        let sent = self.log.sent(number);
        let transit = sent.map(|sent| at.saturating_sub(sent.at));
        if let Some(transit) = transit {
            if let Some(last) = self.last_transit {
                self.jitter += (transit.abs_diff(last) as f64 - self.jitter) / 16.0;
            }
            self.last_transit = Some(transit);
        }
        self.decode(number, at, freeze);
        if !self.log.counts(number) {
            return Verdict::Came(None);
        }
        self.counts.received += 1;
        self.counts.bytes += bytes as u64;
        self.counts.reordered += u64::from(number < self.highest);
        Verdict::Came(transit)
    }

    /// A packet came and is lost on purpose.
    pub fn lose(&mut self, seq: u16) {
        if let Some(number) = self.number(seq)
            && self.mark(number) == Mark::New
            && self.log.counts(number)
        {
            self.counts.lost_on_purpose += 1;
        }
    }

    fn mark(&mut self, number: u32) -> Mark {
        if self.first.is_none() {
            self.first = Some((number, self.log.skipped()));
            (self.highest, self.came) = (number, 1);
            return Mark::New;
        }
        let ahead = number.wrapping_sub(self.highest).cast_signed();
        if ahead > 0 {
            self.came = self.came.checked_shl(ahead.cast_unsigned()).unwrap_or(0) | 1;
            self.highest = number;
            return if number < self.log.next() { Mark::New } else { Mark::Astray };
        }
        let behind = ahead.unsigned_abs();
        match 1u128.checked_shl(behind) {
            Some(bit) if self.came & bit != 0 => Mark::Again,
            Some(bit) => {
                self.came |= bit;
                Mark::New
            }
            None => Mark::Astray,
        }
    }

    fn decode(&mut self, number: u32, at: u64, freeze: u64) {
        let counts = &mut self.counts;
        let log = &self.log;
        self.decoder.take(log, number, at, |pause| {
            if log.counts(number) {
                counts.longest = counts.longest.max(pause);
                counts.freezes += u64::from(pause > freeze);
            }
        });
    }

    /// From the asking to the first frame that could be shown, once that is known.
    pub fn first_frame(&self) -> Option<u64> {
        Some(self.decoder.first_shown_at?.saturating_sub(self.asked_at))
    }

    /// Whether video waits for a key frame since it began.
    pub fn waits_for_key(&self) -> bool {
        self.decoder.waits_for_key && self.first.is_some()
    }

    /// The source's numbers that are missing before the newest, oldest first, at most `max`, each
    /// as the server's sequence number.
    pub fn missing(&self, max: usize) -> Vec<u16> {
        let (Some(offset), Some((first, _))) = (self.offset, self.first) else {
            return Vec::new();
        };
        let from = self.highest.saturating_sub(WINDOW - 1).max(first).max(self.decoder.next);
        let has_come = |number: u32| self.came >> (self.highest - number) & 1 == 1;
        (from..self.highest)
            .filter(|number| !has_come(*number))
            .take(max)
            .map(|number| (number as u16).wrapping_add(offset))
            .collect()
    }

    /// Whether packet `number` has come, as far as is known.
    pub fn has(&self, number: u32) -> bool {
        let behind = self.highest.wrapping_sub(number);
        self.first.is_some() && behind < WINDOW && self.came >> behind & 1 == 1
    }

    /// Whether something before the newest is missing.
    pub fn has_gap(&self) -> bool {
        self.first.is_some() && self.decoder.next <= self.highest
    }

    /// The server's sequence number of the source's packet `number`.
    pub fn seq(&self, number: u32) -> Option<u16> {
        Some((number as u16).wrapping_add(self.offset?))
    }

    /// The newest packet as the server numbers it, without its roll-overs.
    pub fn highest_seq(&self) -> u16 {
        (self.highest as u16).wrapping_add(self.offset.unwrap_or(0))
    }

    /// Of the time that the server adds, nanoseconds; `None` before there are two packets.
    pub fn jitter(&self) -> Option<f64> {
        self.last_transit.map(|_| self.jitter)
    }

    /// Whether a packet ever came.
    pub fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// Packets of the window that should have come until now.
    pub fn expected(&self) -> u64 {
        self.first.map_or(0, |(first, skipped)| self.log.expected(first, skipped))
    }

    /// Packets of the window that should have come, when nothing after the newest is looked for.
    pub fn expected_so_far(&self) -> u64 {
        let beyond = u64::from(self.log.next().saturating_sub(self.highest + 1));
        self.expected().saturating_sub(beyond)
    }

    /// What was counted; a pause that lasts at `now` is among it.
    pub fn counts(&self, now: u64, freeze: u64) -> StreamCounts {
        let mut counts = self.counts;
        if let Some(shown_at) = self.decoder.shown_at
            && self.log.is_running()
        {
            let pause = now.saturating_sub(shown_at);
            if pause > freeze {
                counts.freezes += 1;
                counts.longest = counts.longest.max(pause);
            }
        }
        counts
    }

    /// A new window: what was counted is forgotten, what is known stays.
    pub fn reset(&mut self) {
        self.counts = StreamCounts::default();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    Again,
    Astray,
}

impl Decoder {
    /// Packet `number` has come; `pause` is told how long nothing could be shown before each frame
    /// that it completes.
    fn take(&mut self, log: &SourceLog, number: u32, at: u64, mut pause: impl FnMut(u64)) {
        let starts_key = log.sent(number).is_some_and(|sent| sent.starts_key_frame);
        if !self.started || (starts_key && number > self.next) {
            // From here on nothing before is needed.
            let ahead = number.wrapping_sub(self.next);
            self.ahead = match self.started && ahead <= WINDOW {
                true => self.ahead.checked_shr(ahead).unwrap_or(0),
                false => 0,
            };
            self.next = number;
            self.started = true;
        }
        let Some(distance) = number.checked_sub(self.next) else { return };
        if distance > WINDOW {
            // Too far for what is missing to come any more.
            self.ahead = 0;
            self.next = number;
            self.waits_for_key = log.video;
        } else if distance > 0 {
            self.ahead |= 1 << (distance - 1);
            return;
        }
        loop {
            self.advance(log, at, &mut pause);
            let comes = self.ahead & 1 == 1;
            self.ahead >>= 1;
            self.next += 1;
            if !comes {
                return;
            }
        }
    }

    /// `next` is there, and everything before it.
    fn advance(&mut self, log: &SourceLog, at: u64, pause: &mut impl FnMut(u64)) {
        let Some(sent) = log.sent(self.next) else { return };
        if sent.starts_key_frame {
            self.waits_for_key = false;
        }
        if !sent.ends_frame || self.waits_for_key {
            return;
        }
        if let Some(shown_at) = self.shown_at {
            pause(at.saturating_sub(shown_at));
        }
        self.shown_at = Some(at);
        self.first_shown_at.get_or_insert(at);
    }
}

#[cfg(test)]
mod tests;
