//! The clock: tokens end by it, and the loop of each shard reads it each turn.

use std::path::Path;

use super::{Finding, read};
use crate::net::Discipline;

/// Sources that are a read of a device, and so microseconds rather than nanoseconds; a read of the
/// last ones is a system call.
const SLOW: &[&str] = &["hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies", "xen"];

/// What the kernel says of it; nothing where it does not.
pub(super) fn synchronized(discipline: Option<Discipline>) -> Option<Finding> {
    let Discipline { synchronized, error_max } = discipline?;
    Some(match synchronized {
        true => Finding::good(format!(
            "the clock is kept by somebody, within {} ms",
            error_max.as_millis()
        )),
        false => Finding::poor(
            "nobody keeps the clock (adjtimex: unsynchronized); tokens end by it",
            "apt-get install systemd-timesyncd, or chrony",
        ),
    })
}

/// Where the time comes from.
pub(super) fn source(sys: &Path) -> Option<Finding> {
    let folder = sys.join("devices/system/clocksource/clocksource0");
    let current = read(&folder.join("current_clocksource"));
    let current = Some(current.trim()).filter(|name| !name.is_empty())?;
    Some(match SLOW.contains(&current) {
        false => Finding::good(format!("the time is read from {current}")),
        true => Finding::poor(
            format!("the time is read from {current}, which is slow, and read all the time"),
            match read(&folder.join("available_clocksource")).split(' ').any(|name| name == "tsc") {
                true => "clocksource=tsc on the kernel's command line",
                false => "dmesg | grep -i tsc says why it is not the processor's own (tsc)",
            },
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Grade;
    use super::super::testing::Host;
    use super::*;

    #[test]
    fn a_clock_that_nobody_keeps_is_seen() {
        let kept = |kept, ms| {
            let error_max = Duration::from_millis(ms);
            synchronized(Some(Discipline { synchronized: kept, error_max })).unwrap()
        };
        assert_eq!(kept(true, 12), Finding::good("the clock is kept by somebody, within 12 ms"));
        assert_eq!(kept(false, 16_000).grade, Grade::Poor);
        assert_eq!(synchronized(None), None);
    }

    #[test]
    fn a_slow_clock_is_seen() {
        let at = |name: &str| format!("devices/system/clocksource/clocksource0/{name}_clocksource");
        let host = Host::new("clock", &[(&at("current"), "hpet\n")]);
        host.write(&at("available"), "tsc hpet acpi_pm \n");
        let found = source(host.folder()).unwrap();
        assert!(found.remedy.unwrap().starts_with("clocksource=tsc"));
        host.write(&at("available"), "hpet acpi_pm \n");
        assert!(source(host.folder()).unwrap().remedy.unwrap().starts_with("dmesg"));
        for fast in ["tsc", "kvm-clock", "arch_sys_counter"] {
            host.write(&at("current"), fast);
            assert_eq!(source(host.folder()).unwrap().grade, Grade::Good, "{fast}");
        }
    }
}
