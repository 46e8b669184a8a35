//! What was thrown away since the host started, of whichever program's.

use std::path::Path;

use super::{Finding, number, read};

/// A card that loses fewer than one packet of so many is left in peace: some drivers count among
/// them what was for nobody.
const CARD_SHARE: u64 = 10_000;

/// The same for turns of the kernel that ended before its work.
const SQUEEZED_SHARE: u64 = 1000;

/// All points of this file.
pub(super) fn examine(proc: &Path, sys: &Path, cards: &[String]) -> Vec<Finding> {
    let net = proc.join("net");
    let mut found = Vec::new();
    found.extend(sockets(&read(&net.join("snmp")), &read(&net.join("snmp6"))));
    found.extend(backlog(&read(&net.join("softnet_stat"))));
    found.extend(cards.iter().filter_map(|card| of_card(sys, card)));
    found
}

/// `/proc/net/snmp`: a line of names, a line of numbers; `/proc/net/snmp6`: a line each.
fn sockets(snmp: &str, snmp6: &str) -> Option<Finding> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let v4 = |name: &str| -> Option<u64> {
        let position = names.split(' ').position(|found| found == name)?;
        values.split(' ').nth(position)?.parse().ok()
    };
    let v6 = |name: &str| -> Option<u64> {
        let line = snmp6.lines().find_map(|line| line.strip_prefix("Udp6")?.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let count = |name| Some(v4(name)? + v6(name).unwrap_or(0));
    let (rx, tx) = (count("RcvbufErrors")?, count("SndbufErrors")?);
    Some(match rx + tx {
        0 => Finding::good("no datagram was lost in this host's buffers since its start"),
        _ => Finding::poor(
            format!("{rx} datagrams received and {tx} to be sent were lost in buffers so far"),
            "whose they were, corinth_rx_overflow_total tells: docs/operating/tuning.md",
        ),
    })
}

/// `/proc/net/softnet_stat`: a line a core of hexadecimal numbers. The first are packets handled,
/// dropped because `netdev_max_backlog` was full, and turns that ended before the work did.
fn backlog(table: &str) -> Option<Finding> {
    let sum = |column: usize| -> Option<u64> {
        let number =
            |line: &str| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok();
        table.lines().map(number).sum()
    };
    let (handled, dropped, squeezed) = (sum(0)?, sum(1)?, sum(2)?);
    if table.is_empty() {
        return None;
    }
    Some(if dropped > 0 {
        Finding::poor(
            format!("{dropped} packets were lost before a core came to them (softnet) so far"),
            "scripts/tune-host.sh, or a larger net.core.netdev_max_backlog",
        )
    } else if squeezed * SQUEEZED_SHARE > handled {
        Finding::poor(
            format!("the kernel's turns ended before its packets {squeezed} times (softnet)"),
            "more queues of the card, or sysctl net.core.netdev_budget=600",
        )
    } else {
        Finding::good("no packet was lost between card and socket (softnet)")
    })
}

fn of_card(sys: &Path, card: &str) -> Option<Finding> {
    let statistics = sys.join("class/net").join(card).join("statistics");
    let count = |name: &str| number(&statistics.join(name)).unwrap_or(0);
    let received = number(&statistics.join("rx_packets"))?;
    // Dropped: no memory, or for nobody; missed and fifo: the card's own queue was full.
    let dropped = count("rx_dropped");
    let missed = count("rx_missed_errors").max(count("rx_fifo_errors"));
    let tx = count("tx_dropped");
    Some(match (dropped + missed + tx) * CARD_SHARE > received {
        false => Finding::good(format!(
            "{card} has lost {} of {received} packets",
            dropped + missed + tx
        )),
        true => Finding::poor(
            format!(
                "{card} has dropped {dropped} packets and missed {missed} of {received}, \
                 and {tx} to be sent"
            ),
            format!("longer queues: ethtool -g {card}, then ethtool -G {card} rx N"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::super::testing::Host;
    use super::*;

    #[test]
    fn datagrams_that_the_host_has_lost_are_seen() {
        let v4 = |rx, tx| {
            format!("Udp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 100 {rx} {tx}\nUdpLite: x\n")
        };
        let v6 = |rx| format!("Udp6InDatagrams   9\nUdp6RcvbufErrors  \t{rx}\n");
        let said = |v4: &str, v6: &str| sockets(v4, v6).unwrap().what;
        assert!(said(&v4(7, 2), "").starts_with("7 datagrams received and 2"));
        assert!(said(&v4(7, 2), &v6(3)).starts_with("10 datagrams received and 2"));
        assert!(said(&v4(0, 0), &v6(3)).starts_with("3 datagrams received and 0"));
        assert_eq!(sockets(&v4(0, 0), &v6(0)).unwrap().grade, Grade::Good);
        assert_eq!(sockets("", ""), None);
    }

    #[test]
    fn packets_that_no_core_came_to_are_seen() {
        let line = |dropped: u64, squeezed: u64| {
            format!("000f4240 {dropped:08x} {squeezed:08x} 00000000\n")
        };
        let grade = |text: &str| backlog(text).unwrap().grade;
        assert_eq!(grade(&line(0, 5).repeat(2)), Grade::Good);
        assert!(backlog(&line(16, 0).repeat(2)).unwrap().what.starts_with("32 packets"));
        assert!(backlog(&line(0, 2000)).unwrap().remedy.unwrap().contains("netdev_budget"));
        assert_eq!(backlog(""), None);
    }

    #[test]
    fn a_card_that_loses_packets_is_seen() {
        let at = |name: &str| format!("class/net/eth0/statistics/{name}");
        let host = Host::new("losses", &[(&at("rx_packets"), "1000000\n")]);
        host.write(&at("rx_dropped"), "99\n");
        assert_eq!(of_card(host.folder(), "eth0").unwrap().grade, Grade::Good);
        host.write(&at("rx_missed_errors"), "40\n");
        let found = of_card(host.folder(), "eth0").unwrap();
        assert!(found.what.contains("dropped 99 packets and missed 40"), "{found}");
        assert_eq!(of_card(host.folder(), "eth1"), None);
    }
}
