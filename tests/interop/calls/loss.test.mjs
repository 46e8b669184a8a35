// Calls between browsers over networks that lose what they carry: a box between one page and the
// server loses it, 50 ms round trip; pictures keep coming at the pace at which they are taken.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Browser } from '../lib/browsers.mjs';
import { call } from '../lib/call.mjs';
import { losing, losingBursts, Nat } from '../lib/nat.mjs';
import { Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 120_000 };
const UDP_PORTS = [46_060];
const CAMERA = { width: 640, height: 360, frameRate: 20 };
const SECONDS = 20;
/** For the estimators to find their level, before anything is lost. */
const SETTLE_MS = 6000;
const ONE_WAY_MS = 25;
/** Frames a second without loss, by who sends and who watches. */
const clean = new Map();
let chromium;
let firefox;
before(async () => {
  [chromium, firefox] = await Promise.all(['chromium', 'firefox'].map(Browser.launch));
});
after(() => Promise.all([chromium?.close(), firefox?.close()]));

/**
 * A page that sends and one that watches, the one named in `behind` behind a box of its own.
 * `scene(sender, viewer, nat)`.
 */
async function behind(label, { seats = [chromium, chromium], who = 'viewer' }, scene) {
  const nat = await Nat.open(UDP_PORTS);
  nat.delay = ONE_WAY_MS;
  const server = await Server.start(...nat.options);
  const [sender, viewer] = seats;
  try {
    await call(server, label, { sender, viewer }, async (guests) => {
      await guests[1].decodes(guests[0]);
      await sleep(SETTLE_MS);
      await scene(guests[0], guests[1], nat);
    }, (_, name) => (name === who ? { script: nat.script, camera: CAMERA } : { camera: CAMERA }));
  } finally {
    await server.stop();
    nat.close();
  }
}

/** What a viewer sees for a while: frames a second, longest stand, key frames asked for. */
async function watched(viewer, sender) {
  await viewer.page.evaluate(startWatching, sender.name);
  const first = (await viewer.inbound(sender)).video;
  const started = Date.now();
  await sleep(1000 * SECONDS);
  const last = (await viewer.inbound(sender)).video;
  const took = (Date.now() - started) / 1000;
  const stood = await viewer.page.evaluate(() => window.watching.longest());
  const more = (name) => (last[name] ?? 0) - (first[name] ?? 0);
  return {
    rate: more('framesDecoded') / took,
    stood,
    asked: more('pliCount') + more('firCount'),
    lost: more('packetsLost'),
    again: more('retransmittedPacketsReceived'),
  };
}

/** Keeps the longest time between two new frames of a peer's picture. Runs inside the page. */
function startWatching(name) {
  const video = document.querySelector(`[data-peer="${CSS.escape(name)}"] video`);
  let frames = video.getVideoPlaybackQuality().totalVideoFrames;
  let since = performance.now();
  let longest = 0;
  setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - since);
    const { totalVideoFrames } = video.getVideoPlaybackQuality();
    if (totalVideoFrames === frames) return;
    [frames, since] = [totalVideoFrames, now];
  }, 20);
  window.watching = { longest: () => Math.round(longest) };
}

/** The same call while nothing is lost. */
async function cleanRate(seats) {
  const key = seats.map(({ kind }) => kind).join();
  if (!clean.has(key)) {
    await behind(`clean ${key}`, { seats }, async (sender, viewer) => {
      clean.set(key, (await watched(viewer, sender)).rate);
    });
  }
  return clean.get(key);
}

/** Asserts what is left of a call in which one way of one page loses what it carries. */
async function survives(t, { seats = [chromium, chromium], way, loses, share, calm }) {
  const usual = await cleanRate(seats);
  const who = way === 'up' ? 'sender' : 'viewer';
  await behind(t.name, { seats, who }, async (sender, viewer, nat) => {
    nat.loses[way] = loses;
    const seen = await watched(viewer, sender);
    t.diagnostic(`${JSON.stringify(seen)}, without loss ${usual.toFixed(1)} frames/s`);
    assert.ok(seen.rate >= share * usual, `${seen.rate} of ${usual} frames/s`);
    if (calm) {
      assert.ok(seen.stood <= 500, `the picture stood for ${seen.stood} ms`);
      assert.equal(seen.asked, 0, 'key frames that the viewer asked for');
    }
  });
}

test('5 % lost on the way down', TIMEOUT, (t) => (
  survives(t, { way: 'down', loses: losing(0.05), share: 0.95, calm: true })));

test('10 % lost on the way down', TIMEOUT, (t) => (
  survives(t, { way: 'down', loses: losing(0.1), share: 0.9 })));

test('bursts of four lost on the way down', TIMEOUT, (t) => (
  survives(t, { way: 'down', loses: losingBursts(0.05, 4), share: 0.9 })));

test('5 % lost on the way up', TIMEOUT, (t) => (
  survives(t, { way: 'up', loses: losing(0.05), share: 0.95 })));

test('5 % lost on the way down to Firefox', TIMEOUT, (t) => (
  survives(t, { seats: [chromium, firefox], way: 'down', loses: losing(0.05), share: 0.95 })));

test('5 % lost on the way up from Firefox', TIMEOUT, (t) => (
  survives(t, { seats: [firefox, chromium], way: 'up', loses: losing(0.05), share: 0.95 })));

test('three seconds of nothing', TIMEOUT, async (t) => {
  await behind(t.name, {}, async (sender, viewer, nat) => {
    nat.loses.down = () => true;
    await sleep(3000);
    const { framesDecoded } = (await viewer.inbound(sender)).video;
    nat.loses.down = () => false;
    const back = Date.now();
    while ((await viewer.inbound(sender)).video.framesDecoded < framesDecoded + 3) {
      assert.ok(Date.now() - back < 1000, 'the picture is not back within a second');
      await sleep(20);
    }
    t.diagnostic(`the picture is back after ${Date.now() - back} ms`);
  });
});
