//! The network cards that media goes through: which cores they interrupt, and what they do for us.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Finding, names, number, ranges, read};
use crate::config::MediaAddress;
use crate::host;
use crate::net::{Feature, InterfaceAddress};

/// What a card that cuts trains itself calls it (`ethtool -k`).
pub(super) const OFFLOAD: &str = "tx-udp-segmentation";

/// An interrupt that brought less than one in so many of its card's is none of a queue.
const MINOR: u64 = 100;

/// The cards below the interfaces that media addresses are on: bridges, bonds and VLANs have some
/// below them, and what is virtual all the way down has none.
pub(super) fn of(
    sys: &Path,
    addresses: &[MediaAddress],
    interfaces: &[InterfaceAddress],
) -> Vec<String> {
    let carries = |one: &&InterfaceAddress| addresses.iter().any(|media| media.local == one.ip);
    let mut open: Vec<_> =
        interfaces.iter().filter(carries).map(|one| one.interface.clone()).collect();
    let (mut seen, mut cards) = (BTreeSet::new(), BTreeSet::new());
    while let Some(interface) = open.pop() {
        let folder = sys.join("class/net").join(&interface);
        // A path is not followed twice, whatever the links say.
        if !seen.insert(interface.clone()) {
            continue;
        }
        let below = names(&folder);
        open.extend(below.iter().filter_map(|name| Some(name.strip_prefix("lower_")?.to_owned())));
        if folder.join("device").exists() {
            cards.insert(interface);
        }
    }
    cards.into_iter().collect()
}

/// Where a card's packets come in, against `used`, the cores that shards run on. `None` where it
/// does not say.
pub(super) fn interrupts(sys: &Path, proc: &Path, card: &str, used: &[usize]) -> Option<Finding> {
    let folder = sys.join("class/net").join(card);
    let irqs = irqs(&folder);
    let on = interrupted(proc, &irqs);
    let cores = ranges(&on);
    let queues = names(&folder.join("queues")).iter().filter(|it| it.starts_with("rx-")).count();
    if on.is_empty() || used.len() < 2 {
        return None;
    }
    let tune = format!("scripts/tune-host.sh --interface {card}");
    let elsewhere: Vec<_> = on.iter().copied().filter(|core| !used.contains(core)).collect();
    Some(if queues == 1 && spreads(&folder) {
        Finding::good(format!("{card} has one queue, and RPS spreads its packets over cores"))
    } else if queues == 1 {
        Finding::poor(
            format!("{card} has one queue: a single core takes all its packets"),
            format!("more queues (ethtool -L {card} combined N), or {tune}"),
        )
    } else if on.len() == 1 {
        Finding::poor(
            format!("all interrupts of {card} go to core {cores}, and shards are on others too"),
            tune,
        )
    } else if !elsewhere.is_empty() {
        Finding::poor(
            format!("{card} interrupts cores {}, where no shard is", ranges(&elsewhere)),
            format!("{tune} --cores {}", ranges(used)),
        )
    } else {
        Finding::good(format!("{card} interrupts cores {cores}, where shards are"))
    })
}

/// The numbers of a card's interrupts. A virtual one's are those of the device above it, an old
/// one has one.
fn irqs(card: &Path) -> Vec<u32> {
    let of = |folder: PathBuf| -> Vec<u32> {
        names(&folder).iter().filter_map(|name| name.parse().ok()).collect()
    };
    let mut irqs = of(card.join("device/msi_irqs"));
    if irqs.is_empty() {
        irqs = of(card.join("device/../msi_irqs"));
    }
    if irqs.is_empty() {
        irqs.extend(number(&card.join("device/irq")).filter(|irq| *irq > 0).map(|irq| irq as u32));
    }
    irqs
}

/// The cores that take those of the interrupts that do come.
fn interrupted(proc: &Path, irqs: &[u32]) -> Vec<usize> {
    let table = read(&proc.join("interrupts"));
    let counted: Vec<_> = irqs.iter().map(|irq| (irq, count(&table, *irq))).collect();
    let all: u64 = counted.iter().map(|(_, count)| count).sum();
    let counted = counted.iter().filter(|(_, count)| *count > 0 && count * MINOR >= all);
    let cores = counted.flat_map(|(irq, _)| {
        let folder = proc.join(format!("irq/{irq}"));
        let lists = ["effective_affinity_list", "smp_affinity_list"];
        let lists = lists.map(|name| host::cpu_list(read(&folder.join(name)).trim()).ok());
        lists.into_iter().flatten().next().unwrap_or_default()
    });
    cores.collect::<BTreeSet<_>>().into_iter().collect()
}

/// `/proc/interrupts`: a headline of cores, then a line an interrupt with a number a core.
fn count(table: &str, irq: u32) -> u64 {
    let mut lines = table.lines();
    let cores = lines.next().map_or(0, |cores| cores.split_whitespace().count());
    let line = lines.find_map(|line| line.trim_start().strip_prefix(&format!("{irq}:")));
    let counts = line.unwrap_or_default().split_whitespace().take(cores);
    counts.filter_map(|count| count.parse::<u64>().ok()).sum()
}

/// Whether its queues hand packets to other cores (RPS): a mask of cores in hexadecimal.
fn spreads(card: &Path) -> bool {
    let masks = names(&card.join("queues")).into_iter().filter(|name| name.starts_with("rx-"));
    let mut masks = masks.map(|queue| read(&card.join("queues").join(queue).join("rps_cpus")));
    masks.any(|mask| mask.trim().chars().any(|digit| !matches!(digit, '0' | ',')))
}

/// It moves interrupts to where it finds them best, which is not where shards are.
pub(super) fn irqbalance(proc: &Path, cards: &[String]) -> Option<Finding> {
    let processes = names(proc).into_iter().filter(|name| name.parse::<u32>().is_ok());
    let mut commands = processes.map(|process| read(&proc.join(process).join("comm")));
    let runs = !cards.is_empty() && commands.any(|command| command.trim() == "irqbalance");
    runs.then(|| {
        Finding::poor(
            "irqbalance moves the interrupts of cards from core to core",
            "scripts/tune-host.sh --interface IF, or systemctl disable --now irqbalance",
        )
    })
}

/// Whether a card cuts trains itself; `None` where it does not say.
pub(super) fn offload(card: &str, feature: Option<Feature>) -> Option<Finding> {
    Some(match feature? {
        Feature { active: true, .. } => Finding::good(format!("{card} cuts trains ({OFFLOAD})")),
        Feature { available: true, .. } => Finding::poor(
            format!("{card} could cut trains, and the kernel does it"),
            format!("ethtool -K {card} {OFFLOAD} on"),
        ),
        Feature { .. } => Finding::good(format!("{card} cannot cut trains; the kernel does it")),
    })
}

#[cfg(test)]
mod tests;
