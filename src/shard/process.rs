//! What the metrics tell of the process as a whole, whichever shard is asked.

use super::clock::process_cpu;
use crate::host::open_descriptors;
use crate::http::metrics::{Process, Webhook};

/// What the kernel knows of this process, which started at `started` and may have so many
/// descriptors; and what it knows itself.
pub(super) fn process(started: u64, descriptors_max: u64, webhook: Webhook) -> Process {
    // Of what cannot be read nothing is known.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    Process {
        cpu: process_cpu(),
        resident_bytes: resident(&status).unwrap_or_default(),
        open_descriptors: open_descriptors(),
        descriptors_max,
        started,
        webhook,
    }
}

/// From `/proc/self/status`: bytes in memory.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_understood() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    5120 kB\n"), Some(5 << 20));
    }

    #[test]
    fn this_process_is_known() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let process = process(0, 7, Webhook::default());
        assert!(process.open_descriptors > 3 && process.resident_bytes > 1 << 20, "{process:?}");
        drop(file);
    }
}
