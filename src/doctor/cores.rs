//! The cores that shards run on.

use std::path::Path;

use super::{Finding, ranges, read};
use crate::host;

/// How many shards there are for them.
pub(super) fn processors(shards: usize, cores: usize) -> Finding {
    match shards > cores {
        false => Finding::good(format!("{shards} shards on {cores} cores")),
        true => Finding::poor(
            format!("{shards} shards on {cores} cores wait for each other"),
            format!("shards = {cores} in corinth.toml, or leave it out"),
        ),
    }
}

/// Whether they keep their speed. Virtual machines do not say.
pub(super) fn governor(sys: &Path, cores: &[usize]) -> Option<Finding> {
    let of = |core: &usize| {
        let governor = format!("devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        Some(read(&sys.join(governor)).trim().to_owned()).filter(|governor| !governor.is_empty())
    };
    let governors: Vec<_> = cores.iter().filter_map(of).collect();
    let slow = governors.iter().find(|governor| *governor != "performance");
    match (governors.is_empty(), slow) {
        (true, _) => None,
        (false, None) => Some(Finding::good("the cores keep their speed")),
        (false, Some(slow)) => Some(Finding::poor(
            format!("the cores clock down between bursts (governor {slow})"),
            "scripts/tune-host.sh, or cpupower frequency-set -g performance",
        )),
    }
}

/// The network cards should be on the node whose cores serve them.
pub(super) fn numa(sys: &Path, cards: &[String], cores: &[usize]) -> Vec<Finding> {
    let far = cards.iter().filter_map(|card| {
        let node = read(&sys.join("class/net").join(card).join("device/numa_node"));
        // -1: the machine has one node.
        let node: u32 = node.trim().parse().ok()?;
        let list = read(&sys.join(format!("devices/system/node/node{node}/cpulist")));
        let near = host::cpu_list(list.trim()).ok()?;
        let far: Vec<_> = cores.iter().copied().filter(|core| !near.contains(core)).collect();
        (!far.is_empty()).then(|| {
            Finding::poor(
                format!("{card} is on NUMA node {node}, and cores {} are not", ranges(&far)),
                format!("CPUAffinity={} in the service", list.trim()),
            )
        })
    });
    far.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::super::testing::Host;
    use super::*;

    #[test]
    fn more_shards_than_cores_are_seen() {
        assert_eq!(processors(4, 2).grade, Grade::Poor);
        assert_eq!(processors(2, 2).grade, Grade::Good);
    }

    #[test]
    fn a_core_that_clocks_down_is_seen() {
        let file = |core| format!("devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        let host = Host::new(
            "governor",
            &[(&file(0), "performance\n"), (&file(1), "performance\n"), (&file(2), "powersave\n")],
        );
        assert_eq!(governor(host.folder(), &[0, 1]).unwrap().grade, Grade::Good);
        let slow = governor(host.folder(), &[0, 1, 2]).unwrap();
        assert!(slow.grade == Grade::Poor && slow.what.contains("powersave"));
        assert_eq!(governor(host.folder(), &[7]), None, "a virtual machine has none");
    }

    #[test]
    fn a_card_on_another_node_is_seen() {
        let host = Host::new(
            "numa",
            &[
                ("class/net/near/device/numa_node", "0\n"),
                ("class/net/far/device/numa_node", "1\n"),
                ("class/net/virtual/device/numa_node", "-1\n"),
                ("devices/system/node/node0/cpulist", "0-3\n"),
                ("devices/system/node/node1/cpulist", "4-7\n"),
            ],
        );
        let cards = ["near", "far", "virtual", "none"].map(str::to_owned);
        let found = numa(host.folder(), &cards, &[0, 1]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].what, "far is on NUMA node 1, and cores 0-1 are not");
        assert_eq!(found[0].remedy.as_deref(), Some("CPUAffinity=4-7 in the service"));
    }
}
