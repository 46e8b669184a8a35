// A call as the world outside has it: the page over HTTPS, WebSockets that need a token, everything
// over IPv6, and media over TCP alone.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Browser } from '../lib/browsers.mjs';
import { call, watch } from '../lib/call.mjs';
import { until } from '../lib/expect.mjs';
import { APART, IPV6, withUdpClosed } from '../lib/netns.mjs';
import { BINARY, Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 120_000 };
/** Of the server on IPv6: one for each of its shards. */
const UDP_PORTS = ['20000', '20001'];
let folder;
let key;
let server;
let chromium;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'corinth-secure-'));
  await writeFile(join(folder, 'secret'), '0123456789abcdef0123456789abcdef');
  key = `test=${join(folder, 'secret')}`;
  server = await Server.start('--self-signed', '--token-key', key);
  chromium = await Browser.launch('chromium');
});
after(async () => {
  await chromium?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function token(room, peer) {
  const options = ['token', '--token-key', key, '--room', room, '--peer', peer];
  return (await promisify(execFile)(BINARY, options)).stdout.trim();
}

/** Those of both guests, by name. */
async function tokens() {
  const [ada, bob] = await Promise.all([token('*', 'ada'), token('*', 'bob')]);
  return { ada, bob };
}

/** The ways that a page's peer connections have taken: `[{protocol, local, remote}, …]`. */
async function ways() {
  const taken = [];
  for (const pc of [window.corinth.sendPc(), window.corinth.recvPc()]) {
    const stats = await pc.getStats();
    const transport = [...stats.values()].find(({ type }) => type === 'transport');
    const pair = stats.get(transport.selectedCandidatePairId);
    const local = stats.get(pair.localCandidateId);
    const remote = stats.get(pair.remoteCandidateId);
    taken.push({ protocol: remote.protocol, local: local.address, remote: remote.address });
  }
  return taken;
}

/** Asserts that both ways of each guest are by this protocol, and between these addresses. */
async function assertWays(guests, protocol, address) {
  for (const { page } of guests) {
    for (const way of await page.evaluate(ways)) {
      const between = address && { local: address, remote: address };
      assert.deepEqual(way, { ...way, protocol, ...between });
    }
  }
}

test('two pages over wss with tokens, and media over UDP', TIMEOUT, async () => {
  const made = await tokens();
  await call(server, 'secure', { ada: chromium, bob: chromium }, async (guests) => {
    assert.match(server.url, /^https:/);
    await watch(guests);
    await assertWays(guests, 'udp');
  }, (_room, name) => ({ token: made[name] }));
});

/** Runs `scene` with a server whose pages, WebSockets and media are all on an IPv6 address. */
async function overIpv6(scene) {
  const other = await Server.start('--self-signed', '--token-key', key, '--http', `[${IPV6}]:0`,
    '--media-address', IPV6, '--media-port', UDP_PORTS[0], '--media-tcp', 'http');
  try {
    assert.ok(other.url.startsWith(`https://[${IPV6}]:`), other.url);
    await scene(other, await tokens());
  } finally {
    await other.stop();
  }
}

const noIpv6 = IPV6 ? false : 'this machine has no IPv6 address';
test('two pages with everything over IPv6', { ...TIMEOUT, skip: noIpv6 }, async () => {
  await overIpv6(async (other, made) => {
    await call(other, 'ipv6', { ada: chromium, bob: chromium }, async (guests) => {
      await watch(guests);
      await assertWays(guests, 'udp', IPV6);
    }, (_room, name) => ({ token: made[name] }));
  });
});

const open = noIpv6 || (APART ? false : 'UDP is closed only where nobody else is');
test('the same where the network lets no UDP through', { ...TIMEOUT, skip: open }, async () => {
  await overIpv6(async (other, made) => {
    await withUdpClosed(UDP_PORTS, async () => {
      await call(other, 'ipv6-tcp', { ada: chromium, bob: chromium }, async (guests) => {
        await watch(guests);
        await assertWays(guests, 'tcp', IPV6);
      }, (_room, name) => ({ token: made[name] }));
    });
  });
});

test('without a token the page stays outside', TIMEOUT, async () => {
  const page = await chromium.newPage();
  await page.goto(`${server.url}/?room=r&name=ada`);
  await page.click('#join');
  await until('the page says that it failed', async () => (
    (await page.textContent('#error')).trim() !== ''), { timeout: 30_000 });
  await page.close();
});
