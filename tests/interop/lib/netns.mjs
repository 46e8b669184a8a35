// The network namespace of scripts/in-netns.sh: nobody else is in it, so its network may be broken.

import { execFile } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';

const { corinth0 } = networkInterfaces();

/** Whether this runs in that namespace. */
export const APART = corinth0 !== undefined;

/** An IPv6 address that is not loopback: the namespace's, or the machine's own. */
export const IPV6 = Object.values(networkInterfaces()).flat()
  .filter(({ family, internal }) => family === 'IPv6' && !internal)
  .find(({ address }) => !address.startsWith('fe80:'))?.address;

const ip = (...options) => promisify(execFile)('ip', options);

/**
 * Runs `scene` while no UDP gets to these ports, of any address. Routing turns it down, before it
 * looks whether the address is this machine's own, which comes first as a rule.
 */
export async function withUdpClosed(ports, scene) {
  const closed = ports.map((port) => ['pref', '10', 'ipproto', 'udp', 'dport', port, 'blackhole']);
  for (const family of ['-4', '-6']) {
    await ip(family, 'rule', 'add', 'pref', '20', 'lookup', 'local');
    await ip(family, 'rule', 'del', 'pref', '0');
    for (const rule of closed) await ip(family, 'rule', 'add', ...rule);
  }
  try {
    await scene();
  } finally {
    for (const family of ['-4', '-6']) {
      await ip(family, 'rule', 'add', 'pref', '0', 'lookup', 'local');
      await ip(family, 'rule', 'del', 'pref', '20');
      for (const rule of closed) await ip(family, 'rule', 'del', ...rule);
    }
  }
}
