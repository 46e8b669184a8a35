// What every call test does: guests in a room, ten seconds of watching everyone at everyone's, and
// pictures and numbers kept where something fails.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { newRoom } from './client.mjs';
import { Guest } from './guest.mjs';

const WATCH_SECONDS = 10;
/** Frames must move in each stretch of this many seconds. */
const STRETCH_SECONDS = 2;
const LIP_SYNC_MS = 100;
const SYNC_MS = 45_000;
/** Seconds on end that a pair has to be in sync. */
const SAMPLES = 6;

/**
 * Lets `names` into a new room, each in the browser given for it, runs `scene(guests)`, and closes
 * the pages. `more(room, name)` is what else `Guest.enter` takes, with the `camera` if it matters.
 * A failure keeps every page's picture and numbers in `out/`.
 */
export async function call(server, label, seats, scene, more) {
  const room = newRoom();
  const guests = [];
  try {
    for (const [name, browser] of Object.entries(seats)) {
      const how = more?.(room, name);
      guests.push(await Guest.enter(browser, server, room, name, how?.camera, how));
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
 * Browsers take a while to believe in a source's clock and to move towards it, longer on a busy
 * machine: each pair has until the deadline to be in sync for a few seconds on end. Returns a line
 * of numbers for each.
 */
export async function assertInSync(guests) {
  const all = pairs(guests);
  const samples = [];
  const lines = new Map();
  const deadline = Date.now() + SYNC_MS;
  while (lines.size < all.length) {
    samples.push(await readAll(all));
    const recent = samples.slice(-SAMPLES);
    const judged = all.map(({ viewer, other }, i) => {
      const { apart, held } = lipSync(recent.map((streams) => streams[i]));
      const line = `${other.name} at ${viewer.name}: by the reports audio is ${apart} ms ahead, ` +
        `it is held back ${held.toFixed()} ms longer`;
      const good = Math.abs(apart) < LIP_SYNC_MS && Math.abs(held) < LIP_SYNC_MS;
      if (good && recent.length === SAMPLES) lines.set(i, line);
      return line;
    });
    assert.ok(Date.now() < deadline, `not in sync: ${judged.filter((_, i) => !lines.has(i))}`);
    await sleep(1000);
  }
  return [...lines.values()];
}

/** Milliseconds by which audio plays ahead of video by the reports, and is held back longer. */
function lipSync(samples) {
  const [first, last] = [samples[0], samples.at(-1)];
  const apart = median(samples.map(playoutOffset));
  const held = bufferDelay(first.audio, last.audio) - bufferDelay(first.video, last.video);
  return { apart, held };
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

/** Milliseconds by which audio plays ahead of video; NaN before the reports came. */
function playoutOffset({ audio, video }) {
  return (audio?.estimatedPlayoutTimestamp || NaN) - (video?.estimatedPlayoutTimestamp || NaN);
}

/** Mean milliseconds in the jitter buffer between two readings. */
function bufferDelay(before, now) {
  const emitted = now.jitterBufferEmittedCount - before.jitterBufferEmittedCount;
  return (1000 * (now.jitterBufferDelay - before.jitterBufferDelay)) / emitted;
}

/** The middle one; NaN if there is one among them. */
function median(numbers) {
  if (numbers.some(Number.isNaN)) return NaN;
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
