// Browsers behind networks that do to addresses what real ones do: media follows them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser } from '../lib/browsers.mjs';
import { call, pairs } from '../lib/call.mjs';
import { Nat } from '../lib/nat.mjs';
import { Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 120_000 };
const UDP_PORTS = [46_040, 46_041];
const TCP_PORT = '46042';
let chromium;
let firefox;
before(async () => {
  [chromium, firefox] = await Promise.all(['chromium', 'firefox'].map(Browser.launch));
});
after(() => Promise.all([chromium?.close(), firefox?.close()]));

/** Runs `scene(guests, nat)` with a Firefox and a Chromium behind a box of this kind. */
async function behind(label, { deaf = false, tcp = 'off' }, scene) {
  const nat = await Nat.open(UDP_PORTS);
  nat.deaf = deaf;
  const server = await Server.start(...nat.options, '--media-tcp', tcp);
  try {
    const seats = { fox: firefox, gum: chromium };
    await call(server, label, seats, (guests) => scene(guests, nat), () => nat);
  } finally {
    await server.stop();
    nat.close();
  }
}

/** Everybody's picture and sound go on at everybody's. */
async function flow(guests) {
  await Promise.all(pairs(guests).flatMap(({ viewer, other }) => (
    ['audio', 'video'].map((kind) => viewer.flows(other, kind)))));
}

test('a NAT that forgets its mappings loses nobody', TIMEOUT, async () => {
  await behind('forgetting', {}, async (guests, nat) => {
    await Promise.all(pairs(guests).map(({ viewer, other }) => viewer.decodes(other)));
    for (let time = 0; time < 2; time += 1) {
      nat.forget();
      await flow(guests);
    }
  });
});

test('where UDP goes out and nothing comes in, media takes TCP', TIMEOUT, async () => {
  await behind('one-way', { deaf: true, tcp: TCP_PORT }, async (guests) => {
    await Promise.all(pairs(guests).map(({ viewer, other }) => viewer.decodes(other)));
    await flow(guests);
    for (const { name, page } of guests) {
      assert.deepEqual(await page.evaluate(protocols), ['tcp', 'tcp'], name);
    }
  });
});

/** By what each way goes that media takes. Runs inside the page. */
async function protocols() {
  const found = [];
  const { peerConnections } = window.corinth.room;
  for (const pc of Object.values(peerConnections)) {
    const stats = await pc.getStats();
    const of = (wanted) => [...stats.values()].filter(({ type }) => type === wanted);
    const pair = stats.get(of('transport')[0]?.selectedCandidatePairId)
      ?? of('candidate-pair').find(({ selected }) => selected);
    found.push(stats.get(pair?.remoteCandidateId)?.protocol);
  }
  return found;
}
