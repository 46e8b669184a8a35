//! `adjtimex`: what the kernel thinks of its own clock.
#![expect(unsafe_code, reason = "nothing in the standard library asks how good the clock is")]

use std::io;
use std::time::Duration;

/// How well the system's clock is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discipline {
    /// Somebody steers it, and has done so lately (`STA_UNSYNC` is not set).
    pub synchronized: bool,
    /// How far it may be off by the kernel's reckoning, which adds half a millisecond a second
    /// since it was last steered (`maxerror`).
    pub error_max: Duration,
}

/// Asks the kernel and changes nothing, which everybody may. `EPERM`: a seccomp profile.
pub fn discipline() -> io::Result<Discipline> {
    // SAFETY: integers all, for which zero is a value; no `modes` means to read only.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local that outlives the call.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Discipline {
        synchronized: timex.status & libc::STA_UNSYNC == 0,
        error_max: Duration::from_micros(u64::try_from(timex.maxerror).unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        // It stops counting at 16 seconds, and calls the clock unsynchronized from there on.
        let found = discipline().unwrap();
        assert!(found.error_max <= Duration::from_secs(16), "{found:?}");
        assert!(!found.synchronized || found.error_max < Duration::from_secs(16), "{found:?}");
    }
}
