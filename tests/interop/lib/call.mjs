// What every call test does: guests in a room, ten seconds of watching everyone at everyone's, and
// pictures and numbers kept where something fails.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { newRoom } from './client.mjs';
import { until } from './expect.mjs';
import { Guest } from './guest.mjs';

const WATCH_SECONDS = 10;
/** Frames must move in each stretch of this many seconds. */
const STRETCH_SECONDS = 2;
const LIP_SYNC_MS = 100;
/** Browsers believe in a source's clock after the second report or so. */
const REPORTS_MS = 20_000;
/** How long the browsers have to bring sound and picture together. */
const SYNC_MS = 40_000;
const SAMPLES = 7;

/**
 * Lets `names` into a new room, each in the browser given for it, runs `scene(guests)`, and closes
 * the pages. A failure keeps every page's picture and numbers in `out/`.
 */
export async function call(server, label, seats, scene) {
  const room = newRoom();
  const guests = [];
  try {
    for (const [name, browser] of Object.entries(seats)) {
      guests.push(await Guest.enter(browser, server, room, name));
    }
    await scene(guests, room);
    for (const guest of guests) assert.deepEqual(guest.complaints, [], guest.name);
  } catch (error) {
    for (const guest of guests) {
      const kept = await guest.keep(label).catch(String);
      console.error(`${guest.name}:`, JSON.stringify(kept.tiles ?? kept), kept.error ?? '');
    }
    console.error(`the server said:\n${server.output}`);
    throw error;
  } finally {
    await Promise.all(guests.map((guest) => guest.page.close().catch(() => {})));
  }
}

/** Each pair of different guests, both ways round. */
export function pairs(guests) {
  return guests.flatMap((viewer) => guests.filter((other) => other !== viewer)
    .map((other) => ({ viewer, other })));
}

/** Everyone decodes everyone; then for ten seconds pictures and sound keep coming. */
export async function watch(guests) {
  const all = pairs(guests);
  await Promise.all(all.map(({ viewer, other }) => viewer.decodes(other)));
  let before = await readAll(all);
  for (let second = 0; second < WATCH_SECONDS; second += STRETCH_SECONDS) {
    await sleep(1000 * STRETCH_SECONDS);
    const now = await readAll(all);
    all.forEach(({ viewer, other }, i) => assertMoved(viewer, other, before[i], now[i], second));
    before = now;
  }
}

/**
 * Asserts that sound and picture of each peer play together at every other. Two independent numbers
 * say it:
 *
 * - `estimatedPlayoutTimestamp` is the time of capture, on the source's clock, of what is playing
 *   now. The browser computes it from the sender reports, so it exists only if those come, and the
 *   difference between audio and video is how far apart the two play by the reports' word.
 * - the delay in the jitter buffers is the browser's own doing. Reports that said something wrong
 *   would make it hold one of the two back by as much: on a path without delay the two delays
 *   differ by no more than the reports' error.
 *
 * The browser moves its delays by and by, and a busy machine upsets them, so it is given time; what
 * wrong reports say would never come to hold both.
 *
 * Returns a line of numbers for each pair.
 */
export async function assertInSync(guests) {
  const all = pairs(guests);
  const known = (streams) => streams.every((stream) => playoutOffset(stream) !== undefined);
  await until('sender reports of all sources came to all', async () => known(await readAll(all)),
    { timeout: REPORTS_MS, every: 500 });
  const samples = [await readAll(all)];
  const said = new Array(all.length);
  await until('sound and picture play together', async () => {
    samples.push(await readAll(all));
    if (samples.length > SAMPLES) samples.shift();
    const together = all.map(({ viewer, other }, i) => {
      const [first, last] = [samples[0][i], samples.at(-1)[i]];
      const apart = median(samples.map((streams) => playoutOffset(streams[i])));
      const held = bufferDelay(first.audio, last.audio) - bufferDelay(first.video, last.video);
      said[i] = `${other.name} at ${viewer.name}: by the reports audio is ${apart} ms ahead, ` +
        `it is held back ${held.toFixed()} ms longer`;
      return Math.abs(apart) < LIP_SYNC_MS && Math.abs(held) < LIP_SYNC_MS;
    });
    assert.ok(samples.length === SAMPLES && together.every(Boolean), said.join('; '));
    return true;
  }, { timeout: SYNC_MS, every: 1000 });
  return said;
}

function readAll(all) {
  return Promise.all(all.map(({ viewer, other }) => viewer.inbound(other)));
}

function assertMoved(viewer, other, before, now, second) {
  const where = `${other.name} at ${viewer.name}, from second ${second}`;
  const moved = (kind, member) => now[kind]?.[member] - before[kind]?.[member];
  assert.ok(moved('video', 'framesDecoded') > 0, `pictures stand still: ${where}`);
  assert.ok(moved('audio', 'packetsReceived') > 0, `sound stands still: ${where}`);
  assert.ok(moved('audio', 'totalAudioEnergy') > 0, `silence: ${where}`);
}

/** Milliseconds by which audio plays ahead of video, where the browser knows. */
function playoutOffset({ audio, video }) {
  const [a, v] = [audio?.estimatedPlayoutTimestamp, video?.estimatedPlayoutTimestamp];
  return a && v ? a - v : undefined;
}

/** Mean milliseconds in the jitter buffer between two readings. */
function bufferDelay(before, now) {
  const emitted = now.jitterBufferEmittedCount - before.jitterBufferEmittedCount;
  return (1000 * (now.jitterBufferDelay - before.jitterBufferDelay)) / emitted;
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
