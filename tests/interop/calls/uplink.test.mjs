// A page that sends learns from the server's feedback what its uplink carries: Chromium's own
// estimate rises on a good one, falls with a narrow one, and comes back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Browser } from '../lib/browsers.mjs';
import { call } from '../lib/call.mjs';
import { Nat } from '../lib/nat.mjs';
import { Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 120_000 };
const UDP_PORTS = [46_080];
const NARROW = 400_000;
let chromium;
before(async () => { chromium = await Browser.launch('chromium'); });
after(() => chromium?.close());

/** Waits until the estimate in bits a second is as wished; seconds that it took. */
async function estimate(guest, what, seconds, wished) {
  const started = Date.now();
  let said;
  while (!wished(said = await guest.page.evaluate(available))) {
    assert.ok(Date.now() - started < 1000 * seconds, `${what}: ${said} after ${seconds} s`);
    await sleep(100);
  }
  return `${what}: ${said} after ${((Date.now() - started) / 1000).toFixed(1)} s`;
}

/**
 * A camera that sees some noise, and nothing else while `noisy` is set: an encoder then has use for
 * more than the narrow uplink carries. Runs inside the page, before it.
 */
function noise() {
  const devices = navigator.mediaDevices;
  if (!devices) return; // about:blank, before the page
  const open = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async ({ audio, video }) => {
    const stream = audio ? await open({ audio }) : new MediaStream();
    if (!video) return stream;
    const [small, large] = [[64, 36], [640, 360]].map(([width, height]) => (
      Object.assign(document.createElement('canvas'), { width, height })));
    const [dots, picture] = [small, large].map((canvas) => canvas.getContext('2d'));
    const CALM_BYTES = 1000; // enough that the first probes have something to send
    setInterval(() => {
      const frame = dots.createImageData(small.width, small.height);
      crypto.getRandomValues(window.noisy ? frame.data : frame.data.subarray(0, CALM_BYTES));
      dots.putImageData(frame, 0, 0);
      picture.drawImage(small, 0, 0, large.width, large.height);
    }, 50);
    stream.addTrack(large.captureStream(20).getVideoTracks()[0]);
    return stream;
  };
}

/** What the browser thinks it can send. Runs inside the page. */
async function available() {
  const stats = await window.corinth.sendPc()?.getStats();
  const pairs = [...(stats?.values() ?? [])].filter(({ type }) => type === 'candidate-pair');
  return pairs.find(({ availableOutgoingBitrate }) => availableOutgoingBitrate)
    ?.availableOutgoingBitrate;
}

test('the estimate rises, falls with the uplink, and returns', TIMEOUT, async (t) => {
  const nat = await Nat.open(UDP_PORTS);
  nat.delay = 10;
  const server = await Server.start(...nat.options);
  const seats = { sender: chromium, viewer: chromium };
  const how = { script: `${nat.script}(${noise})();` };
  try {
    await call(server, 'uplink', seats, async ([sender, viewer]) => {
      await viewer.decodes(sender);
      t.diagnostic(await estimate(sender, 'clean', 20, (said) => said > 1_500_000));
      await sender.page.evaluate(() => { window.noisy = true; });
      nat.rate = NARROW;
      t.diagnostic(await estimate(sender, 'narrow', 5, (said) => said < 500_000));
      await sleep(5000);
      nat.rate = 0;
      // From the middle of a call libwebrtc rises by some percent a second.
      t.diagnostic(await estimate(sender, 'clean again', 60, (said) => said > 1.5 * NARROW));
    }, (_, name) => (name === 'sender' ? how : {}));
  } finally {
    await server.stop();
    nat.close();
  }
});
