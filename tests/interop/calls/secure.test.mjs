// A call as the world outside has it: the page over HTTPS, WebSockets that need a token, and media
// over TCP alone.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Browser } from '../lib/browsers.mjs';
import { call, watch } from '../lib/call.mjs';
import { until } from '../lib/expect.mjs';
import { BINARY, Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 120_000 };
let folder;
let key;
let server;
let chromium;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'corinth-secure-'));
  await writeFile(join(folder, 'secret'), '0123456789abcdef0123456789abcdef');
  key = `test=${join(folder, 'secret')}`;
  server = await Server.start('--self-signed', '--token-key', key, '--media-tcp', 'http');
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

/** The page hears of no candidate but TCP's, as if its network let no UDP through. */
function withoutUdp() {
  const apply = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function set({ type, sdp }) {
    return apply.call(this, { type, sdp: sdp.replace(/^a=candidate:\S+ 1 udp .*\r\n/gim, '') });
  };
}

/** The protocols over which a page's peer connections send. Runs inside the page. */
async function protocols() {
  const used = [];
  for (const pc of [window.corinth.sendPc(), window.corinth.recvPc()]) {
    const stats = [...(await pc.getStats()).values()];
    const { selectedCandidatePairId } = stats.find(({ type }) => type === 'transport');
    const pair = stats.find(({ id }) => id === selectedCandidatePairId);
    used.push(stats.find(({ id }) => id === pair.remoteCandidateId).protocol);
  }
  return used;
}

test('two pages over wss with tokens, and media over UDP', TIMEOUT, async () => {
  const tokens = Object.fromEntries(await Promise.all(
    ['ada', 'bob'].map(async (name) => [name, await token('*', name)])));
  await call(server, 'secure', { ada: chromium, bob: chromium }, async (guests) => {
    assert.match(server.url, /^https:/);
    await watch(guests);
    for (const { page } of guests) assert.deepEqual(await page.evaluate(protocols), ['udp', 'udp']);
  }, (_room, name) => ({ token: tokens[name] }));
});

test('two pages whose networks let no UDP through', TIMEOUT, async () => {
  const anybody = await token('*', 'ada');
  const other = await token('*', 'bob');
  await call(server, 'tcp', { ada: chromium, bob: chromium }, async (guests) => {
    await watch(guests);
    for (const { page } of guests) assert.deepEqual(await page.evaluate(protocols), ['tcp', 'tcp']);
  }, (_room, name) => ({ token: name === 'ada' ? anybody : other, script: withoutUdp }));
});

/** Of the namespace that the tests run in, or the machine's own. */
const ipv6 = Object.values(networkInterfaces()).flat().find(({ family, internal, address }) => (
  family === 'IPv6' && !internal && !address.startsWith('fe80:')))?.address;

const skip = ipv6 ? false : 'this machine has no IPv6 address';
test('two pages whose media goes over IPv6', { ...TIMEOUT, skip }, async () => {
  const other = await Server.start('--self-signed', '--media-address', ipv6);
  try {
    await call(other, 'ipv6', { ada: chromium, bob: chromium }, async (guests) => {
      await watch(guests);
      for (const { page } of guests) {
        assert.deepEqual(await page.evaluate(protocols), ['udp', 'udp']);
      }
    });
  } finally {
    await other.stop();
  }
});

test('without a token the page stays outside', TIMEOUT, async () => {
  const page = await chromium.newPage();
  await page.goto(`${server.url}/?room=r&name=ada`);
  await page.click('#join');
  await until('the page says that it failed', async () => (
    (await page.textContent('#error')).trim() !== ''), { timeout: 30_000 });
  await page.close();
});
